//! Ending early: a signal stops the trial under way, and what was started is ended, too.

use std::{
    io,
    process::{Child, ExitStatus},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use signal_hook::consts::{SIGINT, SIGTERM};

/// Whether a signal asked for the end.
#[derive(Clone, Debug)]
pub(crate) struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Listens to SIGINT and SIGTERM from now on.
    ///
    /// # Errors
    ///
    /// The system refuses a handler.
    pub(crate) fn on_signals() -> io::Result<Self> {
        let asked = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            signal_hook::flag::register(signal, Arc::clone(&asked))?;
        }
        Ok(Self(asked))
    }

    /// An error if the end was asked for.
    pub(crate) fn check(&self) -> io::Result<()> {
        match self.0.load(Ordering::Relaxed) {
            true => Err(io::Error::new(io::ErrorKind::Interrupted, "ended by a signal")),
            false => Ok(()),
        }
    }

    /// Waits for the end of a process; nothing if it is not over within `limit`.
    ///
    /// # Errors
    ///
    /// The end of all was asked for; the process goes on.
    pub(crate) fn wait(
        &self,
        child: &mut Child,
        limit: Duration,
    ) -> io::Result<Option<ExitStatus>> {
        let start = Instant::now();
        loop {
            if let Some(status) = child.try_wait()? {
                return Ok(Some(status));
            }
            self.check()?;
            if start.elapsed() >= limit {
                return Ok(None);
            }
            thread::sleep(LOOK_EVERY);
        }
    }
}

/// Ends a process: with SIGTERM, and if it does not obey with SIGKILL.
pub(crate) fn end(child: &mut Child) {
    if let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw)
        && matches!(child.try_wait(), Ok(None))
    {
        let _ = kill_process(pid, Signal::TERM);
        let start = Instant::now();
        while start.elapsed() < OBEY_WITHIN && matches!(child.try_wait(), Ok(None)) {
            thread::sleep(LOOK_EVERY);
        }
    }
    let _ = child.kill();
    let _ = child.wait();
}

/// Often enough for a person, seldom enough to cost a core nothing.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// A broker may have something to store.
const OBEY_WITHIN: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn who_does_not_end_is_told_to() {
        let stop = Stop(Arc::new(AtomicBool::new(false)));
        let mut child = Command::new("sleep").arg("600").spawn().unwrap();
        assert_eq!(stop.wait(&mut child, Duration::from_millis(1)).unwrap(), None);
        stop.0.store(true, Ordering::Relaxed);
        assert!(stop.wait(&mut child, Duration::from_secs(600)).is_err());
        end(&mut child);
        assert!(!child.wait().unwrap().success());
    }
}
