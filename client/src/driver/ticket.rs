//! Tickets: the fate of one operation, to be waited for by a thread or by any executor.

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use crate::session::Outcome;
use crate::{Error, Operation, Result};

thread_local! {
    static IS_CLIENT_THREAD: Cell<bool> = const { Cell::new(false) };
}

/// From now on this thread must not wait for what it itself has to bring about.
pub(super) fn mark_client_thread() {
    IS_CLIENT_THREAD.set(true);
}

/// # Errors
/// This is a thread of a client, which would wait for itself.
pub(crate) fn check_may_wait() -> Result<()> {
    if IS_CLIENT_THREAD.get() { Err(Error::OnClientThread) } else { Ok(()) }
}

/// The fate of one operation, for instance whether the server has acknowledged *this* message.
///
/// Wait for it with a thread ([`wait`](Self::wait), [`wait_for`](Self::wait_for)) or with
/// `.await` on any executor. Dropping it stops the waiting and nothing else: the exchange goes on.
pub struct Ticket<T> {
    slot: Arc<Slot<Result<Outcome>>>,
    operation: Operation,
    /// Turns the outcome into what was asked for; gone once it has.
    read: Option<Read<T>>,
}

type Read<T> = Box<dyn FnOnce(Result<Outcome>) -> Result<T> + Send>;

impl<T> Ticket<T> {
    pub(crate) fn new(
        slot: Arc<Slot<Result<Outcome>>>,
        operation: Operation,
        read: impl FnOnce(Result<Outcome>) -> Result<T> + Send + 'static,
    ) -> Self {
        Self { slot, operation, read: Some(Box::new(read)) }
    }

    /// Waits until the operation has ended.
    ///
    /// # Errors
    /// How it failed; [`Error::OnClientThread`] where waiting would never end.
    pub fn wait(mut self) -> Result<T> {
        let outcome = self.slot.wait()?;
        self.finish(outcome)
    }

    /// Waits for so long at most. The ticket stays good: it can be waited for again.
    ///
    /// # Errors
    /// How the operation failed, or [`Error::Timeout`].
    pub fn wait_for(&mut self, duration: Duration) -> Result<T> {
        match self.slot.wait_for(duration)? {
            Some(outcome) => self.finish(outcome),
            None => Err(Error::Timeout { operation: self.operation, after: duration }),
        }
    }

    /// Whether the operation has ended, so that waiting takes no time.
    pub fn is_done(&self) -> bool {
        self.slot.is_done()
    }

    fn finish(&mut self, outcome: Result<Outcome>) -> Result<T> {
        match self.read.take() {
            Some(read) => read(outcome),
            None => Err(Error::Closed),
        }
    }
}

impl<T> Future for Ticket<T> {
    type Output = Result<T>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<T>> {
        match self.slot.poll(context) {
            Poll::Ready(outcome) => Poll::Ready(self.finish(outcome)),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<T> std::fmt::Debug for Ticket<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (operation, is_done) = (self.operation, self.is_done());
        f.debug_struct("Ticket").field("operation", &operation).field("done", &is_done).finish()
    }
}

/// A place for one value that another thread will fill.
#[derive(Debug)]
pub(crate) struct Slot<T> {
    state: Mutex<State<T>>,
    filled: Condvar,
}

#[derive(Debug)]
enum State<T> {
    Pending(Option<Waker>),
    Filled(T),
    Taken,
}

impl<T> Slot<T> {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { state: Mutex::new(State::Pending(None)), filled: Condvar::new() })
    }

    /// Fills it, once; what comes later is dropped.
    pub(crate) fn fill(&self, value: T) {
        let mut state = self.lock();
        if let State::Pending(waker) = &mut *state {
            let waker = waker.take();
            *state = State::Filled(value);
            drop(state);
            self.filled.notify_all();
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }

    pub(crate) fn is_done(&self) -> bool {
        !matches!(*self.lock(), State::Pending(_))
    }

    pub(crate) fn wait(&self) -> Result<T> {
        let mut state = self.lock();
        loop {
            match take(&mut state) {
                Some(value) => return value.ok_or(Error::Closed),
                None => check_may_wait()?,
            }
            state = self.filled.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// The value, or `None` when the time is over.
    pub(crate) fn wait_for(&self, duration: Duration) -> Result<Option<T>> {
        let deadline = Instant::now() + duration;
        let mut state = self.lock();
        loop {
            match take(&mut state) {
                Some(value) => return value.map(Some).ok_or(Error::Closed),
                None => check_may_wait()?,
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            let waited = self.filled.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    pub(crate) fn poll(&self, context: &mut Context<'_>) -> Poll<T> {
        let mut state = self.lock();
        if let Some(Some(value)) = take(&mut state) {
            return Poll::Ready(value);
        }
        *state = State::Pending(Some(context.waker().clone()));
        Poll::Pending
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `None`: not filled yet. `Some(None)`: taken before.
#[expect(clippy::option_option, reason = "three states, as in State")]
fn take<T>(state: &mut State<T>) -> Option<Option<T>> {
    match std::mem::replace(state, State::Taken) {
        State::Pending(waker) => {
            *state = State::Pending(waker);
            None
        }
        State::Filled(value) => Some(Some(value)),
        State::Taken => Some(None),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;
    use std::thread;

    use super::*;

    fn ticket(slot: &Arc<Slot<Result<Outcome>>>) -> Ticket<()> {
        Ticket::new(Arc::clone(slot), Operation::Publish, |outcome| outcome.map(drop))
    }

    #[test]
    fn a_thread_waits_until_the_slot_is_filled() {
        let slot = Slot::new();
        let filler = Arc::clone(&slot);
        let thread = thread::spawn(move || filler.fill(Ok(Outcome::Sent)));
        assert!(ticket(&slot).wait().is_ok());
        thread.join().unwrap();
    }

    #[test]
    fn a_ticket_that_was_not_in_time_can_be_waited_for_again() {
        let slot = Slot::new();
        let mut ticket = ticket(&slot);
        let late = ticket.wait_for(Duration::from_millis(5));
        assert!(matches!(late, Err(Error::Timeout { operation: Operation::Publish, .. })));
        slot.fill(Ok(Outcome::Sent));
        slot.fill(Err(Error::Closed));
        assert!(ticket.wait_for(Duration::ZERO).is_ok(), "what came first counts");
    }

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// No runtime is needed: a waker is all a ticket knows of executors.
    #[test]
    fn a_ticket_is_a_future_for_any_executor() {
        let slot = Slot::new();
        let mut ticket = ticket(&slot);
        let count = Arc::new(Count::default());
        let waker = Waker::from(Arc::clone(&count));
        let mut context = Context::from_waker(&waker);
        assert!(Pin::new(&mut ticket).poll(&mut context).is_pending());
        slot.fill(Ok(Outcome::Sent));
        assert_eq!(count.0.load(Ordering::Relaxed), 1);
        assert!(matches!(Pin::new(&mut ticket).poll(&mut context), Poll::Ready(Ok(()))));
    }

    #[test]
    fn waiting_on_the_clients_own_thread_is_an_error_and_no_deadlock() {
        let slot = Slot::new();
        let waited = thread::spawn(move || {
            mark_client_thread();
            ticket(&slot).wait()
        });
        assert!(matches!(waited.join().unwrap(), Err(Error::OnClientThread)));
    }
}
