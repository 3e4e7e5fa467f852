//! Crashes: everything in memory is gone, the disk keeps what it must, and a broker begins anew
//! with what the log holds.

use std::{collections::BTreeSet, sync::Arc};

use skein::{
    record::state::State,
    session::ShardId,
    shard::{AcceptOrder, Shard, Time},
};

use crate::{
    lane::Rings,
    link::LinkId,
    oracle::{Ending, violated},
    rules::Rules,
    scene::Scene,
    shell::Node,
    store::{Store, unix_ms},
    world::World,
};

/// How old the clock of a broker is when it begins, milliseconds.
const CLOCK_MS: u64 = 1_000;
/// Turns that shards may take to hear of each other what recovered sessions want.
const TURNS_MAX: usize = 10_000;

impl World {
    /// The first broker begins, with an empty log.
    pub(super) fn begin(&mut self) {
        if self.scene.store.is_some() {
            self.recover(State::default());
        }
    }

    /// The disk works, or not; now and then the broker is killed.
    pub(super) fn use_store(&mut self) {
        let Scene { store, now, step, .. } = &mut self.scene;
        let Some(store) = store else { return };
        store.work(*now, *step, false);
        let hurries = store.luck.chance(1, 20);
        let crashes = store.draw_crash() || (hurries && store.draw_crash_in_hurry());
        if hurries {
            let rounds = store.luck.between(1, 6);
            self.hurry(rounds);
        }
        if crashes {
            self.crash();
        } else if let Some(client) = self.draw_returning() {
            self.bring_back(client);
        }
    }

    fn draw_returning(&mut self) -> Option<usize> {
        let count = self.clients.len();
        self.scene.store.as_mut().and_then(|store| store.draw_returning(count))
    }

    /// Everybody is quick for a moment, but the disk is as it is: handshakes get far beyond what is
    /// durable.
    pub(super) fn hurry(&mut self, rounds: usize) {
        for _ in 0..rounds {
            for client in &mut self.clients {
                client.settle(&mut self.scene);
            }
            for node in &mut self.nodes {
                self.scene.step += 1;
                node.turn(&mut self.scene, &mut self.rings, true);
            }
        }
    }

    /// Who was in memory only comes back to be kept, and the others hear nothing of its home for a
    /// while. If it is told so all the same, they publish at once, and the broker is killed: what is
    /// acknowledged without the disk was promised to nobody who outlives it.
    fn bring_back(&mut self, client: usize) {
        let Some(home) = self.clients[client].come_back(&mut self.scene) else { return };
        let last = self.scene.dialled.len() - 1;
        let link = self.scene.accept_one(last);
        self.nodes[home].deal(link);
        self.rings.hold(home, self.scene.step + 100);
        for _ in 0..3 {
            self.scene.step += 1;
            self.nodes[home].turn(&mut self.scene, &mut self.rings, true);
            let Scene { store, now, step, .. } = &mut self.scene;
            if let Some(store) = store {
                store.work(*now, *step, true);
            }
        }
        self.clients[client].settle(&mut self.scene);
        if self.scene.store.as_mut().is_some_and(Store::take_return) {
            self.publish_and_crash();
        }
    }

    fn publish_and_crash(&mut self) {
        for client in &mut self.clients {
            client.publish_now(&mut self.scene);
        }
        for _ in 0..3 {
            for node in &mut self.nodes {
                self.scene.step += 1;
                node.turn(&mut self.scene, &mut self.rings, false);
            }
            for client in &mut self.clients {
                client.settle(&mut self.scene);
            }
        }
        self.crash();
    }

    /// At the end of a world the broker stops in order or is killed once more.
    pub(super) fn restart_at_rest(&mut self) {
        let Some(store) = &mut self.scene.store else { return };
        if store.luck.chance(1, 2) {
            self.crash();
            return;
        }
        self.shut_down();
        self.check_log(true);
    }

    /// The broker is killed, and begins anew.
    pub(super) fn crash(&mut self) {
        self.scene.log.note(|| "the broker is killed".to_owned());
        for client in &mut self.clients {
            let reads = self.scene.store.as_mut().is_some_and(|store| store.luck.chance(2, 3));
            client.lose_broker(reads, &mut self.scene);
        }
        let Some(store) = &mut self.scene.store else { return };
        let state = store.restart(false);
        self.restart(state, Ending::Killed);
    }

    /// The broker has ended, and begins anew with this.
    pub(super) fn restart(&mut self, mut state: State, ending: Ending) {
        self.end_links();
        // The records tell connections apart by their times.
        self.scene.now = self.scene.now.plus(1);
        let lost_at = self.scene.now;
        self.scene.now = self.scene.now.plus(1);
        state.set_connected_lost_at(unix_ms(lost_at));
        self.scene.log.note(|| format!("the log holds {:?}", state.counts()));
        self.dropped_before = self.dropped();
        self.wait_for_restart();
        let at = self.scene.at();
        self.scene.boot_ms = at.now.as_millis() - CLOCK_MS;
        self.scene.order = AcceptOrder::default();
        self.scene.oracle.on_ended(&state, ending, lost_at, at);
        self.make_nodes();
        if self.scene.store.is_none() {
            return;
        }
        let mut kept = self.scene.store.as_mut().and_then(Store::take_kept).unwrap_or(state);
        kept.set_connected_lost_at(unix_ms(lost_at));
        self.recover(kept);
    }

