//! Waking up in time. The timeout of a poll counts in milliseconds; a schedule needs better.

use std::{
    io,
    os::fd::{AsRawFd, OwnedFd},
};

use mio::{Interest, Registry, Token, unix::SourceFd};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};

/// The token of the timer's events, which nobody else may use.
pub(crate) const TIMER: Token = Token(usize::MAX);

/// A timer that ends a poll.
#[derive(Debug)]
pub(crate) struct Timer {
    fd: OwnedFd,
}

impl Timer {
    /// One that ends the polls of this registry.
    pub(crate) fn new(registry: &Registry) -> io::Result<Self> {
        let fd = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK)?;
        registry.register(&mut SourceFd(&fd.as_raw_fd()), TIMER, Interest::READABLE)?;
        Ok(Self { fd })
    }

    /// Ends the poll after so long; 0 would turn it off, so it is 1.
    pub(crate) fn set(&self, after_ns: u64) -> io::Result<()> {
        let after_ns = after_ns.max(1);
        let it_value = Timespec {
            tv_sec: (after_ns / 1_000_000_000) as i64,
            tv_nsec: (after_ns % 1_000_000_000) as i64,
        };
        let it_interval = Timespec { tv_sec: 0, tv_nsec: 0 };
        let time = Itimerspec { it_interval, it_value };
        timerfd_settime(&self.fd, TimerfdTimerFlags::empty(), &time)?;
        Ok(())
    }
}
