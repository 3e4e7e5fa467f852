//! Rest points: everybody behaves, everything arrives, and what must hold then is checked.

use std::collections::BTreeMap;

use skein::shard::{Audit, DropReason};

use crate::{
    alphabet::TOPICS,
    client::Client,
    oracle::{At, violated},
    plan::Scarcity,
    scene::Scene,
    shell::Node,
    store::Store,
    world::World,
};

/// Virtual time that everything may take to come to rest, milliseconds. No grace is longer.
const REST_MS_MAX: u64 = 5_000;
/// With the memory budget used up, every publish waits for a grace.
const REST_WITHOUT_MEMORY_MS_MAX: u64 = 200_000;
/// After so long the shards hand over to the store what nobody waits for, milliseconds.
const LAZY_MS: u64 = 101;
/// Rounds without a moment passing: far more than any chain of answers needs.
const ROUNDS_MAX: usize = 100_000;

impl World {
    /// Comes to rest and checks everything.
    pub(super) fn rest(&mut self, is_last: bool) {
        self.settle();
        self.settle_store();
        let at = self.scene.at();
        let audits = self.audits();
        for client in &self.clients {
            client.check_rest();
        }
        let books: Vec<usize> = self.nodes.iter().map(|node| node.book).collect();
        self.scene.oracle.on_rest(&audits, &books, at, is_last);
        self.scene.oracle.check_identities(&self.scene.links, &books);
        check_replicas(&audits);
        self.check_drops(at);
        self.nodes.iter().for_each(Node::check_chunks);
        self.scene.log.note(|| format!("at rest at {}", at.now));
    }

    /// What nobody waits for goes to the store, too.
    fn settle_store(&mut self) {
        if self.scene.store.is_some() {
            self.scene.now = self.scene.now.plus(LAZY_MS);
            self.settle();
        }
    }

    /// Lets everything that is on its way arrive.
    pub(super) fn settle(&mut self) {
        self.scene.log.note(|| "everybody settles".to_owned());
        for hostile in &mut self.hostiles {
            hostile.leave(&mut self.scene);
        }
        let mut waited_ms = 0;
        let rest_ms_max = match self.scene.plan.settings.limits.memory_bytes_max {
            0 => REST_MS_MAX,
            _ => REST_WITHOUT_MEMORY_MS_MAX,
        };
        for _ in 0..ROUNDS_MAX {
            if self.settle_round() {
                continue;
            }
            if self.is_at_rest() {
                return;
            }
            if waited_ms > rest_ms_max {
                break;
            }
            // Something waits for a grace to end.
            let due = self.next_deadline();
            let ms = due.map_or(1, |due| due.since(self.scene.now)).clamp(1, 100);
            self.scene.now = self.scene.now.plus(ms);
            waited_ms += ms;
        }
        violated!("nobody waits for ever", "no rest after {waited_ms} ms");
    }

    fn settle_round(&mut self) -> bool {
        let mut happened = !self.scene.dialled.is_empty();
        while !self.scene.dialled.is_empty() {
            self.deal();
        }
        for client in &mut self.clients {
            happened |= client.settle(&mut self.scene);
        }
        for node in &mut self.nodes {
            self.scene.step += 1;
            happened |= node.turn(&mut self.scene, &mut self.rings, true);
        }
        let Scene { store, now, step, .. } = &mut self.scene;
        happened | store.as_mut().is_some_and(|store| store.work(*now, *step, true))
    }

    fn is_at_rest(&mut self) -> bool {
        let scene = &self.scene;
        let is_stored = scene.store.as_ref().is_none_or(Store::is_at_rest);
        is_stored
            && self.rings.are_empty()
            && self.nodes.iter_mut().all(|node| node.is_at_rest(scene))
    }

    /// What was dropped is counted, and nothing is dropped without need.
    fn check_drops(&self, at: At) {
        let missing = self.scene.oracle.tally.missing;
        if missing > self.dropped() {
            violated!(
                "nothing is dropped silently",
                "{missing} are missing, {} were dropped: {:?}",
                self.dropped(),
                self.scene.oracle.missed
            );
        }
        let never: &[DropReason] = match self.scene.plan.scarcity {
            Scarcity::Ample => {
                &[DropReason::QueueFull, DropReason::SlowConsumer, DropReason::Memory]
            }
            Scarcity::TightOutboxes => &[DropReason::QueueFull, DropReason::Memory],
            Scarcity::TightQueues => &[],
        };
        for reason in never {
            let dropped: u64 =
                self.nodes.iter().map(|node| node.shard.metrics().drops_for(*reason)).sum();
            if dropped > 0 {
                violated!("nothing is dropped without need", "{reason:?} at {}", at.now);
            }
        }
    }

    /// The end: everybody comes back for what it is owed, leaves, and nothing remains.
    pub(super) fn end(&mut self) {
        self.end_rules();
        self.rest(false);
        self.restart_at_rest();
        self.call_back();
        let is_last = self.scene.plan.scarcity != Scarcity::TightQueues;
        self.rest(is_last);
        if self.scene.draw.chance(1, 4) {
            self.shut_down();
            self.check_log(false);
            return;
        }
        for client in &mut self.clients {
            client.leave(&mut self.scene);
        }
        self.settle();
        self.end_sessions();
        // Every grace is over.
        self.scene.now = self.scene.now.plus(1_000);
        self.settle();
        self.settle_store();
        self.settle_expiries();
        self.check_nothing_remains();
        if self.scene.store.is_some() {
            self.shut_down();
            self.check_log(false);
        }
    }

