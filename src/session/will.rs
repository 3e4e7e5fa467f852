//! The Will Message a client leaves with us (3.1.2.5).

use std::rc::Rc;

use super::{Application, Time};

/// A will, and the seconds it waits after the connection is lost.
#[derive(Clone, Debug)]
pub struct Will {
    /// The message; its expiry is set when it is published.
    pub message: Rc<Application>,
    /// Will Delay Interval, seconds.
    pub delay_s: u32,
    /// Message Expiry Interval of the published will, seconds.
    pub message_expiry_s: Option<u32>,
}

impl Will {
    /// When it is to be published after a loss at `now`: after its delay, or when the session
    /// ends, whichever is first [MQTT-3.1.3-9].
    pub fn due(&self, now: Time, session_expiry_s: u32) -> Time {
        now.plus(u64::from(self.delay_s.min(session_expiry_s)) * 1000)
    }
}
