//! Kept messages that nobody holds any more: the next ones take their memory.

use std::rc::Rc;

use super::{Application, ApplicationRef, Pool};

/// A message with more memory than this is given back to the allocator.
const SPARE_BYTES_MAX: usize = 2 * 1024;
/// Messages that a shard keeps: what 20 publishers with 100 messages each have in flight.
const SPARES_MAX: usize = 2_048;

/// Makes the copies that queues and windows of one shard share. A message of QoS 1 or 2 is kept from
/// its delivery to its acknowledgement; in the steady state each takes the place of one that is
/// over, and nothing is allocated.
#[derive(Debug, Default)]
pub struct KeptMessages {
    /// Each is held by nobody else.
    spares: Pool<Rc<Application>, SPARES_MAX>,
}

impl KeptMessages {
    /// A copy of a message, with its topic as `topic` holds it, if that is known.
    pub fn keep(
        &mut self,
        message: &ApplicationRef<'_>,
        topic: Option<&Rc<str>>,
    ) -> Rc<Application> {
        let topic = topic.map_or_else(|| message.topic.into(), Rc::clone);
        if let Some(mut spare) = self.spares.take()
            && let Some(over) = Rc::get_mut(&mut spare)
        {
            *over = message.keep_in(topic, over.take_memory());
            return spare;
        }
        Rc::new(message.keep_in(topic, Vec::new()))
    }

    /// A holder of a message needs it no more; the last one leaves its memory here.
    pub fn release(&mut self, mut message: Rc<Application>) {
        let Some(over) = Rc::get_mut(&mut message) else { return };
        if over.clear() <= SPARE_BYTES_MAX {
            self.spares.give(message);
        }
    }

    /// What waits for its next use.
    pub fn spares(&mut self) -> &mut Pool<Rc<Application>, SPARES_MAX> {
        &mut self.spares
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use skein_protocol::qos::QoS;

    use super::*;
    use crate::session::{Payload, SHARED_PAYLOAD_BYTES_MIN};

    fn message<'a>(topic: &'a str, payload: Payload<'a>) -> ApplicationRef<'a> {
        let (qos, retain) = (QoS::AtLeastOnce, false);
        ApplicationRef { topic, properties: &[1, 1], payload, qos, retain, expires_at: None }
    }

    #[test]
    fn a_message_takes_the_place_of_one_that_is_over_and_has_nothing_of_it() {
        let mut kept = KeptMessages::default();
        let first = kept.keep(&message("a/long/topic", Payload::Inline(&[7; 500])), None);
        let (place, topic) = (Rc::as_ptr(&first), Rc::from("b"));
        kept.release(first);
        let second = kept.keep(&message("b", Payload::Inline(b"x")), Some(&topic));
        assert_eq!(Rc::as_ptr(&second), place);
        let seen = second.borrow();
        assert_eq!(
            (seen.topic, seen.properties, seen.payload.as_slice()),
            ("b", &[1, 1][..], &b"x"[..])
        );
    }

    #[test]
    fn what_somebody_still_holds_is_not_used_again() {
        let mut kept = KeptMessages::default();
        let first = kept.keep(&message("a", Payload::Inline(b"x")), None);
        kept.release(Rc::clone(&first));
        assert!(kept.spares().is_empty());
        kept.release(first);
        assert!(!kept.spares().is_empty());
    }

    #[test]
    fn large_payloads_are_let_go_at_once() {
        let mut kept = KeptMessages::default();
        let large = Rc::new(Bytes::from(vec![7; SHARED_PAYLOAD_BYTES_MIN]));
        let shared = kept.keep(&message("a", Payload::Shared(&large)), None);
        kept.release(shared);
        assert_eq!(Rc::strong_count(&large), 1);
        let spares = kept.spares().take();
        assert!(spares.is_some());
        let long = kept.keep(&message("a", Payload::Inline(&[7; SPARE_BYTES_MAX])), None);
        kept.release(long);
        assert!(kept.spares().is_empty());
    }
}
