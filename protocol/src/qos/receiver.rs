//! The receiver's half of the QoS 1 and QoS 2 handshakes [4.3, 4.9].
//!
//! The receiver keeps the very counter that 4.9 prescribes for a sender, so that no sender which
//! follows 4.9 to the letter is ever found guilty. It begins anew with each connection; every new
//! PUBLISH takes one; every PUBACK, PUBCOMP and refusing PUBREC gives one back, but never above
//! the Receive Maximum. Two things follow. An id held since an earlier connection counts only if
//! its message were to arrive as a new one, for its sender may resend no more than a PUBREL. And
//! a PUBCOMP gives back also where its PUBLISH was counted on an earlier connection, or nowhere.

use thin_vec::ThinVec;

use super::{PacketId, QoS};

/// How many pages an empty receiver may keep.
const PAGES_KEPT_MAX: usize = 4;

/// The ids of what arrived with QoS 1 or 2 and is not finished.
///
/// Allocates nothing until the first arrival. Holds at most one id per number, that is 24 KiB,
/// whatever a peer does; some 100 bytes as long as ids come in sequence.
#[derive(Debug, Default)]
pub struct Receiver {
    /// Ids in use, in order of their numbers; none of the pages is empty.
    pages: ThinVec<Page>,
    /// QoS 2 ids held.
    held: u16,
    /// New arrivals that this connection still allows.
    quota: u16,
    receive_maximum: u16,
}

/// What a PUBLISH of QoS 1 or 2 is to the receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// To be delivered.
    New,
    /// QoS 2 and held already: PUBREC again, never deliver again [MQTT-4.3.3-10].
    Duplicate,
}

/// Why a PUBLISH cannot be accepted. Nothing was changed by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ArrivalError {
    /// More unfinished PUBLISH on this connection than the Receive Maximum: DISCONNECT 0x93.
    #[error("[MQTT-3.3.4-7] more unacknowledged PUBLISH packets than the Receive Maximum")]
    ReceiveMaximumExceeded,
    /// The id belongs to an unfinished message of the other QoS, or to one of QoS 1: 0x91.
    #[error("[MQTT-2.2.1-3] packet identifier of a new PUBLISH is in use")]
    PacketIdInUse,
}

impl Receiver {
    /// Holds nothing, and allows nothing before a connection begins.
    pub fn new() -> Self {
        Self::default()
    }

    /// A new connection with the Receive Maximum that was announced on it (65,535 if none was).
    /// QoS 2 ids stay held. QoS 1 ids are forgotten: what was not acknowledged comes again, as a
    /// new message.
    pub fn begin_connection(&mut self, receive_maximum: u16) {
        self.receive_maximum = receive_maximum;
        self.quota = receive_maximum;
        for page in &mut self.pages {
            page.at_least_once = 0;
        }
        self.pages.retain(|page| !page.is_empty());
        self.pages.shrink_to_fit();
    }

    /// PUBLISH of QoS 1 or 2 arrived. A new one is open until [`Self::acknowledged`] (QoS 1, or
    /// refused) or [`Self::on_pubrel`].
    ///
    /// # Errors
    ///
    /// The peer broke its quota or used an id twice.
    #[inline]
    pub fn on_publish(&mut self, qos: QoS, id: PacketId) -> Result<Arrival, ArrivalError> {
        let (number, bit) = Page::place(id);
        let found = self.find(number);
        if let Ok(index) = found {
            let page = &self.pages[index];
            if page.exactly_once & bit != 0 && qos == QoS::ExactlyOnce {
                return Ok(Arrival::Duplicate);
            }
            if (page.exactly_once | page.at_least_once) & bit != 0 {
                return Err(ArrivalError::PacketIdInUse);
            }
        }
        self.quota = self.quota.checked_sub(1).ok_or(ArrivalError::ReceiveMaximumExceeded)?;
        let index = found.unwrap_or_else(|index| {
            self.pages.insert(index, Page { number, at_least_once: 0, exactly_once: 0 });
            index
        });
        if qos == QoS::ExactlyOnce {
            self.pages[index].exactly_once |= bit;
            self.held += 1;
        } else {
            self.pages[index].at_least_once |= bit;
        }
        Ok(Arrival::New)
    }

    /// PUBACK was sent, or PUBREC with a reason of 0x80 or above: the id is free again
    /// [MQTT-4.3.2-5], [MQTT-4.3.3-9].
    #[inline]
    pub fn acknowledged(&mut self, id: PacketId) {
        if self.free(id, true) {
            self.give_back();
        }
    }

