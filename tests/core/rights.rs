//! What a client may do: publish, subscribe, receive, and leave behind as its will.

use skein::{access::ListenerAccess, shard::DropReason};

use crate::{
    broker::{
        Broker, Peer,
        logins::{everybody, strict, users},
    },
    packets::{
        as_user, lasting, puback, pubcomp, publish, publish2, pubrec, pubrel, retained, subscribe,
        v3, v5, with_receive_maximum, with_will,
    },
};

/// Ann may do everything, bob may read and write what is his, and everybody's.
const LIST: &str = "user ann\ntopic #\nuser bob\ntopic bob/#\ntopic read all/#\n";

fn rules() -> ListenerAccess {
    users(&["ann", "bob"], LIST)
}

fn broker(shards: usize) -> (Broker, Peer, Peer) {
    let mut broker = Broker::with_rules(shards, vec![rules()]);
    let ann = broker.connect(0, as_user(v5("ann"), "ann"));
    let bob = broker.connect(shards - 1, as_user(v5("bob"), "bob"));
    (broker, ann, bob)
}

/// H17: [MQTT-3.3.5-2]; before 5.0 a positive acknowledgement, and nothing is delivered.
#[test]
fn h17_a_denied_publish_reaches_nobody() {
    for shards in [1, 3] {
        let (mut broker, ann, bob) = broker(shards);
        broker.ask(ann, subscribe(1, "#", 2), ["SUBACK #1 0x02"]);
        broker.ask(bob, publish(1, "all/a", "x"), ["PUBACK #1 0x87"]);
        broker.ask(bob, publish2(1, "all/a", "x"), ["PUBREC #1 0x87"]);
        broker.ask(bob, publish(0, "all/a", "x"), []);
        let old = broker.connect(0, as_user(v3("old", true), "bob"));
        broker.ask(old, publish(1, "all/a", "x"), ["PUBACK #1"]);
        broker.ask(old, publish2(1, "all/a", "x"), ["PUBREC #1"]);
        broker.ask(old, pubrel(1), ["PUBCOMP #1"]);
        broker.expect_nothing(ann);
        broker.ask(bob, publish(1, "bob/a", "x"), ["PUBACK #1"]);
        broker.expect(ann, ["PUBLISH bob/a x q1 #1"]);
    }
}

/// C23: `$SYS` and `$CONTROL` are the broker's, whatever a list says.
#[test]
fn the_brokers_own_topics_are_written_by_nobody() {
    let list = "user ann\ntopic $SYS/#\ntopic $CONTROL/#\n";
    let mut broker = Broker::with_rules(1, vec![users(&["ann"], list)]);
    let ann = broker.connect(0, as_user(v5("ann"), "ann"));
    broker.ask(ann, publish(1, "$SYS/broker/a", "x"), ["PUBACK #1 0x87"]);
    broker.ask(ann, publish(1, "$CONTROL/a", "x"), ["PUBACK #1 0x87"]);
}

/// H02, H03: a strict listener refuses what asks for more than is allowed, also in a share.
#[test]
fn h02_h03_a_strict_listener_refuses_wider_filters() {
    let mut broker = Broker::with_rules(1, vec![strict(rules())]);
    let bob = broker.connect(0, as_user(v5("bob"), "bob"));
    for (filter, code) in [
        ("#", "0x87"),
        ("+/a", "0x87"),
        ("all", "0x00"),
        ("other", "0x87"),
        ("$share/g/#", "0x87"),
        ("$share/g/other", "0x87"),
        ("$share/g/bob/#", "0x00"),
        ("bob/#", "0x00"),
        ("all/+/b", "0x00"),
    ] {
        broker.send(bob, subscribe(1, filter, 0));
        broker.expect(bob, [format!("SUBACK #1 {code}").as_str()]);
    }
    let old = broker.connect(0, as_user(v3("old", true), "bob"));
    broker.ask(old, subscribe(1, "#", 0), ["SUBACK #1 0x80"]);
}

