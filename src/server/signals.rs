//! The signals of the process, as requests to the acceptor.

use std::io;

use mio::{Interest, Registry, Token};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signal {
    /// SIGTERM or SIGINT: end.
    End,
    /// SIGUSR1: write the counters to the log.
    ReportMetrics,
    /// SIGHUP: read the configuration and the files that it names again.
    Reload,
}

/// The signals that have come and were not taken.
pub(super) struct Signals(signal_hook_mio::v1_0::Signals);

impl Signals {
    /// Catches the process's signals and reports them under `token`.
    pub(super) fn new(registry: &Registry, token: Token) -> io::Result<Self> {
        let mut signals = signal_hook_mio::v1_0::Signals::new([SIGHUP, SIGINT, SIGTERM, SIGUSR1])?;
        registry.register(&mut signals, token, Interest::READABLE)?;
        Ok(Self(signals))
    }

    /// Takes what has come.
    pub(super) fn take(&mut self) -> Vec<Signal> {
        let signals = self.0.pending().map(|number| match number {
            SIGUSR1 => Signal::ReportMetrics,
            SIGHUP => Signal::Reload,
            _ => Signal::End,
        });
        signals.collect()
    }
}
