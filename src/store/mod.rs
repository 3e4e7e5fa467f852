//! The durable log: what a shard's state is rebuilt from after a restart, a kill or a power cut.
//!
//! ```text
//!  shards ──batches──▶ Housekeeper ──append, sync──▶ Log ──▶ Disk
//!     ◀──Answer────────┘   (one thread)               │
//!                                              segments, snapshot
//! ```
//!
//! | part | what it knows |
//! |---|---|
//! | [`disk`] | files of one folder; the real one, and in tests one that crashes |
//! | [`log`] | segments, frames, checksums, recovery, snapshots; nothing of what a record means |
//! | [`mosquitto`] | the file in which Mosquitto keeps the same things |
//! | [`housekeeper`] | the thread: group commit, compaction, going on after a full disk |
//! | [`spill`] | parts of long queues that lie on disk instead of in memory, and their thread |
//!
//! What the records mean, and what they add up to, stands in [`record`](crate::record).
//!
//! Everything but the real disk and the thread is a function of its arguments.

pub mod disk;
pub mod housekeeper;
pub mod log;
pub mod mosquitto;
pub mod spill;