    /// PUBREL arrived, so PUBCOMP is owed [MQTT-4.3.3-11]: with 0x00 if the id was held (true), it
    /// is free now [MQTT-4.3.3-12]; with 0x92 Packet Identifier not found if it was not (false).
    #[inline]
    pub fn on_pubrel(&mut self, id: PacketId) -> bool {
        self.give_back();
        self.free(id, false)
    }

    /// Holds a QoS 2 id again, as before a restart. False if it is in use.
    pub fn restore(&mut self, id: PacketId) -> bool {
        let (number, bit) = Page::place(id);
        let index = self.find(number).unwrap_or_else(|index| {
            self.pages.insert(index, Page { number, at_least_once: 0, exactly_once: 0 });
            index
        });
        let page = &mut self.pages[index];
        if (page.exactly_once | page.at_least_once) & bit != 0 {
            return false;
        }
        page.exactly_once |= bit;
        self.held += 1;
        true
    }

    /// The QoS 2 ids that wait for their PUBREL, in order of their numbers.
    pub fn held_ids(&self) -> impl Iterator<Item = PacketId> {
        self.pages.iter().flat_map(|page| {
            let held = (0..64).filter(|bit| page.exactly_once >> bit & 1 == 1);
            held.filter_map(|bit| PacketId::new(page.number * 64 + bit))
        })
    }

    /// How many QoS 2 ids wait for their PUBREL.
    pub fn held(&self) -> usize {
        usize::from(self.held)
    }

    fn find(&self, number: u16) -> Result<usize, usize> {
        match self.pages.last() {
            // Ids mostly come in sequence.
            Some(last) if last.number == number => Ok(self.pages.len() - 1),
            _ => self.pages.binary_search_by_key(&number, |page| page.number),
        }
    }

    fn give_back(&mut self) {
        self.quota = self.quota.saturating_add(1).min(self.receive_maximum);
    }

    /// Frees a QoS 2 id, or with `either` one of any QoS. False if there is none.
    fn free(&mut self, id: PacketId, either: bool) -> bool {
        let (number, bit) = Page::place(id);
        let Ok(index) = self.find(number) else { return false };
        let page = &mut self.pages[index];
        if page.exactly_once & bit != 0 {
            page.exactly_once &= !bit;
            self.held -= 1;
        } else if either && page.at_least_once & bit != 0 {
            page.at_least_once &= !bit;
        } else {
            return false;
        }
        if page.is_empty() {
            self.pages.remove(index);
            if self.pages.is_empty() && self.pages.capacity() > PAGES_KEPT_MAX {
                self.pages = ThinVec::new();
            }
        }
        true
    }
}

/// 64 neighbouring packet ids, a bit for each that is in use.
#[derive(Debug)]
struct Page {
    number: u16,
    at_least_once: u64,
    exactly_once: u64,
}

impl Page {
    fn place(id: PacketId) -> (u16, u64) {
        (id.get() / 64, 1 << (id.get() % 64))
    }

    fn is_empty(&self) -> bool {
        (self.at_least_once | self.exactly_once) == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u16) -> PacketId {
        PacketId::new(number).expect("tests use ids above 0")
    }

    fn connected(receive_maximum: u16) -> Receiver {
        let mut receiver = Receiver::new();
        receiver.begin_connection(receive_maximum);
        receiver
    }

    /// [MQTT-4.3.3-10], [MQTT-4.3.3-12]
    #[test]
    fn qos_2_is_new_once_until_it_is_released() {
        assert!(size_of::<Receiver>() <= 16);
        let mut receiver = connected(2);
        assert_eq!(receiver.on_publish(QoS::ExactlyOnce, id(7)), Ok(Arrival::New));
        assert_eq!(receiver.on_publish(QoS::ExactlyOnce, id(7)), Ok(Arrival::Duplicate));
        receiver.begin_connection(2);
        assert_eq!(receiver.on_publish(QoS::ExactlyOnce, id(7)), Ok(Arrival::Duplicate));
        assert!(receiver.held() == 1 && receiver.on_pubrel(id(7)));
        assert!(receiver.held() == 0 && !receiver.on_pubrel(id(7)));
        assert_eq!(receiver.on_publish(QoS::ExactlyOnce, id(7)), Ok(Arrival::New));
    }

