//! What the log, and both brokers, are told about a bridge.

use skein_client::reactor::Reactor;
use skein_client::session::{Event, Outcome};
use skein_client::{Error, Publish, Result};

use super::super::carry::comes_in;
use super::super::trace;
use super::{Relay, Side};
use crate::config::BridgeStatus;

impl Relay {
    pub(super) fn on_subscribed(&self, result: Result<Outcome>) {
        let name = &self.plan.bridge.name;
        let errors = match result {
            Ok(Outcome::Subscribed(results)) => {
                results.into_iter().filter_map(Result::err).collect()
            }
            Err(error @ (Error::Rejected { .. } | Error::Unsupported(_))) => vec![error],
            _ => Vec::new(),
        };
        for error in errors {
            tracing::warn!("bridge {name}: a subscription was refused: {error}");
        }
    }

    pub(super) fn on_event(&mut self, side: Side, event: &Event, reactor: &mut Reactor) {
        if let Event::Connected { session_present, .. } = event {
            self.end(side).waiting.on_connected();
            if !session_present {
                self.on_forgotten(side, reactor);
            }
        }
        let name = &self.plan.bridge.name;
        match (side, event) {
            (Side::Remote, Event::Connected { session_present, server }) => {
                let kept = if *session_present { "an old session" } else { "a new session" };
                let version = server.version;
                tracing::info!("bridge {name}: connected, MQTT {version}, {kept}");
                self.is_connected = true;
                self.say_state(&[Side::Remote, Side::Local], reactor);
            }
            // The other one knows.
            (Side::Local, Event::Connected { .. }) => self.say_state(&[Side::Local], reactor),
            (Side::Remote, Event::Lost { why, .. } | Event::Failed { why, .. })
                if self.leaving.is_none() =>
            {
                tracing::warn!("bridge {name}: not connected: {why}");
                if std::mem::take(&mut self.is_connected) {
                    self.say_state(&[Side::Local], reactor);
                }
            }
            (_, Event::GaveUp { why }) => {
                tracing::error!("bridge {name}: given up until the next reload: {why}");
            }
            (_, Event::Resubscribed { filter, result: Err(error) }) => {
                tracing::warn!(
                    "bridge {name}: the subscription to {filter:?} was refused: {error}"
                );
            }
            (Side::Remote, Event::SessionLost { resent }) => {
                tracing::warn!(
                    "bridge {name}: the other broker has forgotten the session and what it held; \
                     {resent} messages are sent again"
                );
            }
            _ => {}
        }
    }

    /// A message has come from the other broker, and not by this bridge. Says so once, if this one brings
    /// it as well.
    pub(super) fn warn_of_twins(&mut self, topic: &str) {
        if !self.has_twin && comes_in(topic, &self.plan.bridge.topics) {
            self.has_twin = true;
            let name = &self.plan.bridge.name;
            tracing::warn!(
                "bridge {name}: messages of the other broker come by another way as well, like \
                 {topic:?}, and so come twice: carry a topic by one bridge only, with the direction \
                 \"both\""
            );
        }
    }

    /// Publishes whether it is connected, on those of these sides where that is wanted.
    pub(super) fn say_state(&mut self, sides: &[Side], reactor: &mut Reactor) {
        for side in sides {
            let is_wanted = match (self.plan.bridge.status, side) {
                (BridgeStatus::Both, _) | (BridgeStatus::Local, Side::Local) => true,
                (BridgeStatus::Local | BridgeStatus::None, _) => false,
            };
            if is_wanted {
                self.say_state_to(*side, reactor);
            }
        }
    }

    fn say_state_to(&mut self, side: Side, reactor: &mut Reactor) {
        let state = if self.is_connected { "1" } else { "0" };
        // Of QoS 0, as the packet identifiers are those of the other side.
        let mut publish = Publish::new(self.plan.bridge.state_topic(), state).retain();
        if side == Side::Local {
            trace::note(publish.properties_mut(), &self.own, None);
        }
        if let Some(mut seat) = reactor.seat(self.end(side).id).filter(|it| it.session().is_up()) {
            // It comes again with the next state; a broker that does not take it is one that nobody asks
            // about it.
            let _ = seat.relay_publish(publish, None, false);
        }
    }
}
