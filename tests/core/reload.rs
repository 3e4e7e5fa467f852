//! The rules change while clients are connected, and while they are not.

use std::sync::Arc;

use skein::{
    access::{Access, ListenerAccess},
    config,
    shard::DropReason,
};

use crate::{
    broker::{
        Broker, Peer,
        logins::{everybody, users, users_without_list},
    },
    packets::{
        as_user, lasting, puback, pubcomp, publish, publish2, pubrec, retained, retained1,
        subscribe, v5, with_receive_maximum,
    },
};

const BOTH: &str = "user ann\ntopic #\nuser bob\ntopic a\ntopic b\n";
const ONLY_B: &str = "user ann\ntopic #\nuser bob\ntopic b\n";

fn rules(list: &str) -> Vec<ListenerAccess> {
    vec![users(&["ann", "bob"], list)]
}

/// Ann on the first shard, bob on the last, subscribed to everything.
fn broker(shards: usize) -> (Broker, Peer, Peer) {
    let mut broker = Broker::with_rules(shards, rules(BOTH));
    let ann = broker.connect(0, as_user(v5("ann"), "ann"));
    let bob = broker.connect(shards - 1, as_user(lasting("bob", 600), "bob"));
    broker.ask(bob, subscribe(1, "#", 2), ["SUBACK #1 0x02"]);
    (broker, ann, bob)
}

/// H05
#[test]
fn h05_a_live_subscription_stops_when_the_right_is_revoked() {
    let (mut broker, ann, bob) = broker(2);
    broker.ask(ann, publish(1, "a", "1"), ["PUBACK #1"]);
    broker.change_rules(rules(ONLY_B));
    broker.ask(ann, publish(1, "a", "2"), ["PUBACK #1"]);
    broker.ask(ann, publish(1, "b", "3"), ["PUBACK #1"]);
    broker.change_rules(rules(BOTH));
    broker.ask(ann, publish(1, "a", "4"), ["PUBACK #1"]);
    broker.expect(bob, ["PUBLISH a 1 q1 #1", "PUBLISH b 3 q1 #2", "PUBLISH a 4 q1 #3"]);
}

/// H06: CVE-2021-34434
#[test]
fn h06_a_subscription_of_an_absent_client_stops_too() {
    let (mut broker, ann, bob) = broker(2);
    broker.cut(bob);
    broker.change_rules(rules(ONLY_B));
    broker.ask(ann, publish(1, "a", "1"), ["PUBACK #1"]);
    broker.ask(ann, publish(1, "b", "2"), ["PUBACK #1"]);
    let bob = broker.dial(0, as_user(lasting("bob", 600), "bob"));
    broker.expect(bob, ["CONNACK present 0x00", "PUBLISH b 2 q1 #1"]);
}

/// H07: what waits is taken out at once; a message in flight is not sent again.
#[test]
fn h07_what_is_queued_or_in_flight_is_not_sent_any_more() {
    let (mut broker, ann, bob) = broker(1);
    broker.cut(bob);
    let connect = with_receive_maximum(as_user(lasting("bob", 600), "bob"), 2);
    for (topic, payload) in [("a", "1"), ("b", "2"), ("a", "3"), ("b", "4")] {
        broker.ask(ann, publish2(1, topic, payload), ["PUBREC #1"]);
        broker.ask(ann, crate::packets::pubrel(1), ["PUBCOMP #1"]);
    }
    let bob = broker.dial(0, connect.clone());
    let lines = ["CONNACK present 0x00", "PUBLISH a 1 q2 #1", "PUBLISH b 2 q2 #2"];
    broker.expect(bob, lines);
    broker.cut(bob);
    broker.change_rules(rules(ONLY_B));
    assert_eq!(broker.metrics(0).drops_for(DropReason::Denied), 1, "3 has gone from the queue");
    let bob = broker.dial(0, connect);
    // The client may hold id 1: it is told to let go of it.
    let lines = ["CONNACK present 0x00", "PUBREL #1", "PUBLISH b 2 q2 #2 dup"];
    broker.expect(bob, lines);
    broker.send(bob, pubcomp(1));
    broker.expect(bob, ["PUBLISH b 4 q2 #3"]);
    for id in [2, 3] {
        broker.send(bob, pubrec(id));
        broker.send(bob, pubcomp(id));
    }
    assert_eq!(broker.metrics(0).drops_for(DropReason::Denied), 2);
    let audit = broker.audit(0);
    assert_eq!(audit.memory_bytes, audit.memory_bytes_counted);
}

