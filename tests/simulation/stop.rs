//! Stops in order: each shard is told when it listens and ends when it may, among clients that go on
//! and messages that are under way; what comes for it later finds nobody. Then a broker begins anew
//! with what the log holds, or with nothing.
//!
//! Whether and when a broker stops is drawn from a stream of its own: worlds without stops are the
//! same as if there were none anywhere.

use skein::record::state::State;

use crate::{
    draw::Draw,
    oracle::{Ending, violated},
    scene::Scene,
    shell::Node,
    world::World,
};

/// Turns of all shards together that a stop may take while nobody is in a hurry, and as many more
/// in which everybody is.
const TURNS_MAX: usize = 3_000;

/// What was drawn for the stops of one world.
#[derive(Debug)]
pub(crate) struct Stops {
    pub(crate) luck: Draw,
    /// About how many steps lie between two of them.
    every: usize,
}

impl Stops {
    /// The stops of one world in three.
    pub(crate) fn draw(seed: u64) -> Option<Self> {
        let mut luck = Draw::new(seed ^ 0x0005_7095_0000_0000);
        let every = luck.pick(&[100, 300, 1_000]);
        luck.chance(1, 3).then_some(Self { luck, every })
    }
}

impl World {
    /// Now and then the broker stops, at any moment, above all when much is under way.
    pub(super) fn stop_or_go_on(&mut self) {
        let Some(Stops { luck, every }) = &mut self.scene.stops else { return };
        if luck.chance(1, *every) {
            let (rounds, publishes) = (luck.pick(&[0, 1, 1, 4]), luck.pick(&[0, 1, 3]));
            self.hurry(rounds);
            self.publish_everywhere(publishes);
            self.stop();
        }
    }

    /// Everybody publishes, and what is read of that is under way.
    fn publish_everywhere(&mut self, count: usize) {
        for client in &mut self.clients {
            for _ in 0..count {
                client.publish_now(&mut self.scene);
            }
        }
        if count > 0 {
            for node in &mut self.nodes {
                self.scene.step += 1;
                node.turn(&mut self.scene, &mut self.rings, false);
            }
        }
    }

    /// Whether it stops while it takes over what the log holds.
    pub(super) fn draw_stop_recovering(&mut self) -> bool {
        const EVERY: usize = 40;
        self.scene.stops.as_mut().is_some_and(|stops| stops.luck.chance(1, EVERY))
    }

    /// The broker stops in order, if nobody kills it before it is done, and begins anew.
    pub(super) fn stop(&mut self) {
        self.scene.log.note(|| "the broker stops".to_owned());
        self.scene.oracle.tally.stops += 1;
        self.scene.links.iter_mut().for_each(|link| link.is_stopped |= !link.is_over);
        self.nodes.iter_mut().for_each(Node::tell_to_stop);
        for turn in 0..2 * TURNS_MAX {
            if self.nodes.iter().all(Node::has_ended) {
                return self.begin_after_stop();
            }
            if self.is_killed_stopping() {
                return self.crash();
            }
            self.go_on_stopping(turn >= TURNS_MAX);
        }
        let left = self.nodes.iter().filter(|node| !node.has_ended()).map(Node::index);
        violated!("a broker that stops ends", "shards {:?} have not", left.collect::<Vec<_>>());
    }

    fn is_killed_stopping(&mut self) -> bool {
        const EVERY: usize = 300;
        let Scene { store, stops, .. } = &mut self.scene;
        store.is_some() && stops.as_mut().is_some_and(|stops| stops.luck.chance(1, EVERY))
    }

    /// A shard takes a turn, and what is around it goes on; nobody new is accepted.
    fn go_on_stopping(&mut self, full: bool) {
        self.scene.step += 1;
        let left: Vec<usize> =
            (0..self.nodes.len()).filter(|node| !self.nodes[*node].has_ended()).collect();
        let node = self.scene.draw.pick(&left);
        self.nodes[node].turn(&mut self.scene, &mut self.rings, full);
        self.nodes[node].end_if_over(&mut self.scene);
        if self.scene.draw.chance(1, 4) {
            let client = self.scene.draw.below(self.clients.len());
            self.clients[client].act(&mut self.scene);
        }
        if self.scene.draw.chance(1, 8) {
            self.pass_time();
        }
        let Scene { store, now, step, .. } = &mut self.scene;
        if let Some(store) = store {
            store.work(*now, *step, false);
        }
    }

    /// All shards have ended; the log is finished, and a broker begins anew.
    fn begin_after_stop(&mut self) {
        self.scene.log.note(|| "the broker has stopped".to_owned());
        for client in &mut self.clients {
            let reads = self.scene.stops.as_mut().is_some_and(|stops| stops.luck.chance(2, 3));
            client.lose_broker(reads, &mut self.scene);
        }
        let Some(store) = &mut self.scene.store else {
            return self.restart(State::default(), Ending::Forgotten);
        };
        // With a disk that does not work the end is that of a broker that is killed.
        let is_whole = !store.has_faults();
        let state = store.restart(true);
        if is_whole {
            // Before that a part of it is in the log only.
            if self.nodes.iter().all(|node| node.shard.is_recovered()) {
                self.check_kept(&state);
            }
            self.scene.oracle.check_stopped(&state);
        }
        self.restart(state, if is_whole { Ending::Stopped } else { Ending::Killed });
    }
}
