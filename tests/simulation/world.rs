//! A whole broker with its clients, in one thread.

use std::sync::Arc;

use skein::{
    access::Access,
    config::{DurabilityMode, Listener},
    session::ShardId,
    shard::{AcceptOrder, Audit, Shard, Time},
};

use crate::{
    client::Client,
    draw::Draw,
    hostile::Hostile,
    lane::Rings,
    oracle::Oracle,
    plan::{Feature, Plan},
    rules::Rules,
    scene::{Log, Scene},
    shell::Node,
    stop::Stops,
    store::Store,
};

/// Everything of one seed.
pub(crate) struct World {
    pub(crate) scene: Scene,
    pub(super) nodes: Vec<Node>,
    pub(super) rings: Rings,
    pub(super) clients: Vec<Client>,
    pub(super) hostiles: Vec<Hostile>,
    /// Messages that the broker dropped before it was killed last.
    pub(super) dropped_before: u64,
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        let mut draw = Draw::new(seed);
        let mut plan = Plan::draw(&mut draw);
        let mut rules = Rules::draw(seed, &plan.settings.access);
        let book = rules.as_mut().map_or(0, |rules| rules.luck.below(rules.access.len()));
        let access = match &rules {
            Some(rules) => Arc::clone(&rules.access[book]),
            None => Arc::new(Access::new(Vec::new(), &plan.settings.access)),
        };
        let store = Store::draw(seed, plan.shards, rules.is_some());
        let modes = store.as_ref().map_or(&[DurabilityMode::Disk; 2][..], |it| it.modes());
        plan.settings.listeners = listeners(&plan.settings.listeners[0], modes);
        if store.is_some() {
            plan.settings.limits.queue_memory_bytes =
                Draw::new(!seed).pick(&[1, 700, 3_000, 262_144]);
        }
        let nodes = (0..plan.shards)
            .map(|index| {
                let settings = plan.settings.clone();
                let (id, rules) = (ShardId::new(index), Arc::clone(&access));
                let seed = plan.placement_seed;
                Node::new(index, Shard::new(id, plan.shards, settings, rules, seed), book, seed[0])
            })
            .collect();
        let mut scene = Scene {
            now: Time::from_millis(1_000),
            step: 1,
            oracle: Oracle::new(&plan, rules.as_ref()),
            rules,
            store,
            stops: Stops::draw(seed),
            boot_ms: 0,
            draw,
            links: Vec::new(),
            log: Log::default(),
            dialled: Vec::new(),
            order: AcceptOrder::default(),
            plan,
        };
        let rings = Rings::new(scene.plan.shards, scene.plan.lane_slots);
        let clients = (0..scene.plan.clients).map(|n| Client::new(n, &mut scene)).collect();
        let hostiles = (0..scene.plan.hostiles).map(Hostile::new).collect();
        Self { scene, nodes, rings, clients, hostiles, dropped_before: 0 }
    }

    /// Lives through the whole seed.
    pub(crate) fn run(&mut self) {
        self.begin();
        for _ in 0..self.scene.plan.steps {
            self.step();
        }
        self.end();
    }

    fn step(&mut self) {
        self.scene.step += 1;
        let scene = &mut self.scene;
        match scene.draw.below(100) {
            0..40 => {
                let node = scene.draw.below(self.nodes.len());
                self.nodes[node].turn(scene, &mut self.rings, false);
            }
            40..85 => {
                let client = scene.draw.below(self.clients.len());
                self.clients[client].act(scene);
            }
            85..90 => self.pass_time(),
            90..94 if !self.hostiles.is_empty() => {
                let hostile = scene.draw.below(self.hostiles.len());
                self.hostiles[hostile].act(scene);
            }
            _ => self.deal(),
        }
        self.change_rules();
        self.use_store();
        self.stop_or_go_on();
        if self.scene.draw.chance(1, self.scene.plan.rest_every) {
            self.rest(false);
        }
    }

    /// Now and then a shard hears of other rules, and somebody tries to take another's session.
    fn change_rules(&mut self) {
        let scene = &mut self.scene;
        let Some(rules) = &mut scene.rules else { return };
        if rules.luck.chance(1, rules.change_every) {
            let node = rules.luck.below(self.nodes.len());
            let book = rules.luck.below(rules.access.len());
            self.nodes[node].change_book(book, scene);
        } else if rules.luck.chance(1, 60) {
            let client = rules.luck.below(self.clients.len());
            let thief = rules.draw_user();
            self.clients[client].be_robbed(thief, scene);
        }
    }

    /// The acceptor deals a connection to any shard.
    pub(super) fn deal(&mut self) {
        let Some(link) = self.scene.accept() else { return };
        let node = self.scene.draw.below(self.nodes.len());
        self.nodes[node].deal(link);
    }

    pub(super) fn pass_time(&mut self) {
        let due = self.next_deadline();
        let scene = &mut self.scene;
        let ms = match scene.draw.below(10) {
            0..5 => scene.draw.between(0, 3) as u64,
            5..8 => scene.draw.between(1, 400) as u64,
            8 => match due {
                // Exactly when something is due, or just before.
                Some(due) => due.since(scene.now).saturating_sub(scene.draw.below(2) as u64),
                None => 1,
            },
            _ if scene.plan.has(Feature::TimeJumps) => scene.draw.between(500, 8_000) as u64,
            _ => 10,
        };
        scene.now = scene.now.plus(ms.min(100_000));
    }

    /// When the first shard has something to do.
    pub(super) fn next_deadline(&self) -> Option<Time> {
        let due = self.nodes.iter().filter_map(|node| node.shard.next_deadline()).min();
        due.map(|due| due.plus(self.scene.boot_ms))
    }

    pub(super) fn audits(&self) -> Vec<Audit> {
        self.nodes.iter().map(|node| node.shard.audit()).collect()
    }

    /// Messages that the core says it dropped.
    pub(super) fn dropped(&self) -> u64 {
        let dropped: u64 =
            self.nodes.iter().map(|node| node.shard.metrics().messages_dropped).sum();
        self.dropped_before + dropped
    }
}

/// Listeners like this one, with these promises.
fn listeners(like: &Listener, modes: &[DurabilityMode]) -> Vec<Listener> {
    let named = |(number, durability): (usize, &DurabilityMode)| Listener {
        name: format!("listener-{number}"),
        durability: *durability,
        ..like.clone()
    };
    modes.iter().enumerate().map(named).collect()
}
