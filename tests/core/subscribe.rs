//! SUBSCRIBE and UNSUBSCRIBE, filter by filter (3.8, 3.10).

use skein::config::Settings;
use skein_protocol::QoS;

use crate::{
    broker::Broker,
    packets::{publish, publish2, subscribe, subscribe_all, subscribe_as, unsubscribe, v3, v5},
};

/// [MQTT-3.9.3-1]: a reason for each filter, in order; those granted hold.
#[test]
fn each_filter_is_granted_or_refused_by_itself() {
    let row = |change: fn(&mut Settings), filter, reason| (change, filter, reason);
    for (settings, filter, reason) in [
        row(|s| s.limits.topic_levels_max = 2, "a/b/c", "0x8F"),
        row(|s| s.limits.shared_subscription_available = false, "$share/g/a", "0x9E"),
        row(|s| s.limits.wildcard_subscription_available = false, "a/+", "0xA2"),
        row(|s| s.access.deny_subscribe = vec!["secret/#".to_owned()], "secret/a", "0x87"),
        row(|s| s.access.deny_subscribe = vec!["a/#".to_owned()], "$share/g/a/b", "0x87"),
        row(|s| s.limits.subscriptions_per_client_max = 1, "c", "0x97"),
        row(|s| s.limits.subscription_bytes_max = 2 * 70, "c", "0x97"),
    ] {
        let mut broker = Broker::with(2, settings);
        let client = broker.connect(0, v5("client"));
        let filters = ["good", filter, "good"].map(str::to_owned);
        let line = format!("SUBACK #1 0x00 {reason} 0x00");
        broker.ask(client, subscribe_all(1, &filters), [&line]);
        let old = broker.connect(1, v3("old", true));
        broker.ask(old, subscribe_all(1, &filters), ["SUBACK #1 0x00 0x80 0x00"]);
        let publisher = broker.connect(1, v5("publisher"));
        broker.send(publisher, publish(0, "good", "x"));
        broker.expect(client, ["PUBLISH good x"]);
        for peer in [client, old, publisher] {
            broker.cut(peer);
        }
        broker.expect_empty();
    }
}

/// [MQTT-3.8.4-3]
#[test]
fn a_subscription_to_the_same_filter_replaces_the_old_one() {
    let mut broker = Broker::new(2);
    let client = broker.connect(0, v5("client"));
    let publisher = broker.connect(1, v5("publisher"));
    broker.ask(client, subscribe_as(1, "a", 1, 7), ["SUBACK #1 0x01"]);
    broker.ask(client, subscribe_as(2, "a", 2, 9), ["SUBACK #2 0x02"]);
    broker.send(publisher, publish2(1, "a", "x"));
    broker.expect(client, ["PUBLISH a x q2 #1 id=9"]);
    broker.ask(client, subscribe(3, "a", 0), ["SUBACK #3 0x00"]);
    broker.send(publisher, publish2(2, "a", "y"));
    broker.expect(client, ["PUBLISH a y"]);
}

/// [MQTT-3.11.3-1], [MQTT-3.11.3-2]
#[test]
fn unsuback_says_whether_there_was_a_subscription() {
    let mut broker = Broker::new(2);
    let client = broker.connect(0, v5("client"));
    broker.send(client, subscribe(1, "a/+", 0));
    broker.hear(client);
    for (number, filter, reason) in
        [(2, "a/b", "0x11"), (3, "$share/g/a/+", "0x11"), (4, "a/+", "0x00"), (5, "a/+", "0x11")]
    {
        let line = format!("UNSUBACK #{number} {reason}");
        broker.ask(client, unsubscribe(number, filter), [&line]);
    }
    let publisher = broker.connect(1, v5("publisher"));
    broker.ask(publisher, publish(1, "a/b", "x"), ["PUBACK #1 0x10"]);
    broker.expect_nothing(client);
}

/// [MQTT-3.10.4-2]: after UNSUBACK nothing new; what was on its way completes.
#[test]
fn an_unsubscribe_on_its_way_to_another_shard_already_holds_here() {
    let mut broker = Broker::new(2);
    let client = broker.connect(0, v5("client"));
    let publisher = broker.connect(1, v5("publisher"));
    broker.ask(client, subscribe(1, "a", 1), ["SUBACK #1 0x01"]);
    broker.hold(0, 1);
    broker.ask(client, unsubscribe(2, "a"), ["UNSUBACK #2 0x00"]);
    broker.send(publisher, publish(1, "a", "x"));
    broker.expect_nothing(client);
    broker.release(0, 1);
    broker.expect(publisher, ["PUBACK #1"]);
    broker.ask(publisher, publish(2, "a", "x"), ["PUBACK #2 0x10"]);
}

#[test]
fn a_grant_is_never_above_the_maximum_qos() {
    let mut broker = Broker::with(1, |s| s.limits.maximum_qos = QoS::AtLeastOnce);
    let client = broker.connect(0, v5("client"));
    broker.ask(client, subscribe(1, "a", 2), ["SUBACK #1 0x01"]);
}

#[test]
fn identifiers_that_are_not_available_end_the_connection() {
    let mut broker = Broker::with(1, |s| s.limits.subscription_identifiers_available = false);
    let client = broker.connect(0, v5("client"));
    broker.ask(client, subscribe_as(1, "a", 0, 7), ["DISCONNECT 0xA1"]);
}
