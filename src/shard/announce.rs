//! What the broker says of itself below `$SYS`. Every shard is told all of it, gives it to the sessions
//! that live there, and keeps it for those that subscribe later: so it takes no part in what is retained
//! for clients, with its homes, limits and records.

use std::sync::Arc;

use skein_protocol::{TopicFilter, TopicName, qos::QoS};

use super::{
    Shard, Turn,
    deliver::{Outgoing, Terms},
};
use crate::{
    router::Route,
    session::{ApplicationRef, Payload, SessionKey},
};

/// One message of the broker's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announcement {
    /// Its topic, below `$SYS`.
    pub topic: Box<str>,
    /// Its payload.
    pub payload: Box<str>,
}

impl Announcement {
    /// QoS 0: the next one says it anew.
    fn message(&self) -> ApplicationRef<'_> {
        ApplicationRef {
            topic: &self.topic,
            properties: &[],
            payload: Payload::Inline(self.payload.as_bytes()),
            qos: QoS::AtMostOnce,
            retain: true,
            expires_at: None,
        }
    }
}

impl Shard {
    /// Gives them to everybody here who wants them, and keeps them in place of the earlier ones.
    pub(super) fn on_announced(&mut self, announced: Arc<[Announcement]>, turn: &mut Turn<'_>) {
        for announcement in announced.iter() {
            let message = announcement.message();
            let route = self.routes.find(message.topic, &self.subscriptions);
            let mut outgoing = Outgoing::new(message, None);
            self.frames.begin();
            self.deliver_to_receivers(&mut outgoing, &route, None, turn);
            if !route.shares.is_empty() && self.id.index() == 0 {
                self.announce_to_shares(&mut outgoing, &route, turn);
            }
        }
        self.announced = announced;
    }

    /// One member of each share gets it; one shard picks for all.
    fn announce_to_shares(
        &mut self,
        outgoing: &mut Outgoing<'_>,
        route: &Route,
        turn: &mut Turn<'_>,
    ) {
        // Nobody is to keep it for clients.
        outgoing.message.retain = false;
        self.spread(outgoing, &route.of_shares(), None, turn);
    }

    /// What was said last goes to a session that has just subscribed, as what is retained does.
    pub(super) fn replay_announced(&mut self, key: SessionKey, pattern: &str, turn: &mut Turn<'_>) {
        if !pattern.starts_with('$') || self.announced.is_empty() {
            return;
        }
        let (Ok(filter), Some(node)) =
            (TopicFilter::new(pattern), self.subscriptions.find(pattern))
        else {
            return;
        };
        let Some(subscriber) = self.subscriptions.entry(node).subscriber(key) else { return };
        let grant = subscriber.grant();
        let announced = Arc::clone(&self.announced);
        for announcement in announced.iter() {
            let message = announcement.message();
            if !filter.matches(TopicName::assume_valid(message.topic)) {
                continue;
            }
            self.frames.begin();
            // A retained message sent at subscribe has RETAIN set [MQTT-3.3.1-8].
            let terms =
                Terms { grant: &grant, topic: None, retain: true, share: None, is_replay: true };
            self.deliver(key, terms, &mut Outgoing::new(message, None), turn);
        }
    }
}
