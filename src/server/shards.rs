//! The threads of the shards.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use super::Handle;
use super::acceptor::Request;
use super::error::StartError;
use crate::access::{Access, ListenerAccess};
use crate::config::{self, Settings};
use crate::net::{Beginning, Door, EventLoop, Place, mesh};

/// Time for the last line of the log.
const LOG_WAIT: Duration = Duration::from_millis(200);

/// Starts a thread for each shard and returns the doors to them. A shard that ends says so to the
/// acceptor.
pub(super) fn start(
    settings: &Settings,
    handle: &Handle,
    start: Instant,
) -> Result<Vec<Door>, StartError> {
    let places = mesh(settings);
    let beginning = Beginning { start, seed: seed() };
    let rules = |_: &config::Listener| ListenerAccess::without_providers(&settings.access);
    let listeners = settings.listeners.iter().map(rules).collect();
    let access = Arc::new(Access::new(listeners, &settings.access));
    places
        .map_err(StartError::Kernel)?
        .into_iter()
        .enumerate()
        .map(|(index, (place, door))| {
            let access = Arc::clone(&access);
            start_one(index, place, settings.clone(), access, beginning, handle.clone())
                .map_err(StartError::Kernel)?;
            Ok(door)
        })
        .collect()
}

fn start_one(
    index: usize,
    place: Place,
    settings: Settings,
    access: Arc<Access>,
    beginning: Beginning,
    handle: Handle,
) -> io::Result<()> {
    thread::Builder::new().name(format!("shard-{index}")).spawn(move || {
        let shards = settings.shards;
        let serve = || EventLoop::new(place, shards, &settings, access, beginning).run();
        if catch_unwind(AssertUnwindSafe(serve)).is_err() {
            tracing::error!(
                shard = index,
                "a bug: this shard has panicked (the reason stands above) and the others cannot \
                 go on without it; the process ends now"
            );
            // The log is written by another thread, which needs a moment.
            thread::sleep(LOG_WAIT);
            std::process::abort();
        }
        handle.request(Request::ShardEnded);
    })?;
    Ok(())
}

/// Random numbers of the operating system, by way of the standard library's hash keys.
fn seed() -> [u64; 4] {
    std::array::from_fn(|_| RandomState::new().build_hasher().finish())
}
