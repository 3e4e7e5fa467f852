//! The broker as a whole: listeners, the acceptor's thread, a thread per shard, and their end.
//!
//! ```no_run
//! use skein::{config::Settings, server::Server};
//!
//! let server = Server::bind(Settings::default())?;
//! println!("listening on {:?}", server.local_addresses());
//! let handle = server.handle();
//! std::thread::spawn(move || server.run());
//! handle.shut_down();
//! # Ok::<(), skein::server::StartError>(())
//! ```
//!
//! A panic is a bug of the broker. While a connection is read, decoded or written it costs that
//! connection. In the middle of a change of a shard's state nobody can go on: the other shards wait
//! for its lanes, so the process is ended with a line that says so, and a supervisor starts it again.
//! See docs/decisions/0011.

mod acceptor;
mod backoff;
mod bridge;
mod cores;
mod dealer;
mod error;
mod fixed;
mod key_fetcher;
mod left_out;
mod listener;
mod log;
mod login_workers;
mod memory;
mod newcomers;
mod opening;
mod pulse;
mod refusals;
mod reload;
mod rules;
mod shards;
mod signals;
mod spilling;
mod store;
mod sys;
mod throttle;
mod tls;
mod watch;
mod web;

use std::sync::Arc;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use mio::{Poll, Token, Waker};

use crate::config::{Address, ConfigError, Settings};

use self::acceptor::{Acceptor, Parts, Request};
use self::listener::Listener;
use self::login_workers::{LoginWorkers, random};
use self::opening::Opening;
use self::reload::{Reloading, Reread, Started};
use self::rules::{Given, Place, Rules};
use self::shards::{Shards, ShardsStore};
use self::signals::Signals;
use self::store::OpenStore;
use self::watch::Watch;
use self::web::Web;

pub use self::acceptor::Ending;
pub use self::cores::{available_cores, raise_open_files};
pub use self::error::StartError;
pub use self::log::{Log, start_log};
pub use self::memory::available_memory;
pub use self::rules::RulesError;
pub use self::store::StoreError;
pub use self::sys::SYS_TOPICS;
pub use self::tls::TlsError;

/// The acceptor's counters: their names, and what they count.
pub const ACCEPTOR_COUNTERS: [(&str, &str); 4] = {
    let [full, strangers, crowded] = refusals::COUNTERS;
    [full, strangers, crowded, newcomers::COUNTER]
};

/// The acceptor's token of its waker; its listeners have the tokens from zero.
const WAKER: Token = Token(usize::MAX);
/// The acceptor's token of the process's signals.
const SIGNALS: Token = Token(usize::MAX - 1);

/// A broker that holds its addresses and has not begun to serve.
pub struct Server {
    settings: Settings,
    poll: Poll,
    listeners: Vec<Listener>,
    store: Option<OpenStore>,
    started: Started,
    web: Option<Web>,
    bridges: Vec<bridge::Plan>,
    signals: Option<Signals>,
    requests: mpsc::Receiver<Request>,
    handle: Handle,
}

impl Server {
    /// Binds all listeners of `settings`, and reads what outlives brokers. With port 0 the kernel chooses one; see
    /// [`local_addresses`](Self::local_addresses).
    ///
    /// # Errors
    /// Names the address or the file that cannot be had and what to do about it.
    pub fn bind(mut settings: Settings) -> Result<Self, StartError> {
        settle(&mut settings);
        // Before the files are read: what changes from now on is noticed.
        let watch = Watch::of(&settings, Instant::now());
        let given = Given { decoy_key: random(), fetched_keys: None };
        let rules = load_rules(&settings, &given).map_err(all_but_first_logged)?;
        let web = hook(&settings)?;
        let bridges = bridge::plan(&settings).map_err(all_but_first_logged)?;
        let poll = Poll::new().map_err(StartError::Kernel)?;
        let waker = Waker::new(poll.registry(), WAKER).map_err(StartError::Kernel)?;
        let mut listeners = Vec::with_capacity(settings.listeners.len());
        for (index, listener) in settings.listeners.iter().enumerate() {
            listeners.push(Listener::bind(index, listener, poll.registry())?);
        }
        // Clients that connect meanwhile wait in the backlog.
        let store = OpenStore::open(&settings.store)?;
        let (sender, requests) = mpsc::channel();
        let handle = Handle { sender, waker: Arc::new(waker) };
        let started = Started { reread: None, rules, given, watch };
        let signals = None;
        Ok(Self {
            settings,
            poll,
            listeners,
            store,
            started,
            web,
            bridges,
            signals,
            requests,
            handle,
        })
    }

    /// Lets the process's signals steer this broker: SIGTERM and SIGINT shut it down, a second one
    /// ends it at once, SIGUSR1 writes the counters to the log, SIGHUP has everything read again. For
    /// a broker that is its process.
    ///
    /// # Errors
    /// When the kernel refuses the handlers.
    pub fn obey_signals(&mut self) -> Result<(), StartError> {
        let signals = Signals::new(self.poll.registry(), SIGNALS).map_err(StartError::Kernel)?;
        self.signals = Some(signals);
        Ok(())
    }

    /// Says how SIGHUP has the settings read again. Without it, only the files that they name are.
    pub fn reread_with(
        &mut self,
        read: impl Fn() -> Result<Settings, ConfigError> + Send + 'static,
    ) {
        self.started.reread = Some(Reread(Box::new(read)));
    }

