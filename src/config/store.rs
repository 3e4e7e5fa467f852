//! The part of the table that says what outlives the broker, and how it is kept.

use std::path::PathBuf;

use super::reader::Reader;
use super::table::{BYTES_MAX, Row, section};
use super::value::{Allowed, DurabilityMode, Value};

section! {
    /// What outlives the broker, and how it is kept: the `[store]` section.
    Store = "store";
    /// The folder for sessions, subscriptions, queued messages, retained messages and wills. It is
    /// made if it is not there, and locked: each broker needs one of its own. Empty = all of that
    /// is kept in memory, and ends with the broker.
    data_dir: Option<PathBuf> = None, .., "a broker that cannot use its folder does not start";
    /// What acknowledgements promise to those who connect to a listener that does not say otherwise:
    /// "disk" = what is acknowledged survives a power cut; "os" = it survives the end of the broker,
    /// but not of the machine; "memory" = nothing of the listener's sessions is written, and
    /// acknowledgements wait for nothing.
    durability: DurabilityMode = DurabilityMode::Disk, ..,
        "with disk and os an acknowledgement leaves when what it promises is kept";
    /// The size of one file of the log: with more in it, the next one is begun.
    segment_bytes: usize = 8_388_608, 65_536..=1_073_741_824, "a batch that begins in it may lie beyond";
    /// How much the log has to grow beyond twice what was left the last time until it is compacted.
    compaction_bytes_min: u64 = 67_108_864, 65_536..=1 << 48, "what nobody needs any more is left out";
    /// How many bytes of batches are gathered for one write and one sync.
    commit_bytes_max: usize = 16_777_216, 65_536..=BYTES_MAX, "the rest waits for the next one";
    /// How many bytes may be written and not synced.
    unsynced_bytes_max: usize = 67_108_864, 65_536..=BYTES_MAX, "further batches wait for the disk";
    /// How many batches of all shards wait for the thread that writes them.
    queue_batches_max: usize = 4_096, 1..=1_048_576, "further batches wait at their shards, in order";
    /// How long a disk that is full or has failed is left alone until it is tried again.
    retry_ms: u64 = 500, 1..=60_000, "meanwhile what needs the disk is refused";
}
