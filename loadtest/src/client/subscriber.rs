//! What a connection makes of the messages it gets.

use skein_protocol::{
    Error, Frame, PacketId, QoS, Version,
    wire::{Reader, put_u16},
};

/// Words of a bit for each packet id.
const WORDS: usize = (u16::MAX as usize + 1) / 64;

/// A PUBLISH, as far as a subscriber reads it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Delivery<'a> {
    /// Whether it may have been sent before.
    pub(crate) dup: bool,
    /// The topic's bytes; whether they are the right ones, the stream tells.
    pub(crate) topic: &'a [u8],
    /// The payload.
    pub(crate) payload: &'a [u8],
}

/// The receiving half of a connection.
#[derive(Debug)]
pub(crate) struct Subscriber {
    version: Version,
    /// The unit it belongs to, as a number of its thread's units.
    pub(crate) unit: usize,
    /// QoS 2 messages that were received and not released: a bit for each packet id.
    unreleased: Option<Box<[u64; WORDS]>>,
    /// When the first and the last message came.
    first_ns: Option<u64>,
    last_ns: u64,
}

impl Subscriber {
    /// One that has received nothing.
    pub(crate) fn new(version: Version, unit: usize) -> Self {
        Self { version, unit, unreleased: None, first_ns: None, last_ns: 0 }
    }

    /// Reads a PUBLISH and appends its acknowledgement. `None` if it is a QoS 2 message that was
    /// received before and not released: that is no delivery [MQTT-4.3.3-10].
    #[inline(always)]
    pub(crate) fn on_publish<'a>(
        &mut self,
        frame: Frame<'a>,
        out: &mut Vec<u8>,
    ) -> Result<Option<Delivery<'a>>, Error> {
        let mut reader = Reader::new(frame.body);
        let topic = reader.binary()?;
        let qos = frame.header >> 1 & 3;
        let mut is_new = true;
        if qos > 0 {
            let id = reader.packet_id()?;
            let answer = if qos == QoS::AtLeastOnce as u8 { PUBACK } else { PUBREC };
            out.extend_from_slice(&answer);
            put_u16(out, id.get());
            is_new = answer == PUBACK || self.mark(id);
        }
        if self.version == Version::V5 {
            let length = reader.varint()?;
            reader.take(length as usize)?;
        }
        let dup = frame.header & DUP != 0;
        Ok(is_new.then_some(Delivery { dup, topic, payload: reader.rest() }))
    }

    /// A message came.
    #[inline]
    pub(crate) fn note_time(&mut self, now_ns: u64) {
        self.first_ns.get_or_insert(now_ns);
        self.last_ns = now_ns;
    }

    /// From the first message to the last.
    pub(crate) fn span_ns(&self) -> u64 {
        self.first_ns.map_or(0, |first_ns| self.last_ns - first_ns)
    }

    /// Appends the PUBCOMP that a PUBREL calls for.
    #[inline]
    pub(crate) fn on_pubrel(&mut self, id: PacketId, out: &mut Vec<u8>) {
        let (place, bit) = place(id);
        if let Some(unreleased) = &mut self.unreleased {
            unreleased[place] &= !bit;
        }
        out.extend_from_slice(&PUBCOMP);
        put_u16(out, id.get());
    }

    /// Notes that a QoS 2 message was received; false if it had been.
    #[inline]
    fn mark(&mut self, id: PacketId) -> bool {
        let (place, bit) = place(id);
        let word = &mut self.unreleased.get_or_insert_with(|| Box::new([0; WORDS]))[place];
        let was_marked = *word & bit != 0;
        *word |= bit;
        !was_marked
    }
}

#[inline]
fn place(id: PacketId) -> (usize, u64) {
    (usize::from(id.get()) / 64, 1 << (id.get() % 64))
}

const DUP: u8 = 0x08;
const PUBACK: [u8; 2] = [0x40, 2];
const PUBREC: [u8; 2] = [0x50, 2];
const PUBCOMP: [u8; 2] = [0x70, 2];

#[cfg(test)]
mod tests {
    use super::*;

    fn receive(subscriber: &mut Subscriber, bytes: &[u8]) -> (Option<Vec<u8>>, Vec<u8>) {
        let mut out = Vec::new();
        let (frame, _) = Frame::decode(bytes, 100).unwrap().unwrap();
        let delivery = subscriber.on_publish(frame, &mut out).unwrap();
        (delivery.map(|delivery| delivery.payload.to_vec()), out)
    }

    #[test]
    fn each_qos_is_answered_in_its_way() {
        let mut subscriber = Subscriber::new(Version::V3_1_1, 0);
        let payload = Some(b"x".to_vec());
        assert_eq!(
            receive(&mut subscriber, &[0x30, 4, 0, 1, b't', b'x']),
            (payload.clone(), vec![])
        );
        let at_least_once = [0x32, 6, 0, 1, b't', 0, 7, b'x'];
        assert_eq!(
            receive(&mut subscriber, &at_least_once),
            (payload.clone(), vec![0x40, 2, 0, 7])
        );
        let exactly_once = [0x34, 6, 0, 1, b't', 0, 7, b'x'];
        assert_eq!(receive(&mut subscriber, &exactly_once), (payload, vec![0x50, 2, 0, 7]));
    }

    /// [MQTT-4.3.3-10] [MQTT-4.3.3-11] [MQTT-4.3.3-12]
    #[test]
    fn an_unreleased_message_that_comes_again_is_no_delivery() {
        let mut subscriber = Subscriber::new(Version::V5, 0);
        let bytes = [0x34, 7, 0, 1, b't', 0, 7, 0, b'x'];
        assert!(receive(&mut subscriber, &bytes).0.is_some());
        assert_eq!(receive(&mut subscriber, &bytes), (None, vec![0x50, 2, 0, 7]));
        let mut out = Vec::new();
        subscriber.on_pubrel(PacketId::new(7).unwrap(), &mut out);
        assert_eq!(out, [0x70, 2, 0, 7]);
        assert!(receive(&mut subscriber, &bytes).0.is_some());
    }
}
