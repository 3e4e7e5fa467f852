//! Topics and filters: who wants what, and what is retained.
//!
//! * [`trie`]: filter → value, matched by topics.
//! * [`FilterEntry`]: the value at a filter: local subscribers, one bit per other shard, shares.
//! * [`retained`]: topic → message, scanned by filters.

#[cfg(test)]
mod naive;
pub mod retained;
mod shards;
mod share;
mod subscribers;
mod subscriptions;
pub mod trie;

pub use shards::ShardSet;
pub use share::{Pick, Share, ShareWeight};
pub use subscribers::{FilterEntry, Subscriber};
pub use subscriptions::Subscriptions;
