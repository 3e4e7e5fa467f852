//! Flood: everybody publishes as fast as flow control lets them.

use std::time::Duration;

use super::{desk::Desk, fleet::Fleet, pacer::Turn, shared::Shared, window::Window};
use crate::client::{Connection, Publisher};

/// A publisher's buffer is filled up to this many bytes before the next one has its turn.
const UNSENT_BYTES_MAX: usize = 64 * 1024;

/// What decides when a worker's publishers send.
#[derive(Debug)]
pub(crate) struct Flood {
    window: Window,
    /// Who begins the next turn, so that nobody is always first.
    first: usize,
    /// So long after one another publishers begin.
    stagger_ns: u64,
    /// When the first one began.
    begun_ns: Option<u64>,
}

impl Flood {
    /// At the beginning of a run.
    pub(crate) fn new(window: Window, stagger: Duration) -> Self {
        let stagger_ns = stagger.as_nanos() as u64;
        Self { window, first: 0, stagger_ns, begun_ns: None }
    }

    /// Fills the publishers' buffers as far as the window allows, and writes them.
    pub(crate) fn publish(&mut self, fleet: &mut Fleet, desk: &mut Desk, shared: &Shared) -> Turn {
        let mut turn = Turn { is_done: true, ..Turn::default() };
        self.window.begin_turn();
        let Fleet { members, publishers, lost, .. } = fleet;
        self.first = (self.first + 1) % publishers.len().max(1);
        let begun_ns = *self.begun_ns.get_or_insert(desk.now_ns);
        let (before, from) = publishers.split_at(self.first);
        for (number, place) in (self.first..).zip(from).chain((0..).zip(before)) {
            if desk.now_ns < begun_ns + number as u64 * self.stagger_ns {
                turn.is_done = false;
                continue;
            }
            let Some(member) = &mut members[*place] else { continue };
            let Some((publisher, connection)) = member.publisher() else { continue };
            if publisher.is_done() {
                continue;
            }
            let wants_more = self.fill(publisher, connection, desk, shared);
            turn.is_done &= publisher.is_done();
            match connection.flush(desk.now_ns) {
                Ok(()) => turn.has_more |= wants_more && !connection.has_unsent(),
                Err(_) => {
                    member.lose();
                    *lost += 1;
                }
            }
        }
        // Meanwhile the others may have taken what was left.
        turn.has_more &= self.window.has_room();
        turn
    }

    /// Tells the other workers how far this one is.
    pub(crate) fn tell(&self, desk: &Desk, shared: &Shared) {
        self.window.tell(desk, shared);
    }

    /// True if the publisher's share or its buffer ended it, and not the window or the broker's
    /// acknowledgements.
    fn fill(
        &mut self,
        publisher: &mut Publisher,
        connection: &mut Connection,
        desk: &mut Desk,
        shared: &Shared,
    ) -> bool {
        let outlets = publisher.outlets().len();
        let (mut left, mut refused) = (0, 0);
        for outlet in publisher.outlets() {
            left += self.window.share(desk, shared, outlet.group);
        }
        while publisher.may_send() {
            if left == 0 || connection.unsent_len() >= UNSENT_BYTES_MAX {
                return true;
            }
            if self.window.take(publisher.group()) {
                let now_ns = desk.now_ns;
                desk.publish(publisher, now_ns, connection.outgoing());
                (left, refused) = (left - 1, 0);
            } else {
                publisher.pass();
                refused += 1;
                if refused == outlets {
                    return false;
                }
            }
        }
        false
    }
}
