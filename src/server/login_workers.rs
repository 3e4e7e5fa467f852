//! The threads that find out who clients are: they hash passwords, verify tokens and ask web
//! servers, so that no shard ever does.
//!
//! ```text
//!   queue ─▶ login threads ─┬─▶ answers
//!                           └─▶ second queue ─▶ hook threads ─▶ answers
//!                               full: refused
//! ```
//!
//! A web server that is slow keeps those waiting whom it is asked about, and nobody else.

use std::io;
use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::web::Web;
use crate::access::provider::{HttpReply, Outcome, Outside, Work};
use crate::access::{
    CredentialCache, Denial, Gate, Passage, Throttle, ThrottleSettings, Throttled,
};
use crate::config;
use crate::net::{LoginAnswer, LoginDesk, LoginRequest};
use crate::session::{ConnectionId, ShardId, Time};
use crate::shard::Login;

/// How much less of a busy core a worker gets than a shard: about a third.
const NICE: i32 = 5;
/// How long a worker waits for a shard that has not taken its answers.
const FULL_DESK_WAIT: Duration = Duration::from_millis(1);

/// The workers of one broker. They end when the last shard has.
#[derive(Clone, Debug)]
pub(super) struct LoginWorkers(Arc<Shared>);

/// What the workers share. No shard waits for one of these locks.
#[derive(Debug)]
struct Shared {
    queue: Mutex<Receiver<LoginRequest>>,
    /// What somebody outside has to be asked about.
    outside: Mutex<Receiver<LoginRequest>>,
    gate: Mutex<Gate>,
    /// For the HTTP hook, if there is one.
    web: Mutex<Option<Web>>,
    /// One for each shard.
    desks: Vec<Mutex<LoginDesk>>,
    /// The zero of the broker's clock.
    start: Instant,
    ban_s: u64,
}

impl LoginWorkers {
    /// Starts them.
    ///
    /// # Errors
    /// When the kernel gives no threads.
    pub(super) fn start(
        settings: &config::Access,
        queue: Receiver<LoginRequest>,
        desks: Vec<LoginDesk>,
        web: Option<Web>,
        start: Instant,
    ) -> io::Result<Self> {
        let (hook, outside) = sync_channel(settings.logins_waiting_max);
        let shared = Arc::new(Shared {
            queue: Mutex::new(queue),
            outside: Mutex::new(outside),
            gate: Mutex::new(gate(settings)),
            web: Mutex::new(web),
            desks: desks.into_iter().map(Mutex::new).collect(),
            start,
            ban_s: settings.login_ban_s,
        });
        for index in 0..settings.login_workers {
            let (verifies, asks, hook) = (Arc::clone(&shared), Arc::clone(&shared), hook.clone());
            let name = format!("login-{index}");
            thread::Builder::new().name(name).spawn(move || verifies.verify(&hook))?;
            let name = format!("hook-{index}");
            thread::Builder::new().name(name).spawn(move || asks.ask())?;
        }
        Ok(Self(shared))
    }

    /// Passwords, keys or access lists have changed: what was found out before is asked again.
    pub(super) fn on_reload(&self, web: Option<Web>) {
        *lock(&self.0.web) = web;
        lock(&self.0.gate).on_reload();
    }
}

impl Shared {
    /// Answers what this machine can answer, and hands on what somebody outside has to be asked.
    fn verify(&self, hook: &SyncSender<LoginRequest>) {
        give_way();
        while let Some(request) = next(&self.queue) {
            match request.login.work.asks_outside() {
                true => self.hand_on(request, hook),
                false => self.answer(request),
            }
        }
    }

    /// Answers what somebody outside has to be asked.
    fn ask(&self) {
        give_way();
        while let Some(request) = next(&self.outside) {
            self.answer(request);
        }
    }

    fn hand_on(&self, request: LoginRequest, hook: &SyncSender<LoginRequest>) {
        let LoginRequest { shard, login: Login { connection, listener, work } } = request;
        // Who is known, or has to wait, need not stand behind those who are asked about.
        let passage = lock(&self.gate).before(work, u32::from(listener.0), self.now());
        let outcome = match passage {
            Passage::Known(outcome) => outcome,
            Passage::Run(work, _) => {
                let login = Login { connection, listener, work };
                match hook.try_send(LoginRequest { shard, login }) {
                    Ok(()) => return,
                    Err(_) => Outcome::denied(Denial::Overloaded),
                }
            }
        };
        self.tell(shard, connection, outcome);
    }

