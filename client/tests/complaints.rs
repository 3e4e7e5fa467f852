//! What users of other MQTT clients complain of, and the test that holds the answer.
//!
//! The table names tests; this test fails when one of them is gone.

use std::fs;
use std::path::Path;

/// The complaint, the file below `client/`, the test.
const COMPLAINTS: [(&str, &str, &str); 49] = [
    (
        "publishing from the task that polls deadlocks",
        "tests/sockets/threads.rs",
        "a_callback_may_publish_and_wait",
    ),
    (
        "publishing blocks when the channel is full",
        "tests/sockets/threads.rs",
        "a_full_queue_fails_or_blocks_as_its_policy_says",
    ),
    (
        "a publish without a connection holds the caller up",
        "tests/sockets/threads.rs",
        "publishing_without_a_connection_does_not_hold_the_caller",
    ),
    (
        "no way to await the acknowledgement of this message",
        "tests/sockets/messages.rs",
        "publishes_are_pipelined_and_arrive_in_order",
    ),
    (
        "confirmations that are none",
        "tests/session/publish.rs",
        "a_refusal_of_one_message_is_its_error_and_nothing_else",
    ),
    ("unclear when a token completes", "tests/session/publish.rs", "each_qos_ends_as_it_should"),
    (
        "a publish error does not say whether it was sent",
        "tests/session/publish.rs",
        "the_servers_limits_are_typed_errors_before_anything_is_sent",
    ),
    (
        "deadlines that confuse",
        "tests/session/publish.rs",
        "an_acknowledgement_that_is_overdue_fails_the_ticket_and_frees_nothing",
    ),
    (
        "receiving with a timeout has to be asked for",
        "src/driver/ticket.rs",
        "a_ticket_that_was_not_in_time_can_be_waited_for_again",
    ),
    (
        "reconnects in a busy loop",
        "tests/sockets/lifecycle.rs",
        "a_server_that_is_away_is_not_asked_in_a_busy_loop",
    ),
    ("no backoff", "src/session/plan.rs", "delays_double_up_to_the_longest"),
    (
        "backoff is not applied when the server accepts and then kicks",
        "tests/session/resume.rs",
        "the_delay_grows_until_a_connection_was_stable",
    ),
    (
        "stale credentials are tried for ever",
        "tests/session/resume.rs",
        "stale_credentials_end_it_unless_they_are_renewed",
    ),
    (
        "no other host and login on a reconnect",
        "tests/sockets/connect.rs",
        "a_hook_chooses_host_and_credentials_for_each_attempt",
    ),
    ("no reconnect at all", "tests/sockets/lifecycle.rs", "a_cut_link_loses_nothing"),
    (
        "a client cannot be used after a loss",
        "tests/session/resume.rs",
        "a_server_that_is_not_there_yet_is_waited_for",
    ),
    (
        "publish is stuck after the server restarts",
        "tests/sockets/lifecycle.rs",
        "a_restarted_server_is_subscribed_to_again",
    ),
    (
        "no resubscribe after a reconnect",
        "tests/session/subscribe.rs",
        "a_lost_session_is_subscribed_to_again_with_results",
    ),
    (
        "an unanswered SUBSCRIBE is lost with the link",
        "tests/session/subscribe.rs",
        "an_unanswered_subscribe_is_sent_again",
    ),
    (
        "messages are cleared when the session is not present",
        "tests/session/resume.rs",
        "a_lost_session_sends_again_as_new_messages_before_anything_else",
    ),
    (
        "pending messages are sent again in random order",
        "tests/session/resume.rs",
        "a_resumed_session_sends_again_in_order",
    ),
    (
        "a failed acknowledgement tears the connection down",
        "tests/session/resume.rs",
        "unknown_acknowledgements_are_counted_and_borne",
    ),
    (
        "a collision of packet ids wedges the client",
        "tests/session/random.rs",
        "what_a_kept_session_promises_holds_whatever_the_link_does",
    ),
    (
        "packet ids of SUBSCRIBE are used again while open",
        "tests/session/subscribe.rs",
        "subscribe_and_publish_share_the_packet_ids",
    ),
    (
        "packet ids are used again while in flight",
        "tests/session/publish.rs",
        "an_acknowledgement_that_is_overdue_fails_the_ticket_and_frees_nothing",
    ),
    (
        "manual acknowledgements are not sent after a reconnect",
        "tests/session/subscribe.rs",
        "an_acknowledgement_after_a_reconnect_reaches_the_server",
    ),
    (
        "a re-send within one connection disconnects",
        "tests/session/subscribe.rs",
        "a_resend_on_the_same_connection_is_borne",
    ),
    (
        "lock contention while offline",
        "tests/sockets/threads.rs",
        "publishing_without_a_connection_does_not_hold_the_caller",
    ),
    (
        "one event for all messages, no handlers for topics",
        "tests/sockets/messages.rs",
        "callbacks_come_in_order_with_the_names_of_their_pattern",
    ),
    ("no named captures of wildcards", "src/router/pattern.rs", "names_stand_for_levels"),
    (
        "overlapping subscriptions: only the first gets the message",
        "tests/sockets/messages.rs",
        "overlapping_filters_each_get_the_message_once",
    ),
    (
        "QoS 0 is queued offline and floods on reconnect",
        "tests/session/publish.rs",
        "qos_0_without_a_connection_is_refused_or_kept_as_the_policy_says",
    ),
    (
        "the queue in memory has no bound",
        "src/session/queue.rs",
        "bytes_are_bounded_too_but_one_message_always_fits",
    ),
    (
        "the queue of a receiver has no bound",
        "tests/sockets/messages.rs",
        "a_full_subscription_pauses_the_server",
    ),
    (
        "callbacks block the reader, and pings time out",
        "tests/sockets/threads.rs",
        "a_callback_may_publish_and_wait",
    ),
    (
        "messages before the receiver starts are lost",
        "tests/sockets/lifecycle.rs",
        "early_messages_wait_for_their_route",
    ),
    (
        "handlers come after CONNECT and miss what was queued",
        "tests/sockets/lifecycle.rs",
        "a_route_before_connect_misses_nothing_of_a_resumed_session",
    ),
    (
        "no queue of its own for each subscription",
        "tests/sockets/messages.rs",
        "a_full_subscription_drops_as_its_policy_says_and_counts",
    ),
    (
        "the loss of the connection, or its reason, is not told",
        "tests/session/connect.rs",
        "a_server_that_says_goodbye_is_heard",
    ),
    (
        "the server's Receive Maximum is ignored",
        "tests/session/publish.rs",
        "no_more_is_in_flight_than_the_server_takes",
    ),
    (
        "the server's Maximum Packet Size is ignored",
        "tests/session/publish.rs",
        "a_queued_message_that_the_server_does_not_take_fails_alone",
    ),
    (
        "topic aliases leak into the next connection",
        "tests/session/publish.rs",
        "topics_become_aliases_by_themselves_and_anew_on_each_connection",
    ),
    ("bound to one runtime", "tests/sockets/messages.rs", "everything_can_be_awaited"),
    (
        "the client is not safe to share between threads",
        "tests/sockets/threads.rs",
        "many_threads_share_one_client",
    ),
    (
        "a refused subscription looks like one that was granted",
        "tests/session/subscribe.rs",
        "each_filter_has_its_own_result",
    ),
    (
        "the end of the process loses or doubles QoS 2",
        "tests/sockets/store.rs",
        "a_killed_process_is_followed_by_one_that_goes_on_exactly_once",
    ),
    (
        "packet ids of an earlier process swallow new messages",
        "tests/session/restart.rs",
        "a_new_process_loses_nothing_to_identifiers_that_the_server_holds",
    ),
    (
        "a proxy of the environment is not used",
        "tests/sockets/transports.rs",
        "the_environment_names_a_proxy_to_who_asks_for_it",
    ),
    (
        "authentication and reconnects do not go together",
        "tests/session/authenticate.rs",
        "each_connection_authenticates_afresh",
    ),
];

#[test]
fn each_complaint_has_a_test() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (complaint, file, test) in COMPLAINTS {
        let text = fs::read_to_string(root.join(file)).expect("the file is there");
        let declared = text.find(&format!("fn {test}()"));
        let at = declared.unwrap_or_else(|| panic!("{file} has no {test}: {complaint}"));
        assert!(text[..at].trim_end().ends_with("#[test]"), "{test} is a test");
    }
}