    /// The addresses it listens on, in the order of the settings.
    pub fn local_addresses(&self) -> Vec<Address> {
        self.listeners.iter().map(|listener| listener.address().clone()).collect()
    }

    /// The settings it was made with; `shards` is the number it will have, and `memory_bytes_max`
    /// the budget (0 where the system does not say how much memory there is).
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// A way to reach the broker while it runs, from any thread.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Serves until it is told to shut down; returns when the shards have ended, or when the time
    /// that shutting down may take is over.
    ///
    /// # Errors
    /// When the kernel gives no threads or file descriptors for the shards.
    pub fn run(self) -> Result<Ending, StartError> {
        let start = Instant::now();
        let Self {
            settings,
            poll,
            listeners,
            store,
            started,
            web,
            bridges,
            signals,
            requests,
            handle,
        } = self;
        for warning in &started.rules.warnings {
            tracing::warn!("{warning}");
        }
        let (ask, queue) = mpsc::sync_channel(settings.access.logins_waiting_max);
        if store.is_none() {
            tracing::info!(
                "sessions and messages are kept in memory and end with the broker; --data-dir DIR, or \
                 data_dir in [store], keeps them"
            );
        }
        let access = &started.rules.access;
        let Shards { doors, desks, store } =
            shards::start(&settings, access, &ask, store, &handle, start)?;
        let (opening, closing) = match store {
            Some(ShardsStore { summary, counters, closing }) => {
                (Some(Opening::new(summary, counters, doors.len())), Some(closing))
            }
            None => (None, None),
        };
        let workers = LoginWorkers::start(&settings.access, queue, desks, web, start)
            .map_err(StartError::Kernel)?;
        let mut reloading = Reloading::new(&settings, started, workers, handle);
        reloading.bridges.apply(bridges);
        reloading.fetch_keys(&settings)?;
        let parts = Parts { settings, poll, listeners, signals, requests };
        let shutdown = Duration::from_millis(parts.settings.limits.shutdown_ms_max);
        let ending = Acceptor::new(parts, doors, reloading, opening, start).run();
        if let (Ending::Finished, Some(closing)) = (ending, closing) {
            closing.wait(shutdown);
        }
        Ok(ending)
    }
}

/// Puts what this machine has in the place of what the settings leave to it.
fn settle(settings: &mut Settings) {
    bridge::name_clients(settings);
    if settings.shards == 0 {
        settings.shards = available_cores();
    }
    if settings.limits.memory_bytes_max == 0 {
        // The other half is for code, the allocator's slack and the kernel's socket buffers.
        settings.limits.memory_bytes_max = available_memory().map_or(0, |bytes| bytes / 2);
    }
}

/// The rules of a broker that starts.
fn load_rules(settings: &Settings, given: &Given) -> Result<Rules, Vec<StartError>> {
    let places = settings.listeners.iter().map(|listener| Place { listener, removed: None });
    Rules::load(settings, &places.collect::<Vec<_>>(), given)
        .map_err(|errors| errors.into_iter().map(StartError::Rules).collect())
}

/// Of several reasons not to start, one is returned and the others are logged before it.
fn all_but_first_logged(errors: Vec<StartError>) -> StartError {
    let mut errors = errors.into_iter();
    let first = errors.next().expect("who fails says why");
    for error in errors {
        tracing::error!("{error}");
    }
    first
}

/// What asks the HTTP hook, if there is one.
fn hook(settings: &Settings) -> Result<Option<Web>, StartError> {
    let hook = &settings.http_hook;
    if hook.url.is_empty() {
        return Ok(None);
    }
    Web::new(&hook.url, hook.ca_file.as_deref()).map(Some).map_err(|text| {
        let place = hook.written.place("http_hook", "ca_file");
        StartError::Rules(RulesError::File { place, text })
    })
}

/// Reads the files that these settings name, as a start does, and says what an operator should hear of
/// them.
///
/// # Errors
/// Everything that would keep the broker from starting and that the settings alone do not show.
pub fn check_files(settings: &Settings) -> Result<Vec<String>, Vec<StartError>> {
    let mut problems: Vec<_> =
        settings.listeners.iter().filter_map(|each| listener::layers(each).err()).collect();
    problems.extend(hook(settings).err());
    problems.extend(bridge::plan(settings).err().into_iter().flatten());
    match load_rules(settings, &Given::default()) {
        Ok(rules) if problems.is_empty() => Ok(rules.warnings),
        Ok(_) => Err(problems),
        Err(more) => {
            error::add_unsaid(&mut problems, more);
            Err(problems)
        }
    }
}

/// Reaches a running broker from any thread.
#[derive(Clone, Debug)]
pub struct Handle {
    sender: mpsc::Sender<Request>,
    waker: Arc<Waker>,
}

impl Handle {
    /// Lets the broker say goodbye to its clients and end. [`Server::run`] returns then.
    pub fn shut_down(&self) {
        self.request(Request::ShutDown);
    }

    /// Lets each shard write its counters to the log.
    pub fn report_metrics(&self) {
        self.request(Request::ReportMetrics);
    }

    fn request(&self, request: Request) {
        // Without a receiver the broker has ended, and every request is fulfilled.
        let _ = self.sender.send(request);
        // A waker fails only when its counter is full, and then the acceptor is awake anyway.
        let _ = self.waker.wake();
    }
}
