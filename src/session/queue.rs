//! The messages a session waits for: bounded by number and bytes, with a policy for what does
//! not fit.

use super::{Delivery, Time, segments::Segments};
use crate::config::Overflow;

/// How much one session may keep.
#[derive(Clone, Copy, Debug)]
pub struct QueueLimits {
    /// `queue_messages_max`.
    pub messages_max: usize,
    /// `queue_bytes_max`.
    pub bytes_max: usize,
}

/// What became of a delivery that was to be queued.
#[derive(Debug)]
pub enum Pushed {
    /// It waits.
    Queued,
    /// It did not fit and is given back (`drop-newest`, `refuse`).
    DroppedNewest(Delivery),
    /// It waits; these had to go for it (`drop-oldest`).
    DroppedOldest(Vec<Delivery>),
    /// It did not fit, and the session's connection is to be closed (`disconnect`).
    Overflowed(Delivery),
}

/// QoS 1 and 2 messages that wait for a session, oldest first.
#[derive(Debug, Default)]
pub struct Queue {
    waiting: Segments<Delivery>,
    bytes: usize,
    /// No message that waits expires before.
    expires_from: Option<Time>,
}

impl Queue {
    /// How many wait.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Bytes they are charged with.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether one more delivery of this size fits.
    pub fn fits(&self, bytes: usize, limits: QueueLimits) -> bool {
        self.waiting.len() < limits.messages_max && self.bytes + bytes <= limits.bytes_max
    }

    /// Whether a delivery of this size is queued, perhaps over older ones.
    pub fn takes(&self, bytes: usize, limits: QueueLimits, overflow: Overflow) -> bool {
        let makes_room = overflow == Overflow::DropOldest && limits.messages_max > 0;
        self.fits(bytes, limits) || (makes_room && bytes <= limits.bytes_max)
    }

    /// Appends a delivery, or does what the policy says when it does not fit.
    pub fn push(&mut self, delivery: Delivery, limits: QueueLimits, overflow: Overflow) -> Pushed {
        if self.fits(delivery.bytes(), limits) {
            self.push_unbounded(delivery);
            return Pushed::Queued;
        }
        match overflow {
            Overflow::DropNewest | Overflow::Refuse => Pushed::DroppedNewest(delivery),
            Overflow::Disconnect => Pushed::Overflowed(delivery),
            Overflow::DropOldest => self.push_over_oldest(delivery, limits),
        }
    }

    fn push_over_oldest(&mut self, delivery: Delivery, limits: QueueLimits) -> Pushed {
        if delivery.bytes() > limits.bytes_max || limits.messages_max == 0 {
            return Pushed::DroppedNewest(delivery);
        }
        let mut dropped = Vec::new();
        while !self.fits(delivery.bytes(), limits) {
            dropped.extend(self.pop());
        }
        self.push_unbounded(delivery);
        Pushed::DroppedOldest(dropped)
    }

    /// Appends a delivery whatever the limits: for retained replies, which come in bounded steps
    /// and are never cut short.
    pub fn push_unbounded(&mut self, delivery: Delivery) {
        if let Some(at) = delivery.message.borrow().expires_at {
            self.expires_from = Some(self.expires_from.map_or(at, |from| from.min(at)));
        }
        self.bytes += delivery.bytes();
        self.waiting.push_back(delivery);
    }

    /// When [`Queue::take_expired`] may find something, at the earliest.
    pub fn expires_from(&self) -> Option<Time> {
        self.expires_from
    }

    /// Takes out what has expired [MQTT-3.3.2-5]; looks at nothing as long as nothing can have.
    pub fn take_expired(&mut self, now: Time) -> Vec<Delivery> {
        if self.expires_from.is_none_or(|from| now < from) {
            return Vec::new();
        }
        self.take(|delivery| delivery.message.borrow().is_expired(now))
    }

    /// Takes out what is like this; the rest keeps its order.
    pub fn take(&mut self, is_like_this: impl Fn(&Delivery) -> bool) -> Vec<Delivery> {
        let all = std::mem::take(&mut self.waiting);
        let (mut taken, mut left) = (Vec::new(), Segments::default());
        for delivery in all {
            if is_like_this(&delivery) { taken.push(delivery) } else { left.push_back(delivery) }
        }
        self.bytes -= taken.iter().map(Delivery::bytes).sum::<usize>();
        self.expires_from = left.iter().filter_map(|d| d.message.borrow().expires_at).min();
        self.waiting = left;
        taken
    }

