//! What every test here stands on: the broker's process, a scripted peer, and the packets it says.

mod authority;
mod broker;
mod build;
mod case;
mod doors;
mod peer;
mod vitals;

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

pub(crate) use authority::{Authority, Identity, quoted};
pub(crate) use broker::{Broker, binary};
pub(crate) use build::*;
pub(crate) use case::{Case, each_shard_count, each_shard_count_v5, each_version};
pub(crate) use doors::{BEYOND_THE_PROXY, Doors, Way};
pub(crate) use peer::{Heard, PATIENCE, Peer};
pub(crate) use vitals::Vitals;

/// A number that no other call in this process gets.
pub(crate) fn serial() -> u64 {
    static SERIAL: AtomicU64 = AtomicU64::new(0);
    SERIAL.fetch_add(1, Ordering::Relaxed)
}

/// Whether something becomes true in time; looked at every two milliseconds.
pub(crate) fn eventually(within: Duration, mut is_so: impl FnMut() -> bool) -> bool {
    let started = Instant::now();
    loop {
        if is_so() {
            return true;
        }
        if started.elapsed() >= within {
            return false;
        }
        thread::sleep(Duration::from_millis(2));
    }
}
