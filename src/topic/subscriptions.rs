//! One shard's replica of all subscriptions: the trie of filters with what stands at each.

use std::collections::BTreeMap;

use ahash::{AHashMap, RandomState};

use super::{FilterEntry, Share, ShareWeight, trie::Trie};
use crate::session::{FilterId, ShardId, ShareOrigin};

/// The subscription trie of one shard, and the shares in it by key.
#[derive(Debug)]
pub struct Subscriptions {
    trie: Trie<FilterEntry>,
    /// Share key → where it stands. Keys are never used again.
    shares: AHashMap<u64, (FilterId, Box<str>)>,
    share_keys: u64,
    /// Shares that were forgotten, by the key that other shards may pick them by until they have
    /// applied what they were told.
    forgotten: BTreeMap<u64, Forgotten>,
}

/// A share that nobody is in any more.
#[derive(Debug)]
struct Forgotten {
    pattern: String,
    group: Box<str>,
    /// The own interest's number that told the others.
    barrier: u64,
}

impl Subscriptions {
    /// No filter yet.
    pub fn new(hasher: RandomState) -> Self {
        Self {
            trie: Trie::new(hasher.clone()),
            shares: AHashMap::with_hasher(hasher),
            share_keys: 0,
            forgotten: BTreeMap::new(),
        }
    }

    /// Changes whenever the answer to "who wants this topic?" may have changed.
    pub fn generation(&self) -> u64 {
        self.trie.generation()
    }

    /// Filters that anybody wants.
    pub fn len(&self) -> usize {
        self.trie.len()
    }

    /// Whether nobody wants anything.
    pub fn is_empty(&self) -> bool {
        self.trie.len() == 0
    }

    /// The filter's text.
    pub fn text(&self, filter: FilterId) -> String {
        self.trie.text(filter)
    }

    /// What stands at a filter.
    pub fn entry(&self, filter: FilterId) -> &FilterEntry {
        self.trie.value(filter)
    }

    /// What stands at a filter, to change it.
    pub fn entry_mut(&mut self, filter: FilterId) -> &mut FilterEntry {
        self.trie.value_mut(filter)
    }

    /// The filter with this text, if anybody wants it.
    pub fn find(&self, pattern: &str) -> Option<FilterId> {
        self.trie.find(pattern)
    }

    /// The filter with this text, made if nobody wanted it.
    pub fn insert(&mut self, pattern: &str) -> FilterId {
        self.trie.insert(pattern)
    }

    /// Forgets a filter that nobody wants any more.
    pub fn prune(&mut self, filter: FilterId) {
        if self.trie.value(filter).is_empty() {
            self.trie.remove(filter);
        }
    }

    /// Every filter, by number.
    pub fn filters(&self) -> Vec<FilterId> {
        self.trie.filters()
    }

    /// Every filter that matches the topic, with what stands there.
    pub fn matches(&self, topic: &str, found: impl FnMut(FilterId, &FilterEntry)) {
        self.trie.matches(topic, found);
    }

    /// Notes what another shard said of its members in a share.
    pub fn set_share_neighbour(
        &mut self,
        pattern: &str,
        group: &str,
        shard: ShardId,
        key: u64,
        weight: ShareWeight,
    ) {
        let filter = self.trie.insert(pattern);
        self.share_mut(filter, group).set_neighbour(shard, key, weight);
        self.prune_share(filter, group);
    }

    /// The share with this name at a filter, made if there is none.
    pub fn share_mut(&mut self, filter: FilterId, group: &str) -> &mut Share {
        let pattern = match self.trie.value(filter).share(group) {
            Some(_) => None,
            None => Some(self.trie.text(filter)),
        };
        let entry = self.trie.value_mut(filter);
        if let Some(pattern) = pattern {
            self.share_keys += 1;
            let key = self.share_keys;
            self.shares.insert(key, (filter, group.into()));
            let origin = ShareOrigin { pattern: pattern.into(), group: group.into() };
            return entry.add_share(Share::new(key, origin));
        }
        entry.share_mut(group).expect("the share was just found")
    }

    /// The share with this key, if it still exists.
    pub fn share_by_key(&mut self, key: u64) -> Option<&mut Share> {
        let (filter, group) = self.shares.get(&key)?;
        self.trie.value_mut_quietly(*filter).share_mut(group)
    }

    /// Forgets a share that nobody is in any more, and its filter if nobody wants that.
    pub fn prune_share(&mut self, filter: FilterId, group: &str) {
        let share = self.trie.value(filter).share(group).filter(|share| share.is_empty());
        if let Some((key, barrier)) = share.map(|share| (share.key, share.barrier)) {
            if barrier > 0 {
                let (pattern, group) = (self.trie.text(filter), group.into());
                self.forgotten.insert(key, Forgotten { pattern, group, barrier });
            }
            self.trie.value_mut(filter).remove_share(group);
            self.shares.remove(&key);
        }
        self.prune(filter);
    }

    /// The key by which the share that was forgotten under this one is known now.
    pub fn successor(&self, key: u64) -> Option<u64> {
        let Forgotten { pattern, group, .. } = self.forgotten.get(&key)?;
        self.share_key(self.trie.find(pattern)?, group)
    }

    /// All other shards have applied the own interest up to this number: none of them picks what
    /// was forgotten before it.
    pub fn note_applied(&mut self, barrier: u64) {
        if !self.forgotten.is_empty() {
            self.forgotten.retain(|_, forgotten| forgotten.barrier > barrier);
        }
    }

    /// The share's key as this shard tells it to others.
    pub fn share_key(&self, filter: FilterId, group: &str) -> Option<u64> {
        self.trie.value(filter).share(group).map(|share| share.key)
    }
}
