//! A process ends, and another one goes on in the session that the server has kept.

use std::collections::BTreeMap;
use std::time::Duration;

use skein_client::session::{Event, Outcome, Subscribe};
use skein_client::test::{Harness, World};
use skein_client::{
    Backoff, MemoryStore, Options, Publish, QoS, SessionLoss, SubscriptionOptions, Version,
    Versions,
};
use skein_protocol::{Ack, Packet};

use super::{id, s};

fn options() -> Options {
    let backoff = Backoff::exponential(Duration::from_secs(1), Duration::from_secs(1)).jitter(0.0);
    Options {
        client_id: "meter".into(),
        clean_start: false,
        session_expiry_s: 600,
        reconnect: Some(backoff),
        ..Options::new(["mqtt://a"])
    }
}

fn message(number: u32) -> Publish {
    Publish::new("up", number.to_be_bytes().to_vec()).qos(QoS::ExactlyOnce)
}

/// The numbers that a server has taken over.
fn taken(world: &World) -> Vec<u32> {
    let payloads = world.broker.taken.iter().map(|(_, payload)| &payload[..]);
    payloads.map(|payload| u32::from_be_bytes(payload.try_into().unwrap())).collect()
}

/// [MQTT-4.3.3-10]: the server holds identifiers of an earlier process, whose messages ended
/// between PUBLISH and PUBREL. It must take none of the new messages for one of those.
#[test]
fn a_new_process_loses_nothing_to_identifiers_that_the_server_holds() {
    for version in [Version::V5, Version::V3_1_1, Version::V3_1] {
        let options = || Options { versions: Versions::Only(version), ..options() };
        let mut world = World::new(options());
        for number in 0..5 {
            // The link breaks with the PUBREC.
            world.client.link.to_client_left = Some(1);
            world.client.publish(message(number)).unwrap();
        }
        world.replace(Harness::new(options()));
        world.run();
        for number in 10..15 {
            world.client.publish(message(number)).unwrap();
            world.run();
        }
        let numbers = taken(&world);
        assert!(numbers.ends_with(&[10, 11, 12, 13, 14]), "{version:?}: {numbers:?}");
        assert!(world.client.completed.values().all(|result| result.is_ok()));
    }
}

/// [MQTT-4.3.3-10]: that a SUBSCRIBE has an identifier does not mean that the server holds nothing with it.
#[test]
fn an_identifier_that_a_subscribe_has_is_settled_with_the_others() {
    let options = || Options { packet_ids_max: Some(4), ..options() };
    let mut world = World::new(options());
    world.client.link.to_client_left = Some(1);
    world.client.publish(message(0)).unwrap();
    world.replace(Harness::new(options()));
    let wish = Subscribe::new("down", SubscriptionOptions::with_qos(QoS::ExactlyOnce));
    world.client.subscribe(wish).unwrap();
    for number in 1..9 {
        world.client.publish(message(number)).unwrap();
    }
    world.run();
    assert_eq!(taken(&world), [0, 1, 2, 3, 4, 5, 6, 7, 8]);
}

/// [MQTT-2.2.1-3]: QoS 1 with an identifier that is held for QoS 2 ends the connection, each time.
#[test]
fn a_new_process_is_not_hung_up_on_for_an_identifier_in_use() {
    let mut world = World::new(options());
    world.client.link.to_client_left = Some(1);
    world.client.publish(message(0)).unwrap();
    world.replace(Harness::new(options()));
    world.run();
    let token = world.client.publish(message(1).qos(QoS::AtLeastOnce)).unwrap();
    world.run();
    assert!(matches!(world.client.outcome(token), Some(Ok(Outcome::Published(_)))));
    assert_eq!(taken(&world), [0, 1]);
}

/// Only who publishes pays for it, and only in a session that was there before.
#[test]
fn nothing_is_settled_before_it_has_to_be() {
    let mut harness = Harness::connected(options());
    harness.publish(message(1)).unwrap();
    assert_eq!(harness.hear(), ["PUBLISH topic=\"up\" qos=2 id=1 payload=4 bytes"]);

    let mut harness = Harness::new(Options { packet_ids_max: Some(4), ..options() });
    harness.open();
    harness.accept(true);
    let wish = Subscribe::new("down", SubscriptionOptions::with_qos(QoS::ExactlyOnce));
    harness.subscribe(wish).unwrap();
    harness.publish(Publish::new("up", "x")).unwrap();
    let heard = harness.hear();
    assert_eq!(heard.len(), 2, "SUBSCRIBE and QoS 0 do not wait: {heard:?}");
    harness.publish(message(1)).unwrap();
    let heard = harness.hear();
    assert_eq!(heard.len(), 4, "{heard:?}");
    assert_eq!(heard[0], "PUBREL id=1 reason=0x00 Success");
    for number in 1..4 {
        harness.say(&Packet::PubComp(Ack::success(id(number))));
    }
    assert!(harness.hear().is_empty());
    harness.say(&Packet::PubComp(Ack::success(id(4))));
    assert_eq!(harness.hear(), ["PUBLISH topic=\"up\" qos=2 id=2 payload=4 bytes"]);
}

