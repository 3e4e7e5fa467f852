//! A look at a whole shard from outside: gauges for metrics, and what the simulator compares with
//! the truth. Slow and complete; never on a packet's path.

use std::collections::{BTreeMap, BTreeSet};

use super::{Shard, ShardId};
use crate::topic::ShareWeight;

/// What a shard holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Audit {
    /// Network connections.
    pub connections: usize,
    /// Sessions, by client id, with the registrar's epoch.
    pub sessions: BTreeMap<String, u64>,
    /// Client ids whose registrar is this shard.
    pub registered: usize,
    /// Retained replies that are not finished.
    pub replays: usize,
    /// SUBSCRIBEs that wait for other shards.
    pub waiting_subscribes: usize,
    /// Parts of long queues that are not in memory.
    pub chunks: usize,
    /// Bytes the memory account says.
    pub memory_bytes: usize,
    /// Bytes counted anew: outboxes (as of their last flush), queues, windows, retained messages.
    pub memory_bytes_counted: usize,
    /// About what the subscriptions of the sessions here take.
    pub subscription_bytes: usize,
    /// Retained topics at home here, with payloads.
    pub retained: BTreeMap<String, Vec<u8>>,
    /// Filters with a local subscriber (not shared).
    pub wanted: BTreeSet<String>,
    /// Filters that each other shard was told to want, as this shard knows it.
    pub wanted_by: BTreeMap<usize, BTreeSet<String>>,
    /// Members of shares here, by filter and name.
    pub shares: BTreeMap<(String, String), ShareWeight>,
    /// Members of shares on each other shard, as this shard knows it.
    pub shares_of: BTreeMap<usize, BTreeMap<(String, String), ShareWeight>>,
    /// Filters in the trie.
    pub filters: usize,
}

impl Audit {
    /// `ShareWeight` of nobody.
    const NOBODY: ShareWeight = ShareWeight { online: 0, members: 0 };
}

impl Shard {
    /// Looks at everything.
    pub fn audit(&self) -> Audit {
        let mut audit = Audit {
            connections: self.connections.len(),
            registered: self.registrar.len(),
            replays: self.replays.len(),
            waiting_subscribes: self.interest.waiting(),
            chunks: self.chunks.len(),
            memory_bytes: self.memory.used(),
            memory_bytes_counted: self.memory_bytes_counted(),
            subscription_bytes: self.subscription_bytes,
            retained: self.retained.contents(),
            filters: self.subscriptions.len(),
            ..Audit::default()
        };
        for key in self.sessions.keys() {
            let session = self.sessions.at(key);
            audit.sessions.insert(session.client_id.to_string(), session.epoch);
        }
        self.audit_filters(&mut audit);
        audit
    }

    fn audit_filters(&self, audit: &mut Audit) {
        for filter in self.subscriptions.filters() {
            let (pattern, entry) =
                (self.subscriptions.text(filter), self.subscriptions.entry(filter));
            if !entry.local().is_empty() {
                audit.wanted.insert(pattern.clone());
            }
            for shard in entry.shards.iter() {
                audit.wanted_by.entry(shard.index()).or_default().insert(pattern.clone());
            }
            for share in entry.shares() {
                let name = (pattern.clone(), share.origin.group.to_string());
                if share.weight() != Audit::NOBODY {
                    audit.shares.insert(name.clone(), share.weight());
                }
                for shard in self.others() {
                    if let Some(weight) = share.neighbour(shard) {
                        audit
                            .shares_of
                            .entry(shard.index())
                            .or_default()
                            .insert(name.clone(), weight);
                    }
                }
            }
        }
    }

    fn memory_bytes_counted(&self) -> usize {
        let outboxes: usize = self.connections.ids().into_iter().map(|id| self.charged(id)).sum();
        let keys = self.sessions.keys().into_iter();
        let sessions: usize = keys
            .map(|key| {
                let session = self.sessions.at(key);
                let window = session.sender.values().map(|(_, delivery)| delivery.bytes());
                session.queue.memory_bytes() + window.sum::<usize>()
            })
            .sum();
        outboxes + sessions + self.retained.bytes()
    }

    fn charged(&self, id: super::ConnectionId) -> usize {
        self.connections.find(id).map_or(0, |connection| connection.charged)
    }

    /// This shard's own number.
    pub fn id(&self) -> ShardId {
        self.id
    }
}