    /// Time goes on while nothing runs.
    fn wait_for_restart(&mut self) {
        let Some(store) = &mut self.scene.store else { return };
        let ms = match store.luck.below(4) {
            0 => 0,
            1 => store.luck.between(1, 100),
            2 => store.luck.between(500, 8_000),
            _ => 0,
        };
        self.scene.now = self.scene.now.plus(ms as u64);
    }

    /// Every connection ends with the broker.
    fn end_links(&mut self) {
        let step = self.scene.step;
        self.scene.dialled.clear();
        for link in self.scene.links.iter_mut().filter(|link| !link.is_over) {
            link.reset();
            link.is_over = true;
            link.socket = None;
            link.closed_step = Some(step);
        }
    }

    /// The same broker with other seeds: client ids and topics have other homes.
    fn make_nodes(&mut self) {
        let Scene { store, stops, plan, .. } = &mut self.scene;
        let luck = store.as_mut().map(|store| &mut store.luck);
        if let Some(luck) = luck.or(stops.as_mut().map(|stops| &mut stops.luck)) {
            plan.placement_seed = std::array::from_fn(|_| luck.next());
        }
        let scene = &self.scene;
        let plan = &scene.plan;
        let node = |old: &Node| {
            let access = match &scene.rules {
                Some(Rules { access, .. }) => Arc::clone(&access[old.book]),
                None => Arc::new(skein::access::Access::new(Vec::new(), &plan.settings.access)),
            };
            let (id, settings) = (ShardId::new(old.index()), plan.settings.clone());
            let shard = Shard::new(id, plan.shards, settings, access, plan.placement_seed);
            Node::new(old.index(), shard, old.book, plan.placement_seed[0])
        };
        self.nodes = self.nodes.iter().map(node).collect();
        self.rings = Rings::new(plan.shards, plan.lane_slots);
    }

    /// The shards hear what the log holds, and nobody comes before all of them are done with it. If
    /// the broker stops meanwhile, another one begins anew.
    fn recover(&mut self, state: State) {
        let state = Arc::new(state);
        let start = unix_ms(Time::from_millis(self.scene.boot_ms));
        for node in &mut self.nodes {
            node.recover(&state, start, &mut self.scene);
        }
        for _ in 0..TURNS_MAX {
            for node in &mut self.nodes {
                self.scene.step += 1;
                node.turn(&mut self.scene, &mut self.rings, false);
            }
            let Scene { store, now, step, .. } = &mut self.scene;
            if let Some(store) = store {
                store.work(*now, *step, false);
            }
            if self.nodes.iter().all(|node| node.shard.is_recovered()) {
                let (audits, at) = (self.audits(), self.scene.at());
                self.scene.oracle.on_recovered(&audits, at);
                return;
            }
            if self.draw_stop_recovering() {
                return self.stop();
            }
        }
        violated!("a recovery ends", "not in {TURNS_MAX} turns");
    }

    /// After a stop in order the log holds what the shards have held. The broker may go on.
    pub(super) fn check_log(&mut self, goes_on: bool) {
        let Some(store) = &mut self.scene.store else { return };
        let state = store.restart(true);
        // The shards go on as they are.
        drop(store.take_kept());
        self.check_kept(&state);
        if goes_on {
            self.restart(state, Ending::Stopped);
        }
    }

    /// What the log holds is what the shards have held that have stopped.
    pub(super) fn check_kept(&self, state: &State) {
        let audits = self.audits();
        let kept: BTreeSet<&str> = state.sessions().map(|(name, _)| name).collect();
        let due = self.scene.oracle.durable_names(self.scene.now);
        for name in &due {
            if !kept.contains(name.as_str()) {
                violated!("a broker that stops loses nothing", "the session of {name}");
            }
        }
        let held: BTreeSet<&str> =
            audits.iter().flat_map(|audit| audit.sessions.keys().map(String::as_str)).collect();
        if let Some(name) = kept.iter().find(|name| !held.contains(*name)) {
            violated!("the log holds what the shards hold", "the session of {name}");
        }
        let retained = state.retained().map(|(topic, it)| {
            let payload = state.message(it.message).map(|message| message.payload().to_vec());
            (topic.to_owned(), payload.unwrap_or_default())
        });
        let retained: BTreeSet<(String, Vec<u8>)> = retained.collect();
        let held: BTreeSet<(String, Vec<u8>)> =
            audits.iter().flat_map(|audit| audit.retained.clone()).collect();
        if retained != held {
            let of = |all: &BTreeSet<(String, Vec<u8>)>| -> Vec<String> {
                all.iter().map(|(topic, _)| topic.clone()).collect()
            };
            let (log, shards) = (of(&retained), of(&held));
            violated!("the log holds what the shards hold", "retained {log:?}, not {shards:?}");
        }
    }
}

/// A link that no client has any more.
pub(crate) const NO_LINK: LinkId = LinkId(usize::MAX);
