//! CONNECT, and what comes of it.

use std::num::{NonZeroU16, NonZeroU32};

use skein_protocol::{
    Connect, ConnectProperties, Packet, QoS, TopicName, Version, Will, WillProperties,
    properties::UserProperties,
};

use super::{Client, Conversation, Leftover, Stage};
use crate::{
    alphabet::TOPICS,
    link::{ConnectFacts, LinkId, Owner, Said, WillFacts},
    oracle::Facts,
    plan::Feature,
    rules::USERS,
    scene::Scene,
};

impl Client {
    /// Connects as the dice say.
    pub(super) fn connect(&mut self, scene: &mut Scene) {
        let clean = if self.likes_clean { 7 } else { 1 };
        let clean_start = scene.draw.chance(clean, 8);
        let expiry_s = match scene.plan.does(Feature::SessionExpiry, &mut scene.draw, 3, 4) {
            true => scene.draw.pick(&[0, 1, 2, 5, 60]),
            false if self.likes_clean => 0,
            false => u32::MAX,
        };
        let will = scene.plan.does(Feature::Wills, &mut scene.draw, 1, 2);
        self.connect_as(clean_start, expiry_s, will, scene);
    }

    /// Connects to its session, if it still has one.
    pub(crate) fn connect_to_resume(&mut self, scene: &mut Scene) {
        self.connect_as(false, u32::MAX, false, scene);
    }

    /// Connects to its session through a listener that keeps it, if it is in memory only; where it is.
    pub(crate) fn come_back(&mut self, scene: &mut Scene) -> Option<usize> {
        let home = scene.oracle.home_of_unkept(&self.name)?;
        self.reset(scene);
        self.connect_to_resume(scene);
        let link = scene.link_mut(self.link?);
        (link.listener, link.keeps) = (0, true);
        Some(home)
    }

    fn connect_as(&mut self, clean_start: bool, expiry_s: u32, has_will: bool, scene: &mut Scene) {
        let is_v5 = self.is_v5();
        // An empty client id needs a clean start before 5.0.
        let clean_start = clean_start || (self.name.is_empty() && !is_v5);
        let draw = &mut scene.draw;
        // Above all when something that it received may come again.
        let (small, sizes) = if self.received.is_empty() { (2, [100, 300]) } else { (5, [100; 2]) };
        let small = scene.plan.does(Feature::SmallPackets, draw, small, 6);
        let alias_max = match is_v5 && scene.plan.has(Feature::Aliases) {
            true => draw.pick(&[0, 1, 2, 10]),
            false => 0,
        };
        let mut facts = ConnectFacts {
            name: self.name.clone(),
            is_v5,
            clean_start,
            expiry_s,
            keep_alive_s: match scene.plan.has(Feature::KeepAlive) {
                true => draw.pick(&[0, 1, 2, 60]),
                false => 0,
            },
            receive_maximum: if is_v5 { draw.pick(&[1, 2, 3, 10, 65_535]) } else { 65_535 },
            packet_bytes_max: if is_v5 && small { draw.pick(&sizes) } else { usize::MAX },
            alias_max,
            will: None,
            user: self.user,
        };
        let message = has_will.then(|| draw_will(is_v5, scene));
        facts.will = message.map(|message| WillFacts {
            message,
            delay_s: if is_v5 { scene.draw.pick(&[0, 0, 1, 3, 30]) } else { 0 },
        });
        let bytes = self.encode(&facts, scene);
        let most = scene.plan.settings.limits.keep_alive_s_max;
        if is_v5 && most > 0 && (facts.keep_alive_s == 0 || facts.keep_alive_s > most) {
            // The CONNACK will say so.
            facts.keep_alive_s = most;
        }
        if facts.clean_start {
            self.sent.clear();
            self.received.clear();
        }
        let id = scene.dial_as(Owner::Client(self.number), self.user);
        scene.log.note(|| format!("{} connects on {id:?}: {facts:?}", self.name));
        let link = scene.link_mut(id);
        link.facts = Some(facts);
        link.say(&bytes, Said::Connect);
        self.link = Some(id);
        self.stage = Stage::Connecting;
        self.conversation = Conversation::default();
    }

