//! The threads of the shards.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::thread;
use std::time::{Duration, Instant};

use super::Handle;
use super::acceptor::Request;
use super::error::StartError;
use crate::access::Access;
use crate::config::Settings;
use crate::net::{Beginning, Door, EventLoop, LoginDesk, LoginRequest, mesh};

/// Time for the last line of the log.
const LOG_WAIT: Duration = Duration::from_millis(200);

/// Starts a thread for each shard and returns the doors to them, and the workers' desks. A shard that ends says so to the
/// acceptor.
pub(super) fn start(
    settings: &Settings,
    access: &Arc<Access>,
    requests: &SyncSender<LoginRequest>,
    handle: &Handle,
    start: Instant,
) -> Result<(Vec<Door>, Vec<LoginDesk>), StartError> {
    let places = mesh(settings, requests);
    let beginning = Beginning { start, seed: seed() };
    places
        .map_err(StartError::Kernel)?
        .into_iter()
        .enumerate()
        .map(|(index, (place, door, desk))| {
            let access = Arc::clone(access);
            let run = move |settings: &Settings| {
                EventLoop::new(place, settings.shards, settings, access, beginning).run();
            };
            start_one(index, settings.clone(), run, handle.clone()).map_err(StartError::Kernel)?;
            Ok((door, desk))
        })
        .collect()
}

fn start_one(
    index: usize,
    settings: Settings,
    run: impl FnOnce(&Settings) + Send + 'static,
    handle: Handle,
) -> io::Result<()> {
    thread::Builder::new().name(format!("shard-{index}")).spawn(move || {
        if catch_unwind(AssertUnwindSafe(|| run(&settings))).is_err() {
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
