//! After a crash everything that was promised is there, and nothing twice (durability, 4.1, 4.4).

use crate::{
    broker::{Broker, Peer},
    packets::{
        again, disconnect, expiring, lasting, puback, pubcomp, publish, publish2, pubrec, pubrel,
        retained, retained1, subscribe, subscribe_as, subscribe_with, unsubscribe, v3, v5,
        with_will,
    },
};

/// A broker whose durable client `keeper` has subscribed to `t`; nothing becomes durable from now
/// on. The second is the publisher, durable too.
fn broker(shards: usize, qos: u8) -> (Broker, Peer, Peer) {
    let mut broker = Broker::durable(shards);
    let keeper = broker.connect(shards - 1, lasting("keeper", 1_000));
    let granted = format!("SUBACK #1 0x0{qos}");
    broker.ask(keeper, subscribe(1, "t", qos), [granted.as_str()]);
    let publisher = broker.connect(0, lasting("publisher", 1_000));
    broker.hold_store();
    (broker, keeper, publisher)
}

/// A client comes back to the session that it had.
#[track_caller]
pub(super) fn resume(broker: &mut Broker, client_id: &str) -> Peer {
    let peer = broker.dial(0, lasting(client_id, 1_000));
    let heard = broker.hear(peer);
    assert_eq!(heard[0], "CONNACK present 0x00");
    broker.put_back(peer, heard.into_iter().skip(1));
    peer
}

/// Crash point 1: PUBLISH was received, and nothing of it is durable. The sender sends it again,
/// and it is delivered once [MQTT-4.3.3-10].
#[test]
fn crash_1_what_was_received_and_not_acknowledged_was_never_here() {
    for shards in 1..=3 {
        let (mut broker, _, publisher) = broker(shards, 2);
        broker.send(publisher, publish2(1, "t", "x"));
        broker.expect_nothing(publisher);
        broker.crash(0, shards);
        let publisher = resume(&mut broker, "publisher");
        broker.ask(publisher, again(publish2(1, "t", "x")), ["PUBREC #1"]);
        let keeper = resume(&mut broker, "keeper");
        broker.expect(keeper, ["PUBLISH t x q2 #1"]);
    }
}

/// Crash point 2: what is held, and what is queued of it, are there together [MQTT-4.3.3-8].
#[test]
fn crash_2_after_pubrec_a_message_is_queued_once_whatever_is_sent_again() {
    for shards in 1..=3 {
        let (mut broker, _, publisher) = broker(shards, 2);
        broker.send(publisher, publish2(1, "t", "x"));
        broker.commit();
        broker.expect(publisher, ["PUBREC #1"]);
        broker.crash(0, shards);
        let publisher = resume(&mut broker, "publisher");
        broker.ask(publisher, again(publish2(1, "t", "x")), ["PUBREC #1"]);
        broker.ask(publisher, pubrel(1), ["PUBCOMP #1"]);
        let keeper = resume(&mut broker, "keeper");
        broker.expect(keeper, ["PUBLISH t x q2 #1 dup"]);
    }
}

/// Crash point 3: PUBREL was received. Before that is durable, it is answered again; after it the
/// Packet Identifier is free for another message [MQTT-4.3.3-12].
#[test]
fn crash_3_after_pubcomp_a_packet_id_stands_for_another_message() {
    for is_durable in [false, true] {
        let (mut broker, keeper, publisher) = broker(1, 2);
        broker.send(publisher, publish2(1, "t", "one"));
        broker.commit();
        broker.send(publisher, pubrel(1));
        broker.expect(publisher, ["PUBREC #1"]);
        if is_durable {
            broker.commit();
            broker.expect(publisher, ["PUBCOMP #1"]);
        }
        broker.expect(keeper, ["PUBLISH t one q2 #1"]);
        broker.crash(0, 1);
        let publisher = resume(&mut broker, "publisher");
        if !is_durable {
            broker.ask(publisher, pubrel(1), ["PUBCOMP #1"]);
        }
        broker.ask(publisher, publish2(1, "t", "two"), ["PUBREC #1"]);
        let keeper = resume(&mut broker, "keeper");
        broker.expect(keeper, ["PUBLISH t one q2 #1 dup", "PUBLISH t two q2 #2"]);
    }
}