    fn encode(&self, facts: &ConnectFacts, scene: &Scene) -> Vec<u8> {
        let mut bytes = Vec::new();
        let message = facts.will.map(|will| scene.oracle.facts(will.message));
        let pairs = message.and_then(|m| m.properties.as_ref()).map(|p| p.pairs());
        let pairs = pairs.unwrap_or_default();
        let will = message.zip(facts.will).map(|(message, will)| {
            let mut properties = WillProperties {
                message_expiry_s: message.expiry_s,
                delay_interval_s: Some(will.delay_s),
                ..WillProperties::default()
            };
            if let Some(known) = &message.properties {
                let mut all = skein_protocol::PublishProperties::default();
                known.fill(&[], &mut all);
                properties.payload_format = all.payload_format;
                properties.content_type = all.content_type;
                properties.response_topic = all.response_topic;
                properties.correlation_data = all.correlation_data;
                properties.user_properties = UserProperties::from_pairs(&pairs);
            }
            Will {
                topic: TopicName::assume_valid(TOPICS[message.topic.unwrap_or_default()]),
                payload: &message.payload,
                qos: QoS::try_from(message.qos).unwrap_or_default(),
                retain: message.retain,
                properties,
            }
        });
        let connect = Connect {
            version: self.version,
            clean_start: facts.clean_start,
            keep_alive_s: facts.keep_alive_s,
            client_id: &facts.name,
            will,
            user_name: facts.user.map(|user| USERS[user]),
            password: facts.user.map(|user| USERS[user].as_bytes()),
            properties: ConnectProperties {
                session_expiry_s: Some(facts.expiry_s),
                receive_maximum: NonZeroU16::new(facts.receive_maximum as u16),
                maximum_packet_size: u32::try_from(facts.packet_bytes_max)
                    .ok()
                    .and_then(NonZeroU32::new),
                topic_alias_maximum: Some(facts.alias_max),
                ..ConnectProperties::default()
            },
        };
        Packet::Connect(connect).encode(self.version, &mut bytes);
        bytes
    }

    /// Somebody who is perhaps not its user comes for its session.
    pub(crate) fn be_robbed(&self, thief: Option<usize>, scene: &mut Scene) {
        if let Some(rules) = &mut scene.rules
            && !self.name.is_empty()
            && thief != self.user
        {
            rules.thefts.insert(self.name.clone());
            Self::visit(&self.name, thief, scene);
        }
    }

    /// Ends the session of this client id, as its owner.
    pub(crate) fn end_session(name: &str, scene: &mut Scene) {
        let user = scene.oracle.owner(name);
        Self::visit(name, user, scene);
    }

    /// A connection with this client id that asks for a clean start and no session, and goes.
    fn visit(name: &str, user: Option<usize>, scene: &mut Scene) {
        let facts = ConnectFacts {
            name: name.to_owned(),
            is_v5: true,
            clean_start: true,
            expiry_s: 0,
            keep_alive_s: 0,
            receive_maximum: 65_535,
            packet_bytes_max: usize::MAX,
            alias_max: 0,
            will: None,
            user,
        };
        let connect = Connect {
            version: Version::V5,
            clean_start: true,
            keep_alive_s: 0,
            client_id: name,
            will: None,
            user_name: user.map(|user| USERS[user]),
            password: user.map(|user| USERS[user].as_bytes()),
            properties: ConnectProperties::default(),
        };
        let mut bytes = Vec::new();
        Packet::Connect(connect).encode(Version::V5, &mut bytes);
        let id = scene.dial_as(Owner::Hostile, user);
        let link = scene.link_mut(id);
        link.facts = Some(facts);
        link.say(&bytes, Said::Connect);
        link.finish();
        link.is_abandoned = true;
    }

    /// Connects while the last connection still stands.
    pub(super) fn connect_again(&mut self, scene: &mut Scene) {
        if let Some(link) = self.link.take() {
            let was_live = self.stage == Stage::Live;
            let unread = std::mem::take(&mut self.conversation.unread);
            let farewell = self.conversation.farewell;
            self.leftovers.push(Leftover { link, unread, was_live, farewell });
        }
        self.forget_link();
        if !self.name.is_empty() {
            self.connect(scene);
        }
    }

    /// Leaves while its CONNECT is on its way or waits, and comes back for its session.
    pub(super) fn leave_and_return(&mut self, scene: &mut Scene) {
        if let Some(id) = self.link {
            let link = scene.link_mut(id);
            link.finish();
            link.is_abandoned = true;
            link.down.clear();
        }
        self.forget_link();
        if !self.name.is_empty() {
            let expiry_s = scene.draw.pick(&[0, 60, u32::MAX]);
            self.connect_as(false, expiry_s, false, scene);
        }
    }

