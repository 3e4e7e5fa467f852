//! Both handshakes, and what fits neither (4.3).

use skein_protocol::{Packet, ReasonCode, packet::Ack};

use crate::{
    broker::{Broker, Peer},
    packets::{
        again, id, lasting, puback, pubcomp, publish, publish2, pubrec, pubrel, subscribe, v3, v5,
    },
};

/// A publisher and a subscriber with QoS 2 on two shards.
fn broker() -> (Broker, Peer, Peer) {
    let mut broker = Broker::new(2);
    let publisher = broker.connect(0, v5("publisher"));
    let subscriber = broker.connect(1, lasting("subscriber", 60));
    broker.ask(subscriber, subscribe(1, "a", 2), ["SUBACK #1 0x02"]);
    (broker, publisher, subscriber)
}

/// [MQTT-4.3.3-8] to [MQTT-4.3.3-12]
#[test]
fn a_qos_2_publish_is_owned_at_pubrec_and_forgotten_at_pubrel() {
    let (mut broker, publisher, subscriber) = broker();
    broker.ask(publisher, publish2(7, "a", "x"), ["PUBREC #7"]);
    broker.ask(publisher, again(publish2(7, "a", "x")), ["PUBREC #7"]);
    broker.ask(publisher, pubrel(7), ["PUBCOMP #7"]);
    broker.expect(subscriber, ["PUBLISH a x q2 #1"]);
    broker.ask(publisher, publish2(7, "a", "y"), ["PUBREC #7"]);
    broker.expect(subscriber, ["PUBLISH a y q2 #2"]);
}

/// [MQTT-4.3.3-1] to [MQTT-4.3.3-7]
#[test]
fn a_qos_2_delivery_goes_through_pubrel_to_pubcomp() {
    let (mut broker, publisher, subscriber) = broker();
    broker.send(publisher, publish2(1, "a", "x"));
    broker.expect(subscriber, ["PUBLISH a x q2 #1"]);
    broker.ask(subscriber, pubrec(1), ["PUBREL #1"]);
    broker.ask(subscriber, pubrec(1), ["PUBREL #1"]);
    broker.ask(subscriber, pubcomp(1), []);
    broker.ask(subscriber, pubrec(1), ["PUBREL #1 0x92"]);
    assert_eq!(broker.audit(1).memory_bytes, 0);
}

/// [MQTT-4.3.3-4]: a PUBREC with 0x80 or above ends the exchange.
#[test]
fn a_refused_delivery_is_over() {
    let (mut broker, publisher, subscriber) = broker();
    broker.send(publisher, publish2(1, "a", "x"));
    broker.send(publisher, publish(2, "a", "y"));
    broker.hear(subscriber);
    let reason = ReasonCode::QuotaExceeded;
    broker.ask(subscriber, Packet::PubRec(Ack::with_reason(id(1), reason)), []);
    broker.ask(subscriber, Packet::PubAck(Ack::with_reason(id(2), reason)), []);
    assert_eq!(broker.audit(1).memory_bytes, 0);
    broker.cut(subscriber);
    let subscriber = broker.dial(0, lasting("subscriber", 60));
    broker.expect(subscriber, ["CONNACK present 0x00"]);
}

/// An acknowledgement that fits no exchange changes none, and ends no connection.
#[test]
fn stray_acknowledgements_change_nothing() {
    let (mut broker, publisher, subscriber) = broker();
    broker.send(publisher, publish2(1, "a", "x"));
    broker.send(publisher, publish(2, "a", "y"));
    broker.hear(subscriber);
    for stray in [puback(1), pubcomp(1), pubrec(2), pubcomp(2), puback(9), pubcomp(9)] {
        broker.ask(subscriber, stray, []);
    }
    broker.ask(subscriber, pubrel(9), ["PUBCOMP #9 0x92"]);
    broker.cut(subscriber);
    let subscriber = broker.dial(1, lasting("subscriber", 60));
    let owed = ["CONNACK present 0x00", "PUBLISH a x q2 #1 dup", "PUBLISH a y q1 #2 dup"];
    broker.expect(subscriber, owed);
}

/// An acknowledgement for what an earlier connection sent, before it is sent again.
#[test]
fn an_acknowledgement_overtakes_the_resend() {
    let (mut broker, publisher, subscriber) = broker();
    for number in 1..=3 {
        broker.send(publisher, publish(number, "a", "x"));
    }
    broker.cut(subscriber);
    let connect = crate::packets::with_receive_maximum(lasting("subscriber", 60), 1);
    let subscriber = broker.dial(1, connect);
    broker.expect(subscriber, ["CONNACK present 0x00", "PUBLISH a x q1 #1 dup"]);
    broker.ask(subscriber, puback(2), []);
    broker.ask(subscriber, puback(1), ["PUBLISH a x q1 #3 dup"]);
    broker.ask(subscriber, puback(3), []);
    assert_eq!(broker.audit(1).memory_bytes, 0);
}

/// 3.1.1 has no reasons: PUBREL and PUBCOMP answer all the same [MQTT-4.3.3-2 of 3.1.1].
#[test]
fn before_5_unknown_ids_are_answered_too() {
    let mut broker = Broker::new(1);
    let client = broker.connect(0, v3("client", true));
    broker.ask(client, pubrel(5), ["PUBCOMP #5"]);
    broker.ask(client, pubrec(5), ["PUBREL #5"]);
}

/// A QoS 2 exchange past PUBREC is finished though the message has expired meanwhile.
#[test]
fn expiry_never_breaks_an_exchange_past_pubrec() {
    let (mut broker, publisher, subscriber) = broker();
    broker.send(publisher, crate::packets::expiring(publish2(1, "a", "x"), 5));
    broker.expect(subscriber, ["PUBLISH a x q2 #1 expiry=5"]);
    broker.ask(subscriber, pubrec(1), ["PUBREL #1"]);
    broker.cut(subscriber);
    broker.wait_ms(10_000);
    let subscriber = broker.dial(0, lasting("subscriber", 60));
    broker.expect(subscriber, ["CONNACK present 0x00", "PUBREL #1"]);
    broker.ask(subscriber, pubcomp(1), []);
}
