//! Who published a retained message.

use super::Identity;
use crate::session::ListenerId;

/// Who published a retained message: all that is needed to ask again, after a change of the access
/// list, whether it may. All retained messages of one session share it.
#[derive(Debug)]
pub struct Author {
    /// Who it is.
    pub identity: Identity,
    /// The client identifier, which patterns may name.
    pub client_id: Box<str>,
    /// The listener it came through, whose list holds.
    pub listener: ListenerId,
}

impl Author {
    /// The author of a session's messages.
    pub fn new(identity: Identity, client_id: &str, listener: ListenerId) -> Self {
        Self { identity, client_id: client_id.into(), listener }
    }
}
