//! A message in the user's hands, and the acknowledgement that hangs on it.

use std::fmt;
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Weak};

use skein_protocol::ReasonCode;

use super::Shared;
use crate::router::Captures;
use crate::{Delivery, Message};

/// A message that has arrived. It derefs to [`Message`].
///
/// Where acknowledgements are left to the client, it is acknowledged already. With `manual_ack`
/// it is when [`ack`](Self::ack) was called for it, in the order of arrival; dropped without it,
/// it comes again on the next connection.
#[derive(Clone)]
pub struct Received {
    message: Message,
    captures: Captures,
    guard: Option<Arc<Guard>>,
    owner: Weak<Shared>,
}

/// Acknowledges a message when the last one who has it lets go.
pub(super) struct Guard {
    delivery: Delivery,
    shared: Weak<Shared>,
    reason: AtomicU8,
    is_released: AtomicBool,
}

impl Received {
    pub(super) fn new(
        message: Message,
        captures: Captures,
        guard: Option<Arc<Guard>>,
        owner: Weak<Shared>,
    ) -> Self {
        Self { message, captures, guard, owner }
    }

    /// The client that got it.
    pub(crate) fn owner(&self) -> Option<Arc<Shared>> {
        self.owner.upgrade()
    }

    /// It was dealt with. Acknowledged as soon as everything before it is, and everybody else who
    /// got it has dealt with it too.
    pub fn ack(mut self) {
        self.let_go();
    }

    /// It cannot be dealt with, and is not to come again: the server is told this reason, before
    /// MQTT 5.0 as if all was well.
    pub fn reject(mut self, reason: ReasonCode) {
        if let Some(guard) = &self.guard {
            guard.reason.store(reason as u8, Ordering::Relaxed);
        }
        self.let_go();
    }

    /// What the names of the pattern stand for.
    pub fn captures(&self) -> &Captures {
        &self.captures
    }

    /// The message alone.
    pub fn into_message(self) -> Message {
        self.message.clone()
    }

    /// The payload as a value, by its content type, in the formats of the client.
    ///
    /// # Errors
    /// The message has no content type, or as for
    /// [`Formats::decode`](crate::format::Formats::decode).
    #[cfg(feature = "serde")]
    pub fn decode<T: serde::de::DeserializeOwned>(&self) -> Result<T, crate::format::FormatError> {
        match self.owner() {
            Some(shared) => self.message.decode_with(&shared.hooked.formats),
            // The client is gone, and with it the formats that it was given.
            None => self.message.decode(),
        }
    }

    /// From here on the acknowledgement is the client's business.
    pub(super) fn let_go(&mut self) {
        self.guard = None;
    }
}

impl Deref for Received {
    type Target = Message;

    fn deref(&self) -> &Message {
        &self.message
    }
}

impl Drop for Received {
    fn drop(&mut self) {
        if let Some(guard) = &self.guard {
            guard.is_released.store(true, Ordering::Relaxed);
        }
    }
}

impl fmt::Debug for Received {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.message.fmt(f)
    }
}

impl Guard {
    pub(super) fn new(delivery: Delivery, shared: Weak<Shared>) -> Arc<Self> {
        let reason = AtomicU8::new(ReasonCode::Success as u8);
        Arc::new(Self { delivery, shared, reason, is_released: AtomicBool::new(false) })
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let Some(shared) = self.shared.upgrade() else { return };
        if self.is_released.load(Ordering::Relaxed) {
            return shared.release(self.delivery);
        }
        let reason = ReasonCode::try_from(self.reason.load(Ordering::Relaxed));
        shared.acknowledge(self.delivery, reason.unwrap_or_default());
    }
}
