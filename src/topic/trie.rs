//! Topic filters as a tree of their levels, each with a value.
//!
//! ```text
//!    root ── "a" ── "b"     a/b       Ordinary children are found in one hash map of all edges,
//!             │                       (node, text of the level) → node, whose entries are node
//!             ├──── +       a/+       numbers only: the key stands in the node. The texts are
//!             └──── #       a/#       kept once, as numbers. So a filter with a last level of
//!                                     its own costs some 80 bytes and its value.
//! ```

mod symbols;
#[cfg(test)]
mod tests;

use ahash::RandomState;
use hashbrown::HashTable;
use slab::Slab;
use smallvec::SmallVec;

use self::symbols::{Symbol, Symbols};
use crate::session::{FilterId, has_much_spare};

/// The root; as no node has it for a child, it also means "none".
const ROOT: u32 = 0;

/// The level is `+`. Symbols are fewer than nodes, so no text has this number.
const PLUS: Symbol = u32::MAX;
/// The level is `#`.
const HASH: Symbol = u32::MAX - 1;
/// No filter has a level with this text.
const UNKNOWN: Symbol = u32::MAX - 2;

/// Topics with at most this many levels are matched without an allocation.
const LEVELS_INLINE: usize = 24;

/// Filter text → value. The filters are valid and without `$share/name/`; how many levels they
/// and the topics have is limited by the caller. The memory of removed filters is used again, and
/// given back when few are left.
#[derive(Debug)]
pub struct Trie<V> {
    nodes: Slab<Node<V>>,
    /// Finds the node with a given parent and symbol.
    edges: HashTable<u32>,
    symbols: Symbols,
    hasher: RandomState,
    len: usize,
    generation: u64,
}

/// One level of a filter, or of several with the same beginning.
#[derive(Debug)]
struct Node<V> {
    parent: u32,
    symbol: Symbol,
    /// The child whose level is `+`; [`ROOT`]: none.
    plus: u32,
    /// The child whose level is `#`; [`ROOT`]: none.
    hash: u32,
    /// How many children there are, wildcards included.
    children: u32,
    /// None: only the beginning of other filters, as most nodes of a deep tree are. Boxed, so that
    /// these are small and the walk through them stays in the cache.
    value: Option<Box<V>>,
}

// A filter with a last level of its own is one node, one text and an entry of 4 bytes in each of the
// two tables, on every shard.
const _: () = assert!(size_of::<Node<[u64; 9]>>() <= 32);

impl<V: Default> Trie<V> {
    /// No filters. The hasher's seeds decide nothing that can be seen from outside but time.
    pub fn new(hasher: RandomState) -> Self {
        let mut trie = Self {
            nodes: Slab::new(),
            edges: HashTable::new(),
            symbols: Symbols::new(hasher.clone()),
            hasher,
            len: 0,
            generation: 0,
        };
        trie.clear();
        trie
    }

    /// The node of a filter; if it is new, with the default value.
    pub fn insert(&mut self, filter: &str) -> FilterId {
        let mut node = ROOT;
        for level in filter.split('/') {
            node = self.child(node, level).unwrap_or_else(|| self.add_child(node, level));
        }
        if self.node(node).value.is_none() {
            self.node_mut(node).value = Some(Box::default());
            self.len += 1;
            self.generation += 1;
        }
        FilterId(node)
    }

    /// The node of a filter that was inserted.
    pub fn find(&self, filter: &str) -> Option<FilterId> {
        let mut node = ROOT;
        for level in filter.split('/') {
            node = self.child(node, level)?;
        }
        self.node(node).value.is_some().then_some(FilterId(node))
    }

    /// The value of a filter.
    ///
    /// # Panics
    ///
    /// If the filter was removed.
    pub fn value(&self, id: FilterId) -> &V {
        self.node(id.0).value.as_deref().expect("the caller's filter is still here")
    }

    /// The value of a filter, to be changed: what matched before may match no longer.
    ///
    /// # Panics
    ///
    /// If the filter was removed.
    pub fn value_mut(&mut self, id: FilterId) -> &mut V {
        self.generation += 1;
        self.value_mut_quietly(id)
    }

    /// The value of a filter, to be changed in a way that does not change what matches.
    ///
    /// # Panics
    ///
    /// If the filter was removed.
    pub fn value_mut_quietly(&mut self, id: FilterId) -> &mut V {
        self.node_mut(id.0).value.as_deref_mut().expect("the caller's filter is still here")
    }

    /// Removes a filter, and every node that only led to it.
    ///
    /// # Panics
    ///
    /// If the filter was removed before.
    pub fn remove(&mut self, id: FilterId) -> V {
        let value = self.node_mut(id.0).value.take().expect("the caller's filter is still here");
        self.len -= 1;
        self.generation += 1;
        if self.len == 0 {
            self.clear();
            return *value;
        }
        let mut node = id.0;
        while node != ROOT && self.node(node).children == 0 && self.node(node).value.is_none() {
            node = self.remove_leaf(node);
        }
        *value
    }

    /// Calls `found` for each filter that matches the topic, in an order that only depends on the
    /// topic and the filters: at each level `#` first, then the text, then `+`.
    ///
    /// Walks only along filters whose beginning matches; how many others there are at a level
    /// does not matter.
    #[inline]
    pub fn matches(&self, topic: &str, found: impl FnMut(FilterId, &V)) {
        self.walk(topic, found);
    }

    /// How many filters there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// There is no filter.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The text of a filter.
    pub fn text(&self, id: FilterId) -> String {
        let mut levels: SmallVec<[&str; LEVELS_INLINE]> = SmallVec::new();
        let mut node = id.0;
        while node != ROOT {
            levels.push(match self.node(node).symbol {
                PLUS => "+",
                HASH => "#",
                symbol => self.symbols.text(symbol),
            });
            node = self.node(node).parent;
        }
        levels.reverse();
        levels.join("/")
    }

