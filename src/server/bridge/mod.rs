//! Bridges: what they are told to carry goes from this broker to others, and back.
//!
//! ```text
//!   this broker ──session──▶ local ─┐ one thread,  ┌─ remote ◀──session── another broker
//!        shard  ◀──────────  client ┘ one reactor  └─ client ──────────▶
//! ```
//!
//! Each bridge is two clients of the client library on the reactor of one thread. One is a client of
//! this broker, by a pair of sockets that the acceptor is given the other end of (`inside.rs`), so that
//! rights, retained messages and QoS hold for it as for any other client. Nothing is acknowledged on
//! one side before the other side has acknowledged it (`relay.rs`): what is on its way is always in the
//! session of one of the brokers, and a bridge has no queue of its own that could be lost. See
//! docs/decisions/0015 and 0017.

mod carry;
mod door;
mod inside;
mod plan;
mod relay;
mod trace;
mod world;

use std::sync::mpsc;
use std::thread;
use std::time::Duration;
use std::{fmt, sync::Arc};

use mio::Waker;
use skein_client::reactor::Reactor;
use skein_client::transport::Dial;

use self::world::World;
use super::Handle;
use super::error::StartError;
use crate::config::Settings;

pub(super) use self::plan::Plan;

/// How many threads open links to other brokers.
const DIALERS: usize = 4;
/// How long a broker that ends lets its bridges bring over what is on its way.
pub(super) const DRAIN: Duration = Duration::from_secs(2);

/// What the thread of the bridges is told.
enum Command {
    /// From now on there are these bridges.
    Apply(Vec<Plan>),
    /// Bring over what is on its way, then end.
    Drain,
}

/// Steers the thread of the bridges, which there is once a bridge was configured.
pub(super) struct Bridges {
    handle: Handle,
    thread: Option<(mpsc::Sender<Command>, Arc<Waker>)>,
}

/// Makes bridges of settings, with the files that they name.
///
/// # Errors
/// Everything that is wrong.
pub(super) fn plan(settings: &Settings) -> Result<Vec<Plan>, Vec<StartError>> {
    plan::plan_all(&settings.bridges)
}

/// Gives each bridge its client identifier, by which the shards know whose limits hold.
pub(super) fn name_clients(settings: &mut Settings) {
    for bridge in &mut settings.bridges {
        bridge.client_id = plan::client_id(bridge);
    }
}

impl Bridges {
    /// No bridges yet.
    pub(super) fn new(handle: Handle) -> Self {
        Self { handle, thread: None }
    }

    /// From now on there are these bridges. Those that are as they were go on undisturbed.
    pub(super) fn apply(&mut self, plans: Vec<Plan>) {
        if self.thread.is_none() && !plans.is_empty() {
            match start(self.handle.clone()) {
                Ok(thread) => self.thread = Some(thread),
                Err(error) => {
                    tracing::error!("the bridges cannot start: {error}; restart the broker");
                }
            }
        }
        self.tell(Command::Apply(plans));
    }

    /// Lets the bridges end; true when they will say so (`Request::BridgesEnded`).
    pub(super) fn drain(&mut self) -> bool {
        self.tell(Command::Drain)
    }

    fn tell(&self, command: Command) -> bool {
        let Some((commands, waker)) = &self.thread else { return false };
        // A waker fails only when the thread is awake anyway.
        commands.send(command).is_ok() && waker.wake().is_ok()
    }
}

impl fmt::Debug for Bridges {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Bridges").field("started", &self.thread.is_some()).finish()
    }
}

fn start(handle: Handle) -> skein_client::Result<(mpsc::Sender<Command>, Arc<Waker>)> {
    let reactor = Reactor::with_dialer(Dial::default(), DIALERS)?;
    let waker = reactor.waker();
    let (commands, inbox) = mpsc::channel();
    let run = move || World::new(reactor, handle).run(&inbox);
    let thread = thread::Builder::new().name("bridges".to_owned()).spawn(run);
    thread.map_err(|error| skein_client::Error::Lost(error.to_string().into()))?;
    Ok((commands, waker))
}
