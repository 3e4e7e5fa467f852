//! What the broker says of itself below `$SYS`, and the look at all sessions that it is made of.

use crate::{
    broker::{
        Broker,
        logins::{strict, users},
    },
    packets::{as_user, lasting, publish, retained, subscribe, v5},
};

#[test]
fn what_is_said_reaches_all_who_asked_and_what_was_said_last_all_who_ask_later() {
    for shards in [1, 3] {
        let mut broker = Broker::new(shards);
        let early = broker.connect(shards - 1, v5("early"));
        broker.ask(early, subscribe(1, "$SYS/#", 0), ["SUBACK #1 0x00"]);
        broker.announce(&[("uptime", "1"), ("version", "v")]);
        broker.expect(early, ["PUBLISH $SYS/uptime 1", "PUBLISH $SYS/version v"]);
        broker.announce(&[("uptime", "2")]);
        broker.expect(early, ["PUBLISH $SYS/uptime 2"]);
        let late = broker.connect(0, v5("late"));
        broker.ask(
            late,
            subscribe(1, "$SYS/+", 1),
            ["SUBACK #1 0x01", "PUBLISH $SYS/uptime 2 retain"],
        );
        // A leading wildcard takes nothing of it [MQTT-4.7.2-1], and other topics nothing at all.
        broker.ask(late, subscribe(2, "#", 0), ["SUBACK #2 0x00"]);
        broker.ask(late, subscribe(3, "$SYS/uptime/x", 0), ["SUBACK #3 0x00"]);
    }
}

/// It is not what clients retain: no home, no limit and no record has to do with it.
#[test]
fn what_is_said_is_neither_retained_nor_recorded() {
    let mut broker = Broker::durable_with(2, |settings| settings.limits.retained_messages_max = 1);
    let client = broker.connect(0, lasting("client", 60));
    broker.ask(client, subscribe(1, "$SYS/#", 2), ["SUBACK #1 0x02"]);
    let before = broker.store().records().len();
    broker.announce(&[("a", "1"), ("b", "2"), ("c", "3")]);
    assert_eq!(broker.hear(client).len(), 3);
    assert_eq!(broker.store().records().len(), before);
    assert!((0..2).all(|shard| broker.audit(shard).retained.is_empty()));
    broker.ask(client, retained("x", "y"), []);
    assert_eq!((0..2).map(|shard| broker.audit(shard).retained.len()).sum::<usize>(), 1);
}

/// Also what the broker says of itself reaches only who may read it.
#[test]
fn who_may_not_read_it_does_not_get_it() {
    let list = "user ann\ntopic read $SYS/#\nuser bob\ntopic read $SYS/open\n";
    let mut broker = Broker::with_rules(1, vec![users(&["ann", "bob"], list)]);
    let ann = broker.connect(0, as_user(v5("ann"), "ann"));
    let bob = broker.connect(0, as_user(v5("bob"), "bob"));
    broker.announce(&[("open", "1"), ("secret", "2")]);
    let open = "PUBLISH $SYS/open 1 retain";
    broker.ask(bob, subscribe(1, "$SYS/#", 0), ["SUBACK #1 0x00", open]);
    broker.ask(
        ann,
        subscribe(1, "$SYS/#", 0),
        ["SUBACK #1 0x00", open, "PUBLISH $SYS/secret 2 retain"],
    );
    broker.announce(&[("secret", "3")]);
    broker.expect(ann, ["PUBLISH $SYS/secret 3"]);
    broker.expect_nothing(bob);
    let mut broker = Broker::with_rules(1, vec![strict(users(&["bob"], list))]);
    let bob = broker.connect(0, as_user(v5("bob"), "bob"));
    broker.ask(bob, subscribe(1, "$SYS/#", 0), ["SUBACK #1 0x87"]);
}

/// (4.8.2): each message goes to one member, and nothing is sent at subscribe.
#[test]
fn a_share_gets_each_of_them_once_wherever_its_members_are() {
    let mut broker = Broker::new(3);
    broker.announce(&[("a", "0")]);
    let members = [0, 1, 2].map(|shard| {
        let name = format!("member {shard}");
        let member = broker.connect(shard, v5(&name));
        broker.ask(member, subscribe(1, "$share/g/$SYS/#", 0), ["SUBACK #1 0x00"]);
        member
    });
    for number in 1..=9 {
        broker.announce(&[("a", &number.to_string())]);
    }
    let heard: Vec<usize> = members.iter().map(|member| broker.hear(*member).len()).collect();
    assert_eq!(heard.iter().sum::<usize>(), 9, "{heard:?}");
    assert!(heard.iter().all(|count| *count > 0), "in turn: {heard:?}");
}

#[test]
fn a_survey_counts_every_session_and_names_those_that_do_not_keep_up() {
    let mut broker = Broker::new(1);
    for number in 0..30 {
        let name = format!("client {number}");
        let client = broker.connect(0, lasting(&name, 60));
        broker.ask(client, subscribe(1, "all", 1), ["SUBACK #1 0x01"]);
        if number % 10 == 7 {
            broker.cut(client);
        }
    }
    let publisher = broker.connect(0, v5("publisher"));
    broker.send(publisher, publish(0, "all", "nobody misses it"));
    broker.send(publisher, publish(1, "all", "hello"));
    for sessions_max in [1, 7, 1_000] {
        let (report, steps) = broker.survey(0, sessions_max);
        assert_eq!((report.sessions, report.sessions_connected), (31, 28));
        assert_eq!((report.subscriptions, report.queued_messages), (30, 3));
        let mut slowest: Vec<&str> = report.slowest.iter().map(|slow| &*slow.client_id).collect();
        slowest.sort_unstable();
        assert_eq!(slowest, ["client 17", "client 27", "client 7"]);
        assert!(report.slowest.iter().all(|slow| slow.queued_messages == 1 && !slow.is_connected));
        assert!(steps >= 31_usize.div_ceil(sessions_max), "{steps} of {sessions_max} sessions");
    }
}
