//! A connection has room again, and what waits for it goes out in order.

use skein::config::Settings;

use crate::{
    broker::Broker,
    packets::{lasting, puback, publish, retained1, subscribe, v5, with_receive_maximum},
};

fn small(settings: &mut Settings) {
    let limits = &mut settings.limits;
    limits.packet_bytes_max = 1_024;
    limits.outbox_low_water_bytes = 1_024;
    limits.outbox_high_water_bytes = 4_096;
    limits.outbox_bytes_max = 8_192;
    limits.slow_consumer_grace_ms = 0;
}

/// QoS 1 for a client that does not read goes to its queue, and none is lost or out of order.
#[test]
fn what_a_stalled_client_missed_follows_when_it_reads() {
    let mut broker = Broker::with(2, small);
    let publisher = broker.connect(0, v5("publisher"));
    let subscriber = broker.connect(1, v5("subscriber"));
    broker.ask(subscriber, subscribe(1, "a", 1), ["SUBACK #1 0x01"]);
    broker.stall(subscriber);
    let padding = "x".repeat(500);
    for number in 1..=50 {
        broker.send(publisher, publish(number, "a", &format!("{number} {padding}")));
        broker.wait_ms(1);
    }
    broker.sip(subscriber, 3_000);
    broker.unstall(subscriber);
    let heard = broker.hear(subscriber);
    let ids: Vec<u16> = heard.iter().filter_map(|l| l.rsplit('#').next()?.parse().ok()).collect();
    assert_eq!(ids, (1..=50).collect::<Vec<_>>());
    assert_eq!(broker.metrics(1).messages_dropped, 0);
    for number in 1..=50 {
        broker.send(subscriber, puback(number));
    }
    assert_eq!(broker.audit(1).memory_bytes, 0);
}

/// The outbox is filled up to its mark, whatever a session has waiting.
#[test]
fn a_long_queue_is_not_poured_into_the_outbox_at_once() {
    let mut broker = Broker::with(1, small);
    let publisher = broker.connect(0, v5("publisher"));
    let subscriber = broker.connect(0, lasting("subscriber", 60));
    broker.ask(subscriber, subscribe(1, "a", 1), ["SUBACK #1 0x01"]);
    broker.cut(subscriber);
    let payload = "x".repeat(500);
    for number in 1..=100 {
        broker.send(publisher, publish(number, "a", &payload));
    }
    let subscriber = broker.open(0);
    broker.stall(subscriber);
    broker.send(subscriber, skein_protocol::Packet::Connect(lasting("subscriber", 60)));
    let bytes = broker.outbox_bytes(subscriber);
    assert!((4_096..6_000).contains(&bytes), "{bytes} bytes wait");
    broker.unstall(subscriber);
    assert_eq!(broker.hear(subscriber).len(), 101);
}

/// Queue before replay: a retained message never passes what waits.
#[test]
fn a_replay_waits_for_the_queue() {
    let mut broker = Broker::new(2);
    let publisher = broker.connect(0, v5("publisher"));
    broker.send(publisher, retained1(1, "kept", "retained"));
    let subscriber = broker.connect(1, with_receive_maximum(v5("subscriber"), 1));
    broker.ask(subscriber, subscribe(1, "a", 1), ["SUBACK #1 0x01"]);
    for number in 1..=3 {
        broker.send(publisher, publish(number, "a", &number.to_string()));
    }
    broker.ask(subscriber, subscribe(2, "kept", 1), ["PUBLISH a 1 q1 #1", "SUBACK #2 0x01"]);
    broker.ask(subscriber, puback(1), ["PUBLISH a 2 q1 #2"]);
    broker.ask(subscriber, puback(2), ["PUBLISH a 3 q1 #3"]);
    broker.ask(subscriber, puback(3), ["PUBLISH kept retained q1 #4 retain"]);
}

/// Ids go round and are never used twice at a time [MQTT-2.2.1-3].
#[test]
fn an_id_in_use_is_passed_over_when_ids_go_round() {
    let mut broker = Broker::new(1);
    let publisher = broker.connect(0, v5("publisher"));
    let subscriber = broker.connect(0, with_receive_maximum(v5("subscriber"), 2));
    broker.ask(subscriber, subscribe(1, "a", 1), ["SUBACK #1 0x01"]);
    broker.send(publisher, publish(1, "a", "kept open"));
    broker.expect(subscriber, ["PUBLISH a kept open q1 #1"]);
    let mut last = String::new();
    for number in 0..65_536_u32 {
        broker.send(publisher, publish(1, "a", "x"));
        last = broker.hear(subscriber).remove(0);
        let id = 2 + number % 65_534;
        assert_eq!(last, format!("PUBLISH a x q1 #{id}"));
        broker.send(subscriber, puback(u16::try_from(id).expect("an id has 16 bits")));
    }
    assert_eq!(last, "PUBLISH a x q1 #3");
}
