//! What a model client says of its own accord.

use std::num::{NonZeroU16, NonZeroU32};

use skein_protocol::{
    Ack, Disconnect, DisconnectProperties, Packet, PacketId, Publish, PublishProperties, QoS,
    ReasonCode, RetainHandling, Subscribe, SubscriptionOptions, TopicFilter, TopicName,
    Unsubscribe,
};

use super::{Client, Sent, Stage};
use crate::{
    alphabet::{DENIED_TOPIC, FILTERS, TOPICS, is_share},
    link::{FilterFacts, LinkId, Said},
    oracle::Facts,
    plan::{Feature, Scarcity},
    scene::Scene,
};

impl Client {
    /// Says one thing.
    pub(super) fn speak(&mut self, id: LinkId, scene: &mut Scene) {
        let (plan, draw) = (&scene.plan, &mut scene.draw);
        let holds = !self.received.is_empty() && !self.conversation.late.is_empty();
        if holds && plan.does(Feature::SmallPackets, draw, 1, 3) {
            self.return_for_less(scene);
            return;
        }
        if plan.does(Feature::Resets, draw, 1, 60) {
            self.reset(scene);
            return;
        }
        if plan.does(Feature::Takeovers, draw, 1, 60) {
            self.connect_again(scene);
            return;
        }
        if plan.does(Feature::SlowReaders, draw, 1, 60) {
            self.is_slow = !self.is_slow;
            return;
        }
        let [publish, subscribe, unsubscribe] = plan.weights;
        let mut dice = draw.below(publish + subscribe + unsubscribe + 4);
        // Whether the dice fell into a part of this weight.
        let mut falls = |weight: usize| {
            let is_it = dice < weight;
            dice = dice.wrapping_sub(weight);
            is_it
        };
        if falls(publish) {
            self.publish(id, scene);
        } else if falls(subscribe) {
            self.subscribe(id, scene);
        } else if falls(unsubscribe) {
            if scene.plan.has(Feature::Unsubscribe) {
                self.unsubscribe(id, scene);
            }
        } else if falls(1) {
            self.ping(id, scene);
        } else if falls(1) {
            self.disconnect(id, scene);
        } else {
            self.acknowledge_late(id, scene);
        }
    }

    fn say(&self, id: LinkId, packet: &Packet<'_>, said: Said, scene: &mut Scene) {
        let mut bytes = Vec::new();
        packet.encode(self.version, &mut bytes);
        scene.log.note(|| format!("{} says on {id:?}: {packet} ({said:?})", self.name));
        scene.link_mut(id).say(&bytes, said);
    }

    /// An id that is not in use.
    fn next_id(&mut self) -> u16 {
        loop {
            self.last_id = self.last_id.checked_add(1).unwrap_or(1);
            let id = self.last_id;
            let is_used = self.sent.iter().any(|sent| sent.packet_id == id)
                || self.conversation.asked.contains(&id);
            if !is_used {
                return id;
            }
        }
    }

    /// Publishes, if it is connected.
    pub(crate) fn publish_now(&mut self, scene: &mut Scene) {
        if let Some(link) = self.link.filter(|_| self.stage == Stage::Live) {
            self.publish(link, scene);
        }
    }

    fn publish(&mut self, id: LinkId, scene: &mut Scene) {
        let qos = scene.plan.draw_qos(&mut scene.draw);
        let most = match self.is_v5() {
            true => usize::from(scene.plan.settings.limits.receive_maximum),
            false => 100,
        };
        if qos > 0 && self.sent.len() >= most {
            return;
        }
        let message = draw_message(qos, self.is_v5(), scene);
        let packet_id = if qos > 0 { self.next_id() } else { 0 };
        scene.oracle.note_packet_id(message, packet_id);
        let sent = Sent { packet_id, message, qos, is_released: false, link: id };
        self.send_publish(id, &sent, false, scene);
        if qos > 0 {
            self.sent.push_back(sent);
        }
    }

