//! A connection ends, and perhaps its session with it (3.14, 4.1).

use skein_protocol::Packet;

use crate::{
    broker::Broker,
    packets::{disconnect, lasting, publish, subscribe, v5, with_retained_will, with_will},
};

#[test]
fn a_session_ends_when_its_expiry_is_over_and_not_before() {
    let mut broker = Broker::new(2);
    let peer = broker.connect(0, lasting("client", 10));
    broker.send(peer, subscribe(1, "a", 1));
    broker.cut(peer);
    broker.wait_ms(9_999);
    assert_eq!(broker.audit(0).sessions.len(), 1);
    broker.wait_ms(1);
    broker.expect_empty();
}

#[test]
fn a_session_that_never_expires_stays() {
    let mut broker = Broker::new(1);
    let peer = broker.connect(0, lasting("client", u32::MAX));
    broker.cut(peer);
    broker.wait_ms(u64::from(u32::MAX) * 2_000);
    assert_eq!(broker.audit(0).sessions.len(), 1);
}

/// [MQTT-3.14.2-2]
#[test]
fn disconnect_changes_the_session_expiry() {
    let mut broker = Broker::new(1);
    let peer = broker.connect(0, lasting("client", 10));
    broker.send(peer, disconnect(0, Some(20)));
    broker.wait_ms(19_999);
    assert_eq!(broker.audit(0).sessions.len(), 1);
    broker.wait_ms(1);
    broker.expect_empty();

    let peer = broker.connect(0, lasting("client", 10));
    broker.send(peer, disconnect(0, Some(0)));
    broker.expect_empty();
}

/// [MQTT-3.14.2-2]: a session that was to end with its connection cannot be kept.
#[test]
fn disconnect_can_not_keep_a_session_that_was_to_end() {
    let mut broker = Broker::new(1);
    let peer = broker.connect(0, v5("client"));
    broker.ask(peer, disconnect(0, Some(10)), ["DISCONNECT 0x82"]);
    broker.expect_empty();
}

/// The interval of the new connection holds, and the old clock stands still.
#[test]
fn a_reconnect_stops_the_clock_of_the_session() {
    let mut broker = Broker::new(2);
    let peer = broker.connect(0, lasting("client", 10));
    broker.cut(peer);
    broker.wait_ms(9_000);
    let peer = broker.connect(1, lasting("client", 5));
    broker.wait_ms(60_000);
    assert!(!broker.is_closed(peer));
    broker.cut(peer);
    broker.wait_ms(5_000);
    broker.expect_empty();
}

#[test]
fn a_session_that_ends_takes_its_subscriptions_along_everywhere() {
    let mut broker = Broker::new(3);
    let peer = broker.connect(0, v5("client"));
    for (number, filter) in [(1, "a/#"), (2, "$share/g/a/#"), (3, "a/#"), (4, "$share/g/b")] {
        broker.send(peer, subscribe(number, filter, 1));
    }
    assert_eq!(broker.audit(0).filters, 2);
    broker.send(
        peer,
        Packet::Disconnect(skein_protocol::Disconnect::with_reason(
            skein_protocol::ReasonCode::Success,
        )),
    );
    broker.expect_empty();
    let publisher = broker.connect(1, v5("publisher"));
    broker.ask(publisher, publish(1, "a/b", "x"), ["PUBACK #1 0x10"]);
}

/// Slots and numbers are used again; nothing of the old owner shows.
#[test]
fn the_slots_of_ended_sessions_are_clean_for_the_next() {
    let mut broker = Broker::new(2);
    let publisher = broker.connect(1, v5("publisher"));
    for round in 0..5 {
        let name = format!("client{round}");
        let peer = broker.connect(0, v5(&name));
        let filter = format!("f/{round}");
        broker.ask(peer, subscribe(1, &filter, 1), ["SUBACK #1 0x01"]);
        for other in 0..5 {
            broker.send(publisher, publish(1, &format!("f/{other}"), "x"));
        }
        broker.expect(peer, [&format!("PUBLISH f/{round} x q1 #1")]);
        broker.cut(peer);
    }
    broker.cut(publisher);
    broker.expect_empty();
}

