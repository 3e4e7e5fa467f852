//! The client over real sockets, against skein itself and against mosquitto.
//!
//! `SKEIN_BIN` names the binary of skein; without it the one beside this test is built and used.
//! `MOSQUITTO_BIN` names that of mosquitto, by default `/usr/sbin/mosquitto`.

mod connect;
mod hooks;
mod lifecycle;
mod link;
mod messages;
mod reactor;
mod requests;
mod server;
mod store;
mod threads;
mod transports;

use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use skein_client::session::Event;
use skein_client::{Backoff, Builder, Client};

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// A client that reconnects in a hurry, so that tests need not wait.
fn builder(address: &str) -> Builder {
    let backoff = Backoff::exponential(Duration::from_millis(20), Duration::from_millis(200));
    Client::builder(address).reconnect(backoff)
}

/// Whether something becomes true in time.
fn eventually(mut is_so: impl FnMut() -> bool) -> bool {
    let started = Instant::now();
    while started.elapsed() < PATIENCE {
        if is_so() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    false
}

/// Events as they come.
struct Events(Mutex<mpsc::Receiver<Event>>);

impl Events {
    /// A handler, and where it puts what it hears.
    fn new() -> (Self, impl Fn(&Event) + Send + Sync + 'static) {
        let (sender, receiver) = mpsc::channel();
        let sender = Mutex::new(sender);
        let hear = move |event: &Event| {
            let _ = sender.lock().unwrap().send(event.clone());
        };
        (Self(Mutex::new(receiver)), hear)
    }

    /// Waits for an event that is wanted.
    fn wait_for<T>(&self, mut wanted: impl FnMut(&Event) -> Option<T>) -> T {
        let end = Instant::now() + PATIENCE;
        let mut heard = Vec::new();
        while let Some(left) = end.checked_duration_since(Instant::now()) {
            let Ok(event) = self.0.lock().unwrap().recv_timeout(left) else { break };
            if let Some(found) = wanted(&event) {
                return found;
            }
            heard.push(event);
        }
        let last = &heard[heard.len().saturating_sub(5)..];
        panic!("the event did not come; the last ones: {last:?}");
    }

    fn wait_connected(&self) -> bool {
        self.wait_for(|event| match event {
            Event::Connected { session_present, .. } => Some(*session_present),
            _ => None,
        })
    }

    fn wait_lost(&self) {
        self.wait_for(|event| matches!(event, Event::Lost { .. }).then_some(()));
    }
}

/// The smallest executor there is: one future, one thread.
fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(std::thread::Thread);
    impl std::task::Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Arc::new(Unpark(std::thread::current())).into();
    let mut context = std::task::Context::from_waker(&waker);
    let mut future = std::pin::pin!(future);
    loop {
        match future.as_mut().poll(&mut context) {
            std::task::Poll::Ready(output) => return output,
            std::task::Poll::Pending => std::thread::park_timeout(PATIENCE),
        }
    }
}
