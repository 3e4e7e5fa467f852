//! The check is proved by anomalies that are planted.

use skein_protocol::QoS::{self, AtLeastOnce, AtMostOnce, ExactlyOnce};

use super::{Anomaly, Message, Operation, anomalies};

const PUBLISHER: usize = 0;
const SUBSCRIBER: usize = 1;

fn message(number: u64) -> Message {
    Message { publisher: PUBLISHER, number }
}

fn connected(session_present: bool) -> Operation {
    Operation::Connected { client: SUBSCRIBER, session_present }
}

fn asked(filter: &str, qos: QoS) -> Operation {
    Operation::Asked { client: SUBSCRIBER, filter: filter.to_owned(), qos }
}

fn subscribed(filter: &str, qos: QoS) -> Operation {
    Operation::Subscribed { client: SUBSCRIBER, filter: filter.to_owned(), qos }
}

fn published(number: u64, qos: QoS) -> Operation {
    Operation::Published { message: message(number), topic: "a/b".to_owned(), qos }
}

fn acknowledged(number: u64) -> Operation {
    Operation::Acknowledged { message: message(number) }
}

fn delivered(number: u64, qos: QoS) -> Operation {
    let topic = "a/b".to_owned();
    Operation::Delivered { client: SUBSCRIBER, message: message(number), topic, qos }
}

/// A session that asked for everything, and two messages that it got, over a crash.
fn good(qos: QoS) -> Vec<Operation> {
    vec![
        connected(false),
        asked("a/#", qos),
        subscribed("a/#", qos),
        published(1, qos),
        acknowledged(1),
        delivered(1, qos),
        published(2, qos),
        connected(true),
        acknowledged(2),
        delivered(2, qos),
    ]
}

/// The one anomaly of a good history that was changed.
fn planted(qos: QoS, change: impl FnOnce(&mut Vec<Operation>)) -> Anomaly {
    let mut history = good(qos);
    change(&mut history);
    let mut found = anomalies(&history);
    assert_eq!(found.len(), 1, "{found:?}");
    found.remove(0)
}

#[test]
fn nothing_is_wrong_with_a_good_history() {
    for qos in [AtLeastOnce, ExactlyOnce] {
        assert_eq!(anomalies(&good(qos)), []);
    }
}

#[test]
fn an_acknowledged_message_that_never_comes_is_lost() {
    let lost = planted(AtLeastOnce, |history| {
        history.pop();
    });
    let filter = "a/#".to_owned();
    assert_eq!(lost, Anomaly::Lost { client: SUBSCRIBER, message: message(2), filter });
}

#[test]
fn what_was_not_acknowledged_or_published_before_the_suback_need_not_come() {
    let mut history = good(AtLeastOnce);
    history.truncate(8);
    assert_eq!(anomalies(&history), [], "nobody owns it but its publisher");
    let mut history = good(AtLeastOnce);
    history.insert(2, published(0, AtLeastOnce));
    history.push(acknowledged(0));
    assert_eq!(anomalies(&history), [], "it may have come before the subscription");
}

#[test]
fn a_second_delivery_is_an_anomaly_with_qos_2_only() {
    let twice = planted(ExactlyOnce, |history| history.push(delivered(2, ExactlyOnce)));
    assert_eq!(twice, Anomaly::Twice { client: SUBSCRIBER, message: message(2), times: 2 });
    let mut history = good(AtLeastOnce);
    history.push(delivered(1, AtLeastOnce));
    assert_eq!(anomalies(&history), [], "first deliveries are in order");
}

#[test]
fn first_deliveries_are_in_the_order_of_their_publisher() {
    let disordered = planted(AtLeastOnce, |history| {
        history.remove(5);
        history.push(delivered(1, AtLeastOnce));
    });
    let expected = Anomaly::Disordered { client: SUBSCRIBER, message: message(1), behind: 2 };
    assert_eq!(disordered, expected);
}

/// Its publisher sends it again, and now it is wanted.
#[test]
fn what_was_sent_before_the_subscription_may_come_late() {
    let mut history = good(AtLeastOnce);
    history.insert(0, published(0, AtLeastOnce));
    history.push(delivered(0, AtLeastOnce));
    assert_eq!(anomalies(&history), []);
}

#[test]
fn a_topic_retains_what_was_published_to_it_last() {
    let topic = || "kept/0".to_owned();
    let publish = |number| Operation::Published {
        message: message(number),
        topic: topic(),
        qos: AtLeastOnce,
    };
    let retained = |number| Operation::Retained { message: message(number), topic: topic() };
    let history = |end: &[Operation]| {
        let start = [publish(1), acknowledged(1), publish(2), acknowledged(2)];
        [&start[..], end].concat()
    };
    assert_eq!(anomalies(&history(&[retained(2)])), []);
    let kept = |kept| vec![Anomaly::NotKept { message: message(2), kept }];
    assert_eq!(anomalies(&history(&[retained(1)])), kept(Some(message(1))));
    assert_eq!(anomalies(&history(&[])), kept(None));
}

#[test]
fn a_session_that_is_gone_is_seen() {
    let forgotten = planted(ExactlyOnce, |history| history[7] = connected(false));
    assert_eq!(forgotten, Anomaly::Forgotten { client: SUBSCRIBER });
}

#[test]
fn what_nobody_asked_for_or_published_is_seen() {
    let unasked = planted(AtLeastOnce, |history| {
        history[1] = asked("b/+", AtLeastOnce);
        history.truncate(2);
        history.push(published(1, AtLeastOnce));
        history.push(delivered(1, AtLeastOnce));
    });
    assert_eq!(unasked, Anomaly::Unasked { client: SUBSCRIBER, message: message(1) });
    let invented = planted(AtLeastOnce, |history| history.push(delivered(3, AtLeastOnce)));
    assert_eq!(invented, Anomaly::Invented { client: SUBSCRIBER, message: message(3) });
    let what = "bytes that nobody has sent".to_owned();
    let violated = planted(AtLeastOnce, |history| {
        history.push(Operation::Violated { client: SUBSCRIBER, what: what.clone() });
    });
    assert_eq!(violated, Anomaly::Violated { client: SUBSCRIBER, what });
}

#[test]
fn the_qos_of_a_delivery_is_the_lower_of_both() {
    let wrong = planted(ExactlyOnce, |history| history[9] = delivered(2, AtLeastOnce));
    assert_eq!(
        wrong,
        Anomaly::WrongQoS { client: SUBSCRIBER, message: message(2), qos: AtLeastOnce }
    );
    let mut history = good(ExactlyOnce);
    history[6] = published(2, AtMostOnce);
    history.remove(8);
    history[8] = delivered(2, AtMostOnce);
    assert_eq!(anomalies(&history), []);
}

#[test]
fn filters_mean_what_the_standard_says() {
    use super::check::matches;
    for (filter, topic, is_meant) in [
        ("a/#", "a", true),
        ("a/#", "a/b/c", true),
        ("a/+", "a/b", true),
        ("a/+", "a/b/c", false),
        ("a/b", "a/b", true),
        ("a/b", "a", false),
        ("a", "a/b", false),
    ] {
        assert_eq!(matches(filter, topic), is_meant, "{filter} {topic}");
    }
}

#[test]
fn a_payload_names_its_message_and_vouches_for_its_bytes() {
    let mut payload = message(5).payload();
    assert_eq!(Message::of(&payload), Some(message(5)));
    payload.pop();
    assert_eq!(Message::of(&payload), None);
}
