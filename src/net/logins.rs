//! Logins on their way: what shards ask of workers, and the answers.
//!
//! ```text
//!   shard 0 ─┐                                      ┌─▶ answers ─▶ shard 0
//!   shard 1 ─┼─▶ one queue, bounded ─▶ workers ─────┼─▶ answers ─▶ shard 1
//!   shard n ─┘   full: refused at once              └─▶ answers ─▶ shard n
//! ```
//!
//! A shard never waits: it asks without blocking, and is woken by its doorbell when an answer has
//! come.

use std::sync::Arc;
use std::sync::mpsc::SyncSender;

use super::event_loop::EventLoop;
use super::lane::{Consumer, Doorbell, Producer};
use crate::access::Denial;
use crate::access::provider::Outcome;
use crate::session::{ConnectionId, ShardId, Time};
use crate::shard::{Event, Login};

/// Answers taken per turn.
const ANSWERS_PER_TURN: usize = 256;

/// A question that a shard asks.
#[derive(Debug)]
pub struct LoginRequest {
    /// Who asks.
    pub shard: ShardId,
    /// The question.
    pub login: Login,
}

/// What a worker found out.
#[derive(Debug)]
pub struct LoginAnswer {
    /// The connection that was asked about, by its id in the shard that asked.
    pub connection: ConnectionId,
    /// Who its client is, or why it may not connect.
    pub outcome: Box<Outcome>,
    /// When the identity ends, on the broker's clock.
    pub expires_at: Option<Time>,
}

/// The workers' side of one shard.
#[derive(Debug)]
pub struct LoginDesk {
    /// Answers go in here; ring afterwards.
    pub answers: Producer<LoginAnswer>,
    /// Wakes the shard.
    pub doorbell: Arc<Doorbell>,
}

/// A shard's side.
#[derive(Debug)]
pub(super) struct Logins {
    pub(super) requests: SyncSender<LoginRequest>,
    pub(super) answers: Consumer<LoginAnswer>,
}

impl EventLoop {
    /// Takes what the workers have found out, up to a bound.
    pub(super) fn take_answers(&mut self) {
        for _ in 0..ANSWERS_PER_TURN {
            let Some(answer) = self.logins.answers.pop() else { return };
            let LoginAnswer { connection, outcome, expires_at } = answer;
            self.core.handle(Event::Authenticated { connection, outcome, expires_at });
        }
        self.lanes_left = true;
    }

    /// Asks the workers what the core wants to know. When too much waits for them, the answer is no.
    pub(super) fn obey_logins(&mut self) {
        for login in std::mem::take(&mut self.core.effects.logins) {
            let connection = login.connection;
            let request = LoginRequest { shard: self.id, login };
            if self.logins.requests.try_send(request).is_err() {
                let outcome = Box::new(Outcome::denied(Denial::Overloaded));
                let expires_at = None;
                self.core.handle(Event::Authenticated { connection, outcome, expires_at });
            }
        }
    }
}
