//! What the oracle hears of one call of the core: which connections it has forgotten, and what it
//! says it has done.

use skein::{session::ConnectionId, shard::Notice};

use super::Node;
use crate::{link::LinkId, oracle::violated, scene::Scene};

impl Node {
    /// Tells the oracle, in the order in which it happened as far as that can be seen.
    pub(super) fn tell(&mut self, is_resumed: bool, scene: &mut Scene) {
        let notices = std::mem::take(&mut self.effects.notices);
        let connects = notices.iter().any(|notice| notice.kind == "connected");
        for notice in notices {
            self.tell_notice(&notice, is_resumed, scene);
        }
        while self.tell_close(scene) {}
        scene.oracle.on_handled();
        if connects && scene.store.is_some() {
            // The records tell connections apart by their times.
            scene.now = scene.now.plus(1);
        }
    }

    /// Tells of the next connection that the core has forgotten. False if there is none.
    fn tell_close(&mut self, scene: &mut Scene) -> bool {
        let Some(close) = self.effects.closes.get(self.closes_told) else { return false };
        self.closes_told += 1;
        let slot = self.sockets.get_mut(close.connection.slot());
        let Some(socket) = slot.and_then(Option::as_mut) else { return true };
        assert_eq!(socket.id, close.connection, "only a connection that exists is closed");
        socket.is_closing = true;
        let link = socket.link;
        scene.log.note(|| format!("shard {} closes {link:?}", self.index));
        scene.links[link.0].is_over = true;
        scene.links[link.0].closed_step = Some(scene.step);
        scene.oracle.on_close(link, &scene.links, scene.now, scene.step);
        true
    }

    fn tell_notice(&mut self, notice: &Notice, is_resumed: bool, scene: &mut Scene) {
        let link = notice.connection.and_then(|id| self.link_of(id));
        scene.log.note(|| {
            format!("shard {} notes {} {link:?}: {}", self.index, notice.kind, notice.text)
        });
        match (notice.kind, link, &notice.client) {
            ("connected", Some(link), Some(name)) => {
                // Whoever was taken over has gone before.
                while scene.oracle.is_connected(name) && self.tell_close(scene) {}
                self.tell_connected(link, name, is_resumed, scene);
            }
            ("will-published", _, Some(name)) => {
                // The connection whose will it is has gone before.
                while scene.oracle.is_connected(name) && self.tell_close(scene) {}
                scene.oracle.on_will_published(name, self.book, scene.at());
            }
            ("will-denied", _, Some(name)) => {
                while scene.oracle.is_connected(name) && self.tell_close(scene) {}
                scene.oracle.on_will_denied(name, self.book, scene.at());
            }
            ("identity-expired", Some(link), _) => {
                let ends = scene.links[link.0].expires_at;
                if ends.is_none_or(|end| end > scene.now) {
                    violated!("no token ends before its time", "{link:?}: {ends:?}");
                }
            }
            ("overtaken", Some(link), Some(name)) => {
                scene.links[link.0].is_overtaken = true;
                scene.oracle.on_overtaken(link, &scene.links, name);
            }
            ("keep-alive-timeout", Some(link), _) => {
                // Whom a stop finds silent it ends all the same.
                let is_ours = !self.is_stopping
                    && notice.connection.is_some_and(|id| self.is_silence_ours(id));
                scene.oracle.on_silence(&scene.links[link.0], is_ours, scene.now);
            }
            ("chunk-not-read", Some(link), _) => scene.links[link.0].is_unreadable = true,
            ("slow-consumer", ..) => scene.oracle.tally.slow_consumers += 1,
            _ => {}
        }
    }

    fn tell_connected(&self, id: LinkId, name: &str, is_resumed: bool, scene: &mut Scene) {
        let link = &mut scene.links[id.0];
        link.heard_at = scene.now;
        link.established_step = Some(scene.step);
        link.is_resumed = is_resumed;
        let at = scene.at();
        let (oracle, links) = (&mut scene.oracle, &mut scene.links);
        oracle.on_established(id, links, name, self.index, is_resumed, at);
    }

    pub(super) fn link_of(&self, id: ConnectionId) -> Option<LinkId> {
        let socket = self.sockets.get(id.slot())?.as_ref()?;
        (socket.id == id).then_some(socket.link)
    }

    /// Whether the core has not read what waits since an earlier turn. While the client does not
    /// read either, the silence is not ours alone.
    fn is_silence_ours(&self, id: ConnectionId) -> bool {
        let Some(Some(socket)) = self.sockets.get(id.slot()) else { return false };
        let was_refused = socket.refused_in.is_some_and(|turn| turn < self.turns);
        let is_unwritten = socket.is_dirty || self.effects.dirty.contains(&id);
        was_refused && !is_unwritten
    }
}
