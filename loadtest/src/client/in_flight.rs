//! A publisher's unacknowledged messages.
//!
//! ```text
//!             ┌── QoS 1 ──▶ Published ── PUBACK ─────────────────────────────▶ free
//!    begin ───┤
//!             └── QoS 2 ──▶ Published ── PUBREC ──▶ Released ── PUBCOMP ─────▶ free
//!                               └── PUBREC ≥ 0x80 ───────────────────────────▶ free
//! ```

use std::collections::VecDeque;

use skein_protocol::{PacketId, QoS};

/// Where an exchange stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Free,
    Published,
    Released,
}

/// A publisher's unacknowledged messages, each with when it was sent.
#[derive(Debug)]
pub(crate) struct InFlight {
    qos: QoS,
    /// Packet ids, the one that has been free for longest first.
    free: VecDeque<PacketId>,
    /// By packet id, from 1.
    slots: Vec<(State, u64)>,
}

impl InFlight {
    /// At most `limit` messages at once; QoS 0 needs none.
    pub(crate) fn new(qos: QoS, limit: u16) -> Self {
        let limit = if qos == QoS::AtMostOnce { 0 } else { limit };
        let free = (1..=limit).filter_map(PacketId::new).collect();
        Self { qos, free, slots: vec![(State::Free, 0); usize::from(limit)] }
    }

    /// Whether one more message may be sent.
    #[inline]
    pub(crate) fn has_room(&self) -> bool {
        self.qos == QoS::AtMostOnce || !self.free.is_empty()
    }

    /// How many messages are unacknowledged.
    pub(super) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// A packet id for a message sent now; `None` for QoS 0, which has none, and if there is no
    /// room.
    #[inline]
    pub(crate) fn begin(&mut self, now_ns: u64) -> Option<PacketId> {
        let id = self.free.pop_front()?;
        self.slots[usize::from(id.get()) - 1] = (State::Published, now_ns);
        Some(id)
    }

    /// When the message was sent that a PUBACK finishes; `None` if it fits no message.
    #[inline]
    pub(crate) fn on_puback(&mut self, id: PacketId) -> Option<u64> {
        if self.qos == QoS::AtLeastOnce { self.finish(id, State::Published) } else { None }
    }

    /// Whether a PUBREC calls for a PUBREL. A refusal finishes the exchange.
    #[inline]
    pub(crate) fn on_pubrec(&mut self, id: PacketId, refused: bool) -> bool {
        let place = usize::from(id.get()) - 1;
        let Some((state, _)) = self.slots.get_mut(place) else { return false };
        if self.qos != QoS::ExactlyOnce || *state == State::Free {
            return false;
        }
        if refused {
            self.finish(id, State::Published);
            return false;
        }
        *state = State::Released;
        true
    }

    /// When the message was sent that a PUBCOMP finishes; `None` if it fits no message.
    #[inline]
    pub(crate) fn on_pubcomp(&mut self, id: PacketId) -> Option<u64> {
        self.finish(id, State::Released)
    }

    #[inline]
    fn finish(&mut self, id: PacketId, expected: State) -> Option<u64> {
        let slot = self.slots.get_mut(usize::from(id.get()) - 1)?;
        if slot.0 != expected {
            return None;
        }
        slot.0 = State::Free;
        self.free.push_back(id);
        Some(slot.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u16) -> PacketId {
        PacketId::new(number).unwrap()
    }

    #[test]
    fn qos_1_is_finished_by_puback() {
        let mut in_flight = InFlight::new(QoS::AtLeastOnce, 2);
        assert_eq!((in_flight.begin(10), in_flight.begin(20)), (Some(id(1)), Some(id(2))));
        assert_eq!((in_flight.has_room(), in_flight.begin(30)), (false, None));
        assert_eq!(in_flight.on_puback(id(2)), Some(20));
        assert_eq!(in_flight.on_puback(id(2)), None);
        assert_eq!(in_flight.on_puback(id(3)), None);
        assert_eq!((in_flight.len(), in_flight.begin(40)), (1, Some(id(2))));
    }

    #[test]
    fn qos_2_takes_two_steps() {
        let mut in_flight = InFlight::new(QoS::ExactlyOnce, 2);
        let (first, second) = (in_flight.begin(10).unwrap(), in_flight.begin(20).unwrap());
        assert_eq!((in_flight.on_puback(first), in_flight.on_pubcomp(first)), (None, None));
        assert!(in_flight.on_pubrec(first, false));
        assert_eq!(in_flight.on_pubcomp(first), Some(10));
        assert!(!in_flight.on_pubrec(first, false));
        assert!(!in_flight.on_pubrec(second, true));
        assert_eq!(in_flight.len(), 0);
    }

    #[test]
    fn qos_0_has_no_bound() {
        let mut in_flight = InFlight::new(QoS::AtMostOnce, 2);
        assert_eq!((in_flight.has_room(), in_flight.begin(1), in_flight.len()), (true, None, 0));
    }
}
