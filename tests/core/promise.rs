//! What is promised to clients of listeners of different modes, and what a power cut leaves of it
//! (durability, 3.2.2, 3.9, 4.1).

use skein::config::{DurabilityMode, Listener, Settings};
use skein_protocol::Connect;

use crate::{
    broker::{Broker, Peer},
    packets::{
        again, disconnect, lasting, puback, pubcomp, publish, publish2, pubrec, pubrel, retained1,
        subscribe, subscribe_as, unsubscribe, v5, with_receive_maximum, with_will,
    },
    recover,
};

/// Listeners, by what they promise.
const DISK: u16 = 0;
const OS: u16 = 1;
const MEMORY: u16 = 2;

fn all_modes(settings: &mut Settings) {
    let listener = settings.listeners[0].clone();
    settings.listeners = [DurabilityMode::Disk, DurabilityMode::Os, DurabilityMode::Memory]
        .map(|durability| Listener { durability, ..listener.clone() })
        .to_vec();
}

/// A client comes back to the session that it had, through this listener.
#[track_caller]
fn resume(broker: &mut Broker, listener: u16, client_id: &str) -> Peer {
    broker.listener = listener;
    recover::resume(broker, client_id)
}

/// SUBACK waits for other shards, and the subscription may have gone to the store meanwhile, when
/// nobody waited for it. Who waits for the disk waits for another batch then [MQTT-3.8.4-1].
#[test]
fn who_waits_for_the_disk_is_not_content_with_what_the_system_has() {
    for is_written in [true, false] {
        let mut broker = Broker::durable(2);
        let keeper = broker.connect(0, lasting("keeper", 1_000));
        broker.hold(0, 1);
        broker.send(keeper, subscribe(1, "t", 1));
        if !is_written {
            broker.hold_store();
        }
        broker.wait_ms(200);
        broker.hold_store();
        broker.release(0, 1);
        broker.expect_nothing(keeper);
        broker.release_store();
        broker.expect(keeper, ["SUBACK #1 0x01"]);
        broker.cut_power(2);
        let publisher = broker.connect(0, v5("publisher"));
        broker.ask(publisher, publish(1, "t", "x"), ["PUBACK #1"]);
        let keeper = resume(&mut broker, DISK, "keeper");
        broker.expect(keeper, ["PUBLISH t x q1 #1"]);
    }
}

/// A message that came through a listener that promises nothing is acknowledged through one that keeps
/// when it is kept, whether or not the publisher's session lasts [MQTT-4.3.3-8].
#[test]
fn what_was_taken_without_a_promise_is_acknowledged_with_one_when_it_is_kept() {
    for expiry_s in [0, 1_000] {
        let mut broker = Broker::durable_with(1, all_modes);
        let keeper = broker.connect(0, lasting("keeper", 1_000));
        broker.ask(keeper, subscribe(1, "t", 2), ["SUBACK #1 0x02"]);
        broker.cut(keeper);
        broker.hold_store();
        broker.listener = MEMORY;
        let publisher = broker.connect(0, lasting("publisher", 1_000));
        broker.ask(publisher, publish2(1, "t", "x"), ["PUBREC #1"]);
        broker.cut(publisher);
        broker.listener = DISK;
        let publisher = broker.dial(0, lasting("publisher", expiry_s));
        broker.send(publisher, again(publish2(1, "t", "x")));
        let early = broker.hear(publisher);
        assert!(!early.contains(&"PUBREC #1".to_owned()), "it is not kept yet: {early:?}");
        broker.release_store();
        let late = broker.hear(publisher);
        let told = [early, late].concat();
        assert_eq!(told, ["CONNACK present 0x00", "PUBREC #1"]);
        broker.cut_power(1);
        let keeper = resume(&mut broker, DISK, "keeper");
        broker.expect(keeper, ["PUBLISH t x q2 #1"]);
    }
}

/// A clean start is told that there is no session: nor is there after a power cut, though nothing of
/// the new one is kept [MQTT-3.2.2-2].
#[test]
fn a_session_whose_end_was_told_stays_away_after_a_power_cut() {
    for expires in [true, false] {
        let mut broker = Broker::durable(2);
        let keeper = broker.connect(0, lasting("keeper", 10));
        broker.ask(keeper, subscribe(1, "t", 1), ["SUBACK #1 0x01"]);
        if expires {
            broker.cut(keeper);
            broker.wait_ms(10_000);
        } else {
            broker.send(keeper, disconnect(0, Some(0)));
        }
        let clean = broker.dial(1, v5("keeper"));
        broker.expect(clean, ["CONNACK 0x00"]);
        broker.cut_power(2);
        assert_eq!(broker.store().state().counts().sessions, 0);
        let keeper = broker.dial(0, lasting("keeper", 10));
        broker.expect(keeper, ["CONNACK 0x00"]);
    }
}