/// [MQTT-3.1.2-8] A shard that has nothing to do any more waits for what the others still tell it.
#[test]
fn a_shard_ends_when_it_has_recorded_the_wills_of_the_others() {
    for shards in 2..=4 {
        for (home, other) in [(shards - 1, 0), (0, shards - 1)] {
            let mut broker = Broker::durable(shards);
            let topics = [0, home].map(|shard| broker.name_on(shard, "will"));
            for topic in &topics {
                broker.connect(other, with_retained_will(v5(topic), topic));
            }
            broker.stop();
            assert!((0..shards).all(|shard| broker.has_ended(shard)));
            broker.crash(0, shards);
            for topic in &topics {
                let is_there =
                    |shard| broker.audit(shard).retained.iter().any(|(name, _)| name == topic);
                assert!((0..shards).any(is_there), "{topic}");
            }
        }
    }
}

/// [MQTT-3.1.2-10] A will that was published at the stop is not published again at the start.
#[test]
fn a_will_of_a_stop_reaches_a_durable_session_once() {
    for (home, other) in [(1, 0), (0, 1)] {
        let mut broker = Broker::durable(2);
        let heir = broker.connect(home, lasting("heir", 1_000));
        broker.ask(heir, subscribe(1, "will", 1), ["SUBACK #1 0x01"]);
        broker.send(heir, disconnect(0, None));
        broker.connect(other, with_will(lasting("client", 1_000), "will", None));
        broker.stop();
        assert_eq!(broker.store().state().counts().entries, 1);
        broker.crash(0, 2);
        broker.wait_ms(100_000);
        let heir = broker.connect(home, lasting("heir", 1_000));
        broker.expect(heir, ["PUBLISH will the will q1 #1"]);
    }
}

/// What a shard had for a member of a share that has gone meanwhile is passed on, to a shard that
/// waits for it.
#[test]
fn a_shard_ends_when_nothing_is_passed_on_any_more() {
    let mut broker = Broker::durable(3);
    for (shard, connect) in [(1, v5("clean")), (2, lasting("kept", 1_000))] {
        let member = broker.connect(shard, connect);
        broker.ask(member, subscribe(1, "$share/g/will", 1), ["SUBACK #1 0x01"]);
        if shard == 2 {
            broker.send(member, disconnect(0, None));
        }
    }
    broker.connect(0, with_will(v5("client"), "will", None));
    broker.hold(0, 1);
    broker.hold(1, 0);
    broker.stop();
    // Both hear that the other one stops, and say goodbye; nothing of that do they hear.
    broker.step(0, 1);
    broker.step(1, 0);
    broker.settle();
    assert!((0..3).all(|shard| !broker.has_ended(shard)));
    broker.release(0, 1);
    broker.release_all();
    assert!((0..3).all(|shard| broker.has_ended(shard)));
    broker.crash(0, 3);
    let member = broker.connect(2, lasting("kept", 1_000));
    broker.expect(member, ["PUBLISH will the will q1 #1"]);
}

/// Without a store, too: what it has told the others, that it stops above all, waits for room in a lane.
#[test]
fn a_shard_ends_when_nothing_of_it_waits_for_a_lane_any_more() {
    let mut broker = Broker::new(2);
    let receiver = broker.connect(1, v5("receiver"));
    broker.ask(receiver, subscribe(1, "a", 0), ["SUBACK #1 0x00"]);
    let publisher = broker.connect(0, v5("publisher"));
    broker.hold(0, 1);
    broker.ask(publisher, publish(1, "a", "x"), ["PUBACK #1"]);
    broker.send(publisher, disconnect(0, None));
    broker.stop();
    assert!((0..2).all(|shard| !broker.has_ended(shard)));
    broker.release(0, 1);
    broker.expect(receiver, ["PUBLISH a x", "DISCONNECT 0x8B"]);
    assert!((0..2).all(|shard| broker.has_ended(shard)));
}