/// No identifier above the limit is used, and half of them at most for messages.
#[test]
fn identifiers_stay_below_their_limit() {
    let mut harness = Harness::connected(Options { packet_ids_max: Some(8), ..options() });
    for number in 0..100 {
        harness.publish(message(number).qos(QoS::AtLeastOnce)).unwrap();
    }
    let mut used = BTreeMap::<u16, u32>::new();
    loop {
        let heard = harness.hear();
        let ids = heard.iter().filter_map(|line| line.split("id=").nth(1)?.split(' ').next());
        let ids: Vec<u16> = ids.map(|text| text.parse().unwrap()).collect();
        if ids.is_empty() {
            break;
        }
        assert!(ids.len() <= 4 && ids.iter().all(|id| *id <= 8), "{ids:?}");
        for number in ids {
            *used.entry(number).or_default() += 1;
            harness.say(&Packet::PubAck(Ack::success(id(number))));
        }
    }
    assert_eq!((used.len(), used.values().sum::<u32>()), (8, 100));
}

/// A link that breaks meanwhile does not leave half of them unsettled.
#[test]
fn settling_goes_on_where_the_link_broke() {
    let mut harness = Harness::new(Options { packet_ids_max: Some(3), ..options() });
    harness.open();
    harness.accept(true);
    harness.publish(message(1)).unwrap();
    harness.hear();
    harness.say(&Packet::PubComp(Ack::success(id(2))));
    harness.cut();
    harness.advance(s(1));
    harness.reconnect(true);
    let heard = harness.hear();
    assert_eq!(heard, ["PUBREL id=1 reason=0x00 Success", "PUBREL id=3 reason=0x00 Success"]);
    harness.cut();
    harness.advance(s(1));
    harness.reconnect(false);
    assert_eq!(harness.hear(), ["PUBLISH topic=\"up\" qos=2 id=1 payload=4 bytes"]);
}

/// Servers without QoS 2 hold no identifiers, and some hang up on PUBREL, or say nothing.
#[test]
fn a_server_that_knows_no_pubrel_gets_its_messages_all_the_same() {
    let mut harness = Harness::new(options());
    harness.open();
    let at_most = Some(QoS::AtLeastOnce);
    let terms = skein_protocol::ConnAckProperties { maximum_qos: at_most, ..Default::default() };
    harness.accept_with(true, terms);
    harness.publish(message(1).qos(QoS::AtLeastOnce)).unwrap();
    assert_eq!(harness.hear(), ["PUBLISH topic=\"up\" qos=1 id=1 payload=4 bytes"]);

    let mut hangs_up = Harness::new(options());
    hangs_up.publish(message(1).qos(QoS::AtLeastOnce)).unwrap();
    for _ in 0..2 {
        hangs_up.open();
        hangs_up.accept(true);
        assert!(hangs_up.hear()[0].starts_with("PUBREL"));
        hangs_up.cut();
        hangs_up.advance(s(1));
    }
    hangs_up.reconnect(true);
    assert_eq!(hangs_up.hear(), ["PUBLISH topic=\"up\" qos=1 id=1 payload=4 bytes"]);

    let mut silent = Harness::new(options());
    silent.open();
    silent.accept(true);
    silent.publish(message(1)).unwrap();
    assert_eq!(silent.hear().len(), 1024);
    silent.advance(s(29));
    assert!(silent.hear().is_empty());
    silent.advance(s(1));
    assert_eq!(silent.hear(), ["PUBLISH topic=\"up\" qos=2 id=1 payload=4 bytes"]);
}