/// H07: a connected client whose window is used up, and a share that another member is in.
#[test]
fn h07_a_message_of_a_share_goes_to_a_member_that_may_have_it() {
    let mut broker = Broker::with_rules(1, rules(BOTH));
    let ann = broker.connect(0, as_user(v5("ann"), "ann"));
    let bob = broker.connect(0, with_receive_maximum(as_user(v5("bob"), "bob"), 1));
    broker.ask(bob, subscribe(1, "$share/g/+", 1), ["SUBACK #1 0x01"]);
    broker.ask(ann, publish(1, "a", "1"), ["PUBACK #1"]);
    broker.ask(ann, publish(1, "a", "2"), ["PUBACK #1"]);
    broker.ask(ann, publish(1, "b", "3"), ["PUBACK #1"]);
    broker.expect(bob, ["PUBLISH a 1 q1 #1"]);
    broker.ask(ann, subscribe(1, "$share/g/+", 1), ["SUBACK #1 0x01"]);
    broker.change_rules(rules(ONLY_B));
    broker.expect(ann, ["PUBLISH a 2 q1 #1"]);
    broker.send(bob, puback(1));
    broker.expect(bob, ["PUBLISH b 3 q1 #2"]);
}

/// H08: CVE-2018-12546
#[test]
fn h08_a_retained_message_goes_with_the_right_of_whoever_published_it() {
    for shards in [1, 3] {
        for home in 0..shards {
            let mut broker = Broker::with_rules(shards, rules(BOTH));
            let topic = broker.name_on(home, "topic");
            let list = format!("user ann\ntopic #\nuser bob\ntopic {topic}\n");
            broker.change_rules(rules(&list));
            let ann = broker.connect(0, as_user(v5("ann"), "ann"));
            let bob = broker.connect(shards - 1, as_user(v5("bob"), "bob"));
            broker.ask(ann, retained1(1, "kept", "x"), ["PUBACK #1 0x10"]);
            broker.ask(bob, retained1(1, &topic, "x"), ["PUBACK #1 0x10"]);
            broker.cut(bob);
            assert!(broker.audit(home).retained.contains_key(&topic));
            broker.change_rules(rules(ONLY_B));
            assert!(!broker.audit(home).retained.contains_key(&topic));
            let left: usize = (0..shards).map(|shard| broker.audit(shard).retained.len()).sum();
            assert_eq!((left, broker.metrics(home).retained_denied), (1, 1));
            let told = broker.noted("retained-denied");
            assert!(
                told.len() == 1 && told[0].starts_with("1 retained messages deleted"),
                "{told:?}"
            );
            for shard in 0..shards {
                let audit = broker.audit(shard);
                assert_eq!(audit.memory_bytes, audit.memory_bytes_counted);
            }
        }
    }
}

/// H08: the message is on its way to its home when the home hears of the new rules.
#[test]
fn h08_a_retained_message_that_comes_after_the_rules_is_not_kept() {
    let mut broker = Broker::with_rules(2, rules(BOTH));
    let topic = broker.name_on(1, "topic");
    broker.change_rules(rules(&format!("user bob\ntopic {topic}\n")));
    let bob = broker.connect(0, as_user(v5("bob"), "bob"));
    broker.hold(0, 1);
    broker.ask(bob, retained(&topic, "x"), []);
    let access = Arc::new(Access::new(rules(ONLY_B), &config::Access::default()));
    broker.change_access(1, &access);
    broker.release_all();
    assert!(broker.audit(1).retained.is_empty());
}

