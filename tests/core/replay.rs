//! Retained messages go to a new subscription, step by step (3.3.1.3).

use skein_protocol::RetainHandling;

use crate::{
    broker::Broker,
    packets::{
        lasting, puback, publish, retained, retained1, subscribe, subscribe_all, subscribe_with,
        unsubscribe, v5, with_receive_maximum,
    },
};

/// One packet must not be able to use up the stack of a shard.
#[test]
fn thousands_of_filters_in_one_subscribe_are_replayed_one_after_the_other() {
    let mut broker = Broker::new(1);
    let subscriber = broker.connect(0, v5("subscriber"));
    let filters: Vec<String> = (0..10_000).map(|number| format!("nothing/{number}")).collect();
    broker.send(subscriber, subscribe_all(1, &filters));
    assert!(broker.hear(subscriber)[0].starts_with("SUBACK #1 0x00 0x00"));
    assert_eq!(broker.audit(0).replays, 0);
}

/// "The next step follows after other work", also where one shard asks itself.
#[test]
fn a_long_search_through_the_retained_topics_lets_others_have_their_turn() {
    let mut broker = Broker::with(1, |settings| settings.limits.retained_step_topics = 1);
    let publisher = broker.connect(0, v5("publisher"));
    for number in 0..5_000 {
        broker.send(publisher, retained(&format!("a/{number}/b"), "x"));
    }
    broker.send(publisher, retained("z/z/c", "found"));
    let subscriber = broker.connect(0, v5("subscriber"));
    let wanted = ["SUBACK #1 0x00", "PUBLISH z/z/c found retain"];
    broker.ask(subscriber, subscribe(1, "+/+/c", 0), wanted);
    assert_eq!(broker.audit(0).replays, 0);
}

/// The number of a filter may be another filter's by the time SUBACK is due.
#[test]
fn a_filter_that_was_given_up_before_its_suback_replays_nothing() {
    let mut broker = Broker::new(2);
    let publisher = broker.connect(0, v5("publisher"));
    broker.send(publisher, retained("a", "of a"));
    let subscriber = broker.connect(0, v5("subscriber"));

    broker.hold(0, 1);
    broker.send(subscriber, subscribe(1, "a", 0));
    broker.ask(subscriber, unsubscribe(2, "a"), ["UNSUBACK #2 0x00"]);
    broker.send(subscriber, subscribe(3, "b", 0));
    broker.release(0, 1);

    broker.expect(subscriber, ["SUBACK #1 0x00", "SUBACK #3 0x00"]);
}

/// Law 8: a client that does not read may ask for the same again and again.
#[test]
fn subscribing_again_while_a_replay_waits_adds_no_other() {
    let mut broker = Broker::new(1);
    let publisher = broker.connect(0, v5("publisher"));
    broker.send(publisher, retained1(1, "a", "first"));
    let connect = with_receive_maximum(lasting("subscriber", 60), 1);
    let subscriber = broker.connect(0, connect);
    broker.send(subscriber, subscribe(1, "a", 1));
    broker.send(publisher, publish(2, "a", "second"));
    for number in 2..50 {
        broker.send(subscriber, subscribe(number, "a", 1));
    }
    assert_eq!(broker.audit(0).replays, 1, "one waits, whatever was asked meanwhile");

    broker.hear(subscriber);
    broker.ask(subscriber, puback(1), ["PUBLISH a second q1 #2"]);
    broker.ask(subscriber, puback(2), ["PUBLISH a first q1 #3 retain"]);
    broker.ask(subscriber, puback(3), []);
}

#[test]
fn a_filter_that_is_given_up_while_its_replay_waits_replays_nothing() {
    let mut broker = Broker::new(1);
    let publisher = broker.connect(0, v5("publisher"));
    broker.send(publisher, retained1(1, "a", "of a"));
    broker.send(publisher, retained1(2, "b", "of b"));
    let subscriber = broker.connect(0, with_receive_maximum(v5("subscriber"), 1));
    broker.ask(subscriber, subscribe(1, "a", 1), ["SUBACK #1 0x01", "PUBLISH a of a q1 #1 retain"]);
    broker.send(publisher, publish(3, "a", "live"));
    broker.ask(subscriber, subscribe(2, "b", 1), ["SUBACK #2 0x01"]);
    broker.ask(subscriber, unsubscribe(3, "b"), ["UNSUBACK #3 0x00"]);
    broker.ask(subscriber, puback(1), ["PUBLISH a live q1 #2"]);
    broker.ask(subscriber, puback(2), []);
    assert_eq!(broker.audit(0).replays, 0);
}

