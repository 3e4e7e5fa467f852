//! How many cores this process may use.

use std::num::NonZero;

use crate::config::SHARDS_MAX;

/// The cores this process may use: its affinity and the limits of its control group respected,
/// and no more than a broker can have shards.
pub fn available_cores() -> usize {
    std::thread::available_parallelism().map_or(1, NonZero::get).min(SHARDS_MAX)
}