/// Crash point 4: a PUBLISH of QoS 2 that has left has the same Packet Identifier afterwards
/// [MQTT-4.4.0-1], and one that has not left may get any.
#[test]
fn crash_4_a_message_that_has_left_keeps_its_packet_id() {
    let (mut broker, keeper, publisher) = broker(1, 2);
    broker.send(publisher, publish2(1, "t", "one"));
    broker.commit();
    broker.send(publisher, publish2(2, "t", "two"));
    broker.expect(keeper, ["PUBLISH t one q2 #1"]);
    broker.crash(0, 1);
    let keeper = resume(&mut broker, "keeper");
    broker.expect(keeper, ["PUBLISH t one q2 #1 dup"]);
    let publisher = resume(&mut broker, "publisher");
    broker.ask(publisher, again(publish2(2, "t", "two")), ["PUBREC #2"]);
    broker.expect(keeper, ["PUBLISH t two q2 #2"]);
}

/// Crash point 5: once PUBREL has left, PUBREL is sent again and never the PUBLISH [MQTT-4.3.3-6].
#[test]
fn crash_5_after_pubrel_only_pubrel_is_sent_again() {
    for is_durable in [false, true] {
        let (mut broker, keeper, publisher) = broker(1, 2);
        broker.send(publisher, publish2(1, "t", "x"));
        broker.commit();
        broker.expect(keeper, ["PUBLISH t x q2 #1"]);
        broker.send(keeper, pubrec(1));
        if is_durable {
            broker.commit();
            broker.expect(keeper, ["PUBREL #1"]);
        }
        broker.crash(0, 1);
        let keeper = resume(&mut broker, "keeper");
        let expected = if is_durable { "PUBREL #1" } else { "PUBLISH t x q2 #1 dup" };
        broker.expect(keeper, [expected]);
    }
}

/// Crash point 6: a PUBCOMP that is lost costs one more PUBREL.
#[test]
fn crash_6_a_lost_pubcomp_costs_one_more_pubrel() {
    for is_durable in [false, true] {
        let (mut broker, keeper, publisher) = broker(1, 2);
        broker.send(publisher, publish2(1, "t", "x"));
        broker.commit();
        broker.send(keeper, pubrec(1));
        broker.commit();
        broker.expect(keeper, ["PUBLISH t x q2 #1", "PUBREL #1"]);
        broker.send(keeper, pubcomp(1));
        if is_durable {
            broker.wait_ms(100);
            broker.commit();
        }
        broker.crash(0, 1);
        let keeper = resume(&mut broker, "keeper");
        if is_durable {
            broker.expect_nothing(keeper);
        } else {
            broker.expect(keeper, ["PUBREL #1"]);
            broker.send(keeper, pubcomp(1));
        }
    }
}

/// Crash point 7: a PUBACK that is lost costs a message with DUP.
#[test]
fn crash_7_a_lost_puback_costs_a_duplicate() {
    for is_durable in [false, true] {
        let (mut broker, keeper, publisher) = broker(1, 1);
        broker.send(publisher, publish(1, "t", "x"));
        broker.commit();
        broker.expect(publisher, ["PUBACK #1"]);
        broker.expect(keeper, ["PUBLISH t x q1 #1"]);
        broker.send(keeper, puback(1));
        if is_durable {
            broker.wait_ms(100);
            broker.commit();
        }
        broker.crash(0, 1);
        let keeper = resume(&mut broker, "keeper");
        match is_durable {
            true => broker.expect_nothing(keeper),
            false => broker.expect(keeper, ["PUBLISH t x q1 #1 dup"]),
        }
    }
}

/// [MQTT-4.1.0-1], [MQTT-3.2.2-2]
#[test]
fn sessions_subscriptions_and_queues_are_there_whatever_the_number_of_shards() {
    for (before, after) in [(1, 1), (1, 3), (3, 2)] {
        let mut broker = Broker::durable(before);
        for client_id in ["a", "b", "c"] {
            let peer = broker.connect(before - 1, v3(client_id, false));
            broker.send(peer, subscribe(1, "t/#", 2));
            broker.send(peer, subscribe(2, "u", 1));
            broker.send(peer, unsubscribe(3, "u"));
            broker.send(peer, disconnect(0, None));
        }
        let publisher = broker.connect(0, v5("publisher"));
        for (number, payload) in [(1, "one"), (2, "two"), (3, "three")] {
            broker.send(publisher, publish(number, "t", payload));
        }
        broker.crash(5_000, after);
        let publisher = broker.connect(0, v5("publisher"));
        broker.ask(publisher, publish(1, "t/4", "four"), ["PUBACK #1"]);
        broker.ask(publisher, publish(1, "u", "nobody"), ["PUBACK #1 0x10"]);
        for client_id in ["a", "b", "c"] {
            let peer = broker.dial(0, v3(client_id, false));
            broker.expect(
                peer,
                [
                    "CONNACK present 0x00",
                    "PUBLISH t one q1 #1",
                    "PUBLISH t two q1 #2",
                    "PUBLISH t three q1 #3",
                    "PUBLISH t/4 four q1 #4",
                ],
            );
        }
    }
}

