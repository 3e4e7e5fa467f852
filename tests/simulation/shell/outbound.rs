//! Bytes out: as much as the network takes, and the last words of closed connections.

use std::io::IoSlice;

use skein::shard::{CloseCause, Event};

use super::Node;
use crate::{
    link::{End, Link},
    scene::Scene,
};

impl Node {
    /// Writes what waits, as far as the windows allow; what the core adds upon that, too, a few
    /// times.
    pub(super) fn flush(&mut self, scene: &mut Scene, full: bool) -> bool {
        let mut happened = false;
        for _ in 0..4 {
            for id in std::mem::take(&mut self.effects.dirty) {
                let slot = self.sockets.get_mut(id.slot()).and_then(Option::as_mut);
                if let Some(socket) = slot.filter(|socket| socket.id == id) {
                    socket.is_dirty = true;
                }
            }
            let mut has_written = false;
            for slot in 0..self.sockets.len() {
                has_written |= self.flush_one(slot, scene, full);
            }
            happened |= has_written;
            if !has_written || (!full && scene.draw.chance(1, 2)) {
                break;
            }
        }
        happened
    }

    fn flush_one(&mut self, slot: usize, scene: &mut Scene, full: bool) -> bool {
        let Some(socket) = &mut self.sockets[slot] else { return false };
        if !socket.is_dirty || socket.is_closing {
            return false;
        }
        let connection = socket.id;
        let Some(outbox) = self.shard.outbox(connection) else { return false };
        let link = &mut scene.links[socket.link.0];
        if link.down_end == End::Reset {
            // The write fails, and that is how the shell learns of the end.
            socket.is_dirty = false;
            self.lose(slot, CloseCause::Failed("write failed".into()), scene);
            return true;
        }
        let room = scene.plan.window_bytes.saturating_sub(link.down.len());
        let budget = if full || link.is_abandoned { usize::MAX } else { scene.draw.some_of(room) };
        let mut written = 0;
        while written < budget && outbox.released() > 0 {
            let mut slices = [IoSlice::new(&[]); 4];
            let filled = outbox.slices(&mut slices);
            let mut count = 0;
            for slice in &slices[..filled] {
                let part = slice.len().min(budget - written - count);
                link.down.extend(&slice[..part]);
                count += part;
            }
            link.down_total += count as u64;
            outbox.advance(count);
            written += count;
        }
        if link.is_abandoned {
            link.down.clear();
        }
        socket.is_dirty = outbox.released() > 0;
        if written > 0 {
            self.handle(Event::Flushed { connection, written }, scene);
        }
        written > 0
    }

    /// Writes the last words of connections the core has forgotten, and ends them.
    pub(super) fn obey_closes(&mut self, scene: &mut Scene) -> bool {
        self.closes_told = 0;
        let closes = std::mem::take(&mut self.effects.closes);
        let happened = !closes.is_empty();
        for mut close in closes {
            let slot = self.sockets.get_mut(close.connection.slot());
            let Some(socket) = slot.and_then(|slot| slot.take_if(|s| s.id == close.connection))
            else {
                continue;
            };
            let link = &mut scene.links[socket.link.0];
            link.socket = None;
            if link.down_end == End::Reset {
                continue;
            }
            let all = close.rest.released();
            // Usually the peer reads to the end.
            let count = if scene.draw.chance(7, 8) { all } else { scene.draw.between(0, all) };
            link.is_cut_short |= count < all;
            write_rest(link, &mut close.rest, count);
            link.down_end = End::Closed;
        }
        happened
    }

    pub(super) fn obey_resumes(&mut self) {
        for id in std::mem::take(&mut self.effects.resumes) {
            let slot = self.sockets.get_mut(id.slot()).and_then(Option::as_mut);
            if let Some(socket) = slot.filter(|socket| socket.id == id) {
                socket.is_queued = true;
                socket.refused_in = None;
            }
        }
    }
}

fn write_rest(link: &mut Link, rest: &mut skein::shard::Outbox, mut count: usize) {
    while count > 0 && rest.released() > 0 {
        let mut slices = [IoSlice::new(&[]); 1];
        rest.slices(&mut slices);
        let part = slices[0].len().min(count);
        link.down.extend(&slices[0][..part]);
        link.down_total += part as u64;
        rest.advance(part);
        count -= part;
    }
}
