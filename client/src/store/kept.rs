//! The messages of a client that are to survive its process.

use std::collections::HashMap;
use std::time::Duration;

use skein_protocol::QoS;

use super::{Contents, Store, Stored};
use crate::session::{Outcome, Session, Token};
use crate::{Error, Publish, Result};

/// A store, and which of its messages are under way. Without a store nothing is kept.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    store: Option<Box<dyn Store>>,
    numbers: HashMap<Token, u64>,
    last: u64,
    failure: Option<Error>,
    failures: u64,
}

impl Kept {
    /// Hands the messages of an earlier process in, in their order.
    ///
    /// # Errors
    /// The store cannot be read.
    pub(crate) fn restore(mut store: Box<dyn Store>, session: &mut Session) -> Result<Self> {
        let mut kept = Self::default();
        let Contents { messages, taken, is_whole } = store.load()?;
        for Stored { number, publish, progress } in messages {
            let token = session.restore(publish, progress, Duration::ZERO)?;
            kept.numbers.insert(token, number);
            kept.last = kept.last.max(number);
        }
        taken.into_iter().for_each(|id| session.restore_taken(id));
        if is_whole {
            session.restore_whole();
        }
        session.keep_marks();
        kept.store = Some(store);
        Ok(kept)
    }

    /// Hands a message in, and keeps it before it can be sent.
    ///
    /// # Errors
    /// Those of [`Session::publish`], and [`Error::Store`].
    pub(crate) fn publish(
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

    /// Keeps what the session has come to; to be called before anything of its output is written.
    pub(crate) fn keep_marks(&mut self, session: &mut Session) {
        let Some(store) = &mut self.store else { return };
        let name = |token| self.numbers.get(&token).copied();
        let marks: Vec<_> =
            session.take_marks().into_iter().filter_map(|mark| mark.rename(name)).collect();
        if !marks.is_empty() {
            let kept = store.mark(&marks);
            self.note(kept);
        }
    }

    /// Strikes a message off once its fate is sealed.
    pub(crate) fn on_completed(&mut self, token: Token, result: &Result<Outcome>) {
        if !is_sealed(result) {
            return;
        }
        if let (Some(number), Some(store)) = (self.numbers.remove(&token), &mut self.store) {
            let struck = store.strike(number);
            self.note(struck);
        }
    }

    /// Why the store could last not keep something, told once. The next process may send a message,
    /// or hand it out, again.
    pub(crate) fn take_failure(&mut self) -> Option<Error> {
        self.failure.take()
    }

    /// How often the store could not keep something.
    pub(crate) fn failures(&self) -> u64 {
        self.failures
    }

    fn note(&mut self, result: Result<()>) {
        if let Err(error) = result {
            self.failures += 1;
            self.failure = Some(error);
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
