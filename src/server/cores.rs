//! What the machine gives this process: cores and open files.

use std::num::NonZero;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::config::SHARDS_MAX;

/// The cores this process may use: its affinity and the limits of its control group respected,
/// and no more than a broker can have shards.
pub fn available_cores() -> usize {
    std::thread::available_parallelism().map_or(1, NonZero::get).min(SHARDS_MAX)
}

/// Lets this process have as many open files as it is allowed to allow itself, and returns how
/// many those are, `None` for no limit. Every connection is one, and the usual soft limit of 1,024
/// is meant for programs that cannot deal with more.
pub fn raise_open_files() -> Option<u64> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    if raised.is_ok() { maximum } else { current }
}
