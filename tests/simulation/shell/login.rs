//! Who looks at logins, in any order and when it likes; and what a shard is told of new rules.

use std::sync::Arc;

use skein::{
    access::{
        Denial,
        provider::{HttpReply, Outcome, Outside},
    },
    session::ConnectionId,
    shard::{Event, Time},
};

use super::Node;
use crate::scene::Scene;

/// There is no web server.
struct Nowhere;

impl Outside for Nowhere {
    fn post_json(&mut self, _: &str, _: &str, _: u64) -> Result<HttpReply, String> {
        Err("there is no network".to_owned())
    }
}

impl Node {
    /// Answers some of the logins that wait, or all.
    pub(super) fn answer_logins(&mut self, scene: &mut Scene, full: bool) -> bool {
        let mut happened = false;
        while let Some(rules) = &mut scene.rules
            && !self.logins.is_empty()
            && (full || rules.luck.chance(1, 2))
        {
            let which = if full { 0 } else { rules.luck.below(self.logins.len()) };
            let login = self.logins.remove(which);
            let is_refused = !rules.is_ending && rules.luck.chance(1, 30);
            let outcome = match is_refused {
                true => Outcome::denied(Denial::Overloaded),
                false => login.work.run(0, &mut Nowhere),
            };
            let ends = rules.has_expiry && !rules.is_ending && rules.luck.chance(1, 3);
            let ms = rules.luck.pick(&[0, 1, 500, 3_000, 60_000]);
            let expires_at = ends.then(|| scene.now.plus(ms));
            self.note_expiry(login.connection, expires_at, scene);
            let (connection, outcome) = (login.connection, Box::new(outcome));
            let expires_at = expires_at.map(|at| scene.clock(at));
            self.handle(Event::Authenticated { connection, outcome, expires_at }, scene);
            happened = true;
        }
        happened
    }

    fn note_expiry(&self, id: ConnectionId, expires_at: Option<Time>, scene: &mut Scene) {
        if let Some(link) = self.link_of(id) {
            scene.links[link.0].expires_at = expires_at;
        }
    }

    /// The shard hears of another book. What it has written until now was written by the old one.
    pub(crate) fn change_book(&mut self, book: usize, scene: &mut Scene) {
        let Some(rules) = &scene.rules else { return };
        let access = Arc::clone(&rules.access[book]);
        for socket in self.sockets.iter().flatten() {
            let link = &mut scene.links[socket.link.0];
            let waiting = self.shard.outbox(socket.id).map_or(0, |outbox| outbox.len() as u64);
            link.books.push((link.down_total + waiting, book));
        }
        scene.log.note(|| format!("shard {} goes by book {book}", self.index));
        self.book = book;
        self.handle(Event::AccessChanged { access }, scene);
    }
}