    /// What is retained may expire while the store hears of what expired before.
    fn settle_expiries(&mut self) {
        let is_soon = |world: &Self| {
            world.next_deadline().is_some_and(|due| due.since(world.scene.now) <= LAZY_MS)
        };
        for _ in TOPICS {
            if self.scene.store.is_some() && is_soon(self) {
                self.settle_store();
            }
        }
    }

    /// Everybody comes back to its session; again, if a part of its queue could not be read.
    fn call_back(&mut self) {
        let names = self.scene.oracle.names();
        let mut called: Vec<usize> = (0..self.clients.len())
            .filter(|client| self.clients[*client].is_idle())
            .filter(|client| names.contains(&self.clients[*client].name))
            .collect();
        for _ in 0..ROUNDS_MAX {
            for client in &called {
                self.clients[*client].connect_to_resume(&mut self.scene);
            }
            self.settle();
            let was_cut_off = |client: &usize| self.clients[*client].was_cut_off(&self.scene);
            called = (0..self.clients.len()).filter(was_cut_off).collect();
            if called.is_empty() {
                return;
            }
        }
        violated!("nobody waits for ever", "the queues of {called:?} are not read");
    }

    /// In the end everybody may do everything, and every token has ended or never will.
    fn end_rules(&mut self) {
        let Some(rules) = &mut self.scene.rules else { return };
        rules.is_ending = true;
        rules.last_links = self.scene.links.len();
        if rules.has_expiry {
            self.scene.now = self.scene.now.plus(61_000);
        }
        for node in &mut self.nodes {
            node.change_book(0, &mut self.scene);
        }
    }

    /// The broker stops while everybody is connected.
    pub(super) fn shut_down(&mut self) {
        for node in &mut self.nodes {
            node.shut_down(&mut self.scene);
        }
        self.settle();
        let connected: usize = self.nodes.iter().map(|node| node.shard.connection_count()).sum();
        if connected > 0 || self.clients.iter().any(|client| !client.is_idle()) {
            violated!("a broker that stops closes every connection", "{connected} are left");
        }
    }

    /// Ends every session by a clean start, as only its client could.
    fn end_sessions(&mut self) {
        // With a tight memory budget nobody new may come; then time ends them, or nothing does.
        let names: Vec<String> =
            self.audits().iter().flat_map(|audit| audit.sessions.keys().cloned()).collect();
        for name in names {
            Client::end_session(&name, &mut self.scene);
            self.settle();
        }
    }

    fn check_nothing_remains(&mut self) {
        let is_scarce = self.scene.plan.scarcity == Scarcity::TightQueues;
        let audits = self.audits();
        if is_scarce && audits.iter().any(|audit| !audit.sessions.is_empty()) {
            return;
        }
        for (shard, (audit, node)) in audits.iter().zip(&self.nodes).enumerate() {
            let retained: BTreeMap<_, _> = audit.retained.clone();
            let expected = Audit {
                memory_bytes: audit.memory_bytes_counted,
                memory_bytes_counted: audit.memory_bytes_counted,
                retained,
                ..Audit::default()
            };
            if *audit != expected {
                violated!("nothing remains when all have left", "shard {shard}: {audit:?}");
            }
            if audit.retained.is_empty() && audit.memory_bytes > 0 {
                violated!("nothing remains when all have left", "{} bytes", audit.memory_bytes);
            }
            // A retained message that expires has a timer, as long as it is retained.
            if audit.retained.is_empty()
                && let Some(due) = node.shard.next_deadline()
            {
                violated!("nothing remains when all have left", "a timer for {due}");
            }
        }
    }
}

/// What shards know of each other is the truth, and the sums are right.
fn check_replicas(audits: &[Audit]) {
    for (shard, audit) in audits.iter().enumerate() {
        if audit.memory_bytes != audit.memory_bytes_counted {
            violated!(
                "memory is counted",
                "shard {shard} says {} of {} bytes",
                audit.memory_bytes,
                audit.memory_bytes_counted
            );
        }
        if audit.waiting_subscribes > 0 {
            violated!("every SUBSCRIBE is answered", "shard {shard}: {}", audit.waiting_subscribes);
        }
        for (other, of) in audits.iter().enumerate().filter(|(other, _)| *other != shard) {
            let wanted = audit.wanted_by.get(&other).cloned().unwrap_or_default();
            if wanted != of.wanted {
                violated!(
                    "interest is replicated",
                    "shard {shard} knows of {other}: {wanted:?}, true is {:?}",
                    of.wanted
                );
            }
            let shares = audit.shares_of.get(&other).cloned().unwrap_or_default();
            if shares != of.shares {
                violated!(
                    "interest is replicated",
                    "shard {shard} knows of {other}: {shares:?}, true is {:?}",
                    of.shares
                );
            }
        }
    }
    let registered: usize = audits.iter().map(|audit| audit.registered).sum();
    let sessions: usize = audits.iter().map(|audit| audit.sessions.len()).sum();
    if registered != sessions {
        violated!("each session is registered", "{registered} for {sessions}");
    }
}
