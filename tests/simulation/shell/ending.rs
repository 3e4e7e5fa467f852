//! The broker stops: a shard hears of it between other things, and ends when it may.

use skein::shard::Event;

use super::Node;
use crate::scene::Scene;

impl Node {
    /// The broker stops, while this shard has nothing else to do.
    pub(crate) fn shut_down(&mut self, scene: &mut Scene) {
        self.handle(Event::ShutDown, scene);
    }

    /// The broker stops; the shard hears of it behind the connections that it was dealt.
    pub(crate) fn tell_to_stop(&mut self) {
        self.is_told_to_stop = true;
    }

    pub(super) fn hear_of_stop(&mut self, scene: &mut Scene) -> bool {
        if !std::mem::take(&mut self.is_told_to_stop) {
            return false;
        }
        scene.log.note(|| format!("shard {} hears that the broker stops", self.index));
        self.is_stopping = true;
        self.handle(Event::ShutDown, scene);
        true
    }

    /// Ends where the event loop of `src/net` does.
    pub(crate) fn end_if_over(&mut self, scene: &mut Scene) {
        let is_done = || self.sockets.iter().all(Option::is_none) && self.shard.has_stopped();
        if self.is_stopping && is_done() {
            scene.log.note(|| format!("shard {} ends", self.index));
            self.seal(scene);
            self.has_ended = true;
        }
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.has_ended
    }
}
