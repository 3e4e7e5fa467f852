//! Bytes in: read in pieces of any size, cut into packets while the core wants them.

use skein::shard::{CloseCause, Event, Message};
use skein_protocol::Frame;

use super::{Node, Socket};
use crate::{
    link::{End, LinkId},
    scene::Scene,
};

impl Node {
    /// Looks at the sockets that have something new or were resumed.
    pub(super) fn read_ready(&mut self, scene: &mut Scene, full: bool) -> bool {
        let mut happened = false;
        let count = self.sockets.len();
        if count == 0 {
            return false;
        }
        let first = scene.draw.below(count);
        for slot in (0..count).map(|offset| (first + offset) % count) {
            let Some(socket) = &mut self.sockets[slot] else { continue };
            if std::mem::take(&mut scene.links[socket.link.0].has_news) {
                socket.is_readable = true;
                socket.is_queued = true;
            }
            if socket.is_queued && !socket.is_closing && (full || scene.draw.chance(3, 4)) {
                happened |= self.read_one(slot, scene, full);
            }
        }
        happened
    }

    fn read_one(&mut self, slot: usize, scene: &mut Scene, full: bool) -> bool {
        let mut happened = self.cut(slot, scene);
        while let Some(socket) = &mut self.sockets[slot] {
            socket.is_queued = false;
            let link = &mut scene.links[socket.link.0];
            let wants = !socket.is_closing && self.shard.wants_packets(socket.id);
            // A broken link may be noticed even while nothing is read.
            let is_noticed = link.up_end == End::Reset && (full || scene.draw.chance(1, 4));
            if socket.is_closing || !(socket.is_readable && (wants || is_noticed)) {
                let waits = !socket.unread.is_empty() || !link.up.is_empty();
                let refused = (waits && !wants).then_some(self.turns);
                socket.refused_in = refused.map(|turn| socket.refused_in.unwrap_or(turn));
                return happened;
            }
            happened = true;
            if link.up.is_empty() {
                match link.up_end {
                    End::Open => {
                        socket.is_readable = false;
                        return happened;
                    }
                    End::Closed => self.lose(slot, CloseCause::EndOfStream, scene),
                    End::Reset => self.lose(slot, CloseCause::Failed("reset".into()), scene),
                }
                return happened;
            }
            let most = link.up.len().min(scene.plan.read_bytes_max);
            let count = if full { link.up.len() } else { scene.draw.between(1, most) };
            socket.unread.extend(link.up.drain(..count));
            self.cut(slot, scene);
            if !full && scene.draw.chance(1, 8) {
                // The byte budget of the turn is used up.
                if let Some(socket) = &mut self.sockets[slot] {
                    socket.is_queued = true;
                }
                return happened;
            }
        }
        happened
    }

    /// Gives the core the whole packets, as long as it wants them.
    fn cut(&mut self, slot: usize, scene: &mut Scene) -> bool {
        let Some(socket) = &mut self.sockets[slot] else { return false };
        let (connection, link) = (socket.id, socket.link);
        let unread = std::mem::take(&mut socket.unread);
        let mut start = 0;
        while start < unread.len()
            && let Some(bytes_max) = self.shard.next_packet_bytes_max(connection)
        {
            match Frame::decode(&unread[start..], bytes_max) {
                Ok(Some((frame, size))) => {
                    let message = scene.hears(link, size, self.index);
                    let message = message.map(|message| (link, message));
                    self.handle_publish(message, Event::Packet { connection, frame }, scene);
                    start += size;
                }
                Ok(None) => break,
                Err(error) => {
                    self.handle(Event::Malformed { connection, error }, scene);
                    start = unread.len();
                }
            }
        }
        if let Some(socket) = &mut self.sockets[slot] {
            socket.unread = unread;
            socket.unread.drain(..start);
        }
        start > 0
    }

    /// Handles an event in which the core deals with this message, and tells the oracle what it
    /// did with it: if it is refused or put off, the oracle has heard of it too early.
    pub(super) fn handle_publish(
        &mut self,
        message: Option<(LinkId, usize)>,
        event: Event<'_>,
        scene: &mut Scene,
    ) {
        let before = self.shard.metrics();
        let (refused, waited) = (before.publishes_refused, before.publishes_waited);
        self.handle(event, scene);
        let Some((link, message)) = message else { return };
        let after = self.shard.metrics();
        let is_refused = after.publishes_refused > refused;
        if after.publishes_waited == waited && scene.oracle.is_denied(message, self.book) {
            scene.oracle.on_judged(message, self.book, is_refused);
        } else if is_refused {
            scene.oracle.on_refused(message);
        } else if after.publishes_waited > waited {
            scene.oracle.on_put_off(message);
            let is_its = |socket: &&mut Socket| socket.link == link;
            if let Some(socket) = self.sockets.iter_mut().flatten().find(is_its) {
                socket.waiting = Some(message);
            }
        }
    }

    /// The message that the core goes on with when it hears this, if its publisher still stands.
    pub(super) fn take_waiting(
        &mut self,
        heard: &Message,
        scene: &mut Scene,
    ) -> Option<(LinkId, usize)> {
        let Message::RoomReply { connection, .. } = heard else { return None };
        let socket = self.sockets.get_mut(connection.slot())?.as_mut()?;
        // A broker that stops goes on with nothing that waits.
        if socket.id != *connection || socket.is_closing || self.is_stopping {
            return None;
        }
        let waiting = (socket.link, socket.waiting.take()?);
        scene.oracle.on_said_again(waiting.0, &scene.links, waiting.1, scene.at());
        Some(waiting)
    }

    pub(super) fn lose(&mut self, slot: usize, cause: CloseCause, scene: &mut Scene) {
        let Some(socket) = &self.sockets[slot] else { return };
        let (connection, link) = (socket.id, socket.link);
        scene.log.note(|| format!("shard {} loses {link:?}: {cause:?}", self.index));
        self.handle(Event::Closed { connection, cause }, scene);
    }
}
