//! What can be done with a client of a reactor.

use std::sync::Arc;
use std::time::Duration;

use super::MemberId;
use crate::session::{Session, Subscribe, Token};
use crate::store::Kept;
use crate::{Delivery, Publish, ReasonCode, Result};

/// The client that something happens to.
#[derive(Debug)]
pub struct Seat<'a> {
    pub(super) id: MemberId,
    pub(super) session: &'a mut Session,
    pub(super) kept: Option<&'a mut Kept>,
    pub(super) now: Duration,
}

impl Seat<'_> {
    /// The client's name.
    pub fn id(&self) -> MemberId {
        self.id
    }

    /// The client itself.
    pub fn session(&self) -> &Session {
        self.session
    }

    /// Publishes; [`Happening::Completed`](super::Happening::Completed) tells the fate.
    ///
    /// # Errors
    /// Those of [`Session::publish`], and [`Error::Store`](crate::Error::Store).
    pub fn publish(&mut self, publish: Publish) -> Result<Token> {
        match &mut self.kept {
            Some(kept) => kept.publish(self.session, publish, self.now),
            None => self.session.publish(publish, self.now),
        }
    }

    /// Subscribes; [`Happening::Completed`](super::Happening::Completed) tells what was granted.
    ///
    /// # Errors
    /// Those of [`Session::subscribe`].
    pub fn subscribe(&mut self, subscribe: Subscribe) -> Result<Token> {
        self.session.subscribe(subscribe, self.now).map(|(token, _)| token)
    }

    /// Ends subscriptions.
    ///
    /// # Errors
    /// Those of [`Session::unsubscribe`].
    pub fn unsubscribe(&mut self, filters: Vec<Arc<str>>) -> Result<Token> {
        self.session.unsubscribe(filters, self.now)
    }

    /// Ends subscriptions, with user properties.
    ///
    /// # Errors
    /// Those of [`Session::unsubscribe_with`].
    pub fn unsubscribe_with(
        &mut self,
        filters: Vec<Arc<str>>,
        user_properties: Vec<(String, String)>,
    ) -> Result<Token> {
        self.session.unsubscribe_with(filters, user_properties, self.now)
    }

    /// Acknowledges a message, in its turn.
    pub fn acknowledge(&mut self, delivery: Delivery, reason: ReasonCode) {
        self.session.acknowledge(delivery, reason, self.now);
        // Who has dealt with a message does not get it again, even if the process ends here.
        if let Some(kept) = &mut self.kept {
            kept.keep_marks(self.session);
        }
    }

    /// Ends the client at once, with this DISCONNECT.
    pub fn disconnect(&mut self, reason: ReasonCode) {
        self.session.disconnect(reason, None, self.now);
    }

    /// Ends the client at once, and its session so much later; see [`Session::disconnect`].
    pub fn disconnect_with(&mut self, reason: ReasonCode, session_expiry_s: Option<u32>) {
        self.session.disconnect(reason, session_expiry_s, self.now);
    }

    /// Ends the client, after what is under way had so much time to finish.
    pub fn close(&mut self, drain: Duration) {
        self.session.close(drain, self.now);
    }
}
