//! A part of a long queue as bytes: what its deliveries are, all but the shared subscription they
//! were picked for, which those that lie in a chunk do not have.

use std::rc::Rc;

use bytes::Bytes;

use super::{
    Application, ApplicationRef, Delivery, Matched, Payload, SHARED_PAYLOAD_BYTES_MIN, Time,
};
use crate::record::{Batch, Record, Records};

/// The deliveries as records, two for each. Times are those of the broker's clock: a chunk is worth
/// nothing after a restart.
pub(super) fn encode<'a>(deliveries: impl Iterator<Item = &'a Delivery>) -> Batch {
    let mut batch = Batch::default();
    for delivery in deliveries {
        let message = delivery.message.borrow();
        let expires_at_ms = message.expires_at.map(Time::as_millis);
        batch.push_with(|out| message.to_record(0, expires_at_ms).encode(out));
        batch.push_with(|out| delivery.to_record("", 0, None).encode(out));
    }
    batch
}

/// The deliveries of a chunk; `None` if its bytes are not what was written.
pub(super) fn decode(bytes: &[u8]) -> Option<Vec<Delivery>> {
    let mut records = Records::new(bytes);
    let mut deliveries: Vec<Delivery> = Vec::new();
    while let Some(record) = records.next() {
        let before = deliveries.last().map(|delivery| &*delivery.message);
        let message = Rc::new(message(&Record::decode(record).ok()?, before)?);
        let Record::Queued { entry, qos, retain, identifiers, .. } =
            Record::decode(records.next()?).ok()?
        else {
            return None;
        };
        let mut delivery = Delivery::new(message, qos);
        (delivery.entry, delivery.retain) = (entry, retain);
        delivery.matched = Matched::new(&identifiers, None);
        deliveries.push(delivery);
    }
    Some(deliveries)
}

/// The message of a record. Many a message has the topic of the one before it, and shares it.
fn message(record: &Record<'_>, before: Option<&Application>) -> Option<Application> {
    let Record::Message { topic, properties, payload, qos, retain, expires_at_ms, .. } = record
    else {
        return None;
    };
    let large = (payload.len() >= SHARED_PAYLOAD_BYTES_MIN)
        .then(|| Rc::new(Bytes::copy_from_slice(payload)));
    let message = ApplicationRef {
        topic,
        properties,
        payload: large.as_ref().map_or(Payload::Inline(payload), Payload::Shared),
        qos: *qos,
        retain: *retain,
        expires_at: expires_at_ms.map(Time::from_millis),
    };
    let known = before.filter(|before| before.topic() == topic).map(Application::shared_topic);
    Some(message.keep_in(known.unwrap_or_else(|| Rc::from(&**topic)), Vec::new()))
}

#[cfg(test)]
mod tests {
    use skein_protocol::qos::QoS;

    use super::*;

    fn delivery(topic: &str, payload: &[u8], expires_at: Option<Time>) -> Delivery {
        let large = Rc::new(Bytes::copy_from_slice(payload));
        let is_large = payload.len() >= SHARED_PAYLOAD_BYTES_MIN;
        let message = ApplicationRef {
            topic,
            properties: &[1, 1],
            payload: if is_large { Payload::Shared(&large) } else { Payload::Inline(payload) },
            qos: QoS::ExactlyOnce,
            retain: true,
            expires_at,
        };
        let mut delivery = Delivery::new(Rc::new(message.to_owned()), QoS::AtLeastOnce);
        (delivery.entry, delivery.retain) = (7, true);
        delivery.matched = Matched::new(&[3, 9], None);
        delivery
    }

    #[test]
    fn deliveries_come_out_as_they_went_in() {
        let large = vec![5; SHARED_PAYLOAD_BYTES_MIN];
        let expires_at = Some(Time::from_millis(77));
        let all = [
            delivery("a", b"x", None),
            delivery("a", b"", expires_at),
            delivery("b", &large, None),
        ];
        let read = decode(encode(all.iter()).as_bytes()).expect("it is whole");
        let shown = |all: &[Delivery]| format!("{all:?}");
        assert_eq!(shown(&read), shown(&all));
        assert_eq!(
            read.iter().map(Delivery::bytes).collect::<Vec<_>>(),
            all.iter().map(Delivery::bytes).collect::<Vec<_>>()
        );
        let topics = [&read[0], &read[1]].map(|delivery| delivery.message.topic().as_ptr());
        assert_eq!(topics[0], topics[1], "one copy for both");
    }

    #[test]
    fn a_plain_delivery_has_no_identifiers() {
        let mut plain = delivery("a", b"x", None);
        plain.matched = None;
        let read = decode(encode([plain].iter()).as_bytes()).expect("it is whole");
        assert_eq!(read[0].matched, None);
    }

    #[test]
    fn what_is_cut_is_refused() {
        let batch = encode([delivery("a", b"x", None), delivery("b", b"y", None)].iter());
        let whole = batch.as_bytes();
        let read = |length| decode(&whole[..length]).map(|deliveries| deliveries.len());
        let heard: Vec<_> = (0..=whole.len()).filter_map(read).collect();
        assert_eq!(heard, [0, 1, 2], "only whole deliveries are read");
    }
}
