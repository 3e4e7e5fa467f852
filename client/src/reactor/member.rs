//! One client of a reactor: its session and its link.

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use mio::Registry;

use super::dialers::{Dialers, Opened, Wanted, register};
use super::{Happening, MemberId, Seat};
use crate::session::{Effect, Event, Session};
use crate::store::Kept;
use crate::transport::{Dialer, Transport};
use crate::{Error, Login, Result};

pub(super) struct Member {
    pub(super) session: Session,
    /// The messages that are to survive the process; few clients have some.
    pub(super) kept: Option<Box<Kept>>,
    link: Option<Box<dyn Transport>>,
    /// What opens its links, if it has one of its own.
    dialer: Option<Arc<dyn Dialer>>,
    /// A login was given, which counts more than that of an address.
    has_login: bool,
    /// The number of the try to connect that counts.
    pub(super) dial: u64,
    /// Nobody has begun with it.
    pub(super) waits_for_dial: bool,
    pub(super) may_read: bool,
    pub(super) may_write: bool,
    /// It stands in the queue of those who have something to do.
    pub(super) is_ready: bool,
    /// The deadline it stands with among the timers.
    pub(super) armed: Option<Duration>,
}

impl Member {
    pub(super) fn new(
        mut session: Session,
        dialer: Option<Arc<dyn Dialer>>,
        kept: Option<Box<Kept>>,
    ) -> Self {
        let has_login = session.options_mut().login != Login::default();
        Self {
            session,
            kept,
            has_login,
            link: None,
            dialer,
            dial: 0,
            waits_for_dial: false,
            may_read: false,
            may_write: false,
            is_ready: true,
            armed: None,
        }
    }

    /// Takes over the link that was wanted, or hears why there is none.
    pub(super) fn adopt(&mut self, opened: Opened, registry: &Registry, now: Duration) {
        let ready = opened.result.and_then(|mut dialed| {
            let entropy = random()?;
            register(&mut dialed, opened.id, registry)?;
            Ok((dialed, entropy))
        });
        match ready {
            Ok((dialed, entropy)) => {
                if !self.has_login {
                    self.session.options_mut().login = dialed.login;
                }
                self.link = Some(dialed.transport);
                (self.may_read, self.may_write) = (true, true);
                self.session.on_opened(entropy, now);
            }
            Err(error) => self.session.on_closed(Some(error), now),
        }
    }

    /// Reads once; whoever has more to read has another turn.
    pub(super) fn read(&mut self, buffer: &mut [u8], now: Duration) {
        let Some(link) = &mut self.link else { return };
        if !self.may_read {
            return;
        }
        match link.read(buffer) {
            Ok(0) => self.lose(None, now),
            Ok(count) => self.session.on_bytes(&buffer[..count], now),
            Err(error) if error.kind() == ErrorKind::WouldBlock => self.may_read = false,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => self.lose(Some(Error::Lost(error.to_string().into())), now),
        }
    }

    /// Does what the session wants done. Gives the link that was closed, if one was.
    pub(super) fn perform(
        &mut self,
        id: MemberId,
        now: Duration,
        dialers: &mut Dialers,
        handle: &mut impl FnMut(&mut Seat<'_>, Happening),
    ) -> Option<Box<dyn Transport>> {
        let mut closed = None;
        while let Some(effect) = self.session.next_effect() {
            let happening = match effect {
                Effect::Dial(attempt) => {
                    self.dial += 1;
                    self.waits_for_dial = true;
                    let timeout = self.session.options_mut().connect_timeout;
                    let (dial, server) = (self.dial, attempt.server);
                    let dialer = self.dialer.clone();
                    dialers.want(Wanted { id, dial, server, timeout, dialer });
                    continue;
                }
                Effect::Close => {
                    closed = self.close(now).or(closed);
                    continue;
                }
                Effect::Deliver(message) => Happening::Message(message),
                Effect::Event(event) => Happening::Event(event),
                Effect::Completed(token, result) => {
                    if let Some(kept) = &mut self.kept {
                        kept.on_completed(token, &result);
                    }
                    Happening::Completed(token, result)
                }
                Effect::Step(step) => Happening::Step(step),
                Effect::Packet(direction, version, bytes) => {
                    Happening::Packet(direction, version, bytes)
                }
            };
            handle(&mut self.seat(id, now), happening);
        }
        if let Some(error) = self.kept.as_mut().and_then(|kept| kept.take_failure()) {
            handle(&mut self.seat(id, now), Happening::Event(Event::StoreFailed(error)));
        }
        closed
    }

    fn seat(&mut self, id: MemberId, now: Duration) -> Seat<'_> {
        Seat { id, session: &mut self.session, kept: self.kept.as_deref_mut(), now }
    }

    /// Writes what the link takes.
    pub(super) fn write(&mut self, now: Duration) {
        while let Some(link) = &mut self.link {
            if !self.may_write {
                return;
            }
            if let Some(kept) = &mut self.kept {
                kept.keep_marks(&mut self.session);
            }
            let output = self.session.output();
            let result = match output {
                [] => link.flush().map(|()| 0),
                output => link.write(output),
            };
            match result {
                Ok(0) if output.is_empty() => return,
                Ok(0) => return self.lose(Some(Error::lost("the link takes nothing")), now),
                Ok(count) => self.session.wrote(count, now),
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.may_write = false,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => {
                    let why = Error::Lost(error.to_string().into());
                    return self.lose(Some(why), now);
                }
            }
        }
    }

    /// Whether there is something to do that no event will tell of.
    pub(super) fn has_more(&self) -> bool {
        let unread = self.link.is_some() && self.may_read;
        unread || self.session.has_effects()
    }

    /// The deadline to stand with among the timers, if it is not there yet. One that has moved
    /// away is found out when the old one comes.
    pub(super) fn arm(&mut self) -> Option<Duration> {
        let deadline = self.session.next_deadline()?;
        if self.armed.is_some_and(|armed| armed <= deadline) {
            return None;
        }
        self.armed = Some(deadline);
        Some(deadline)
    }

    /// Says the last word as far as the link takes it.
    fn close(&mut self, now: Duration) -> Option<Box<dyn Transport>> {
        self.dial += 1;
        self.waits_for_dial = false;
        self.write(now);
        let mut link = self.link.take()?;
        // The server may have been quicker.
        let _ = link.shutdown();
        Some(link)
    }

    fn lose(&mut self, why: Option<Error>, now: Duration) {
        self.link = None;
        self.session.on_closed(why, now);
    }
}

/// Fresh random bytes.
///
/// # Errors
/// The system has none.
pub(super) fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| Error::Lost(error.to_string().into()))?;
    Ok(bytes)
}