    /// What waits, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &Delivery> {
        self.waiting.iter()
    }

    /// The oldest.
    pub fn front(&self) -> Option<&Delivery> {
        self.waiting.front()
    }

    /// Takes the oldest out.
    pub fn pop(&mut self) -> Option<Delivery> {
        let delivery = self.waiting.pop_front()?;
        self.bytes -= delivery.bytes();
        if self.waiting.is_empty() {
            self.expires_from = None;
        }
        Some(delivery)
    }

    /// Takes all out, oldest first.
    pub fn drain(&mut self) -> impl Iterator<Item = Delivery> + use<> {
        std::mem::take(self).waiting.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use skein_protocol::qos::QoS;

    use super::{
        super::{Application, ApplicationRef, Payload},
        *,
    };

    fn delivery(payload: &[u8]) -> Delivery {
        let message = ApplicationRef {
            topic: "t",
            properties: &[],
            payload: Payload::Inline(payload),
            qos: QoS::AtLeastOnce,
            retain: false,
            expires_at: None,
        };
        Delivery::new(Rc::new(message.to_owned()), QoS::AtLeastOnce)
    }

    fn payloads(queue: &mut Queue) -> Vec<Vec<u8>> {
        queue.drain().map(|d| d.message.borrow().payload.as_slice().to_vec()).collect()
    }

    const TWO: QueueLimits = QueueLimits { messages_max: 2, bytes_max: 10_000 };

    #[test]
    fn drop_newest_keeps_what_waits() {
        let mut queue = Queue::default();
        for payload in [b"1", b"2"] {
            assert!(matches!(
                queue.push(delivery(payload), TWO, Overflow::DropNewest),
                Pushed::Queued
            ));
        }
        let pushed = queue.push(delivery(b"3"), TWO, Overflow::DropNewest);
        assert!(matches!(pushed, Pushed::DroppedNewest(_)));
        assert_eq!(payloads(&mut queue), [b"1", b"2"]);
    }

    #[test]
    fn drop_oldest_makes_room_for_the_newest() {
        let mut queue = Queue::default();
        for payload in [b"1", b"2", b"3"] {
            queue.push(delivery(payload), TWO, Overflow::DropOldest);
        }
        assert_eq!(payloads(&mut queue), [b"2", b"3"]);
    }

    #[test]
    fn drop_oldest_never_empties_the_queue_for_what_can_not_fit() {
        let limits = QueueLimits { messages_max: 9, bytes_max: Application::OVERHEAD_BYTES + 10 };
        let mut queue = Queue::default();
        queue.push(delivery(b"1"), limits, Overflow::DropOldest);
        let pushed = queue.push(delivery(&[0; 100]), limits, Overflow::DropOldest);
        assert!(matches!(pushed, Pushed::DroppedNewest(_)));
        assert_eq!(queue.len(), 1);
    }

    /// [MQTT-3.3.2-5]
    #[test]
    fn what_has_expired_is_taken_out_and_the_rest_keeps_its_order() {
        let mut queue = Queue::default();
        for (payload, at) in [(b"1", None), (b"2", Some(5)), (b"3", Some(9)), (b"4", None)] {
            let mut delivery = delivery(payload);
            let mut message = delivery.message.borrow();
            message.expires_at = at.map(Time::from_millis);
            delivery.message = Rc::new(message.to_owned());
            queue.push_unbounded(delivery);
        }
        assert!(queue.take_expired(Time::from_millis(4)).is_empty());
        assert_eq!(queue.take_expired(Time::from_millis(5)).len(), 1);
        assert_eq!(queue.expires_from(), Some(Time::from_millis(9)));
        assert_eq!(payloads(&mut queue), [b"1", b"3", b"4"]);
        assert_eq!((queue.bytes(), queue.expires_from()), (0, None));
    }

    #[test]
    fn bytes_come_back_to_zero() {
        let mut queue = Queue::default();
        queue.push(delivery(b"1"), TWO, Overflow::Disconnect);
        queue.push(delivery(b"22"), TWO, Overflow::Disconnect);
        assert!(matches!(
            queue.push(delivery(b"3"), TWO, Overflow::Disconnect),
            Pushed::Overflowed(_)
        ));
        while queue.pop().is_some() {}
        assert_eq!(queue.bytes(), 0);
    }
}
