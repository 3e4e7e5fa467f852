//! The sender's half of the QoS 1 and QoS 2 handshakes [4.3, 4.4, 4.9].
//!
//! ```text
//!             ┌── QoS 1 ──▶ AtLeastOnce ── PUBACK ───────────────────────────▶ finished
//!    send ────┤
//!             └── QoS 2 ──▶ ExactlyOnce ── PUBREC ──▶ Released ── PUBCOMP ──▶ finished
//!                                └── PUBREC ≥ 0x80 ───────────────────────────▶ finished
//! ```
//!
//! A new connection moves nothing along these arrows; it only makes everything in flight wait
//! to be resent: PUBLISH where nothing was acknowledged, PUBREL where PUBREC was.

mod drain;
#[cfg(test)]
mod tests;
mod window;

use self::drain::Drain;
use self::window::{State, Window};
use super::{PacketId, QoS};

/// The most exchanges in flight, whatever the Receive Maximum allows: half of all packet ids, so
/// that the search for a free one passes fewer ids in use than free ones.
pub const IN_FLIGHT_MAX: u16 = u16::MAX / 2;

/// What was sent with QoS 1 or 2 and is not finished, in the order in which it was first sent.
///
/// Starts without a connection, that is with no quota; allocates nothing until the first send.
#[derive(Debug)]
pub struct Sender<T> {
    window: Window<T>,
    /// The id that was given out last; ids go round.
    last_id: u16,
    /// The highest id that is given out.
    id_max: u16,
    /// The exchanges in the window; the rest of it is reserved.
    in_flight: u16,
    /// The initial send quota of this connection.
    quota_initial: u16,
    /// PUBLISH packets that left on this connection and are not finished. What an earlier
    /// connection sent gives nothing back here, so the Receive Maximum holds for every one.
    quota_used: u16,
    /// The next exchange to be resent; all behind it wait too. None: nothing waits.
    resend_from: Option<PacketId>,
}

/// What is to be sent again on a new connection [MQTT-4.4.0-1].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resend<'a, T> {
    /// PUBLISH with DUP and the original id.
    Publish(PacketId, &'a T),
    /// PUBREL.
    PubRel(PacketId),
}

/// What a PUBREC did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received<T> {
    /// The receiver owns the message; PUBREL is owed [MQTT-4.3.3-4].
    Release(T),
    /// The receiver does not want the message; the exchange is over and its id free.
    Refused(T),
    /// The receiver had said so before: send PUBREL again.
    Again,
}

/// An acknowledgement that fits no exchange. Nothing was changed by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AckError {
    /// No exchange has this id.
    #[error("[MQTT-2.2.1-5] acknowledgement of a packet identifier that is not in use")]
    Unknown,
    /// PUBACK for QoS 2, PUBREC or PUBCOMP for QoS 1, PUBCOMP before PUBREC.
    #[error("[MQTT-4.3.3-8] acknowledgement of another kind than the exchange waits for")]
    Mismatched,
}

impl<T> Default for Sender<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Sender<T> {
    /// Nothing in flight, no connection.
    pub fn new() -> Self {
        Self::with_ids_up_to(u16::MAX)
    }

    /// Nothing in flight, no connection, and no id above this one will be given out.
    pub fn with_ids_up_to(id_max: u16) -> Self {
        Self {
            window: Window::new(),
            last_id: 0,
            // Below this no exchange could begin.
            id_max: id_max.max(2),
            in_flight: 0,
            quota_initial: 0,
            quota_used: 0,
            resend_from: None,
        }
    }

    /// From now on no id above this one is given out; those that are in use stay as they are.
    pub fn limit_ids(&mut self, id_max: u16) {
        self.id_max = id_max.max(2);
    }

    /// A new connection. The send quota is set anew from its Receive Maximum [MQTT-4.9.0-1],
    /// everything in flight is to be resent, and reserved ids are free again, as no SUBACK or
    /// UNSUBACK reaches another connection than its own.
    ///
    /// With 0, which no packet carries, nothing may leave: there is no connection.
    pub fn begin_connection(&mut self, receive_maximum: u16) {
        self.quota_initial = receive_maximum.min(self.in_flight_max());
        self.quota_used = 0;
        self.window.begin_connection();
        self.resend_from = self.window.first();
    }

    /// How many more PUBLISH may leave now; 0 while anything waits to be resent, or no id is free.
    #[inline]
    pub fn quota(&self) -> usize {
        if self.is_resending() {
            return 0;
        }
        // Exchanges of earlier connections use up none of the quota, but ids.
        let ids_left = self.in_flight_max().saturating_sub(self.in_flight);
        // So do SUBSCRIBE and UNSUBSCRIBE.
        let ids_free = usize::from(self.id_max).saturating_sub(self.window.len());
        usize::from(self.quota_left().min(ids_left)).min(ids_free)
    }

