//! Bytes → frame → packet.

use std::hint::black_box;

use skein_protocol::{
    Frame, Packet, QoS, TopicName, Version,
    packet::{Ack, Publish, PublishProperties},
    qos::PacketId,
};

use super::Run;

/// Packets that are cut and parsed in one run.
pub(crate) const PACKETS: u64 = 100;

pub(crate) fn publish() -> Run {
    let stream = repeated(Version::V3_1_1, &message(PublishProperties::default()));
    Box::new(move || parse_publishes(black_box(&stream), Version::V3_1_1))
}

pub(crate) fn publish_v5() -> Run {
    let properties = PublishProperties {
        message_expiry_s: Some(60),
        content_type: Some("application/json"),
        ..PublishProperties::default()
    };
    let stream = repeated(Version::V5, &message(properties));
    Box::new(move || parse_publishes(black_box(&stream), Version::V5))
}

pub(crate) fn puback() -> Run {
    let id = PacketId::new(7).expect("7 is not 0");
    let stream = repeated(Version::V3_1_1, &Packet::PubAck(Ack::success(id)));
    Box::new(move || {
        each_frame(black_box(&stream), |frame| {
            black_box(Ack::decode(frame, Version::V3_1_1).expect("it was encoded just now"));
        });
    })
}

fn message(properties: PublishProperties<'_>) -> Packet<'_> {
    Packet::Publish(Publish {
        dup: false,
        qos: QoS::AtMostOnce,
        retain: false,
        topic: TopicName::new("plant/7/sensor/4711").ok(),
        packet_id: None,
        properties,
        payload: &[b'x'; 64],
    })
}

fn repeated(version: Version, packet: &Packet<'_>) -> Vec<u8> {
    let mut stream = Vec::new();
    for _ in 0..PACKETS {
        packet.encode(version, &mut stream);
    }
    stream
}

fn parse_publishes(stream: &[u8], version: Version) {
    each_frame(stream, |frame| {
        black_box(Publish::decode(frame, version).expect("it was encoded just now"));
    });
}

/// Cuts a stream of whole packets.
pub(crate) fn each_frame<'a>(mut stream: &'a [u8], mut visit: impl FnMut(Frame<'a>)) {
    while let Ok(Some((frame, size))) = Frame::decode(stream, 1 << 20) {
        visit(frame);
        stream = &stream[size..];
    }
}