/// [MQTT-4.4.0-1]: with a store the next process knows, and goes on with the same identifiers.
#[test]
fn a_store_tells_the_next_process_how_far_messages_had_come() {
    let store = MemoryStore::new();
    let mut harness = Harness::with_store(options(), store.clone());
    harness.open();
    harness.accept(false);
    for number in 1..=3 {
        harness.publish(message(number)).unwrap();
    }
    harness.publish(message(4).qos(QoS::AtLeastOnce)).unwrap();
    harness.say(&Packet::PubRec(Ack::success(id(1))));
    harness.say(&Packet::PubRec(Ack::success(id(2))));
    harness.say(&Packet::PubComp(Ack::success(id(1))));
    harness.cut();
    harness.publish(message(5)).unwrap();

    let mut next = Harness::with_store(options(), store.clone());
    next.open();
    next.accept(true);
    assert_eq!(
        next.hear(),
        [
            "PUBREL id=2 reason=0x00 Success",
            "PUBLISH topic=\"up\" qos=2 id=3 dup payload=4 bytes",
            "PUBLISH topic=\"up\" qos=1 id=4 dup payload=4 bytes",
            "PUBLISH topic=\"up\" qos=2 id=5 payload=4 bytes",
        ]
    );

    // [MQTT-3.2.2-3]: the server has forgotten, so all are new; what it owned is delivered.
    for (session_loss, first) in [(SessionLoss::Resend, 6), (SessionLoss::Drop, 9)] {
        let mut after = Harness::with_store(Options { session_loss, ..options() }, store.clone());
        after.open();
        after.accept(false);
        assert_eq!(
            after.hear(),
            [
                format!("PUBLISH topic=\"up\" qos=2 id={first} payload=4 bytes"),
                format!("PUBLISH topic=\"up\" qos=1 id={} payload=4 bytes", first + 1),
                format!("PUBLISH topic=\"up\" qos=2 id={} payload=4 bytes", first + 2),
            ]
        );
        assert_eq!(after.completed.len(), usize::from(first == 6), "once");
        let lost = after.events.iter().any(|event| matches!(event, Event::SessionLost { .. }));
        assert!(!lost, "this process has lost none");
    }
}

/// [MQTT-4.3.3-10] towards the client: what was acknowledged is not handed out a second time, and
/// what was not is.
#[test]
fn what_was_taken_before_the_process_ended_does_not_come_again() {
    let store = MemoryStore::new();
    let mut world = World::with_store(options(), store.clone());
    let wish = Subscribe::new("down", SubscriptionOptions::with_qos(QoS::ExactlyOnce));
    world.client.subscribe(wish).unwrap();
    world.run();
    world.publish_to_client("down", "taken", QoS::ExactlyOnce);
    world.publish_to_client("down", "open", QoS::ExactlyOnce);
    // The process ends before its PUBREC leaves, but not before the store has heard of it.
    let first = world.client.messages[0].delivery().unwrap();
    world.client.link.to_server_left = Some(0);
    world.client.acknowledge(first);
    world.client.link.to_server.clear();
    world.replace(Harness::with_store(options(), store));
    world.run();
    let texts: Vec<_> = world.client.messages.iter().map(|it| it.text().unwrap()).collect();
    assert_eq!(texts, ["open"]);
    world.client.take_messages();
    world.run();
    world.publish_to_client("down", "next", QoS::ExactlyOnce);
    assert_eq!(world.client.messages.len(), 1, "identifiers are free again");
}

/// A process that ends at any moment: QoS 2 is exactly once in both directions all the same.
#[test]
fn whenever_processes_end_qos_2_is_exactly_once() {
    for seed in 0..300 {
        let mut random = fastrand::Rng::with_seed(seed);
        let store = MemoryStore::new();
        let mut world = World::with_store(options(), store.clone());
        let wish = || Subscribe::new("down", SubscriptionOptions::with_qos(QoS::ExactlyOnce));
        world.client.subscribe(wish()).unwrap();
        world.run();
        let (mut sent, mut sent_down, mut heard) = (0_u32, 0_u32, Vec::new());
        for step in 0..80 {
            match random.u32(..10) {
                0..=3 => {
                    world.client.publish(message(sent)).unwrap();
                    sent += 1;
                }
                4..=5 => {
                    let payload = sent_down.to_be_bytes().to_vec();
                    world.publish_to_client("down", payload, QoS::ExactlyOnce);
                    sent_down += 1;
                }
                6 => world.client.link.to_server_left = Some(random.usize(1..60)),
                7 => world.client.link.to_client_left = Some(random.usize(1..60)),
                8 => world.replace(Harness::with_store(options(), store.clone())),
                _ => world.advance(Duration::from_millis(random.u64(..3000))),
            }
            if step == 79 {
                world.client.link.to_server_left = None;
                world.client.link.to_client_left = None;
            }
            // Whoever deals with messages writes them down with its acknowledgement.
            heard.extend(world.client.take_messages());
            if random.bool() {
                world.run();
            }
        }
        for _ in 0..5 {
            world.advance(s(5));
            heard.extend(world.client.take_messages());
            world.run();
        }
        assert_eq!(taken(&world), (0..sent).collect::<Vec<_>>(), "seed {seed}");
        let numbers =
            heard.iter().map(|it| u32::from_be_bytes(it.payload()[..].try_into().unwrap()));
        assert_eq!(numbers.collect::<Vec<_>>(), (0..sent_down).collect::<Vec<_>>(), "seed {seed}");
    }
}