/// What a client hears first when it comes back to the session that has everything.
const WHOLE: [&str; 4] =
    ["PUBREL #1", "PUBLISH t two q2 #2 dup", "PUBREL #3", "PUBLISH t four q2 #4 dup"];

/// CONNECT of the client whose session has everything. PUBREL needs no quota, so what waits goes on
/// waiting behind two messages when the client comes back.
fn connect_keeper(receive_maximum: u16) -> Connect<'static> {
    let connect = with_receive_maximum(lasting("keeper", 1_000), receive_maximum);
    with_will(connect, "will", Some(5))
}

/// A broker with listeners of all modes, and a client `keeper` that has come through one of them, with
/// everything that a session can have.
fn whole(shards: usize, listener: u16) -> Broker {
    let mut broker = Broker::durable_with(shards, all_modes);
    broker.listener = listener;
    let keeper = broker.connect(shards - 1, connect_keeper(4));
    broker.send(keeper, subscribe(1, "t", 2));
    broker.send(keeper, subscribe_as(2, "u", 1, 77));
    broker.send(keeper, subscribe(3, "$share/group/s", 1));
    broker.send(keeper, publish2(9, "nobody", "mine"));
    broker.listener = DISK;
    let publisher = broker.connect(0, v5("publisher"));
    for (number, payload) in [(1, "one"), (2, "two"), (3, "three"), (4, "four"), (5, "five")] {
        broker.send(publisher, publish2(number, "t", payload));
    }
    broker.send(publisher, publish(6, "u", "six"));
    broker.send(publisher, publish(7, "s", "seven"));
    broker.send(keeper, pubrec(1));
    broker.send(keeper, pubrec(3));
    broker.cut(keeper);
    broker.wait_ms(200);
    broker
}

/// The client comes back through this listener, and what was sent goes out again.
#[track_caller]
fn come_back(broker: &mut Broker, listener: u16) -> Peer {
    broker.listener = listener;
    let keeper = broker.dial(0, connect_keeper(2));
    let heard = broker.hear(keeper);
    assert_eq!(heard[0], "CONNACK present 0x00");
    assert_eq!(heard[1..], WHOLE);
    broker.wait_ms(200);
    keeper
}

/// What the log holds of the session, a line for each thing.
fn kept(broker: &mut Broker) -> Vec<String> {
    let state = broker.store().state();
    let text = |message: u64| {
        let message = state.message(message).expect("what is queued is stored");
        String::from_utf8_lossy(message.payload()).into_owned()
    };
    let Some((_, session)) = state.sessions().find(|(client_id, _)| *client_id == "keeper") else {
        assert_eq!(state.counts(), Default::default(), "nothing is left of it");
        return Vec::new();
    };
    let mut lines = Vec::new();
    for (filter, it) in &session.subscriptions {
        lines.push(format!("subscribed {filter} {} {:?}", it.qos, it.identifier));
    }
    let mut flights: Vec<_> = session.flights.iter().collect();
    flights.sort_by_key(|(_, flight)| flight.entry.entry);
    for (packet_id, flight) in flights {
        lines.push(match flight.is_received {
            true => format!("received #{packet_id}"),
            false => format!("sent #{packet_id} {}", text(flight.entry.message)),
        });
    }
    for entry in &session.queue {
        let share = entry.share.as_deref().unwrap_or_default();
        lines.push(format!("queued {} {} {share}", text(entry.message), entry.qos).trim().into());
    }
    lines.extend(session.held.iter().map(|packet_id| format!("held #{packet_id}")));
    lines.extend(session.will.iter().map(|will| format!("will {}", will.topic)));
    lines
}

const KEPT: [&str; 12] = [
    "subscribed $share/group/s 1 None",
    "subscribed t 2 None",
    "subscribed u 1 Some(77)",
    "received #1",
    "sent #2 two",
    "received #3",
    "sent #4 four",
    "queued five 2",
    "queued six 1",
    "queued seven 1 $share/group/s",
    "held #9",
    "will will",
];

