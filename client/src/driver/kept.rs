//! The messages of a client that are to survive its process.

use std::collections::HashMap;
use std::time::Duration;

use skein_protocol::QoS;

use crate::session::{Outcome, Session, Token};
use crate::{Error, Publish, Result, Store};

/// A store, and which of its messages are under way. Without a store nothing is kept.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    store: Option<Box<dyn Store>>,
    numbers: HashMap<Token, u64>,
    last: u64,
}

impl Kept {
    /// Hands the messages of an earlier process in, in their order.
    ///
    /// # Errors
    /// The store cannot be read.
    pub(crate) fn restore(mut store: Box<dyn Store>, session: &mut Session) -> Result<Self> {
        let mut kept = Self::default();
        for (number, publish) in store.load()? {
            let token = session.restore(publish, Duration::ZERO)?;
            kept.numbers.insert(token, number);
            kept.last = kept.last.max(number);
        }
        kept.store = Some(store);
        Ok(kept)
    }

    /// Hands a message in, and keeps it before it can be sent.
    ///
    /// # Errors
    /// Those of [`Session::publish`], and [`Error::Store`].
    pub(super) fn publish(
        &mut self,
        session: &mut Session,
        publish: Publish,
        now: Duration,
    ) -> Result<Token> {
        let Some(store) = self.store.as_mut().filter(|_| publish.level() > QoS::AtMostOnce) else {
            return session.publish(publish, now);
        };
        // What cannot be written as a packet cannot be written to the file either.
        publish.check()?;
        let number = self.last + 1;
        store.append(number, &publish)?;
        self.last = number;
        match session.publish(publish, now) {
            Ok(token) => {
                self.numbers.insert(token, number);
                Ok(token)
            }
            Err(error) => {
                store.strike(number)?;
                Err(error)
            }
        }
    }

    /// Strikes a message off once its fate is sealed.
    ///
    /// # Errors
    /// [`Error::Store`]; the next process may send the message again.
    pub(super) fn on_completed(&mut self, token: Token, result: &Result<Outcome>) -> Result<()> {
        if !is_sealed(result) {
            return Ok(());
        }
        match (self.numbers.remove(&token), &mut self.store) {
            (Some(number), Some(store)) => store.strike(number),
            _ => Ok(()),
        }
    }
}

/// Whether a message is delivered, or will never be. One that was only given up on because the
/// client ended, or that is merely late, is the next connection's, or the next process's.
fn is_sealed(result: &Result<Outcome>) -> bool {
    match result {
        Ok(_) => true,
        Err(error) => matches!(
            error,
            Error::Rejected { .. }
                | Error::Unsupported(_)
                | Error::TooLarge { .. }
                | Error::Overflowed
                | Error::Expired
                | Error::SessionLost
        ),
    }
}
