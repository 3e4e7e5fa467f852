//! The threads that open links, so that looking up a name or shaking hands holds up nobody.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use mio::{Registry, Token, Waker};

use super::MemberId;
use crate::transport::{Dialed, Dialer};
use crate::{Error, Result};

/// A link that is wanted.
pub(super) struct Wanted {
    pub(super) id: MemberId,
    pub(super) dial: u64,
    pub(super) server: Arc<str>,
    pub(super) timeout: Duration,
    /// Whose business it is, if not that of all.
    pub(super) dialer: Option<Arc<dyn Dialer>>,
}

/// What came of it.
pub(super) struct Opened {
    pub(super) id: MemberId,
    pub(super) dial: u64,
    pub(super) result: Result<Dialed>,
}

/// Some threads, what they are to do, and what they have done. They end with this.
pub(super) struct Dialers {
    /// What no thread has been given, oldest first.
    waiting: VecDeque<Wanted>,
    /// How many links the threads have been asked for and not told of.
    begun: usize,
    begun_max: usize,
    wanted: Sender<Wanted>,
    opened: Receiver<Opened>,
    waker: Arc<Waker>,
}

impl Dialers {
    /// # Errors
    /// The system has no further threads.
    pub(super) fn new(dialer: impl Dialer + 'static, threads: usize, waker: Waker) -> Result<Self> {
        let (wanted, wants) = channel::<Wanted>();
        let (done, opened) = channel();
        let (wants, waker) = (Arc::new(Mutex::new(wants)), Arc::new(waker));
        let dialer: Arc<dyn Dialer> = Arc::new(dialer);
        for _ in 0..threads.max(1) {
            let (wants, done) = (Arc::clone(&wants), done.clone());
            let (dialer, waker) = (Arc::clone(&dialer), Arc::clone(&waker));
            let work = move || {
                loop {
                    let next = wants.lock().unwrap_or_else(PoisonError::into_inner).recv();
                    let Ok(Wanted { id, dial, server, timeout, dialer: own }) = next else {
                        return;
                    };
                    let result = own.as_ref().unwrap_or(&dialer).dial(&server, timeout);
                    if done.send(Opened { id, dial, result }).is_err() || waker.wake().is_err() {
                        return;
                    }
                }
            };
            let spawned = thread::Builder::new().name("mqtt-dial".into()).spawn(work);
            spawned.map_err(|error| Error::Lost(error.to_string().into()))?;
        }
        // Each thread finds its next one when it is done with the last.
        let begun_max = threads.max(1) * 2;
        Ok(Self { waiting: VecDeque::new(), begun: 0, begun_max, wanted, opened, waker })
    }

    /// Asks for a link, in its turn.
    pub(super) fn want(&mut self, wanted: Wanted) {
        self.waiting.push_back(wanted);
    }

    /// Gives the threads what they have room for, but for those that are not wanted any more.
    pub(super) fn begin(&mut self, mut is_wanted: impl FnMut(&Wanted) -> bool) {
        while self.begun < self.begun_max {
            let Some(wanted) = self.waiting.pop_front() else { return };
            if is_wanted(&wanted) {
                self.begun += 1;
                // The threads end only with this.
                let _ = self.wanted.send(wanted);
            }
        }
    }

    /// What wakes the reactor.
    pub(super) fn waker(&self) -> Arc<Waker> {
        Arc::clone(&self.waker)
    }

    pub(super) fn next_opened(&mut self) -> Option<Opened> {
        let opened = self.opened.try_recv().ok()?;
        self.begun -= 1;
        Some(opened)
    }
}

/// Has the poll tell of a link.
///
/// # Errors
/// The system says why not.
pub(super) fn register(dialed: &mut Dialed, id: MemberId, registry: &Registry) -> Result<()> {
    let interest = mio::Interest::READABLE | mio::Interest::WRITABLE;
    let registered = registry.register(dialed.transport.source(), Token(id.0), interest);
    registered.map_err(|error| Error::Lost(error.to_string().into()))
}
