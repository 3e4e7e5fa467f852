//! What a reactor hands out.

use crate::session::{Direction, Event, Outcome, Token};
use crate::{Message, Result, Version};

/// What happens to a client.
#[derive(Clone, Debug)]
pub enum Happening {
    /// Something worth knowing.
    Event(Event),
    /// A message. Above QoS 0 it wants [`Seat::acknowledge`].
    Message(Message),
    /// An operation has ended.
    Completed(Token, Result<Outcome>),
    /// A whole packet was sent or received; only if [`Options::tap`] is set.
    Packet(Direction, Version, Vec<u8>),
}
