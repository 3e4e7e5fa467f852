//! The user's say in what a client does.

use std::sync::Arc;

use crate::session::{Attempt, Subscribe};
use crate::{Login, Publish, Result};

/// What is asked before something is done: an error vetoes it and is given to whoever wanted it,
/// and what is passed by `&mut` may be changed. What has been done is told by
/// [`Event`](crate::session::Event)s and tickets.
pub trait Hooks: Send + Sync {
    /// Before each try to connect: another server, other credentials, a fresh token. Runs on the
    /// thread that dials; an error counts as a failed try.
    ///
    /// # Errors
    /// The veto.
    fn before_connect(&self, _attempt: &mut Attempt, _login: &mut Login) -> Result<()> {
        Ok(())
    }

    /// Before a message is handed in, on the thread that does so.
    ///
    /// # Errors
    /// The veto.
    fn before_publish(&self, _publish: &mut Publish) -> Result<()> {
        Ok(())
    }

    /// Before a SUBSCRIBE is handed in, on the thread that does so.
    ///
    /// # Errors
    /// The veto.
    fn before_subscribe(&self, _subscribe: &mut Subscribe) -> Result<()> {
        Ok(())
    }

    /// Before an UNSUBSCRIBE is handed in, on the thread that does so.
    ///
    /// # Errors
    /// The veto.
    fn before_unsubscribe(&self, _filter: &Arc<str>) -> Result<()> {
        Ok(())
    }

    /// Before the client is closed by its user.
    fn before_disconnect(&self) {}
}

/// Nothing to say.
pub(crate) struct NoHooks;

impl Hooks for NoHooks {}