    /// [MQTT-3.3.4-7]
    #[test]
    fn one_more_than_the_receive_maximum_is_refused() {
        let mut receiver = connected(2);
        assert_eq!(receiver.on_publish(QoS::ExactlyOnce, id(1)), Ok(Arrival::New));
        assert_eq!(receiver.on_publish(QoS::AtLeastOnce, id(2)), Ok(Arrival::New));
        let refused = Err(ArrivalError::ReceiveMaximumExceeded);
        assert_eq!(receiver.on_publish(QoS::AtLeastOnce, id(3)), refused);
        receiver.acknowledged(id(2));
        assert_eq!(receiver.on_publish(QoS::AtLeastOnce, id(3)), Ok(Arrival::New));
        assert_eq!(receiver.on_publish(QoS::ExactlyOnce, id(4)), refused);
        receiver.acknowledged(id(1));
        assert_eq!(receiver.on_publish(QoS::ExactlyOnce, id(1)), Ok(Arrival::New));
        receiver.acknowledged(id(99));
        assert_eq!(receiver.on_publish(QoS::ExactlyOnce, id(4)), refused);
    }

    /// [MQTT-4.1.0-1]
    #[test]
    fn what_was_held_before_a_restart_is_held_again() {
        let mut receiver = Receiver::new();
        for number in [65_535, 1, 64] {
            assert!(receiver.restore(id(number)) && !receiver.restore(id(number)));
        }
        let held: Vec<u16> = receiver.held_ids().map(PacketId::get).collect();
        assert_eq!((held, receiver.held()), (vec![1, 64, 65_535], 3));
        receiver.begin_connection(9);
        assert_eq!(receiver.on_publish(QoS::ExactlyOnce, id(64)), Ok(Arrival::Duplicate));
        assert!(receiver.on_pubrel(id(64)) && !receiver.on_pubrel(id(64)));
    }

    /// A sender that follows 4.9 to the letter: its two PUBREL of an earlier connection use no
    /// quota, their PUBCOMP raise it, but not above where it began.
    #[test]
    fn what_an_earlier_connection_left_does_not_count_against_the_new_maximum() {
        let mut receiver = connected(3);
        for number in 1..=3 {
            assert_eq!(receiver.on_publish(QoS::ExactlyOnce, id(number)), Ok(Arrival::New));
        }
        receiver.begin_connection(2);
        assert!(receiver.on_pubrel(id(1)));
        for number in 4..=5 {
            assert_eq!(receiver.on_publish(QoS::ExactlyOnce, id(number)), Ok(Arrival::New));
        }
        assert!(receiver.on_pubrel(id(2)));
        assert_eq!(receiver.on_publish(QoS::AtLeastOnce, id(6)), Ok(Arrival::New));
        let refused = Err(ArrivalError::ReceiveMaximumExceeded);
        assert_eq!(receiver.on_publish(QoS::AtLeastOnce, id(7)), refused);
    }

    /// [MQTT-2.2.1-3]
    #[test]
    fn an_open_id_is_not_used_for_another_message() {
        let mut receiver = connected(9);
        assert_eq!(receiver.on_publish(QoS::AtLeastOnce, id(1)), Ok(Arrival::New));
        assert_eq!(receiver.on_publish(QoS::ExactlyOnce, id(2)), Ok(Arrival::New));
        for (qos, number) in [(QoS::AtLeastOnce, 1), (QoS::ExactlyOnce, 1), (QoS::AtLeastOnce, 2)] {
            assert_eq!(receiver.on_publish(qos, id(number)), Err(ArrivalError::PacketIdInUse));
        }
        assert!(!receiver.on_pubrel(id(1)), "PUBREL does not end a QoS 1 message");
        receiver.begin_connection(9);
        assert_eq!(receiver.on_publish(QoS::AtLeastOnce, id(1)), Ok(Arrival::New));
    }

    #[test]
    fn memory_shrinks_when_the_window_empties() {
        let mut receiver = connected(u16::MAX);
        for number in 1..=u16::MAX {
            assert_eq!(receiver.on_publish(QoS::ExactlyOnce, id(number)), Ok(Arrival::New));
        }
        assert_eq!(receiver.held(), usize::from(u16::MAX));
        assert!((1..=u16::MAX).all(|number| receiver.on_pubrel(id(number))));
        assert!(receiver.pages.capacity() <= PAGES_KEPT_MAX);
        receiver.begin_connection(1);
        assert_eq!(receiver.pages.capacity(), 0);
    }
}
