//! What can be done with a client of a reactor.

use std::sync::Arc;
use std::time::Duration;

use skein_protocol::PacketId;

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

    /// Passes a message on from another server; see [`Session::relay_publish`].
    ///
    /// # Errors
    /// Those of [`Session::publish`].
    pub fn relay_publish(
        &mut self,
        publish: Publish,
        id: Option<PacketId>,
        is_again: bool,
    ) -> Result<Token> {
        self.session.relay_publish(publish, id, is_again, self.now)
    }

    /// Passes PUBREL on from another server; see [`Session::relay_pubrel`].
    pub fn relay_pubrel(&mut self, id: PacketId) -> Option<Token> {
        self.session.relay_pubrel(id, self.now)
    }

    /// Passes PUBCOMP on from another server; see [`Session::relay_pubcomp`].
    pub fn relay_pubcomp(&mut self, id: PacketId) {
        self.session.relay_pubcomp(id, self.now);
    }

    /// Tells the server that an identifier is used for a new message; see [`Session::relay_settle`].
    pub fn relay_settle(&mut self, id: PacketId) {
        self.session.relay_settle(id, self.now);
    }

    /// Tells the server PUBREL for all that it has received; see [`Session::end_stall`].
    pub fn end_stall(&mut self) {
        self.session.end_stall(self.now);
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