/// Options of a subscription are those that were granted [MQTT-3.8.4-8].
#[test]
fn subscriptions_keep_their_options() {
    let mut broker = Broker::durable(2);
    let keeper = broker.connect(1, lasting("keeper", 100));
    broker.send(keeper, subscribe_as(1, "t", 1, 77));
    broker.send(keeper, subscribe_with(2, "own", 1, |options| options.no_local = true));
    broker.send(
        keeper,
        subscribe_with(3, "kept", 1, |options| {
            options.retain_as_published = true;
        }),
    );
    broker.crash(0, 2);
    let keeper = resume(&mut broker, "keeper");
    broker.ask(keeper, publish(1, "own", "x"), ["PUBACK #1"]);
    let publisher = broker.connect(0, v5("publisher"));
    broker.send(publisher, publish(1, "t", "x"));
    broker.send(publisher, retained1(2, "kept", "x"));
    broker.expect(keeper, ["PUBLISH t x q1 #1 id=77", "PUBLISH kept x q1 #2 retain"]);
}

/// [MQTT-3.3.1-5], [MQTT-3.3.1-9]
#[test]
fn retained_messages_are_there_and_expire_in_time() {
    for (before, after) in [(1, 1), (1, 3), (3, 1)] {
        let mut broker = Broker::durable(before);
        let publisher = broker.connect(0, v5("publisher"));
        for (number, topic) in [(1, "a"), (2, "b"), (3, "c"), (4, "d")] {
            broker.send(publisher, retained1(number, topic, "old"));
            broker.send(publisher, retained1(number, topic, topic));
        }
        broker.send(publisher, retained1(5, "b", ""));
        broker.send(publisher, expiring(retained1(6, "c", "brief"), 10));
        broker.send(publisher, expiring(retained1(7, "d", "longer"), 60));
        broker.crash(15_000, after);
        let subscriber = broker.connect(0, v5("subscriber"));
        broker.send(subscriber, subscribe(1, "#", 0));
        let mut heard = broker.hear(subscriber);
        heard.sort();
        assert_eq!(
            heard,
            ["PUBLISH a a retain", "PUBLISH d longer retain expiry=45", "SUBACK #1 0x00"]
        );
        broker.wait_ms(50_000);
        broker.crash(0, after);
        assert_eq!(broker.store().state().counts().retained, 1);
    }
}

/// A session whose time is over while nothing runs is over [MQTT-3.1.2-11].
#[test]
fn expiry_goes_on_while_the_broker_is_down() {
    for (seconds, is_present) in [(9, true), (11, false)] {
        let mut broker = Broker::durable(2);
        let keeper = broker.connect(0, lasting("keeper", 10));
        broker.send(keeper, subscribe(1, "t", 1));
        broker.send(keeper, disconnect(0, None));
        broker.wait_ms(200);
        broker.crash(seconds * 1000 - 200, 2);
        let present = if is_present { " present" } else { "" };
        let keeper = broker.dial(0, lasting("keeper", 10));
        broker.expect(keeper, [&*format!("CONNACK{present} 0x00")]);
    }
}

/// The connection that was there at the crash was lost then, and not at any later start.
#[test]
fn a_session_that_was_connected_expires_from_the_crash_on() {
    let mut broker = Broker::durable(2);
    let keeper = broker.connect(0, lasting("keeper", 10));
    broker.send(keeper, subscribe(1, "t", 1));
    broker.wait_ms(60_000);
    broker.crash(4_000, 2);
    broker.wait_ms(1_000);
    broker.crash(4_000, 2);
    broker.wait_ms(900);
    assert_eq!(broker.store().state().counts().sessions, 1);
    broker.wait_ms(1_000);
    assert_eq!(broker.store().state().counts().sessions, 0);
    let keeper = broker.dial(0, lasting("keeper", 10));
    broker.expect(keeper, ["CONNACK 0x00"]);
}

