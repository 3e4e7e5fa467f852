//! What a connection publishes.

use skein_protocol::{
    PacketId, QoS, Version,
    wire::{put_string, put_u8, put_u16, put_varint},
};

use super::in_flight::InFlight;
use crate::{
    plan::Topology,
    verify::{Payloads, Stamp},
};

/// The type and flags of a PUBLISH, without its QoS.
const PUBLISH: u8 = 0x30;

/// The messages of one connection: its streams in turn.
#[derive(Debug)]
pub(crate) struct Publisher {
    outlets: Vec<Outlet>,
    /// The outlet whose turn it is.
    turn: usize,
    /// Messages that it may still send, of all streams.
    left: u64,
    in_flight: InFlight,
    head: Head,
    /// Messages that the broker refused with the reason in their acknowledgement.
    refused: u64,
    /// When the first and the last message were sent.
    first_ns: Option<u64>,
    last_ns: u64,
}

/// One stream and how far it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outlet {
    /// The stream.
    pub(crate) stream: u32,
    /// Its group.
    pub(crate) group: usize,
    /// Messages sent, and the sequence of the next one.
    pub(crate) sent: u64,
}

/// The bytes of a PUBLISH in front of its packet id, for one topic.
#[derive(Debug)]
struct Head {
    version: Version,
    qos: QoS,
    retain: bool,
    bytes: Vec<u8>,
    /// Group and number of the topic that `bytes` are for.
    topic: Option<(usize, usize)>,
}

impl Publisher {
    /// One for these streams, with `messages` of all together.
    pub(crate) fn new(
        topology: &Topology,
        streams: &[u32],
        messages: u64,
        version: Version,
        qos: QoS,
    ) -> Self {
        let outlet = |stream: &u32| {
            let group = topology.streams[*stream as usize].group;
            Outlet { stream: *stream, group, sent: 0 }
        };
        Self {
            outlets: streams.iter().map(outlet).collect(),
            turn: 0,
            left: messages,
            in_flight: InFlight::new(qos, 0),
            head: Head { version, qos, retain: false, bytes: Vec::new(), topic: None },
            refused: 0,
            first_ns: None,
            last_ns: 0,
        }
    }

    /// The same, to be retained.
    pub(crate) fn retained(mut self) -> Self {
        self.head.retain = true;
        self
    }

    /// How many messages may be unacknowledged, now that the broker has said what it bears.
    pub(crate) fn begin(&mut self, limit: u16) {
        self.in_flight = InFlight::new(self.head.qos, limit);
    }

    /// Its streams.
    pub(crate) fn outlets(&self) -> &[Outlet] {
        &self.outlets
    }

    /// From the first message to the last.
    pub(crate) fn span_ns(&self) -> u64 {
        self.first_ns.map_or(0, |first_ns| self.last_ns - first_ns)
    }

    /// Whether it has sent all, and all is acknowledged.
    pub(crate) fn is_settled(&self) -> bool {
        self.left == 0 && self.in_flight.len() == 0
    }

    /// Messages that the broker refused.
    pub(crate) fn refused(&self) -> u64 {
        self.refused
    }

    /// Whether it has sent all.
    #[inline]
    pub(crate) fn is_done(&self) -> bool {
        self.left == 0
    }

    /// Sends nothing more.
    pub(crate) fn stop(&mut self) {
        self.left = 0;
    }

    /// Whether it has a message and may send it.
    #[inline]
    pub(crate) fn may_send(&self) -> bool {
        self.left > 0 && self.in_flight.has_room()
    }

    /// The group of the outlet whose turn it is.
    #[inline]
    pub(crate) fn group(&self) -> usize {
        self.outlets[self.turn].group
    }

    /// It is the next outlet's turn.
    #[inline]
    pub(crate) fn pass(&mut self) {
        self.turn += 1;
        if self.turn == self.outlets.len() {
            self.turn = 0;
        }
    }