/// The rest of the session's messages comes, and nothing twice [MQTT-4.3.3-10], [MQTT-4.4.0-1].
#[track_caller]
fn finish(broker: &mut Broker, keeper: Peer) {
    broker.ask(keeper, again(publish2(9, "nobody", "mine")), ["PUBREC #9"]);
    broker.ask(keeper, pubrel(9), ["PUBCOMP #9"]);
    broker.ask(keeper, pubcomp(1), []);
    broker.ask(keeper, pubcomp(3), []);
    broker.ask(keeper, pubrec(2), ["PUBREL #2"]);
    broker.ask(keeper, pubcomp(2), ["PUBLISH t five q2 #5"]);
    broker.ask(keeper, pubrec(4), ["PUBREL #4"]);
    broker.ask(keeper, pubcomp(4), ["PUBLISH u six q1 #6 id=77"]);
    broker.ask(keeper, puback(6), ["PUBLISH s seven q1 #7"]);
    broker.ask(keeper, puback(7), []);
    let publisher = broker.connect(0, v5("publisher"));
    broker.ask(publisher, publish(1, "u", "eight"), ["PUBACK #1"]);
    broker.expect(keeper, ["PUBLISH u eight q1 #8 id=77"]);
}

/// A session that comes back through a listener that keeps nothing is in the log no more; once it
/// comes through one that keeps, all of it is, exactly. At each step the power may fail.
#[test]
fn a_session_is_in_the_log_as_long_as_its_client_comes_through_listeners_that_keep() {
    for shards in 1..=2 {
        for steps in 1..=6 {
            let mut broker = whole(shards, DISK);
            assert_eq!(kept(&mut broker), KEPT);
            let mut listener = DISK;
            for step in 1..=steps {
                listener = [DISK, MEMORY, OS, MEMORY, DISK, OS, MEMORY][step];
                let keeper = come_back(&mut broker, listener);
                let expected: &[&str] = if listener == MEMORY { &[] } else { &KEPT };
                assert_eq!(kept(&mut broker), expected);
                broker.cut(keeper);
            }
            broker.wait_ms(200);
            broker.crash(0, shards);
            if listener == MEMORY {
                let keeper = broker.dial(0, connect_keeper(2));
                broker.expect(keeper, ["CONNACK 0x00"]);
            } else {
                let keeper = come_back(&mut broker, DISK);
                finish(&mut broker, keeper);
            }
        }
    }
}

/// What happens while nothing is kept is kept afterwards.
#[test]
fn what_a_session_became_in_memory_is_in_the_log_afterwards() {
    for shards in 1..=2 {
        let mut broker = whole(shards, DISK);
        let keeper = come_back(&mut broker, MEMORY);
        broker.ask(keeper, unsubscribe(20, "u"), ["UNSUBACK #20 0x00"]);
        broker.ask(keeper, subscribe(21, "v", 2), ["SUBACK #21 0x02"]);
        broker.ask(keeper, pubrel(9), ["PUBCOMP #9"]);
        broker.ask(keeper, pubrec(2), ["PUBREL #2"]);
        broker.ask(keeper, pubcomp(2), ["PUBLISH t five q2 #5"]);
        broker.cut(keeper);
        let publisher = broker.connect(0, v5("publisher"));
        broker.ask(publisher, publish(1, "v", "nine"), ["PUBACK #1"]);
        broker.wait_ms(200);
        assert_eq!(kept(&mut broker), Vec::<String>::new());
        broker.listener = DISK;
        let keeper = broker.dial(0, with_receive_maximum(lasting("keeper", 1_000), 2));
        broker.cut_power(shards);
        let lines = [
            "CONNACK present 0x00",
            "PUBREL #1",
            "PUBREL #3",
            "PUBLISH t four q2 #4 dup",
            "PUBLISH t five q2 #5 dup",
        ];
        broker.expect(keeper, lines);
        assert_eq!(
            kept(&mut broker),
            [
                "subscribed $share/group/s 1 None",
                "subscribed t 2 None",
                "subscribed v 2 None",
                "received #1",
                "received #3",
                "sent #4 four",
                "sent #5 five",
                "queued six 1",
                "queued seven 1 $share/group/s",
                "queued nine 1",
            ]
        );
    }
}

