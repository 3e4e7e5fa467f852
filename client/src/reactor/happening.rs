//! What a reactor hands out.

use crate::session::{Direction, Event, Outcome, Step, Token};
use crate::{Message, Result, Version};

/// What happens to a client.
#[derive(Clone, Debug)]
pub enum Happening {
    /// Something worth knowing.
    Event(Event),
    /// A message. Above QoS 0 it wants [`Seat::acknowledge`](super::Seat::acknowledge).
    Message(Message),
    /// An operation has ended.
    Completed(Token, Result<Outcome>),
    /// A handshake is to go on at another server; only if [`Options::is_relay`](crate::Options::is_relay)
    /// is set.
    Step(Step),
    /// A whole packet was sent or received; only if [`Options::tap`](crate::Options::tap) is set.
    Packet(Direction, Version, Vec<u8>),
}