    pub(super) fn send_publish(&mut self, id: LinkId, sent: &Sent, dup: bool, scene: &mut Scene) {
        let facts = scene.oracle.facts(sent.message).clone();
        let text = facts.topic.map_or(DENIED_TOPIC, |topic| TOPICS[topic]);
        let pairs = facts.properties.as_ref().map(|p| p.pairs()).unwrap_or_default();
        let mut properties =
            PublishProperties { message_expiry_s: facts.expiry_s, ..PublishProperties::default() };
        if let Some(known) = &facts.properties {
            known.fill(&pairs, &mut properties);
        }
        let mut topic = Some(TopicName::assume_valid(text));
        if let Some(number) = facts.topic.filter(|_| scene.plan.has(Feature::Aliases)) {
            self.alias(number, &mut topic, &mut properties, scene);
        }
        let publish = Publish {
            dup,
            qos: QoS::try_from(sent.qos).unwrap_or_default(),
            retain: facts.retain,
            topic,
            packet_id: PacketId::new(sent.packet_id),
            properties,
            payload: &facts.payload,
        };
        self.say(id, &Packet::Publish(publish), Said::Publish(sent.message), scene);
    }

    /// Uses an alias for the topic, or sets one.
    fn alias(
        &mut self,
        number: usize,
        topic: &mut Option<TopicName<'_>>,
        properties: &mut PublishProperties<'_>,
        scene: &mut Scene,
    ) {
        let conversation = &mut self.conversation;
        if conversation.alias_max == 0 || scene.draw.chance(1, 3) {
            return;
        }
        if let Some(alias) = conversation.aliases_out.get(&number) {
            properties.topic_alias = NonZeroU16::new(*alias);
            *topic = None;
            return;
        }
        let alias = scene.draw.between(1, usize::from(conversation.alias_max)) as u16;
        conversation.aliases_out.retain(|_, other| *other != alias);
        conversation.aliases_out.insert(number, alias);
        properties.topic_alias = NonZeroU16::new(alias);
    }

    pub(super) fn send_pubrel(&mut self, id: LinkId, sent: &Sent, scene: &mut Scene) {
        if let Some(number) = PacketId::new(sent.packet_id) {
            let said = Said::PubRel(sent.message);
            self.say(id, &Packet::PubRel(Ack::success(number)), said, scene);
        }
    }

    fn subscribe(&mut self, id: LinkId, scene: &mut Scene) {
        let packet_id = self.next_id();
        let identifier = (self.is_v5()
            && scene.plan.does(Feature::Identifiers, &mut scene.draw, 1, 2))
        .then(|| scene.draw.pick(&[1, 2, 7, 200, 268_435_455]));
        let mut filters: Vec<FilterFacts> = Vec::new();
        for _ in 0..scene.draw.pick(&[1, 1, 1, 2, 3]) {
            let facts = self.draw_filter(identifier, scene);
            // What happens to a filter that is named twice in one packet is another story.
            if filters.iter().all(|other| other.filter != facts.filter) {
                filters.push(facts);
            }
        }
        let options = filters.iter().map(|facts| {
            let options = SubscriptionOptions {
                qos: QoS::try_from(facts.qos).unwrap_or_default(),
                no_local: facts.no_local,
                retain_as_published: facts.retain_as_published,
                retain_handling: [
                    RetainHandling::SendAtSubscribe,
                    RetainHandling::SendIfNew,
                    RetainHandling::DoNotSend,
                ][usize::from(facts.retain_handling)],
            };
            (TopicFilter::assume_valid(FILTERS[facts.filter]), options)
        });
        let Some(number) = PacketId::new(packet_id) else { return };
        let subscribe = Subscribe {
            packet_id: number,
            identifier: identifier.and_then(NonZeroU32::new),
            user_properties: Default::default(),
            filters: options.collect(),
        };
        self.conversation.asked.insert(packet_id);
        let said = Said::Subscribe(packet_id, filters);
        self.say(id, &Packet::Subscribe(subscribe), said, scene);
    }

    fn draw_filter(&self, identifier: Option<u32>, scene: &mut Scene) -> FilterFacts {
        let (plan, draw) = (&scene.plan, &mut scene.draw);
        let filter = draw.pick(&plan.filters);
        let is_v5 = self.is_v5();
        FilterFacts {
            filter,
            qos: draw.below(3) as u8,
            no_local: is_v5 && !is_share(filter) && plan.does(Feature::NoLocal, draw, 1, 4),
            retain_as_published: is_v5 && plan.does(Feature::RetainAsPublished, draw, 1, 3),
            retain_handling: if is_v5 { draw.pick(&[0, 0, 1, 2]) } else { 0 },
            identifier,
        }
    }

