//! A map that never holds more than so many entries, and forgets those longest unused first, by
//! halves: no list of uses has to be kept.

use std::collections::BTreeMap;
use std::mem;

/// At most `entries_max` entries. What was inserted or changed lately is in `recent`; when that is
/// half of all there may be, it becomes `older`, and what was there is forgotten.
#[derive(Clone, Debug)]
pub(super) struct RecentMap<K, V> {
    recent: BTreeMap<K, V>,
    older: BTreeMap<K, V>,
    half: usize,
}

impl<K: Ord, V> RecentMap<K, V> {
    /// An empty map. With fewer than two entries allowed it stays empty.
    pub(super) fn new(entries_max: usize) -> Self {
        Self { recent: BTreeMap::new(), older: BTreeMap::new(), half: entries_max / 2 }
    }

    /// The entry, if it has not been forgotten.
    pub(super) fn find(&self, key: &K) -> Option<&V> {
        self.recent.get(key).or_else(|| self.older.get(key))
    }

    /// Puts an entry in as the one used last.
    pub(super) fn insert(&mut self, key: K, value: V) {
        if self.half == 0 {
            return;
        }
        self.older.remove(&key);
        if self.recent.len() >= self.half && !self.recent.contains_key(&key) {
            self.older = mem::take(&mut self.recent);
        }
        self.recent.insert(key, value);
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.recent.clear();
        self.older.clear();
    }

    /// How many entries there are.
    pub(super) fn len(&self) -> usize {
        self.recent.len() + self.older.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_never_grows_beyond_its_bound_and_keeps_what_is_used() {
        let mut map = RecentMap::new(10);
        for key in 0..1000 {
            map.insert(key, key);
            assert!(map.len() <= 10);
            assert_eq!(map.find(&key), Some(&key));
            assert!(map.find(&0).is_some(), "what is used again and again stays");
            map.insert(0, 0);
        }
        assert_eq!(map.find(&990), None);
        map.clear();
        assert_eq!((map.len(), map.find(&0)), (0, None));
    }

    #[test]
    fn the_newer_half_is_always_there() {
        let mut map = RecentMap::new(10);
        for key in 0..100 {
            map.insert(key, ());
            assert!((key - 4..=key).filter(|key| *key >= 0).all(|key| map.find(&key).is_some()));
        }
    }

    #[test]
    fn a_map_for_nothing_holds_nothing() {
        let mut map = RecentMap::new(1);
        map.insert(1, 1);
        assert_eq!((map.len(), map.find(&1)), (0, None));
    }
}
