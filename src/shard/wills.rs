//! Wills: published once, when the connection is lost and the delay is over, or when the session
//! ends, whichever is first [MQTT-3.1.3-9].

use skein_protocol::TopicName;

use super::{NoticeLevel, Shard, Turn, deliver::Outgoing, timers::Timer};
use crate::{record::Record, session::SessionKey};

impl Shard {
    /// The connection is lost: when is the will due?
    pub(super) fn schedule_will(&mut self, key: SessionKey, turn: &mut Turn<'_>) {
        let session = self.sessions.at_mut(key);
        let Some(will) = &session.will else { return };
        let due = will.due(turn.now, session.expiry_s);
        if due <= turn.now {
            self.publish_will(key, turn);
        } else {
            session.will_at = Some(due);
            self.timers.arm(due, Timer::WillDue(key));
            self.record_at(key, due, |client_id, at_ms| Record::WillDue { client_id, at_ms });
        }
    }

    pub(super) fn on_will_due(&mut self, key: SessionKey, turn: &mut Turn<'_>) {
        self.sessions.at_mut(key).will_at = None;
        if !self.stop.has_said_goodbye() {
            self.publish_will(key, turn);
        }
    }

    /// Publishes the will if there still is one, and forgets it [MQTT-3.1.2-10].
    pub(super) fn publish_will(&mut self, key: SessionKey, turn: &mut Turn<'_>) {
        let session = self.sessions.at_mut(key);
        if let Some(at) = session.will_at.take() {
            self.timers.cancel(at, Timer::WillDue(key));
        }
        let session = self.sessions.at_mut(key);
        let Some(will) = session.will.take() else { return };
        self.record(key, |client_id| Record::WillCleared { client_id });
        if !self.may_publish(key, TopicName::assume_valid(will.message.topic())) {
            self.deny_will(key, will.message.topic(), turn);
            return;
        }
        self.metrics.wills_published += 1;
        let mut message = will.message.borrow();
        message.expires_at = will.message_expiry_s.map(|s| turn.now.plus(u64::from(s) * 1000));
        if !self.settings.limits.retain_available {
            message.retain = false;
        }
        let client = Box::from(&*self.sessions.at(key).client_id);
        turn.effects.notices.push(super::Notice {
            level: NoticeLevel::Debug,
            kind: "will-published",
            connection: None,
            client: Some(client),
            text: format!("will published to {:?}", message.topic),
        });
        let route = self.routes.find(message.topic, &self.subscriptions);
        let author = if message.retain { self.author(key) } else { None };
        let mut outgoing = Outgoing::new(message, None);
        outgoing.author = author.as_ref();
        self.spread(&mut outgoing, &route, Some(key), turn);
    }

    /// The client may not publish its will any more.
    fn deny_will(&mut self, key: SessionKey, topic: &str, turn: &mut Turn<'_>) {
        self.metrics.wills_denied += 1;
        turn.effects.notices.push(super::Notice {
            level: NoticeLevel::Warning,
            kind: "will-denied",
            connection: None,
            client: Some(Box::from(&*self.sessions.at(key).client_id)),
            text: format!("will to {topic:?} not published: the topic is denied"),
        });
    }
}