    /// Whether an exchange, a SUBSCRIBE or an UNSUBSCRIBE has this id.
    pub fn is_in_use(&self, id: PacketId) -> bool {
        self.window.find(id).is_some()
    }

    /// Whether an exchange has this id, and neither a SUBSCRIBE nor an UNSUBSCRIBE.
    pub fn has_exchange(&self, id: PacketId) -> bool {
        self.window.find(id).is_some_and(|slot| slot.state != State::Reserved)
    }

    /// Whether anything waits to be resent.
    #[inline]
    pub fn is_resending(&self) -> bool {
        self.resend_from.is_some()
    }

    /// The next thing to resend, in the original order [MQTT-4.4.0-1], [MQTT-4.6.0-1]. A PUBLISH
    /// uses up quota and waits while there is none; a PUBREL does not. None: nothing is left, or
    /// the quota is used up.
    pub fn next_resend(&mut self) -> Option<Resend<'_, T>> {
        let id = self.resend_from?;
        let quota_left = self.quota_left();
        let next = self.window.next(id);
        let slot = self.window.find_mut(id)?;
        if slot.state == State::Released {
            self.resend_from = next;
            return Some(Resend::PubRel(id));
        }
        if quota_left == 0 {
            return None;
        }
        slot.counted = true;
        self.quota_used += 1;
        self.resend_from = next;
        slot.value.as_ref().map(|value| Resend::Publish(id, value))
    }

    /// Begins an exchange of QoS 1 or 2 and gives it an unused id [MQTT-2.2.1-3],
    /// [MQTT-2.2.1-4].
    ///
    /// # Errors
    ///
    /// Gives the value back if it may not leave now: no quota [MQTT-4.9.0-2], something waits to
    /// be resent first, no id is free, or QoS 0, which has no exchange.
    #[inline]
    pub fn send(&mut self, qos: QoS, value: T) -> Result<PacketId, T> {
        self.begin(qos, value).map(|(id, _)| id)
    }

    /// As [`send`](Self::send); the value can be looked at where it is kept now.
    ///
    /// # Errors
    ///
    /// As `send`.
    #[inline]
    pub fn begin(&mut self, qos: QoS, value: T) -> Result<(PacketId, &T), T> {
        let state = match qos {
            QoS::AtMostOnce => return Err(value),
            QoS::AtLeastOnce => State::AtLeastOnce,
            QoS::ExactlyOnce => State::ExactlyOnce,
        };
        if self.quota() == 0 {
            return Err(value);
        }
        let Some(id) = self.next_id_unless(|_| false) else { return Err(value) };
        self.in_flight += 1;
        self.quota_used += 1;
        Ok((id, self.window.push(id, state, true, None).value.insert(value)))
    }

    /// As [`send`](Self::send), with an id that the caller has chosen.
    ///
    /// # Errors
    ///
    /// As `send`, and if the id is in use.
    pub fn send_as(&mut self, id: PacketId, qos: QoS, value: T) -> Result<(), T> {
        let state = match qos {
            QoS::AtLeastOnce => State::AtLeastOnce,
            QoS::ExactlyOnce => State::ExactlyOnce,
            QoS::AtMostOnce => return Err(value),
        };
        if self.quota() == 0 || self.window.find(id).is_some() {
            return Err(value);
        }
        self.in_flight += 1;
        self.quota_used += 1;
        self.window.push(id, state, true, Some(value));
        Ok(())
    }

    /// PUBACK came, with whatever reason: the exchange is over and the value is given back.
    ///
    /// # Errors
    ///
    /// The id belongs to no QoS 1 exchange.
    #[inline]
    pub fn on_puback(&mut self, id: PacketId) -> Result<T, AckError> {
        self.finish(id, State::AtLeastOnce)?.ok_or(AckError::Unknown)
    }

    /// PUBREC came. `refused` says that its reason was 0x80 or above: the exchange is over.
    /// Otherwise PUBREL is owed, and the value is given back as it is never sent again
    /// [MQTT-4.3.3-6].
    ///
    /// # Errors
    ///
    /// The id belongs to no QoS 2 exchange.
    #[inline]
    pub fn on_pubrec(&mut self, id: PacketId, refused: bool) -> Result<Received<T>, AckError> {
        match self.state(id)? {
            State::ExactlyOnce if refused => {
                self.finish(id, State::ExactlyOnce)?.map(Received::Refused).ok_or(AckError::Unknown)
            }
            State::ExactlyOnce => {
                let slot = self.window.find_mut(id).ok_or(AckError::Unknown)?;
                slot.state = State::Released;
                slot.value.take().map(Received::Release).ok_or(AckError::Unknown)
            }
            State::Released => Ok(Received::Again),
            _ => Err(AckError::Mismatched),
        }
    }

    /// PUBCOMP came, with whatever reason: the exchange is over.
    ///
    /// # Errors
    ///
    /// The id belongs to no QoS 2 exchange whose PUBREC has come.
    #[inline]
    pub fn on_pubcomp(&mut self, id: PacketId) -> Result<(), AckError> {
        self.finish(id, State::Released).map(drop)
    }

    /// How many exchanges are not finished.
    pub fn in_flight(&self) -> usize {
        usize::from(self.in_flight)
    }

    /// No exchange is unfinished.
    pub fn is_empty(&self) -> bool {
        self.in_flight == 0
    }

    /// Takes out what no receiver has taken over (QoS 1 without PUBACK, QoS 2 without PUBREC), in
    /// order, and forgets the rest: no exchange is left even if the iterator is dropped early.
    /// What this connection has sent still counts until the next one begins.
    pub fn drain(&mut self) -> impl Iterator<Item = (QoS, T)> {
        self.resend_from = None;
        Drain(self)
    }

    /// What no receiver has taken over, in order.
    pub fn values(&self) -> impl Iterator<Item = (PacketId, &T)> {
        self.window.iter().filter_map(|(id, slot)| Some((id, slot.value.as_ref()?)))
    }

    /// Every exchange that is not finished, in order, with what is sent again; without it where only
    /// PUBREL is owed.
    pub fn exchanges(&self) -> impl Iterator<Item = (PacketId, Option<&T>)> {
        self.window.iter().map(|(id, slot)| (id, slot.value.as_ref()))
    }

    /// Takes up an exchange as it was before a restart, behind all others [MQTT-4.4.0-1]: without a
    /// value, if only PUBREL is owed. It waits for a connection. False if its id is in use, or the
    /// QoS is 0, which has no exchange.
    pub fn restore(&mut self, id: PacketId, qos: QoS, value: Option<T>) -> bool {
        let state = match (qos, &value) {
            (QoS::AtMostOnce, _) => return false,
            (_, None) => State::Released,
            (QoS::AtLeastOnce, Some(_)) => State::AtLeastOnce,
            (QoS::ExactlyOnce, Some(_)) => State::ExactlyOnce,
        };
        if self.window.find(id).is_some() {
            return false;
        }
        self.window.push(id, state, false, value);
        self.in_flight += 1;
        self.last_id = id.get();
        true
    }

    /// An unused id for SUBSCRIBE or UNSUBSCRIBE: they share the numbers of PUBLISH
    /// [MQTT-2.2.1-3]. None if all are in use.
    pub fn reserve(&mut self) -> Option<PacketId> {
        self.reserve_unless(|_| false)
    }

    /// As [`reserve`](Self::reserve), and none of those that the caller knows to be in use.
    pub fn reserve_unless(&mut self, is_taken: impl Fn(PacketId) -> bool) -> Option<PacketId> {
        let id = self.next_id_unless(is_taken)?;
        self.window.reserve(id);
        Some(id)
    }

    /// Frees a reserved id: SUBACK or UNSUBACK came. False if it was not reserved.
    pub fn release(&mut self, id: PacketId) -> bool {
        let reserved = self.window.find(id).is_some_and(|slot| slot.state == State::Reserved);
        reserved && self.window.remove(id).is_some()
    }

    /// As [`IN_FLIGHT_MAX`], of the ids that are given out here.
    fn in_flight_max(&self) -> u16 {
        self.id_max / 2
    }

    fn quota_left(&self) -> u16 {
        self.quota_initial - self.quota_used
    }

    fn next_id_unless(&mut self, is_taken: impl Fn(PacketId) -> bool) -> Option<PacketId> {
        // With ids above the limit in use from before this may be said too early, never too late.
        if self.window.len() >= usize::from(self.id_max) {
            return None;
        }
        for _ in 0..self.id_max {
            self.last_id = if self.last_id < self.id_max { self.last_id + 1 } else { 1 };
            let id = PacketId::new(self.last_id)?;
            if self.window.find(id).is_none() && !is_taken(id) {
                return Some(id);
            }
        }
        None
    }

    fn state(&self, id: PacketId) -> Result<State, AckError> {
        match self.window.find(id).map(|slot| slot.state) {
            Some(State::Reserved) | None => Err(AckError::Unknown),
            Some(state) => Ok(state),
        }
    }

    /// Ends the exchange of an id that has come this far.
    fn finish(&mut self, id: PacketId, state: State) -> Result<Option<T>, AckError> {
        let place = self.window.place(id).ok_or(AckError::Unknown)?;
        match self.window.state_at(place) {
            found if found == state => {}
            State::Reserved => return Err(AckError::Unknown),
            _ => return Err(AckError::Mismatched),
        }
        if self.resend_from == Some(id) {
            self.resend_from = self.window.next(id);
        }
        let (_, counted, value) = self.window.remove_at(id, place);
        self.in_flight -= 1;
        self.quota_used -= u16::from(counted);
        Ok(value)
    }
}