    /// Loses its connection before the broker knows what it has received, and comes back with
    /// less room for what may come again.
    pub(super) fn return_for_less(&mut self, scene: &mut Scene) {
        self.reset(scene);
        self.connect_to_resume(scene);
    }

    /// Whether packets may be sent before CONNACK: not if something of an earlier connection has
    /// to go first.
    pub(super) fn may_pipeline(&self, scene: &Scene) -> bool {
        let is_fresh = self.sent.iter().all(|sent| Some(sent.link) == self.link);
        scene.plan.has(Feature::Pipelining) && is_fresh && !self.name.is_empty()
    }

    /// CONNACK came.
    pub(super) fn on_connack(
        &mut self,
        id: LinkId,
        connack: &skein_protocol::ConnAck<'_>,
        scene: &mut Scene,
    ) {
        use crate::{oracle::violated, plan::Scarcity};
        let reason = connack.reason as u8;
        if reason != 0 {
            // Before 5.0 there is one code for all such cases.
            let is_overtaken = scene.link(id).is_overtaken && matches!(reason, 0x83 | 0x88);
            // A CONNACK that waits for the store is taken back when its connection is closed.
            let is_taken_back = scene.store.is_some() && scene.link(id).established_step.is_some();
            let is_troubled = scene.was_troubled_since(scene.link(id).accepted_step());
            let may_be_refused = scene.may_be_refused(id, reason)
                || (reason == 0x88 && (is_taken_back || is_troubled || scene.link(id).is_stopped));
            if scene.plan.scarcity != Scarcity::TightQueues && !is_overtaken && !may_be_refused {
                violated!("a model client may connect", "{} was told {reason:02x}", self.name);
            }
            return;
        }
        if self.stage != Stage::Connecting {
            violated!("one CONNACK answers one CONNECT", "{}", self.name);
        }
        self.stage = Stage::Live;
        if let Some(name) = connack.properties.assigned_client_id {
            self.name = name.to_owned();
        }
        let properties = &connack.properties;
        self.conversation.alias_max = properties.topic_alias_maximum.unwrap_or(0);
        let is_first = !scene.link(id).is_resumed;
        let has_flag = self.version != Version::V3_1;
        if has_flag && connack.session_present == is_first {
            violated!("session present is told", "{}: {}", self.name, connack.session_present);
        }
        let has_returned = scene.oracle.on_connack(id, scene.links[id.0].session, scene.step);
        if let Some(store) = scene.store.as_mut().filter(|_| has_returned) {
            store.note_return();
        }
        // A 3.1 client is not told. And one that races with itself may find a session that another
        // of its own connections began: no client could know, so this one is told.
        let is_known = self.session == scene.link(id).session;
        self.session = scene.link(id).session;
        self.resume(id, !is_first && is_known, scene);
    }

    /// Goes on with the session of earlier connections, or forgets it.
    fn resume(&mut self, id: LinkId, is_present: bool, scene: &mut Scene) {
        if !is_present {
            self.sent.retain(|sent| sent.link == id);
            self.received.clear();
            return;
        }
        for place in 0..self.sent.len() {
            let sent = self.sent[place];
            if sent.link == id {
                continue;
            }
            self.sent[place].link = id;
            if sent.is_released {
                self.send_pubrel(id, &sent, scene);
            } else {
                self.send_publish(id, &sent, true, scene);
            }
        }
    }
}

fn draw_will(is_v5: bool, scene: &mut Scene) -> usize {
    let plan = &scene.plan;
    let facts = Facts {
        topic: Some(scene.draw.pick(&plan.topics)),
        qos: plan.draw_qos(&mut scene.draw),
        retain: plan.does(Feature::Retained, &mut scene.draw, 1, 3),
        expiry_s: (is_v5 && plan.does(Feature::MessageExpiry, &mut scene.draw, 1, 4))
            .then(|| scene.draw.between(1, 20) as u32),
        properties: None,
        payload: Vec::new(),
        is_will: true,
    };
    let has_properties = is_v5 && plan.does(Feature::Properties, &mut scene.draw, 1, 2);
    scene.oracle.enter(facts, Some(12), has_properties)
}