    /// Appends the next PUBLISH of the outlet whose turn it is, which passes on.
    #[inline]
    pub(crate) fn publish(
        &mut self,
        topology: &Topology,
        payloads: &Payloads,
        (intended_ns, now_ns): (u64, u64),
        out: &mut Vec<u8>,
    ) {
        let outlet = &mut self.outlets[self.turn];
        let topics = &topology.groups[outlet.group].topics;
        let number = topic_number(outlet.sent, topics.len());
        let late_us = (now_ns.saturating_sub(intended_ns) / 1000).min(u64::from(u32::MAX)) as u32;
        let stamp = Stamp { stream: outlet.stream, sequence: outlet.sent, intended_ns, late_us };
        if self.head.topic != Some((outlet.group, number)) {
            self.head.write(&topics[number], payloads.length());
            self.head.topic = Some((outlet.group, number));
        }
        self.first_ns.get_or_insert(now_ns);
        self.last_ns = now_ns;
        outlet.sent += 1;
        self.left -= 1;
        out.extend_from_slice(&self.head.bytes);
        if let Some(id) = self.in_flight.begin(now_ns) {
            put_u16(out, id.get());
        }
        if self.head.version == Version::V5 {
            put_u8(out, NO_PROPERTIES);
        }
        payloads.write(&stamp, out);
        self.pass();
    }

    /// When the message was sent that a PUBACK finishes.
    #[inline]
    pub(crate) fn on_puback(&mut self, id: PacketId, refused: bool) -> Option<u64> {
        self.refused += u64::from(refused);
        self.in_flight.on_puback(id)
    }

    /// Appends the PUBREL that a PUBREC calls for, if it does.
    #[inline]
    pub(crate) fn on_pubrec(&mut self, id: PacketId, refused: bool, out: &mut Vec<u8>) {
        self.refused += u64::from(refused);
        if self.in_flight.on_pubrec(id, refused) {
            out.extend_from_slice(&PUBREL);
            put_u16(out, id.get());
        }
    }

    /// When the message was sent that a PUBCOMP finishes.
    #[inline]
    pub(crate) fn on_pubcomp(&mut self, id: PacketId) -> Option<u64> {
        self.in_flight.on_pubcomp(id)
    }
}

/// Which of a group's topics a message of a stream goes to.
#[inline]
pub(crate) fn topic_number(sequence: u64, topics: usize) -> usize {
    if topics == 1 { 0 } else { (sequence % topics as u64) as usize }
}

impl Head {
    fn write(&mut self, topic: &str, payload_len: usize) {
        let packet_id = if self.qos == QoS::AtMostOnce { 0 } else { 2 };
        let properties = usize::from(self.version == Version::V5);
        let body_len = 2 + topic.len() + packet_id + properties + payload_len;
        self.bytes.clear();
        put_u8(&mut self.bytes, PUBLISH | (self.qos as u8) << 1 | u8::from(self.retain));
        put_varint(&mut self.bytes, body_len as u32);
        put_string(&mut self.bytes, topic);
    }
}

/// The header of a PUBREL with nothing but a packet id.
const PUBREL: [u8; 2] = [0x62, 2];
/// A Property Length of 0.
const NO_PROPERTIES: u8 = 0;

#[cfg(test)]
mod tests {
    use skein_protocol::{Frame, Packet};

    use super::*;
    use crate::plan::Audience;

    fn published(version: Version, qos: QoS) -> Vec<String> {
        let topology = Topology::new("topics:2".parse().unwrap(), Audience::Named, "t");
        let payloads = Payloads::new(1, 200);
        let mut publisher = Publisher::new(&topology, &[0], 3, version, qos);
        publisher.begin(10);
        let mut out = Vec::new();
        while publisher.may_send() {
            publisher.publish(&topology, &payloads, (5, 6), &mut out);
        }
        let (mut texts, mut rest) = (Vec::new(), &*out);
        while let Some((frame, length)) = Frame::decode(rest, usize::MAX).unwrap() {
            texts.push(Packet::decode(frame, version).unwrap().to_string());
            rest = &rest[length..];
        }
        texts
    }

    /// [MQTT-3.3.2-1] [MQTT-2.2.1-2]: what is written in pieces is a PUBLISH of its version.
    #[test]
    fn its_packets_are_publishes_and_take_the_topics_in_turn() {
        for version in Version::ALL {
            let texts = published(version, QoS::AtMostOnce);
            assert_eq!(texts.len(), 3);
            assert_eq!(texts[1], "PUBLISH topic=\"t/1\" qos=0 payload=200 bytes");
            let texts = published(version, QoS::ExactlyOnce);
            assert_eq!(texts[2], "PUBLISH topic=\"t/0\" qos=2 id=3 payload=200 bytes");
        }
    }
}
