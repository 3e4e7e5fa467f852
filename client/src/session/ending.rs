//! How connections and sessions end.

use std::time::Duration;

use skein_protocol::{
    Disconnect, DisconnectProperties, Packet, PacketType, QoS, ReasonCode, UserProperties, Version,
};

use super::connect::first_server;
use super::plan::Ending;
use super::{Effect, Event, Mark, Outcome, Phase, Session, own};
use crate::message::borrow_pairs;
use crate::{Error, Result, SessionLoss, Verdict};

impl Session {
    /// The link is closed, or never came about. `why` says more than that, where more is known.
    pub fn on_closed(&mut self, why: Option<Error>, now: Duration) {
        if !self.is_linked() && !matches!(self.phase, Phase::Dialing { .. }) {
            return;
        }
        self.output.clear();
        self.end(why.unwrap_or_else(|| Error::lost("the server closed the link")), now);
    }

    /// Ends the client: no new operations; what is queued and unacknowledged gets so much time
    /// still, then DISCONNECT with this reason. [`Event::Closed`] says what was not delivered.
    pub fn close(&mut self, drain: Duration, now: Duration) {
        if self.is_stopped() || self.closing.is_some() {
            return;
        }
        self.closing = Some(now + drain);
        if drain.is_zero() || self.is_drained() {
            self.finish_closing(now);
        }
    }

    /// Ends the client at once with this DISCONNECT: with its will published
    /// ([`ReasonCode::DisconnectWithWill`]), or with another session expiry [MQTT-3.14.2-2].
    pub fn disconnect(&mut self, reason: ReasonCode, session_expiry_s: Option<u32>, now: Duration) {
        if self.is_stopped() {
            return;
        }
        let farewell = self.options.farewell.clone();
        // 3.14.2.2.2: an expiry of zero in CONNECT cannot be changed.
        let expiry = session_expiry_s
            .or(farewell.session_expiry_s)
            .filter(|_| self.options.session_expiry_s > 0);
        if self.is_up() {
            let pairs = borrow_pairs(&farewell.user_properties);
            let properties = DisconnectProperties {
                session_expiry_s: expiry,
                reason_string: farewell.reason_string.as_deref(),
                user_properties: UserProperties::from_pairs(&pairs),
                ..Default::default()
            };
            self.write(&Packet::Disconnect(Disconnect { reason, properties }), now);
        }
        self.stop_with(|undelivered| Event::Closed { undelivered }, &Error::Closed);
    }

    /// Nothing is left that a closing client waits for. Subscriptions are not worth a connection.
    pub(super) fn is_drained(&self) -> bool {
        let is_idle = !self.is_up() || (self.requests.is_empty() && self.open.is_empty());
        let is_finished = self.released.is_empty() && !self.relay.has_stray_tokens();
        self.undelivered() == 0 && is_finished && is_idle
    }

    pub(super) fn finish_closing(&mut self, now: Duration) {
        self.closing = None;
        self.disconnect(ReasonCode::Success, None, now);
    }

    /// DISCONNECT came from the server (3.14).
    pub(super) fn on_disconnect(&mut self, disconnect: &Disconnect<'_>, now: Duration) {
        let Disconnect { reason, properties } = disconnect;
        self.effects.push_back(Effect::Close);
        self.output.clear();
        let ending = Ending {
            verdict: self.options.verdict(*reason),
            lasted: self.lasted(now),
            redirect: properties.server_reference.and_then(first_server),
        };
        let text = own(properties.reason_string);
        self.end_as(Error::Disconnected { reason: *reason, text }, ending, now);
    }

    /// The server broke a rule: it is told (4.13), and the connection ends.
    pub(super) fn fail(&mut self, error: skein_protocol::Error, now: Duration) {
        if self.is_up() && self.link.version == Version::V5 {
            let reason = error.reason();
            let valid = reason.is_valid_for(PacketType::Disconnect);
            let reason = if valid { reason } else { ReasonCode::ProtocolError };
            self.write(&Packet::Disconnect(Disconnect::with_reason(reason)), now);
        }
        self.effects.push_back(Effect::Close);
        self.end(Error::Protocol(error), now);
    }

    /// The server could not prove itself, so it gets nothing from us, now or later.
    pub(super) fn give_up_on_server(&mut self, error: Error, now: Duration) {
        let farewell = Disconnect::with_reason(ReasonCode::NotAuthorized);
        self.write(&Packet::Disconnect(farewell), now);
        self.effects.push_back(Effect::Close);
        self.end_with(error, Verdict::Stop, now);
    }

    pub(super) fn end(&mut self, why: Error, now: Duration) {
        self.end_with(why, Verdict::Retry, now);
    }

    pub(super) fn end_with(&mut self, why: Error, verdict: Verdict, now: Duration) {
        let ending = Ending { verdict, lasted: self.lasted(now), redirect: None };
        self.end_as(why, ending, now);
    }