    /// How many levels are stored for all filters together.
    pub fn nodes(&self) -> usize {
        self.nodes.len() - 1
    }

    /// Changes whenever a match may have another result than before: with each new filter, each
    /// removal and each [`Self::value_mut`].
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// [`Self::matches`]; says how many nodes it went through.
    fn walk(&self, topic: &str, mut found: impl FnMut(FilterId, &V)) -> usize {
        let mut passed = 0;
        let levels: SmallVec<[Symbol; LEVELS_INLINE]> =
            topic.split('/').map(|level| self.symbols.find(level).unwrap_or(UNKNOWN)).collect();
        let mut report = |node: u32| {
            if let Some(value) = &self.node(node).value {
                found(FilterId(node), value);
            }
        };
        // Nodes whose filter matches the first `depth` levels; at most one more than levels.
        let mut open: SmallVec<[(u32, usize); LEVELS_INLINE]> = SmallVec::new();
        open.push((ROOT, 0));
        while let Some((index, depth)) = open.pop() {
            passed += 1;
            let node = self.node(index);
            // [MQTT-4.7.2-1]
            let wildcards = depth > 0 || !topic.starts_with('$');
            if node.hash != ROOT && wildcards {
                // Also at the end of the topic: `a/#` matches `a` [MQTT-4.7.1-2].
                report(node.hash);
            }
            let Some(&symbol) = levels.get(depth) else {
                report(index);
                continue;
            };
            if node.plus != ROOT && wildcards {
                open.push((node.plus, depth + 1));
            }
            if let Some(child) = self.edge(index, symbol) {
                open.push((child, depth + 1));
            }
        }
        passed
    }

    /// Every filter, by number: for a look at the whole.
    pub fn filters(&self) -> Vec<FilterId> {
        let valued = self.nodes.iter().filter(|(_, node)| node.value.is_some());
        valued.map(|(index, _)| FilterId(index as u32)).collect()
    }

    /// Back to the root alone, without spare memory.
    fn clear(&mut self) {
        self.nodes = Slab::new();
        self.edges = HashTable::new();
        self.symbols = Symbols::new(self.hasher.clone());
        self.nodes.insert(Node {
            parent: ROOT,
            symbol: UNKNOWN,
            plus: ROOT,
            hash: ROOT,
            children: 0,
            value: None,
        });
    }

    fn node(&self, index: u32) -> &Node<V> {
        &self.nodes[index as usize]
    }

    fn node_mut(&mut self, index: u32) -> &mut Node<V> {
        &mut self.nodes[index as usize]
    }

    fn edge(&self, parent: u32, symbol: Symbol) -> Option<u32> {
        let node = self.node(parent);
        if symbol == UNKNOWN || node.children == 0 {
            return None;
        }
        let is_it = |index: &u32| {
            let child = self.node(*index);
            child.parent == parent && child.symbol == symbol
        };
        self.edges.find(hash_edge(&self.hasher, parent, symbol), is_it).copied()
    }

    /// The child for a level of a filter.
    fn child(&self, parent: u32, level: &str) -> Option<u32> {
        let wildcard = |child: u32| (child != ROOT).then_some(child);
        match level {
            "+" => wildcard(self.node(parent).plus),
            "#" => wildcard(self.node(parent).hash),
            text => self.edge(parent, self.symbols.find(text)?),
        }
    }

    fn add_child(&mut self, parent: u32, level: &str) -> u32 {
        let symbol = match level {
            "+" => PLUS,
            "#" => HASH,
            text => self.symbols.acquire(text),
        };
        let node = Node { parent, symbol, plus: ROOT, hash: ROOT, children: 0, value: None };
        let index = u32::try_from(self.nodes.insert(node)).expect("memory ends before 2^32 nodes");
        let above = self.node_mut(parent);
        above.children += 1;
        match symbol {
            PLUS => above.plus = index,
            HASH => above.hash = index,
            _ => {
                let Self { nodes, edges, hasher, .. } = self;
                let hash_of = |index: &u32| hash_child(hasher, &nodes[*index as usize]);
                edges.insert_unique(hash_edge(hasher, parent, symbol), index, hash_of);
            }
        }
        index
    }

    /// Removes a node without children and says what its parent is.
    fn remove_leaf(&mut self, index: u32) -> u32 {
        let Node { parent, symbol, .. } = self.nodes.remove(index as usize);
        let above = self.node_mut(parent);
        above.children -= 1;
        match symbol {
            PLUS => above.plus = ROOT,
            HASH => above.hash = ROOT,
            _ => {
                let hash = hash_edge(&self.hasher, parent, symbol);
                if let Ok(edge) = self.edges.find_entry(hash, |at| *at == index) {
                    edge.remove();
                }
                self.symbols.release(symbol);
            }
        }
        self.give_back();
        parent
    }

    /// Memory that a peak has left behind.
    fn give_back(&mut self) {
        let Self { nodes, edges, hasher, .. } = self;
        if has_much_spare(nodes.len(), nodes.capacity()) {
            nodes.shrink_to_fit();
        }
        if has_much_spare(edges.len(), edges.capacity()) {
            let hash_of = |index: &u32| hash_child(hasher, &nodes[*index as usize]);
            edges.shrink_to(2 * edges.len(), hash_of);
        }
    }
}

fn hash_child<V>(hasher: &RandomState, child: &Node<V>) -> u64 {
    hash_edge(hasher, child.parent, child.symbol)
}

fn hash_edge(hasher: &RandomState, parent: u32, symbol: Symbol) -> u64 {
    hasher.hash_one(u64::from(parent) << 32 | u64::from(symbol))
}
