//! The part of the table that bounds what clients can make the broker hold and do.

use skein_protocol::QoS;

use super::address::Network;
use super::reader::Reader;
use super::table::{BYTES_MAX, CONNECTIONS_MAX, Row, section};
use super::value::{Allowed, Value};

/// The longest packet MQTT can express: a length of 268,435,455 and a header of five bytes.
const PACKET_BYTES_MAX: usize = 268_435_460;

section! {
    /// Bounds on what clients can make the broker hold and do: the `[limits]` section.
    Limits = "limits";

    /// How long a new connection may take until its CONNECT is whole, the handshakes of TLS and
    /// WebSocket included.
    connect_timeout_ms: u64 = 10_000, 1..=600_000,
        "the connection is closed and counted (connect_timeouts)";
    /// How long the handshakes of TLS and WebSocket may take together, and the header of the PROXY
    /// protocol.
    tls_handshake_ms_max: u64 = 10_000, 1..=600_000,
        "the connection is closed and counted (handshake_timeouts)";
    /// How long a packet that was begun may make no progress: of one that does not become whole, at
    /// least 4,096 bytes have to come in this time; 0 = as long as it likes.
    packet_stalled_ms_max: u64 = 30_000, 0..=3_600_000,
        "the connection is closed within twice the time, for MQTT 5 with 0x83, and counted \
         (packets_stalled)";
    /// The longest packet a client may send, header included; MQTT 5 clients are told.
    packet_bytes_max: usize = 1_048_576, 1_024..=PACKET_BYTES_MAX,
        "the connection is closed, for MQTT 5 with 0x95";
    /// The longest packet that is read from a connection before its CONNECT was accepted, and never
    /// more than packet_bytes_max.
    packet_bytes_before_connect_max: usize = 65_536, 256..=PACKET_BYTES_MAX,
        "the connection is closed";
    /// How many levels a topic or a filter may have.
    topic_levels_max: usize = 128, 1..=65_535,
        "a topic closes the connection with 0x90, a filter is refused with 0x8F";
    /// The longest client identifier, in bytes of UTF-8.
    client_id_bytes_max: usize = 1_024, 23..=65_535, "CONNECT is refused with 0x85";
    /// How many subscriptions one session may have.
    subscriptions_per_client_max: usize = 10_000, 1..=10_000_000,
        "a further filter is refused with 0x97 and counted (subscriptions_refused)";
    /// How many bytes the filters of all sessions may take together, each counted where it is held;
    /// each shard its share.
    subscription_bytes_max: usize = 268_435_456, 1_024..=BYTES_MAX,
        "a further filter is refused with 0x97 and counted (subscriptions_refused)";
    /// How many user properties one packet may carry.
    user_properties_max: usize = 1_000, 0..=100_000, "the connection is closed with 0x97";
    /// How many topic aliases a client may use towards the broker; it is told this Topic Alias
    /// Maximum, 0 = none.
    topic_alias_maximum: u16 = 16, 0..=65_535, "a higher alias closes the connection with 0x94";
    /// How many bytes the topics may take together that one client has given aliases.
    topic_alias_bytes_max: usize = 65_536, 1_024..=BYTES_MAX,
        "a further one closes the connection with 0x97";
    /// How many topic aliases the broker uses towards a client that allows them, and never more
    /// than the client allows; 0 = none.
    topic_alias_outgoing_max: u16 = 16, 0..=65_535, "further topics are sent in full";
    /// The longest keep alive; a client that asks for more, or for none, is given this one,
    /// 0 = what the client asks.
    keep_alive_s_max: u16 = 0, 0..=65_535,
        "silence for one and a half times the keep alive closes the connection with 0x8D";
    /// How many QoS 1 and QoS 2 messages an MQTT 5 client may have unfinished towards the broker; it
    /// is told this Receive Maximum.
    receive_maximum: u16 = 1_024, 1..=65_535, "one more closes the connection with 0x93";
    /// How many QoS 1 and QoS 2 messages the broker has unfinished towards one client, and never
    /// more than the client's own Receive Maximum.
    in_flight_max: u16 = 1_024, 1..=65_535, "further messages wait in the session's queue";

    /// The highest QoS a client may publish with; it is told.
    maximum_qos: QoS = QoS::ExactlyOnce, ..,
        "a higher QoS closes the connection with 0x9B, a subscription is granted this one";
    /// Whether messages are retained; MQTT 5 clients are told.
    retain_available: bool = true, .., "a retained message closes the connection with 0x9A";
    /// Whether filters may hold + and #; MQTT 5 clients are told.
    wildcard_subscription_available: bool = true, .., "such a filter is refused with 0xA2";
    /// Whether filters may begin with $share; MQTT 5 clients are told.
    shared_subscription_available: bool = true, .., "such a filter is refused with 0x9E";
    /// Whether a SUBSCRIBE may carry a Subscription Identifier; MQTT 5 clients are told.
    subscription_identifiers_available: bool = true, ..,
        "such a SUBSCRIBE closes the connection with 0xA1";

    /// The longest a session outlives its connection; 4294967295 = it never expires.
    session_expiry_s_max: u32 = 4_294_967_295, 0..=u32::MAX,
        "a client that asks for more is given this and told so";
    /// How long the session of an MQTT 3.1 or 3.1.1 client that connects with clean session 0
    /// outlives its connection, and never longer than session_expiry_s_max; 4294967295 = it never
    /// expires.
    session_expiry_v3_s: u32 = 4_294_967_295, 0..=u32::MAX, "the session and its queue are gone";
    /// How many sessions the whole broker holds, connected or not; each shard holds its share.
    sessions_max: usize = 1_000_000, 1..=100_000_000,
        "a client without a session is refused with 0x97";

    /// How many messages wait for one session.
    queue_messages_max: usize = 100_000, 1..=100_000_000, "the listener's overflow decides";
    /// How many bytes of messages wait for one session.
    queue_bytes_max: usize = 16_777_216, 1_024..=BYTES_MAX, "the listener's overflow decides";
    /// How many bytes of messages that wait for one session are kept in memory, if the broker has a
    /// store and keeps the session there; messages of shared subscriptions always are.
    queue_memory_bytes: usize = 262_144, 1_024..=BYTES_MAX,
        "the middle of the queue goes to disk and is counted (chunks_written)";
    /// How many bytes wait to be written to one connection, whatever happens.
    outbox_bytes_max: usize = 8_388_608, 4_096..=BYTES_MAX,
        "messages go to the session's queue, QoS 0 is dropped and counted";
    /// A connection with more bytes waiting than this pauses those who publish to it.
    outbox_high_water_bytes: usize = 262_144, 1_024..=BYTES_MAX, "publishers are not read";
    /// Publishers are read again when no more bytes than this wait for the connection.
    outbox_low_water_bytes: usize = 65_536, 0..=BYTES_MAX, "publishers are read again";
    /// How long a connection may pause its publishers before it counts as slow; 0 = it never may.
    /// One that was slow lately may for a fiftieth of the time since.
    slow_consumer_grace_ms: u64 = 500, 0..=600_000,
        "nobody waits for it any more: QoS 0 is dropped and counted, QoS 1 and 2 are queued";

    /// How many batches wait in the lane from one shard to another; a power of two.
    lane_slots: usize = 1_024, 2..=65_536, "further batches wait behind the lane, in order";
    /// How many bytes wait behind one lane; less where the lanes of all shards together could
    /// overfill one outbox.
    lane_waiting_bytes_max: usize = 4_194_304, 1_024..=BYTES_MAX,
        "the shard stops reading publishers until the lane has moved";
    /// How many messages per second one client may publish, and as many at once; 0 = no limit. No
    /// client is that fast today: lower it to what yours need.
    publishes_per_client_per_s_max: u32 = 10_000_000, 0..=1_000_000_000,
        "it is not read until it is paid for, and counted (publishers_throttled)";
    /// How many bytes of PUBLISH packets per second one client may send, and as many at once;
    /// 0 = no limit. No client is that fast today.
    publish_bytes_per_client_per_s_max: usize = 10_737_418_240, 0..=BYTES_MAX,
        "it is not read until it is paid for, and counted (publishers_throttled)";
    /// How many bytes are read from one connection before the others have their turn.
    read_budget_bytes: usize = 131_072, 1_024..=16_777_216, "the rest is read in the next turn";

    /// How many messages the whole broker retains; each shard holds its share.
    retained_messages_max: usize = 1_000_000, 0..=100_000_000,
        "a further topic is not retained: an MQTT 5 publisher with QoS 1 or 2 is told 0x97, other \
         messages are delivered, and counted";
    /// How many bytes of retained messages the whole broker holds; each shard holds its share.
    retained_bytes_max: usize = 1_073_741_824, 0..=BYTES_MAX,
        "a further topic is not retained: an MQTT 5 publisher with QoS 1 or 2 is told 0x97, other \
         messages are delivered, and counted";
    /// How many retained topics are looked at in one step of answering a SUBSCRIBE.
    retained_step_topics: usize = 256, 1..=65_536, "the next step follows after other work";

    /// How much memory all clients' data may take in the whole broker, each shard its share;
    /// 0 = half of the memory this process may use.
    memory_bytes_max: usize = 0, 0..=BYTES_MAX,
        "at 80 % new connections are refused, at 90 % QoS 0 that would wait is dropped, at 95 % \
         queues no longer grow, at 100 % publishers are paused";
    /// How many connections may be open at once in the whole broker; 0 = no limit.
    connections_max: usize = 0, 0..=CONNECTIONS_MAX, "a further connection is closed and counted";
    /// How many connections one address may have open at once; 0 = no limit. Of IPv6, all addresses
    /// with the same first 64 bits are one; behind a proxy, the one that the proxy names counts.
    connections_per_address_max: usize = 16_384, 0..=CONNECTIONS_MAX,
        "a further connection is closed and counted (connections_crowded)";
    /// How many connections may come from one address in a second, and as many at once; 0 = no limit.
    connections_per_address_per_s_max: u32 = 2_000, 0..=1_000_000,
        "a further connection is closed and counted (connections_crowded)";
    /// How many new connections each shard takes in a second while clients that have been there for a
    /// second publish (20 messages a second or more together), for which it then spends no more than
    /// an eighth of its time; 0 = as many as come.
    newcomers_per_shard_per_s_max: u32 = 2_000, 0..=1_000_000,
        "further ones wait in the kernel's queue, and are counted (newcomers_delayed)";
    /// The addresses and networks whose connections are not counted by address.
    addresses_unlimited: Vec<Network> = Network::loopback(), ..,
        "the limits for one address do not hold for them";
    /// How long a shutdown may take to write out what waits for the clients; no connection is
    /// waited for longer than a second.
    shutdown_ms_max: u64 = 5_000, 0..=600_000, "the rest is left and the broker ends";
}
