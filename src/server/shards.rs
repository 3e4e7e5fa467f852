//! The threads of the shards.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use super::Handle;
use super::acceptor::Request;
use super::error::StartError;
use super::spilling::start_spilling;
use super::store::{Closing, OpenStore, RunningStore, Summary, unix_ms};
use crate::access::Access;
use crate::config::Settings;
use crate::net::{Beginning, Desks, Door, EventLoop, LoginDesk, LoginRequest, Recovery, mesh};
use crate::store::housekeeper::Counters;

/// Time for the last line of the log.
pub(super) const LOG_WAIT: Duration = Duration::from_millis(200);

/// What the acceptor's thread has of the shards.
pub(super) struct Shards {
    /// By shard.
    pub(super) doors: Vec<Door>,
    /// By shard.
    pub(super) desks: Vec<LoginDesk>,
    /// Of a broker with a store.
    pub(super) store: Option<ShardsStore>,
}

/// What is left of a store that the shards have.
pub(super) struct ShardsStore {
    pub(super) summary: Summary,
    pub(super) counters: Arc<Mutex<Counters>>,
    pub(super) closing: Closing,
}

/// Starts a thread for each shard. One that has taken over what was kept, and one that ends, says so
/// to the acceptor.
pub(super) fn start(
    settings: &Settings,
    access: &Arc<Access>,
    requests: &SyncSender<LoginRequest>,
    store: Option<OpenStore>,
    handle: &Handle,
    start: Instant,
) -> Result<Shards, StartError> {
    let unix_ms = unix_ms(SystemTime::now());
    let (mut places, mut doors, mut desks) = (vec![], vec![], vec![]);
    let (mut keepers, mut spillers) = (vec![], vec![]);
    for (place, door, Desks { logins, keeper, spills }) in
        mesh(settings, requests).map_err(StartError::Kernel)?
    {
        places.push(place);
        doors.push(door);
        desks.push(logins);
        keepers.push(keeper);
        spillers.push(spills);
    }
    let folder = settings.store.data_dir.as_deref().filter(|_| store.is_some());
    let spilling = folder.map(|folder| start_spilling(folder, spillers)).transpose()?;
    let store = store.map(|store| store.start(settings, keepers)).transpose()?;
    let beginning = Beginning { start, seed: seed() };
    for (index, place) in places.into_iter().enumerate() {
        let access = Arc::clone(access);
        let kept = store.as_ref().map(|store| {
            let recovery = Recovery { state: Arc::clone(&store.state), unix_ms };
            (Box::new(store.queue.clone()), recovery)
        });
        let spills = spilling.clone();
        let recovered = handle.clone();
        let run = move |settings: &Settings| {
            let mut event_loop =
                EventLoop::new(place, settings.shards, settings, access, beginning);
            if let Some(requests) = spills {
                event_loop.spill_to(requests);
            }
            if let Some((keeper, recovery)) = kept {
                if let Err(why) = event_loop.recover(keeper, recovery) {
                    end_unrecovered(&why);
                }
                recovered.request(Request::ShardRecovered);
            }
            event_loop.run();
        };
        start_one(index, settings.clone(), run, handle.clone()).map_err(StartError::Kernel)?;
    }
    let store = store.map(|RunningStore { summary, counters, closing, .. }| ShardsStore {
        summary,
        counters,
        closing,
    });
    Ok(Shards { doors, desks, store })
}

/// What was kept was whole when the broker started, and can not be read any more.
fn end_unrecovered(why: &str) -> ! {
    tracing::error!("{why}. Nothing was changed, and nobody was served; look at the disk");
    // The log is written by another thread, which needs a moment.
    thread::sleep(LOG_WAIT);
    std::process::exit(1);
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
