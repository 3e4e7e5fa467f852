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
//! A shard whose core panics has found a bug of the broker. The other shards wait for its lanes,
//! so the process is ended with a line that says so, and a supervisor starts it again.

mod acceptor;
mod backoff;
mod cores;
mod dealer;
mod error;
mod left_out;
mod listener;
mod log;
mod memory;
mod shards;
mod signals;
mod throttle;
mod tls;

use std::sync::Arc;
use std::sync::mpsc;
use std::time::Instant;

use mio::{Poll, Token, Waker};

use crate::config::{Address, Settings};

use self::acceptor::{Acceptor, Request};
use self::listener::Listener;
use self::signals::Signals;

pub use self::acceptor::Ending;
pub use self::cores::{available_cores, raise_open_files};
pub use self::error::StartError;
pub use self::log::{Log, start_log};
pub use self::memory::available_memory;
pub use self::tls::TlsError;

/// The acceptor's token of its waker; its listeners have the tokens from zero.
const WAKER: Token = Token(usize::MAX);
/// The acceptor's token of the process's signals.
const SIGNALS: Token = Token(usize::MAX - 1);

/// A broker that holds its addresses and has not begun to serve.
pub struct Server {
    settings: Settings,
    poll: Poll,
    listeners: Vec<Listener>,
    signals: Option<Signals>,
    requests: mpsc::Receiver<Request>,
    handle: Handle,
}

impl Server {
    /// Binds all listeners of `settings`. With port 0 the kernel chooses one; see
    /// [`local_addresses`](Self::local_addresses).
    ///
    /// # Errors
    /// Names the address that cannot be had and what to do about it.
    pub fn bind(mut settings: Settings) -> Result<Self, StartError> {
        if settings.shards == 0 {
            settings.shards = available_cores();
        }
        if settings.limits.memory_bytes_max == 0 {
            // The other half is for code, the allocator's slack and the kernel's socket buffers.
            settings.limits.memory_bytes_max = available_memory().map_or(0, |bytes| bytes / 2);
        }
        let poll = Poll::new().map_err(StartError::Kernel)?;
        let waker = Waker::new(poll.registry(), WAKER).map_err(StartError::Kernel)?;
        let mut listeners = Vec::with_capacity(settings.listeners.len());
        for (index, listener) in settings.listeners.iter().enumerate() {
            listeners.push(Listener::bind(index, listener, poll.registry())?);
        }
        let (sender, requests) = mpsc::channel();
        let handle = Handle { sender, waker: Arc::new(waker) };
        Ok(Self { settings, poll, listeners, signals: None, requests, handle })
    }

    /// Lets the process's signals steer this broker: SIGTERM and SIGINT shut it down, a second one
    /// ends it at once, SIGUSR1 writes the counters to the log. For a broker that is its process.
    ///
    /// # Errors
    /// When the kernel refuses the handlers.
    pub fn obey_signals(&mut self) -> Result<(), StartError> {
        let signals = Signals::new(self.poll.registry(), SIGNALS).map_err(StartError::Kernel)?;
        self.signals = Some(signals);
        Ok(())
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
        let doors = shards::start(&self.settings, &self.handle, start)?;
        let acceptor = Acceptor::new(
            self.settings,
            self.poll,
            self.listeners,
            self.signals,
            self.requests,
            doors,
            start,
        );
        Ok(acceptor.run())
    }
}

/// Reads the files that these settings name, as a start does, and says what is wrong with them.
///
/// # Errors
/// Everything that would keep the broker from starting and that the settings alone do not show.
pub fn check_files(settings: &Settings) -> Result<(), Vec<StartError>> {
    let problems: Vec<_> =
        settings.listeners.iter().filter_map(|each| listener::layers(each).err()).collect();
    if problems.is_empty() { Ok(()) } else { Err(problems) }
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