/// The rules may change while nothing runs (CVE-2018-12546).
#[test]
fn a_retained_message_whose_author_may_no_longer_publish_it_is_not_taken_up() {
    for shards in 1..=2 {
        let both = "user ann\ntopic a\nuser bob\ntopic b\n";
        let mut broker = Broker::durable(shards);
        broker.change_rules(rules(both));
        for (user, topic) in [("ann", "a"), ("bob", "b")] {
            let peer = broker.connect(0, as_user(v5(user), user));
            broker.send(peer, retained(topic, "x"));
            broker.wait_ms(200);
        }
        broker.crash_into(rules("user ann\ntopic a\n"));
        let kept: usize = (0..shards).map(|shard| broker.audit(shard).retained.len()).sum();
        assert_eq!(kept, 1);
        broker.wait_ms(200);
        assert_eq!(broker.store().state().counts().retained, 1);
    }
}

/// H11: who is not known any more is closed; others stay.
#[test]
fn h11_a_user_who_is_gone_is_closed() {
    let (mut broker, ann, bob) = broker(2);
    broker.change_rules(vec![users_without_list(&["ann"])]);
    broker.expect(bob, ["DISCONNECT 0x87"]);
    assert!(broker.is_closed(bob) && !broker.is_closed(ann));
    assert_eq!(broker.metrics(1).connections_revoked, 1);
    let bob = broker.dial(1, as_user(lasting("bob", 600), "bob"));
    broker.expect(bob, ["CONNACK 0x86"]);
    broker.change_rules(rules(BOTH));
    let bob = broker.dial(1, as_user(lasting("bob", 600), "bob"));
    broker.expect(bob, ["CONNACK present 0x00"]);
}

/// H11: the rules come when the client is on its way to its session's home.
#[test]
fn h11_a_user_who_is_gone_does_not_arrive() {
    let mut broker = Broker::with_rules(2, rules(BOTH));
    let name = broker.name_on(1, "client");
    let session = broker.connect(1, as_user(lasting(&name, 600), "bob"));
    broker.cut(session);
    broker.hold(0, 1);
    let moving = broker.dial(0, as_user(lasting(&name, 600), "bob"));
    let known = vec![users_without_list(&["ann"])];
    let access = Arc::new(Access::new(known, &config::Access::default()));
    broker.change_access(1, &access);
    broker.release_all();
    while broker.waiting(0, 1) > 0 {
        broker.step(0, 1);
    }
    broker.expect(moving, ["CONNACK 0x87"]);
    assert_eq!(broker.audit(1).sessions.len(), 1);
}

/// An anonymous client is closed once nobody may be anonymous; and an anonymous session whose
/// listener gets a list obeys it.
#[test]
fn anonymous_clients_obey_new_rules() {
    let mut broker = Broker::with_rules(1, vec![everybody("topic #\n")]);
    let peer = broker.connect(0, v5("client"));
    broker.ask(peer, subscribe(1, "#", 0), ["SUBACK #1 0x00"]);
    broker.ask(peer, publish(0, "a", "x"), ["PUBLISH a x"]);
    broker.change_rules(vec![everybody("topic write #\n")]);
    broker.ask(peer, publish(0, "a", "x"), []);
    broker.change_rules(rules(BOTH));
    broker.expect(peer, ["DISCONNECT 0x87"]);
    let mut broker = Broker::new(1);
    let peer = broker.connect(0, v5("client"));
    broker.ask(peer, subscribe(1, "#", 0), ["SUBACK #1 0x00"]);
    broker.send(peer, retained("a", "x"));
    broker.expect(peer, ["PUBLISH a x"]);
    broker.change_rules(vec![everybody("topic write #\n")]);
    broker.ask(peer, publish(0, "a", "x"), []);
}