/// A session that is to be kept again is promised everything from its CONNACK on: other shards know
/// by then that they have to wait for it, or they would acknowledge what a crash can lose.
#[test]
fn who_comes_back_to_be_kept_hears_so_when_every_shard_knows() {
    let mut broker = Broker::durable_with(2, all_modes);
    let client_id = broker.name_on(0, "keeper");
    broker.listener = MEMORY;
    let keeper = broker.connect(0, lasting(&client_id, 1_000));
    broker.ask(keeper, subscribe(1, "t", 1), ["SUBACK #1 0x01"]);
    broker.cut(keeper);
    broker.listener = DISK;
    let publisher = broker.connect(1, v5("publisher"));
    broker.hold(0, 1);
    let keeper = broker.dial(0, lasting(&client_id, 1_000));
    broker.wait_ms(200);
    broker.expect_nothing(keeper);
    broker.release(0, 1);
    broker.expect(keeper, ["CONNACK present 0x00"]);
    broker.cut(keeper);
    broker.hold_store();
    broker.send(publisher, publish(1, "t", "x"));
    broker.expect_nothing(publisher);
    broker.release_store();
    broker.expect(publisher, ["PUBACK #1"]);
    broker.cut_power(2);
    let keeper = resume(&mut broker, DISK, &client_id);
    broker.expect(keeper, ["PUBLISH t x q1 #1"]);
}

/// Each of them makes a group of all shards' batches, and shards that go on making groups could wait
/// for each other without an end. So no more of them come in than may be on their way to the disk,
/// and the others when those are there.
#[test]
fn many_who_come_back_to_be_kept_make_no_more_groups_than_may_wait() {
    let mut broker = Broker::durable_with(2, all_modes);
    let names: Vec<String> =
        (0..50).map(|it| broker.name_on(0, &format!("keeper-{it}-"))).collect();
    broker.listener = MEMORY;
    for name in &names {
        let keeper = broker.connect(0, lasting(name, 1_000));
        broker.ask(keeper, subscribe(1, "t", 1), ["SUBACK #1 0x01"]);
        broker.cut(keeper);
    }
    broker.listener = DISK;
    broker.hold_store();
    let before = broker.metrics(0).journal_batches;
    // One half asks a registrar of another shard, or is handed over by one.
    let dialled = names.iter().enumerate();
    let keepers: Vec<Peer> =
        dialled.map(|(it, name)| broker.dial(it % 2, lasting(name, 1_000))).collect();
    assert_eq!(broker.metrics(0).journal_batches - before, 32);
    keepers.iter().for_each(|keeper| broker.expect_nothing(*keeper));
    // One that goes meanwhile loses nothing, and one that is there twice has its session once.
    let gone = keepers[40];
    broker.cut(gone);
    let twice = broker.dial(1, lasting(&names[41], 1_000));
    broker.expect_nothing(twice);
    broker.release_store();
    for (it, keeper) in keepers.iter().enumerate().filter(|(it, _)| !(40..=41).contains(it)) {
        assert_eq!(broker.hear(*keeper), ["CONNACK present 0x00"], "{it}");
    }
    broker.expect(twice, ["CONNACK present 0x00"]);
    assert!(broker.is_closed(keepers[41]));
    for keeper in keepers.into_iter().filter(|keeper| *keeper != gone).chain([twice]) {
        broker.cut(keeper);
    }
    let publisher = broker.connect(1, v5("publisher"));
    broker.ask(publisher, publish(1, "t", "x"), ["PUBACK #1"]);
    broker.cut_power(2);
    for name in names.iter().filter(|name| **name != names[40]) {
        let keeper = resume(&mut broker, DISK, name);
        broker.expect(keeper, ["PUBLISH t x q1 #1"]);
    }
}

/// Those who wait for room among the groups do not wait for a store that fails.
#[test]
fn who_comes_back_to_be_kept_does_not_wait_for_a_store_that_fails() {
    let mut broker = Broker::durable_with(2, all_modes);
    let names: Vec<String> =
        (0..40).map(|it| broker.name_on(0, &format!("keeper-{it}-"))).collect();
    broker.listener = MEMORY;
    for name in &names {
        let keeper = broker.connect(0, lasting(name, 1_000));
        broker.cut(keeper);
    }
    broker.listener = DISK;
    broker.hold_store();
    let keepers: Vec<Peer> =
        names.iter().map(|name| broker.dial(0, lasting(name, 1_000))).collect();
    broker.fail_store(false);
    for keeper in keepers {
        broker.expect(keeper, ["CONNACK 0x88"]);
        assert!(broker.is_closed(keeper));
    }
    broker.release_store();
    let keeper = resume(&mut broker, DISK, &names[39]);
    broker.expect_nothing(keeper);
}

