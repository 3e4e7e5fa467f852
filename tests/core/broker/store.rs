//! A store that is a list of batches: a test says what of them becomes durable, and when.

use std::{collections::BTreeMap, sync::Arc};

use skein::{
    record::{Durability, Record, state::State},
    shard::Persist,
};

/// What the shards have handed over, and how much of it is durable.
#[derive(Debug, Default)]
pub(crate) struct Store {
    /// In the order in which they came, with the shard.
    waiting: Vec<(usize, Persist)>,
    /// Batches that are durable, each with those it has to be there with.
    log: Vec<Persist>,
    /// How many of them a power cut leaves: one that is to be on the disk takes along all before
    /// it, and what is written with it.
    synced: usize,
    /// Nothing becomes durable by itself.
    pub(super) is_held: bool,
}

impl Store {
    pub(super) fn push(&mut self, shard: usize, persists: Vec<Persist>) {
        self.waiting.extend(persists.into_iter().map(|persist| (shard, persist)));
    }

    /// Makes durable what may be: of each shard's batches a beginning in which every group is
    /// whole. Returns the last ticket of each shard.
    pub(super) fn commit(&mut self) -> BTreeMap<usize, u64> {
        let mut tickets = BTreeMap::new();
        let mut written: Vec<bool> = vec![true; self.waiting.len()];
        loop {
            let before = written.clone();
            let mut parts: BTreeMap<u64, u32> = BTreeMap::new();
            let inside = self.waiting.iter().zip(&written).filter(|(_, written)| **written);
            for group in inside.flat_map(|((_, persist), _)| &persist.groups) {
                *parts.entry(group.number).or_default() += 1;
            }
            let mut blocked = Vec::new();
            for ((shard, persist), written) in self.waiting.iter().zip(&mut written) {
                let is_whole =
                    persist.groups.iter().all(|it| parts.get(&it.number) == Some(&it.parts));
                if !is_whole || blocked.contains(shard) {
                    *written = false;
                    blocked.push(*shard);
                }
            }
            if written == before {
                break;
            }
        }
        let mut left = Vec::new();
        let mut syncs = false;
        for ((shard, persist), written) in
            std::mem::take(&mut self.waiting).into_iter().zip(written)
        {
            if written {
                tickets.insert(shard, persist.ticket);
                syncs |= persist.durability == Durability::Disk;
                self.log.push(persist);
            } else {
                left.push((shard, persist));
            }
        }
        self.waiting = left;
        if syncs {
            self.synced = self.log.len();
        }
        tickets
    }

    /// What is there after a crash.
    pub(super) fn crash(&mut self, lost_at_ms: u64) -> Arc<State> {
        self.waiting.clear();
        // A start syncs what it has found.
        self.synced = self.log.len();
        let mut state = self.state();
        state.set_connected_lost_at(lost_at_ms);
        Arc::new(state)
    }

    /// What was only written is gone.
    pub(super) fn cut_power(&mut self) {
        self.log.truncate(self.synced);
    }

    /// The state of what is durable.
    pub(crate) fn state(&self) -> State {
        let mut state = State::default();
        for record in self.log.iter().flat_map(|persist| persist.batch.records()) {
            state.apply_bytes(record).expect("each record can follow those before it");
        }
        state
    }

    /// All batches in a row.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.log.iter().flat_map(|persist| persist.batch.as_bytes()).copied().collect()
    }

    /// Everything that was ever recorded and is durable, for a look at single records.
    pub(crate) fn records(&self) -> Vec<String> {
        let records = self.log.iter().flat_map(|persist| persist.batch.records());
        let shown = |record| format!("{:?}", Record::decode(record).expect("it is a record"));
        records.map(shown).collect()
    }
}
