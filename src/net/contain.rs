//! A panic while one connection is read or written costs that connection, unless it left the shard's
//! core in the middle of a change: nobody may go on with that, and the process ends.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use super::event_loop::EventLoop;
use crate::session::ConnectionId;
use crate::shard::{CloseCause, Event};

impl EventLoop {
    /// Does something for one connection. All that a panic can leave half done outside of the core
    /// is the connection's own, and goes with it: its layers, its unread bytes, its outbox. Buffers
    /// that are lent to each in turn are emptied before they are used.
    #[inline]
    pub(super) fn contained(&mut self, id: ConnectionId, work: impl FnOnce(&mut Self)) {
        let result = catch_unwind(AssertUnwindSafe(|| work(self)));
        if let Err(panic) = result {
            if self.core.shard.is_changing() {
                resume_unwind(panic);
            }
            self.core.handle(Event::Closed { connection: id, cause: CloseCause::Panicked });
            self.forget(id);
        }
    }
}