    fn unsubscribe(&mut self, id: LinkId, scene: &mut Scene) {
        let packet_id = self.next_id();
        let mut filters = Vec::new();
        for _ in 0..scene.draw.pick(&[1, 1, 2, 4]) {
            let filter = scene.draw.pick(&scene.plan.filters);
            if !filters.contains(&filter) {
                filters.push(filter);
            }
        }
        let Some(number) = PacketId::new(packet_id) else { return };
        let unsubscribe = Unsubscribe {
            packet_id: number,
            user_properties: Default::default(),
            filters: filters.iter().map(|f| TopicFilter::assume_valid(FILTERS[*f])).collect(),
        };
        self.conversation.asked.insert(packet_id);
        self.say(id, &Packet::Unsubscribe(unsubscribe), Said::Unsubscribe(filters), scene);
    }

    fn ping(&mut self, id: LinkId, scene: &mut Scene) {
        self.conversation.pings += 1;
        self.say(id, &Packet::PingReq, Said::Ping, scene);
    }

    fn disconnect(&mut self, id: LinkId, scene: &mut Scene) {
        let (plan, draw) = (&scene.plan, &mut scene.draw);
        let with_will = self.is_v5() && plan.does(Feature::DisconnectWithWill, draw, 1, 3);
        if !with_will && !plan.does(Feature::DisconnectCleanly, draw, 1, 2) {
            return;
        }
        let asked = scene.link(id).facts.as_ref().map_or(0, |facts| facts.expiry_s);
        let most = scene.plan.settings.limits.session_expiry_s_max;
        let may_change = self.is_v5() && asked.min(most) > 0;
        let expiry_s =
            (may_change && scene.draw.chance(1, 3)).then(|| scene.draw.pick(&[0, 1, 4, 60]));
        self.say_goodbye(id, with_will, expiry_s, scene);
    }

    pub(super) fn say_goodbye(
        &mut self,
        id: LinkId,
        with_will: bool,
        expiry_s: Option<u32>,
        scene: &mut Scene,
    ) {
        let reason = if with_will { ReasonCode::DisconnectWithWill } else { ReasonCode::Success };
        let properties = DisconnectProperties { session_expiry_s: expiry_s, ..Default::default() };
        let packet = Packet::Disconnect(Disconnect { reason, properties });
        self.say(id, &packet, Said::Disconnect(with_will, expiry_s), scene);
        let link = scene.link_mut(id);
        link.finish();
        link.is_abandoned = true;
        link.down.clear();
        self.forget_link();
    }

    /// Says farewell if it is connected.
    pub(crate) fn leave(&mut self, scene: &mut Scene) {
        if let Some(link) = self.link {
            self.say_goodbye(link, false, None, scene);
        }
    }

    /// Sends the acknowledgements that were put off, or some of them.
    pub(super) fn acknowledge_late(&mut self, id: LinkId, scene: &mut Scene) -> bool {
        let late = &mut self.conversation.late;
        let happened = !late.is_empty();
        for (bytes, said) in late.drain(..) {
            scene.log.note(|| format!("{id:?} late: {said:?}"));
            scene.links[id.0].say(&bytes, said);
        }
        happened
    }
}

fn draw_message(qos: u8, is_v5: bool, scene: &mut Scene) -> usize {
    let (plan, draw) = (&scene.plan, &mut scene.draw);
    // Where room is scarce, what is retained meets its limits above all.
    let often = if plan.scarcity == Scarcity::TightQueues { 2 } else { 1 };
    let retain = plan.does(Feature::Retained, draw, often, 3);
    let is_deletion = retain && plan.does(Feature::Deleted, draw, 1, 3);
    let is_denied = draw.chance(1, 50);
    let payload_bytes = match draw.below(20) {
        0 if plan.has(Feature::LargePayloads) => 20_000,
        1..4 => 150,
        4..12 if plan.has(Feature::SmallPackets) => 150,
        _ => 10,
    };
    let facts = Facts {
        topic: (!is_denied).then(|| draw.pick(&plan.topics)),
        qos,
        retain,
        expiry_s: (is_v5 && plan.does(Feature::MessageExpiry, draw, 1, 4))
            .then(|| draw.pick(&[1, 2, 5, 60])),
        properties: None,
        payload: Vec::new(),
        is_will: false,
    };
    let has_properties = is_v5 && plan.does(Feature::Properties, draw, 1, 2);
    scene.oracle.enter(facts, (!is_deletion).then_some(payload_bytes), has_properties)
}
