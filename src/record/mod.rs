//! The changes of durable state, as they stand in the log: by client identifiers, filters and
//! topics, never by slots, listeners' numbers or shards of one process.
//!
//! ```text
//! record = kind(1) version(1) fields
//! ```
//!
//! Fields stand in the order below. A kind that gets another field gets another version, and the
//! version before it is still read. Times are milliseconds since 1970, because clocks go on while
//! nothing runs.
//!
//! A message has a number and is stored once for all the sessions of a shard that want it; it is
//! there as long as something refers to it. An entry is one message on its way to one client; its
//! number rises within the session.
//!
//! ```text
//! Queued ──▶ Sent ──▶ (QoS 1: PUBACK) ─────────────▶ Finished
//!    │         └────▶ (QoS 2: PUBREC) Received ────▶ (PUBCOMP) Finished
//!    └────▶ Dropped
//! ```

mod batch;
mod durability;
mod field;
mod json;
mod place;
pub mod state;
mod table;
#[cfg(test)]
mod tests;

pub use batch::{Batch, Records};
pub use durability::{Durability, Group};
pub use place::{Pages, Place, Shelf, Spot, Window};
pub use table::Record;

/// Why bytes are no record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// They end too early.
    #[error("the record is cut")]
    Truncated,
    /// They go on after its end.
    #[error("bytes follow the end of the record")]
    TrailingBytes,
    /// A number does not fit.
    #[error("a number of the record is too large")]
    NumberTooLarge,
    /// Text that is not UTF-8.
    #[error("text of the record is not UTF-8")]
    NotText,
    /// A value that means nothing.
    #[error("the record has an unknown {0}")]
    UnknownValue(&'static str),
    /// A kind, or a version of it, that this program does not know.
    #[error("records of kind {kind}, version {version}, are not known to this program")]
    UnknownKind {
        /// The kind.
        kind: u8,
        /// Its version.
        version: u8,
    },
}