/// A replay is never cut short by the limits of queue or outbox.
#[test]
fn a_step_larger_than_the_outbox_may_be_is_delivered_whole() {
    let mut broker = Broker::with(1, |settings| {
        settings.limits.packet_bytes_max = 1_024;
        settings.limits.outbox_bytes_max = 4_096;
        settings.limits.outbox_high_water_bytes = 2_048;
        settings.limits.outbox_low_water_bytes = 512;
    });
    let publisher = broker.connect(0, v5("publisher"));
    let payload = "x".repeat(500);
    for number in 0..100 {
        broker.send(publisher, retained(&format!("a/{number}"), &payload));
    }
    let subscriber = broker.connect(0, v5("subscriber"));
    broker.send(subscriber, subscribe(1, "a/#", 0));
    assert_eq!(broker.hear(subscriber).len(), 1 + 100);
}

/// The step was asked for before the subscriber became slow.
#[test]
fn a_step_that_finds_a_slow_subscriber_is_delivered_all_the_same() {
    let mut broker = Broker::new(2);
    let home = broker.name_on(1, "home");
    let publisher = broker.connect(0, v5("publisher"));
    broker.send(publisher, retained(&home, "kept"));
    let subscriber = broker.connect(0, v5("subscriber"));
    broker.ask(subscriber, subscribe(1, "live", 0), ["SUBACK #1 0x00"]);

    broker.hold(1, 0);
    broker.stall(subscriber);
    broker.send(subscriber, subscribe(2, &home, 0));
    // The barrier; the reply waits behind it.
    broker.step(1, 0);
    broker.settle();
    assert_eq!(broker.waiting(1, 0), 1);
    let large = "x".repeat(200_000);
    for _ in 0..3 {
        broker.send(publisher, publish(0, "live", &large));
    }
    broker.wait_ms(1_000);
    broker.release(1, 0);
    broker.unstall(subscriber);

    let heard = broker.hear(subscriber);
    assert!(heard.contains(&format!("PUBLISH {home} kept retain")), "{heard:?}");
}

/// Law 4: a reply that comes after UNSUBSCRIBE, or for the connection before, is late.
#[test]
fn a_reply_on_its_way_finds_nobody_once_its_question_is_over() {
    for ends_by_takeover in [false, true] {
        let mut broker = Broker::new(2);
        // Its registrar is its own shard, or the grant would come behind the reply.
        let (topic, client) = (broker.name_on(1, "home"), broker.name_on(0, "client"));
        let publisher = broker.connect(0, v5("publisher"));
        broker.send(publisher, retained(&topic, "x"));
        let mut subscriber = broker.connect(0, lasting(&client, 60));
        broker.hold(1, 0);
        broker.send(subscriber, subscribe(1, &topic, 0));
        // The barrier; the reply waits behind it.
        broker.step(1, 0);
        broker.settle();
        broker.expect(subscriber, ["SUBACK #1 0x00"]);
        let kept = format!("PUBLISH {topic} x retain");
        if ends_by_takeover {
            let next = broker.dial(0, lasting(&client, 60));
            broker.release(1, 0);
            broker.expect(subscriber, ["DISCONNECT 0x8E"]);
            broker.expect(next, ["CONNACK present 0x00", &kept]);
            subscriber = next;
        } else {
            broker.ask(subscriber, unsubscribe(2, &topic), ["UNSUBACK #2 0x00"]);
            broker.release(1, 0);
        }
        broker.expect_nothing(subscriber);
        assert_eq!((broker.audit(0).replays, broker.metrics(0).late_replies), (0, 1));
    }
}