/// [MQTT-3.1.2-8], [MQTT-3.1.3-9]
#[test]
fn a_will_is_published_once_over_any_number_of_crashes() {
    for shards in 1..=3 {
        let mut broker = Broker::durable(shards);
        let heir = broker.connect(shards - 1, lasting("heir", 1_000));
        broker.send(heir, subscribe(1, "will", 1));
        broker.connect(0, with_will(lasting("keeper", 1_000), "will", Some(10)));
        broker.wait_ms(60_000);
        broker.crash(5_000, shards);
        broker.wait_ms(1_000);
        broker.crash(1_000, shards);
        let heir = resume(&mut broker, "heir");
        broker.wait_ms(2_900);
        broker.expect_nothing(heir);
        broker.wait_ms(200);
        broker.expect(heir, ["PUBLISH will the will q1 #1"]);
        broker.send(heir, puback(1));
        broker.wait_ms(200);
        broker.crash(1_000, shards);
        broker.wait_ms(60_000);
        let heir = resume(&mut broker, "heir");
        broker.expect_nothing(heir);
    }
}

/// What is due when the broker starts waits for those who want it, on whatever shard.
#[test]
fn a_will_that_is_overdue_reaches_sessions_of_other_shards() {
    for shards in 1..=3 {
        let mut broker = Broker::durable(shards);
        for heir in ["heir-1", "heir-2", "heir-3"] {
            let heir = broker.connect(0, lasting(heir, 1_000));
            broker.send(heir, subscribe(1, "will", 1));
        }
        broker.connect(0, with_will(lasting("keeper", 1_000), "will", None));
        broker.crash(1_000, shards);
        for heir in ["heir-1", "heir-2", "heir-3"] {
            let heir = resume(&mut broker, heir);
            broker.expect(heir, ["PUBLISH will the will q1 #1"]);
        }
    }
}

/// [MQTT-3.1.2-10]
#[test]
fn a_will_that_was_deleted_stays_so() {
    let mut broker = Broker::durable(1);
    let heir = broker.connect(0, lasting("heir", 1_000));
    broker.send(heir, subscribe(1, "will", 1));
    let keeper = broker.connect(0, with_will(lasting("keeper", 1_000), "will", Some(5)));
    broker.send(keeper, disconnect(0, None));
    let second = broker.connect(0, with_will(lasting("second", 1_000), "will", Some(5)));
    broker.cut(second);
    broker.connect(0, lasting("second", 1_000));
    broker.wait_ms(200);
    broker.crash(60_000, 1);
    let heir = resume(&mut broker, "heir");
    broker.expect_nothing(heir);
}

/// Of QoS 1 and 2, what was sent goes out again in its order, and before what waits
/// [MQTT-4.4.0-1], [MQTT-4.6.0-1].
#[test]
fn flights_go_out_again_in_their_order_and_before_the_queue() {
    let mut broker = Broker::durable(1);
    let connect = crate::packets::with_receive_maximum(lasting("keeper", 1_000), 3);
    let keeper = broker.connect(0, connect);
    broker.send(keeper, subscribe(1, "t", 2));
    let publisher = broker.connect(0, v5("publisher"));
    for (number, payload) in [(1, "1"), (2, "2"), (3, "3"), (4, "4"), (5, "5")] {
        broker.send(publisher, publish2(number, "t", payload));
    }
    broker.send(keeper, pubrec(1));
    broker.send(keeper, pubcomp(1));
    broker.send(keeper, pubrec(3));
    broker.wait_ms(200);
    broker.crash(0, 1);
    let keeper = resume(&mut broker, "keeper");
    broker.expect(
        keeper,
        ["PUBLISH t 2 q2 #2 dup", "PUBREL #3", "PUBLISH t 4 q2 #4 dup", "PUBLISH t 5 q2 #5"],
    );
}

/// A shared subscription goes on, and what was picked for a member is that member's.
#[test]
fn shared_subscriptions_go_on_after_a_crash() {
    let mut broker = Broker::durable(2);
    let member = broker.connect(1, lasting("member", 1_000));
    broker.send(member, subscribe(1, "$share/g/t", 1));
    broker.send(member, disconnect(0, None));
    let publisher = broker.connect(0, v5("publisher"));
    broker.ask(publisher, publish(1, "t", "before"), ["PUBACK #1"]);
    broker.crash(0, 2);
    let publisher = broker.connect(0, v5("publisher"));
    broker.ask(publisher, publish(1, "t", "after"), ["PUBACK #1"]);
    let member = resume(&mut broker, "member");
    broker.expect(member, ["PUBLISH t before q1 #1", "PUBLISH t after q1 #2"]);
}