/// H02: otherwise a wider filter is granted, and brings only what is allowed.
#[test]
fn h02_what_is_not_allowed_is_not_delivered() {
    for shards in [1, 3] {
        let (mut broker, ann, bob) = broker(shards);
        broker.ask(bob, subscribe(1, "#", 1), ["SUBACK #1 0x01"]);
        for topic in ["secret", "bob/a", "secret/all", "all/a"] {
            broker.send(ann, publish(0, topic, "x"));
            broker.ask(ann, publish(1, topic, "y"), ["PUBACK #1"]);
        }
        let expected = [
            "PUBLISH bob/a x",
            "PUBLISH bob/a y q1 #1",
            "PUBLISH all/a x",
            "PUBLISH all/a y q1 #2",
        ];
        broker.expect(bob, expected);
        let home = broker.shard_of(bob);
        assert_eq!(broker.metrics(home).drops_for(DropReason::Denied), 4);
        assert!(broker.noted("message-dropped").is_empty(), "not one line for each message");
    }
}

/// H12: a retained message obeys the rights of whoever asks for it.
#[test]
fn h12_a_retained_message_is_not_replayed_to_whoever_may_not_have_it() {
    for shards in [1, 3] {
        let (mut broker, ann, bob) = broker(shards);
        for topic in ["secret", "bob/a", "secret/all", "all/a"] {
            broker.send(ann, retained(topic, "x"));
        }
        broker.send(bob, subscribe(1, "#", 0));
        let mut heard = broker.hear(bob);
        heard.sort();
        assert_eq!(heard, ["PUBLISH all/a x retain", "PUBLISH bob/a x retain", "SUBACK #1 0x00"]);
    }
}

/// H03: of the members of a share one gets the message that may have it.
#[test]
fn h03_a_member_of_a_share_that_may_not_have_it_is_not_picked() {
    let (mut broker, ann, bob) = broker(1);
    let other = broker.connect(0, as_user(v5("ann 2"), "ann"));
    for member in [bob, other] {
        broker.ask(member, subscribe(1, "$share/g/#", 0), ["SUBACK #1 0x00"]);
    }
    for _ in 0..4 {
        broker.send(ann, publish(0, "secret", "x"));
        broker.send(ann, publish(0, "all/a", "x"));
    }
    assert!(broker.hear(other).iter().filter(|line| line.contains("secret")).count() == 4);
    assert!(broker.hear(bob).iter().all(|line| line.contains("all/a")));
    broker.cut(other);
    broker.send(ann, publish(0, "secret", "x"));
    broker.expect_nothing(bob);
}

/// H01: a will is asked about when it is published, too.
#[test]
fn h01_a_will_is_published_only_if_it_is_still_allowed() {
    for (list, heard) in [(LIST, 1), ("user ann\ntopic #\n", 0)] {
        let (mut broker, ann, _) = broker(2);
        broker.ask(ann, subscribe(1, "#", 0), ["SUBACK #1 0x00"]);
        let mortal =
            broker.connect(1, with_will(as_user(lasting("m", 60), "bob"), "bob/will", Some(5)));
        broker.cut(mortal);
        broker.change_rules(vec![users(&["ann", "bob"], list)]);
        broker.wait_ms(5_000);
        assert_eq!(broker.hear(ann).len(), heard);
        assert_eq!(broker.noted("will-denied").len(), 1 - heard);
    }
}

/// H04: a name that could reach further than one level opens no pattern.
#[test]
fn h04_a_name_with_wildcards_matches_nothing() {
    let rules = || vec![everybody("pattern read own/%c\n")];
    for (client_id, delivered) in [("one", 1), ("+", 0), ("#", 0), ("one/two", 0)] {
        let mut broker = Broker::with_rules(1, rules());
        let peer = broker.connect(0, v5(client_id));
        broker.ask(peer, subscribe(1, "own/#", 0), ["SUBACK #1 0x00"]);
        let mut publisher = Broker::with_rules(1, rules());
        let _ = publisher.connect(0, v5("p"));
        broker.change_rules(vec![everybody("topic write own/#\npattern read own/%c\n")]);
        let writer = broker.connect(0, v5("writer"));
        broker.send(writer, publish(0, "own/one", "x"));
        assert_eq!(broker.hear(peer).len(), delivered, "{client_id}");
    }
}

