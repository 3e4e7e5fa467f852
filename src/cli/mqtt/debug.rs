//! `-d`: what is sent and received, in Mosquitto's words.

use std::fmt::Write;

use skein_client::Version;
use skein_client::session::Direction;
use skein_protocol::{Ack, Frame, Packet, RetainHandling, SubscriptionOptions};

/// The lines that tell of a packet; each ends with its line.
pub(super) fn lines(
    direction: Direction,
    version: Version,
    bytes: &[u8],
    client_id: &str,
) -> String {
    let decoded = Frame::decode(bytes, usize::MAX).ok().flatten();
    let packet = decoded.and_then(|(frame, _)| Packet::decode(frame, version).ok());
    let Some(packet) = packet else { return String::new() };
    let client_id = if client_id.is_empty() { "(null)" } else { client_id };
    let (verb, told) = match direction {
        Direction::Sent => ("sending", sent(&packet)),
        Direction::Received => ("received", received(&packet, version)),
    };
    let mut lines = String::new();
    for line in told {
        // A String takes everything.
        let _ = writeln!(lines, "Client {client_id} {verb} {line}");
    }
    lines
}

fn sent(packet: &Packet<'_>) -> Vec<String> {
    let one = match packet {
        Packet::Publish(publish) => publish_line(publish),
        Packet::PubAck(ack) => sent_ack("PUBACK", ack),
        Packet::PubRec(ack) => sent_ack("PUBREC", ack),
        Packet::PubRel(ack) => format!("PUBREL (m{})", ack.packet_id),
        Packet::PubComp(ack) => format!("PUBCOMP (m{})", ack.packet_id),
        Packet::Subscribe(subscribe) => {
            let mid = subscribe.packet_id;
            let filters = subscribe.filters.iter().map(|(filter, options)| {
                let (qos, bits) = (options.qos as u8, option_bits(options));
                format!(
                    "SUBSCRIBE (Mid: {mid}, Topic: {filter}, QoS: {qos}, Options: 0x{bits:02x})"
                )
            });
            return filters.collect();
        }
        Packet::Unsubscribe(unsubscribe) => {
            let mid = unsubscribe.packet_id;
            let filters = unsubscribe.filters.iter();
            return filters.map(|it| format!("UNSUBSCRIBE (Mid: {mid}, Topic: {it})")).collect();
        }
        other => name(other),
    };
    vec![one]
}

fn received(packet: &Packet<'_>, version: Version) -> Vec<String> {
    vec![match packet {
        Packet::ConnAck(connack) => {
            let code = match version {
                Version::V5 => connack.reason as u8,
                _ => connack.reason.connack_return_code(),
            };
            format!("CONNACK ({code})")
        }
        Packet::Publish(publish) => publish_line(publish),
        Packet::PubAck(ack) => received_ack("PUBACK", ack),
        Packet::PubComp(ack) => received_ack("PUBCOMP", ack),
        Packet::PubRec(ack) => format!("PUBREC (Mid: {})", ack.packet_id),
        Packet::PubRel(ack) => format!("PUBREL (Mid: {})", ack.packet_id),
        Packet::Disconnect(disconnect) => format!("DISCONNECT ({})", disconnect.reason as u8),
        other => name(other),
    }]
}

/// The packet's name, as it begins when it is shown.
fn name(packet: &Packet<'_>) -> String {
    packet.to_string().split(' ').next().unwrap_or_default().to_owned()
}

fn publish_line(publish: &skein_protocol::Publish<'_>) -> String {
    let (dup, retain) = (u8::from(publish.dup), u8::from(publish.retain));
    let mid = publish.packet_id.map_or(0, |id| id.get());
    let topic = publish.topic.map_or("", |topic| topic.as_str());
    let (qos, bytes) = (publish.qos as u8, publish.payload.len());
    format!("PUBLISH (d{dup}, q{qos}, r{retain}, m{mid}, '{topic}', ... ({bytes} bytes))")
}

fn sent_ack(name: &str, ack: &Ack<'_>) -> String {
    format!("{name} (m{}, rc{})", ack.packet_id, ack.reason as u8)
}

fn received_ack(name: &str, ack: &Ack<'_>) -> String {
    format!("{name} (Mid: {}, RC:{})", ack.packet_id, ack.reason as u8)
}

/// The options of a subscription as they are on the wire (3.8.3.1), without the QoS.
fn option_bits(options: &SubscriptionOptions) -> u8 {
    let handling = match options.retain_handling {
        RetainHandling::SendAtSubscribe => 0,
        RetainHandling::SendIfNew => 1,
        RetainHandling::DoNotSend => 2,
    };
    u8::from(options.no_local) << 2 | u8::from(options.retain_as_published) << 3 | handling << 4
}

#[cfg(test)]
mod tests {
    use skein_protocol::{PacketId, QoS, Subscribe, TopicFilter, TopicName};

    use super::*;

    fn shown(direction: Direction, packet: &Packet<'_>, client_id: &str) -> String {
        let mut bytes = Vec::new();
        packet.encode(Version::V5, &mut bytes);
        lines(direction, Version::V5, &bytes, client_id)
    }

    fn id() -> PacketId {
        PacketId::new(3).expect("not zero")
    }

    #[test]
    fn packets_are_told_as_mosquitto_tells_them() {
        let publish = Packet::Publish(skein_protocol::Publish {
            dup: false,
            qos: QoS::AtLeastOnce,
            retain: true,
            topic: Some(TopicName::new("a").expect("a topic")),
            packet_id: Some(id()),
            properties: Default::default(),
            payload: b"12345",
        });
        assert_eq!(
            shown(Direction::Sent, &publish, "me"),
            "Client me sending PUBLISH (d0, q1, r1, m3, 'a', ... (5 bytes))\n"
        );
        let options = SubscriptionOptions {
            retain_handling: RetainHandling::DoNotSend,
            retain_as_published: true,
            ..SubscriptionOptions::with_qos(QoS::ExactlyOnce)
        };
        let subscribe = Packet::Subscribe(Subscribe {
            packet_id: id(),
            identifier: None,
            user_properties: Default::default(),
            filters: [(TopicFilter::new("#").expect("a filter"), options)].into_iter().collect(),
        });
        assert_eq!(
            shown(Direction::Sent, &subscribe, ""),
            "Client (null) sending SUBSCRIBE (Mid: 3, Topic: #, QoS: 2, Options: 0x28)\n"
        );
        let ack = Packet::PubComp(Ack::success(id()));
        let expected = "Client me received PUBCOMP (Mid: 3, RC:0)\n";
        assert_eq!(shown(Direction::Received, &ack, "me"), expected);
        assert_eq!(shown(Direction::Sent, &Packet::PingReq, "me"), "Client me sending PINGREQ\n");
    }
}