    fn answer(&self, request: LoginRequest) {
        let LoginRequest { shard, login } = request;
        let connection = login.connection;
        let settle = || self.settle(login);
        let outcome = catch_unwind(AssertUnwindSafe(settle)).unwrap_or_else(|_| {
            tracing::error!("a bug: a worker has panicked over a login, which is refused");
            Outcome::denied(Denial::Overloaded)
        });
        self.tell(shard, connection, outcome);
    }

    fn tell(&self, shard: ShardId, connection: ConnectionId, outcome: Outcome) {
        let expires_at = self.expires_at(&outcome);
        let answer = LoginAnswer { connection, outcome: Box::new(outcome), expires_at };
        if let Some(desk) = self.desks.get(shard.index()) {
            hand_in(desk, answer);
        }
    }

    fn settle(&self, login: Login) -> Outcome {
        let Login { listener, work, .. } = login;
        let passage = lock(&self.gate).before(work, u32::from(listener.0), self.now());
        let (work, ticket) = match passage {
            Passage::Known(outcome) => return outcome,
            Passage::Run(work, ticket) => (work, ticket),
        };
        let whom = Whom::of(&work);
        // On a line of its own, or the lock would be held while the work is done.
        let web = lock(&self.web).clone();
        let outcome = match web {
            Some(mut web) => work.run(unix_s(), &mut web),
            None => work.run(unix_s(), &mut NoWeb),
        };
        let bans = lock(&self.gate).after(&ticket, &outcome, self.now());
        for ban in bans {
            whom.log(ban, self.ban_s);
        }
        outcome
    }

    fn now(&self) -> Time {
        Time::from_millis(u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    /// When the identity ends: on the broker's clock, which unlike that of the world does not jump.
    fn expires_at(&self, outcome: &Outcome) -> Option<Time> {
        let expiry_s = outcome.result.as_ref().ok()?.expiry_s?;
        Some(self.now().plus(expiry_s.saturating_sub(unix_s()).saturating_mul(1_000)))
    }
}

/// Messages go before logins: a storm of hashes must not slow down who is connected. Where the
/// system does not want that, nothing is lost.
fn give_way() {
    let _ = rustix::process::nice(NICE);
}

/// The next question of a queue; `None` when nobody asks any more. The lock is held while waiting:
/// the others wait for it instead of for the queue.
fn next(queue: &Mutex<Receiver<LoginRequest>>) -> Option<LoginRequest> {
    lock(queue).recv().ok()
}

/// Puts an answer where its shard finds it, and wakes the shard.
fn hand_in(desk: &Mutex<LoginDesk>, mut answer: LoginAnswer) {
    loop {
        let mut desk = lock(desk);
        let pushed = desk.answers.push(answer);
        desk.doorbell.ring();
        drop(desk);
        match pushed {
            Ok(()) => return,
            Err(back) => answer = back,
        }
        thread::sleep(FULL_DESK_WAIT);
    }
}

/// Who failed, for the log.
struct Whom {
    user_name: Option<Box<str>>,
    address: Option<IpAddr>,
}

impl Whom {
    fn of(work: &Work) -> Self {
        let credentials = work.credentials();
        Self { user_name: credentials.user_name.clone(), address: credentials.address }
    }

    fn log(&self, ban: Throttled, ban_s: u64) {
        let address = self.address.map(tracing::field::display);
        // The user chose the name, so it is shown as a literal.
        let user = self.user_name.as_deref().map(tracing::field::debug);
        tracing::warn!(
            address,
            user,
            "{} has failed to log in too often and is banned for {ban_s} s",
            ban.who
        );
    }
}

/// Where no hook was configured, nobody asks.
struct NoWeb;

impl Outside for NoWeb {
    fn post_json(&mut self, _: &str, _: &str, _: u64) -> Result<HttpReply, String> {
        Err("there is no HTTP hook any more".to_owned())
    }
}

/// A gate with random keys.
fn gate(settings: &config::Access) -> Gate {
    let throttle = ThrottleSettings {
        failures_max: settings.login_failures_max,
        user_failures_max: settings.login_user_failures_max,
        window_ms: settings.login_failure_window_s * 1_000,
        delay_ms: settings.login_delay_ms,
        ban_ms: settings.login_ban_s * 1_000,
        entries_max: settings.login_records_max,
    };
    let seeds = std::array::from_fn(|_| u64::from_ne_bytes(random()));
    Gate::new(
        Throttle::new(throttle, seeds),
        CredentialCache::new(settings.cached_credentials_max, random()),
    )
}

/// Random bytes of the operating system.
///
/// # Panics
/// When it has none: without them no secret would be one.
pub(super) fn random<const N: usize>() -> [u8; N] {
    let mut random = [0; N];
    getrandom::fill(&mut random).expect("the operating system gives random bytes");
    random
}

fn unix_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// A panic of another worker says nothing against what is locked: nothing panics while it holds a
/// lock.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
