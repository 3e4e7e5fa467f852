//! How far a shard is with an event, for the case that something panics.
//!
//! A panic is a bug of ours that a peer has found. What it leaves half done nobody may go on with;
//! but most of the code that a peer can reach with odd bytes has done nothing yet: it reads. So the
//! shard says when it begins to change something, and the shell asks when it has caught a panic.
//!
//! ```text
//!            ┌──────────── Idle ◀──────────────┐
//!     a packet of a live connection      all is done
//!            ▼                                 │
//!        Reading ───decoded and checked──▶ Changing ◀── every other event
//! ```

use super::Shard;

/// What a panic would leave behind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Phase {
    /// No event is being handled.
    #[default]
    Idle,
    /// A packet is being decoded and checked. Nothing has changed but the connection it came on.
    Reading,
    /// Anything may be half done.
    Changing,
}

impl Shard {
    /// Whether a panic that was caught now left something half done that is not the connection's
    /// alone.
    pub fn is_changing(&self) -> bool {
        self.phase == Phase::Changing
    }

    /// Panics if a test has asked for that by this topic, and not in a release build.
    #[inline]
    pub(super) fn reach_failpoint(&self, topic: &str) {
        // A fuzzer finds the words.
        if cfg!(debug_assertions) && !cfg!(fuzzing) {
            let name = match self.phase {
                Phase::Idle => "skein/failpoint/idle",
                Phase::Reading => "skein/failpoint/reading",
                Phase::Changing => "skein/failpoint/changing",
            };
            assert!(topic != name, "a test has asked for this panic: {name}");
        }
    }
}