/// A session that has ended does not come back, and one that came after it does not go with it,
/// on whatever shard either was.
#[test]
fn an_end_that_is_not_durable_yet_keeps_its_place_before_the_next_beginning() {
    let mut broker = Broker::durable(3);
    let client_id = broker.name_on(1, "client");
    let keeper = broker.connect(0, lasting(&client_id, 10));
    broker.send(keeper, disconnect(0, None));
    broker.wait_ms(9_999);
    broker.hold_store();
    broker.wait_ms(1);
    let keeper = broker.dial(2, lasting(&client_id, 1_000));
    broker.expect_nothing(keeper);
    broker.release_store();
    broker.expect(keeper, ["CONNACK 0x00"]);
    broker.crash(0, 3);
    resume(&mut broker, &client_id);
}

/// A session that is resumed as one that ends with its connection is recorded no more, and one
/// that goes on to be durable is recorded whole.
#[test]
fn a_session_that_is_durable_no_longer_is_gone_after_a_crash() {
    let mut broker = Broker::durable(1);
    let keeper = broker.connect(0, lasting("keeper", 1_000));
    broker.send(keeper, subscribe(1, "t", 1));
    broker.cut(keeper);
    let publisher = broker.connect(0, v5("publisher"));
    broker.send(publisher, publish(1, "t", "x"));
    let keeper = broker.dial(0, lasting("keeper", 0));
    broker.expect(keeper, ["CONNACK present 0x00", "PUBLISH t x q1 #1"]);
    broker.send(keeper, puback(1));
    broker.wait_ms(200);
    assert_eq!(broker.store().state().counts(), Default::default());
    broker.crash(0, 1);
    let keeper = broker.dial(0, lasting("keeper", 0));
    broker.expect(keeper, ["CONNACK 0x00"]);
}

/// Where no session has room, a client id is not known for ever.
#[test]
fn a_client_that_finds_no_room_while_its_last_session_ends_is_forgotten() {
    let one = |settings: &mut skein::config::Settings| settings.limits.sessions_max = 2;
    let mut broker = Broker::durable_with(2, one);
    let client_id = broker.name_on(1, "client");
    let client = broker.connect(0, lasting(&client_id, 100));
    broker.hold_store();
    broker.send(client, disconnect(0, Some(0)));
    broker.connect(0, v5("other"));
    let client = broker.dial(1, lasting(&client_id, 100));
    broker.expect(client, ["CONNACK 0x97"]);
    broker.release_store();
    let registered: usize = (0..2).map(|shard| broker.audit(shard).registered).sum();
    assert_eq!(registered, 1);
}

/// The limits are divided among the shards, and after a start with more of them a home may hold more
/// than its share [MQTT-3.3.1-5].
#[test]
fn what_is_retained_may_be_replaced_where_more_is_retained_than_may() {
    const TOPICS: [&str; 4] = ["a", "b", "c", "d"];
    let mut broker =
        Broker::durable_with(1, |settings| settings.limits.retained_messages_max = TOPICS.len());
    let publisher = broker.connect(0, v5("publisher"));
    for (number, topic) in (1..).zip(TOPICS) {
        broker.send(publisher, retained1(number, topic, "old"));
    }
    broker.crash(0, 4);
    let publisher = broker.connect(0, v5("publisher"));
    for topic in TOPICS {
        broker.send(publisher, retained(topic, "new"));
    }
    let found: Vec<_> = (0..4).flat_map(|shard| broker.audit(shard).retained).collect();
    assert!(
        TOPICS.iter().all(|it| found.contains(&((*it).to_owned(), b"new".to_vec()))),
        "{found:?}"
    );
}

/// The same of sessions: a clean start takes the place of the one that it ends, or the client would
/// have neither [MQTT-3.1.2-4].
#[test]
fn a_session_may_be_begun_anew_where_there_are_more_than_may_be() {
    let mut broker = Broker::durable_with(1, |settings| settings.limits.sessions_max = 4);
    for client_id in ["a", "b", "c", "d"] {
        broker.connect(0, lasting(client_id, 1_000));
    }
    broker.crash(0, 4);
    let crowded = (0..4).find(|shard| broker.audit(*shard).sessions.len() > 1);
    let crowded = crowded.expect("of four names two have one registrar");
    let names: Vec<String> = broker.audit(crowded).sessions.keys().cloned().collect();
    let clean = broker.dial(0, v5(&names[0]));
    broker.expect(clean, ["CONNACK 0x00"]);
    assert!(broker.audit(crowded).sessions.contains_key(&names[0]));
    let newcomer = broker.dial(crowded, v5("newcomer"));
    broker.expect(newcomer, ["CONNACK 0x97"]);
}
