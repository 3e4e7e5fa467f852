//! What `cargo xtask durability` says in the environment.

use std::env;
use std::sync::OnceLock;
use std::time::{SystemTime, UNIX_EPOCH};

/// How often the broker is killed at random points.
pub(crate) fn kills() -> usize {
    number("DURABILITY_KILLS").map_or(20, |kills| usize::try_from(kills).unwrap_or(usize::MAX))
}

/// For how many seconds histories are taken with everything that can happen.
pub(crate) fn seconds() -> u64 {
    number("DURABILITY_SECONDS").unwrap_or(20)
}

/// How many messages are queued in the store whose start is measured.
pub(crate) fn messages() -> u64 {
    number("DURABILITY_MESSAGES").unwrap_or(100_000)
}

/// The first seed: another one each time, unless it was chosen.
pub(crate) fn seed() -> u64 {
    static SEED: OnceLock<u64> = OnceLock::new();
    *SEED.get_or_init(|| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let seed = number("SEED").unwrap_or(now.as_secs() % 1_000_000_000);
        println!("SEED={seed} cargo xtask durability  # plays this again");
        seed
    })
}

fn number(name: &str) -> Option<u64> {
    env::var(name).ok().and_then(|text| text.parse().ok())
}