/// The CONNACK of a listener that keeps nothing waits until the log has the session no more: what is
/// finished from then on could not be known to the older one that a crash brought back.
#[test]
fn a_session_leaves_the_log_before_its_client_is_told_that_it_goes_on() {
    let mut broker = whole(1, DISK);
    broker.hold_store();
    broker.listener = MEMORY;
    let keeper = broker.dial(0, connect_keeper(2));
    broker.expect_nothing(keeper);
    broker.crash(0, 1);
    assert_eq!(kept(&mut broker), KEPT);
    broker.hold_store();
    broker.listener = MEMORY;
    let keeper = broker.dial(0, connect_keeper(2));
    broker.expect_nothing(keeper);
    broker.release_store();
    assert_eq!(broker.hear(keeper)[0], "CONNACK present 0x00");
    broker.cut_power(1);
    assert_eq!(kept(&mut broker), Vec::<String>::new());
}

/// The same where it ends, and where the store fails.
#[test]
fn a_listener_that_keeps_nothing_ends_no_session_while_the_store_fails() {
    for connect in [v5("keeper"), connect_keeper(2)] {
        let mut broker = whole(1, DISK);
        broker.fail_store(true);
        broker.listener = MEMORY;
        let keeper = broker.dial(0, connect.clone());
        broker.expect(keeper, ["CONNACK 0x88"]);
        let other = broker.dial(0, lasting("other", 1_000));
        broker.expect(other, ["CONNACK 0x00"]);
        broker.release_store();
        let keeper = broker.dial(0, connect);
        assert!(broker.hear(keeper)[0].ends_with("0x00"));
        broker.wait_ms(200);
        assert_eq!(kept(&mut broker), Vec::<String>::new());
    }
}

/// [MQTT-4.3.2-4]: what somebody else is to be kept for is refused to those as well to whom nothing is
/// promised; more of it than may wait would have nobody read.
#[test]
fn a_listener_that_keeps_nothing_is_refused_what_others_would_keep_while_the_store_fails() {
    let mut broker = whole(1, DISK);
    let keeper = broker.connect(0, lasting("watcher", 1_000));
    broker.ask(keeper, subscribe(1, "t", 1), ["SUBACK #1 0x01"]);
    broker.fail_store(true);
    broker.listener = MEMORY;
    let publisher = broker.connect(0, v5("publisher"));
    broker.ask(publisher, publish(1, "t", "x"), ["PUBACK #1 0x97"]);
    broker.ask(publisher, retained1(2, "other", "x"), ["PUBACK #2 0x97"]);
    broker.ask(publisher, publish(3, "other", "x"), ["PUBACK #3 0x10"]);
    broker.release_store();
    broker.ask(publisher, publish(1, "t", "x"), ["PUBACK #1"]);
    broker.expect(keeper, ["PUBLISH t x q1 #1"]);
}

/// A session that has a part of its queue on disk stays in the log, and is kept as well as before.
#[test]
fn a_session_that_stays_in_the_log_is_promised_what_it_was() {
    let mut broker = Broker::durable_with(1, |settings| {
        all_modes(settings);
        settings.limits.queue_memory_bytes = 1_000;
    });
    let keeper = broker.connect(0, lasting("keeper", 1_000));
    broker.ask(keeper, subscribe(1, "t", 2), ["SUBACK #1 0x02"]);
    broker.cut(keeper);
    let publisher = broker.connect(0, v5("publisher"));
    for number in 1..=40 {
        broker.send(publisher, publish(number, "t", "something to be kept"));
    }
    broker.listener = MEMORY;
    let keeper = broker.dial(0, with_receive_maximum(lasting("keeper", 1_000), 1));
    let line = "PUBLISH t something to be kept q1 #1";
    broker.expect(keeper, ["CONNACK present 0x00", line]);
    broker.hold_store();
    broker.send(keeper, subscribe(2, "u", 1));
    broker.expect_nothing(keeper);
    broker.send(keeper, publish2(3, "t", "mine"));
    broker.expect_nothing(keeper);
    broker.release_store();
    broker.expect(keeper, ["SUBACK #2 0x01", "PUBREC #3"]);
    broker.cut_power(1);
    let state = broker.store().state();
    let (_, session) = state.sessions().next().expect("it has stayed");
    assert!(session.subscriptions.contains_key("u") && session.held.contains(&3));
}