/// H13: an empty list denies everything.
#[test]
fn h13_an_empty_list_denies_everything() {
    let mut broker = Broker::with_rules(1, vec![everybody("")]);
    let peer = broker.connect(0, v5("client"));
    broker.ask(peer, subscribe(1, "#", 1), ["SUBACK #1 0x01"]);
    broker.ask(peer, publish(1, "a", "x"), ["PUBACK #1 0x87"]);
}

/// H09: QoS 2 before the right was revoked is delivered; its end is not refused.
#[test]
fn h09_a_release_after_the_right_was_revoked_ends_the_exchange() {
    let (mut broker, ann, bob) = broker(1);
    broker.ask(ann, subscribe(1, "#", 2), ["SUBACK #1 0x02"]);
    broker.ask(bob, publish2(1, "bob/a", "x"), ["PUBREC #1"]);
    broker.change_rules(vec![users(&["ann", "bob"], "user ann\ntopic #\n")]);
    broker.ask(bob, pubrel(1), ["PUBCOMP #1"]);
    broker.expect(ann, ["PUBLISH bob/a x q2 #1"]);
    broker.ask(ann, pubrec(1), ["PUBREL #1"]);
    broker.send(ann, pubcomp(1));
    broker.ask(bob, publish2(1, "bob/a", "x"), ["PUBREC #1 0x87"]);
}

/// A session that is resumed through another listener has the rights it has there.
#[test]
fn the_listener_of_the_newest_connection_decides() {
    let other = users(&["ann", "bob"], "user ann\ntopic #\n");
    let mut broker = Broker::with_rules(1, vec![rules(), other]);
    let ann = broker.connect(0, as_user(v5("ann"), "ann"));
    let bob = broker.connect(0, as_user(lasting("bob", 60), "bob"));
    broker.ask(bob, subscribe(1, "#", 1), ["SUBACK #1 0x01"]);
    broker.cut(bob);
    broker.ask(ann, publish(1, "bob/a", "x"), ["PUBACK #1"]);
    broker.listener = 1;
    let bob = broker.dial(0, as_user(lasting("bob", 60), "bob"));
    broker.expect(bob, ["CONNACK present 0x00"]);
    broker.cut(bob);
    broker.listener = 0;
    let bob = broker.dial(0, with_receive_maximum(as_user(lasting("bob", 60), "bob"), 1));
    broker.expect(bob, ["CONNACK present 0x00"]);
    broker.ask(ann, publish(1, "bob/a", "y"), ["PUBACK #1"]);
    broker.expect(bob, ["PUBLISH bob/a y q1 #1"]);
    broker.send(bob, puback(1));
}

/// What waits for a member of a share that may not have it any more goes to another member.
#[test]
fn a_message_of_a_share_that_its_member_may_not_have_goes_to_another() {
    let other = users(&["ann", "bob"], "user ann\ntopic #\n");
    let mut broker = Broker::with_rules(1, vec![rules(), other]);
    let ann = broker.connect(0, as_user(v5("ann"), "ann"));
    let bob = broker.connect(0, as_user(lasting("bob", 60), "bob"));
    broker.ask(bob, subscribe(1, "$share/g/#", 1), ["SUBACK #1 0x01"]);
    broker.cut(bob);
    broker.ask(ann, publish(1, "bob/a", "x"), ["PUBACK #1"]);
    broker.ask(ann, subscribe(1, "$share/g/#", 1), ["SUBACK #1 0x01"]);
    broker.listener = 1;
    let bob = broker.dial(0, as_user(lasting("bob", 60), "bob"));
    broker.expect(bob, ["CONNACK present 0x00"]);
    broker.expect(ann, ["PUBLISH bob/a x q1 #1"]);
    let audit = broker.audit(0);
    assert_eq!(audit.memory_bytes, audit.memory_bytes_counted);
}