/// What was dropped live is not "already brought": the home still has it.
#[test]
fn a_retained_message_that_a_slow_subscriber_missed_live_comes_with_its_replay() {
    for home in 0..2 {
        let mut broker = Broker::new(2);
        let topic = broker.name_on(home, "home");
        let publisher = broker.connect(0, v5("publisher"));
        // Before the first one of all, no home would be asked.
        broker.send(publisher, retained("another", "x"));
        let subscriber = broker.connect(1, v5("subscriber"));
        broker.ask(subscriber, subscribe(1, "live", 0), ["SUBACK #1 0x00"]);
        broker.stall(subscriber);
        let large = "x".repeat(200_000);
        for _ in 0..3 {
            broker.send(publisher, publish(0, "live", &large));
        }
        broker.wait_ms(1_000);
        broker.send(subscriber, subscribe(2, &topic, 0));
        broker.send(publisher, retained(&topic, "new"));
        broker.unstall(subscriber);
        let heard = broker.hear(subscriber);
        assert_eq!(heard.last(), Some(&format!("PUBLISH {topic} new retain")), "{heard:?}");
        assert_eq!(broker.audit(1).replays, 0);
    }
}

/// [MQTT-3.3.1-10], [MQTT-3.3.1-11]
#[test]
fn retain_handling_says_when_retained_messages_are_sent() {
    let mut broker = Broker::new(2);
    let publisher = broker.connect(0, v5("publisher"));
    broker.send(publisher, retained("a", "x"));
    let subscriber = broker.connect(1, v5("subscriber"));
    let ask = |number, handling| {
        subscribe_with(number, "a", 0, |options| options.retain_handling = handling)
    };
    broker.ask(subscriber, ask(1, RetainHandling::DoNotSend), ["SUBACK #1 0x00"]);
    broker.ask(subscriber, ask(2, RetainHandling::SendIfNew), ["SUBACK #2 0x00"]);
    let both = ["SUBACK #3 0x00", "PUBLISH a x retain"];
    broker.ask(subscriber, ask(3, RetainHandling::SendAtSubscribe), both);
    broker.ask(subscriber, unsubscribe(4, "a"), ["UNSUBACK #4 0x00"]);
    let both = ["SUBACK #5 0x00", "PUBLISH a x retain"];
    broker.ask(subscriber, ask(5, RetainHandling::SendIfNew), both);
}

#[test]
fn a_replay_goes_on_after_a_reconnect_where_it_was() {
    let mut broker = Broker::with(2, |settings| settings.limits.retained_step_topics = 1);
    let publisher = broker.connect(0, v5("publisher"));
    for number in 0..6 {
        broker.send(publisher, retained1(1, &format!("a/{number}"), "x"));
    }
    let connect = || with_receive_maximum(lasting("subscriber", 60), 1);
    let mut subscriber = broker.connect(1, connect());
    broker.send(subscriber, subscribe(1, "a/#", 1));
    let mut topics = Vec::new();
    for round in 0..20 {
        for line in broker.hear(subscriber) {
            let words: Vec<&str> = line.split(' ').collect();
            if let ["PUBLISH", topic, .., "retain"] = words[..] {
                topics.push(topic.to_owned());
                let number = words.iter().find_map(|word| word.strip_prefix('#'));
                let number = number.and_then(|text| text.parse().ok()).expect("QoS 1 has an id");
                broker.send(subscriber, puback(number));
            }
        }
        if round % 3 == 1 {
            broker.cut(subscriber);
            subscriber = broker.connect(round % 2, connect());
        }
    }
    topics.sort();
    topics.dedup();
    assert_eq!(topics.len(), 6, "{topics:?}");
    assert_eq!(broker.audit(0).replays + broker.audit(1).replays, 0);
}

/// A SUBSCRIBE costs no round to the homes while there is nothing they could hold.
#[test]
fn before_the_first_retained_publish_of_all_no_home_is_asked() {
    let mut broker = Broker::new(2);
    let subscriber = broker.connect(0, v5("subscriber"));
    let publisher = broker.connect(1, v5("publisher"));
    broker.hold(1, 0);
    broker.send(subscriber, subscribe(1, "a/#", 0));
    broker.step(1, 0);
    broker.settle();
    broker.expect(subscriber, ["SUBACK #1 0x00"]);
    assert_eq!((broker.audit(0).replays, broker.waiting(1, 0)), (0, 0));
    broker.release(1, 0);
    broker.send(publisher, retained("a/1", "x"));
    broker.expect(subscriber, ["PUBLISH a/1 x"]);
    let both = ["SUBACK #2 0x00", "PUBLISH a/1 x retain"];
    broker.ask(subscriber, subscribe(2, "a/1", 0), both);
}