    /// The connection, or the try to make one, is over.
    pub(super) fn end_as(&mut self, why: Error, ending: Ending, now: Duration) {
        let (was_up, redirect) = (self.is_up(), ending.redirect.clone());
        self.forget_connection(&why);
        let retry_in = self.plan.after(ending, &self.options);
        let heard = why.clone();
        self.event(match was_up {
            true => Event::Lost { why: heard, retry_in },
            false => Event::Failed { why: heard, retry_in },
        });
        if let Some(server) = redirect {
            self.event(Event::Redirected(server));
        }
        match retry_in {
            Some(Duration::ZERO) => self.dial(now),
            Some(delay) => self.phase = Phase::Waiting { until: now + delay },
            None => self.give_up(why),
        }
    }

    /// Everything that was true of the connection only is forgotten; what outlives it waits.
    pub(super) fn forget_connection(&mut self, why: &Error) {
        self.sender.begin_connection(0);
        self.hold_unacknowledged();
        if let Some(token) = self.link.authenticating.take() {
            self.complete(token, Err(why.clone()));
        }
        for request in std::mem::take(&mut self.open).into_values().rev() {
            self.requests.push_front(request);
        }
    }

    fn give_up(&mut self, why: Error) {
        let reason = why.clone();
        self.stop_with(|_| Event::GaveUp { why }, &reason);
    }

    /// Every open operation ends with this error, and so does the session.
    fn stop_with(&mut self, event: impl FnOnce(usize) -> Event, why: &Error) {
        let undelivered = self.undelivered();
        let mut tokens: Vec<_> = self.sender.drain().map(|(_, outgoing)| outgoing.token).collect();
        while let Some(outgoing) = self.queue.pop() {
            tokens.push(outgoing.token);
        }
        let open = std::mem::take(&mut self.open).into_values();
        tokens.extend(open.chain(self.requests.drain(..)).filter_map(|request| request.token()));
        tokens.extend(self.link.authenticating.take());
        tokens.extend(self.relay.take_strays());
        for token in tokens {
            self.complete(token, Err(why.clone()));
        }
        self.complete_released();
        self.deadlines.clear();
        self.closing = None;
        if self.is_linked() || matches!(self.phase, Phase::Dialing { .. }) {
            self.effects.push_back(Effect::Close);
        }
        self.phase = Phase::Stopped;
        self.event(event(undelivered));
    }

    /// A new connection begins for what is sent: in the old session, or in a new one.
    pub(super) fn begin_sending(&mut self, present: bool, was_there: bool, now: Duration) {
        let mut resent = 0;
        if !present {
            self.mark(Mark::Began);
            self.complete_released();
            self.relay.forget_withheld();
            self.complete_strays();
            match self.options.session_loss {
                // What only an earlier process has sent is none of this one's losses.
                SessionLoss::Drop | SessionLoss::Stop if was_there => self.drop_in_flight(),
                _ => resent = self.put_back_in_flight(),
            }
            if was_there {
                self.event(Event::SessionLost { resent });
            }
            if was_there && self.options.session_loss == SessionLoss::Stop {
                self.write(&Packet::Disconnect(Disconnect::with_reason(ReasonCode::Success)), now);
                self.effects.push_back(Effect::Close);
                self.end_with(Error::SessionLost, Verdict::Stop, now);
                return;
            }
        }
        // What is relayed goes on where another process had left it.
        self.settle(present, !was_there && !self.options.is_relay, now);
        let in_flight_max = self.link.limits.receive_maximum.min(self.options.in_flight_max);
        self.sender.begin_connection(in_flight_max);
        // Who takes no QoS 2 holds none [MQTT-3.2.2-9], and may hang up on PUBREL.
        match self.link.limits.maximum_qos {
            QoS::ExactlyOnce => self.release_strays(now),
            _ => self.complete_strays(),
        }
    }

    fn put_back_in_flight(&mut self) -> usize {
        let lost: Vec<_> = self.sender.drain().map(|(_, outgoing)| outgoing).collect();
        let count = lost.len();
        self.queue.put_back(lost.into_iter());
        count
    }

    fn drop_in_flight(&mut self) {
        let lost: Vec<_> = self.sender.drain().map(|(_, outgoing)| outgoing.token).collect();
        if !lost.is_empty() {
            self.event(Event::Dropped { why: Error::SessionLost, count: lost.len() });
        }
        for token in lost {
            self.complete(token, Err(Error::SessionLost));
        }
    }

    /// The server owned these messages since its PUBREC; only the end of the handshake is gone.
    fn complete_released(&mut self) {
        for outgoing in std::mem::take(&mut self.released).into_values() {
            let outcome: Result<Outcome> = Ok(Outcome::Published(ReasonCode::Success));
            self.complete(outgoing.token, outcome);
        }
    }

    /// Messages that no server has taken over.
    fn undelivered(&self) -> usize {
        self.queue.len() + self.sender.values().count()
    }

    /// For how long the connection has been up.
    fn lasted(&self, now: Duration) -> Option<Duration> {
        match self.phase {
            Phase::Up { since } => Some(now.saturating_sub(since)),
            _ => None,
        }
    }
}
