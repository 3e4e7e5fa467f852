//! A client that keeps no rule: random packets in any order, wrong acknowledgements, ids used
//! twice, bytes that are no packet. It must harm nobody but itself.

use std::num::NonZeroU16;

use skein_protocol::{
    Ack, Connect, ConnectProperties, Disconnect, Packet, PacketId, Publish, PublishProperties, QoS,
    ReasonCode, Subscribe, SubscriptionOptions, TopicFilter, TopicName, Unsubscribe, Version, Will,
    WillProperties,
};

use crate::{
    link::{End, LinkId, Owner},
    rules::listener_of,
    scene::Scene,
};

/// Topics and filters apart from those of the model clients.
const TOPICS: [&str; 3] = ["zz/hostile", "zz/hostile/q", "zz"];
const FILTERS: [&str; 6] = ["zz/#", "#", "zz/hostile", "$share/zz/zz/#", "a/b", "+/+"];

/// One hostile client.
#[derive(Debug)]
pub(crate) struct Hostile {
    name: String,
    link: Option<LinkId>,
    version: Version,
}

impl Hostile {
    pub(crate) fn new(number: usize) -> Self {
        Self { name: format!("hostile-{number}"), link: None, version: Version::V5 }
    }

    /// One random thing.
    pub(crate) fn act(&mut self, scene: &mut Scene) {
        let Some(link) = self.link else {
            self.connect(scene);
            return;
        };
        let down = &mut scene.links[link.0];
        if down.down_end != End::Open {
            self.link = None;
            return;
        }
        match scene.draw.below(20) {
            0..6 => {
                let waiting = scene.link(link).down.len();
                let count = scene.draw.some_of(waiting);
                scene.link_mut(link).down.drain(..count);
            }
            6 if scene.draw.chance(1, 4) => self.leave(scene),
            7 => {
                let count = scene.draw.between(1, 20);
                let bytes: Vec<u8> = (0..count).map(|_| scene.draw.next() as u8).collect();
                scene.link_mut(link).write(&bytes);
            }
            _ => self.say(link, scene),
        }
    }

    /// Breaks its connection.
    pub(crate) fn leave(&mut self, scene: &mut Scene) {
        if let Some(link) = self.link.take() {
            scene.link_mut(link).reset();
        }
    }

    fn connect(&mut self, scene: &mut Scene) {
        self.version = scene.draw.pick(&[Version::V5, Version::V5, Version::V3_1_1]);
        let link = scene.dial(Owner::Hostile);
        self.link = Some(link);
        if scene.rules.is_some() {
            scene.link_mut(link).listener = listener_of(None);
        }
        if scene.draw.chance(1, 10) {
            return;
        }
        let will = scene.draw.chance(1, 2).then(|| Will {
            topic: TopicName::assume_valid(TOPICS[0]),
            payload: b"hostile will",
            qos: QoS::AtLeastOnce,
            retain: true,
            properties: WillProperties::default(),
        });
        let connect = Connect {
            version: self.version,
            clean_start: scene.draw.chance(1, 2),
            keep_alive_s: scene.draw.pick(&[0, 1, 100]),
            client_id: &self.name,
            will,
            user_name: None,
            password: None,
            properties: ConnectProperties {
                session_expiry_s: Some(scene.draw.pick(&[0, 1, 100])),
                receive_maximum: NonZeroU16::new(scene.draw.pick(&[1, 2, 65_535])),
                topic_alias_maximum: Some(scene.draw.pick(&[0, 1, 5])),
                ..ConnectProperties::default()
            },
        };
        self.write(link, &Packet::Connect(connect), scene);
    }

    fn say(&mut self, link: LinkId, scene: &mut Scene) {
        let draw = &mut scene.draw;
        let Some(packet_id) = PacketId::new(draw.pick(&[1, 1, 2, 3, 65_535])) else { return };
        let reason =
            draw.pick(&[ReasonCode::Success, ReasonCode::Success, ReasonCode::NotAuthorized]);
        let ack = Ack::with_reason(packet_id, reason);
        let topic = TopicName::assume_valid(draw.pick(&TOPICS));
        let filter = TopicFilter::assume_valid(draw.pick(&FILTERS));
        let qos = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce][draw.below(3)];
        let may_alias = self.version == Version::V5 && draw.chance(1, 4);
        let alias = may_alias.then(|| draw.below(20) as u16).and_then(NonZeroU16::new);
        let packet = match draw.below(14) {
            0..5 => Packet::Publish(Publish {
                dup: qos != QoS::AtMostOnce && draw.chance(1, 2),
                qos,
                retain: draw.chance(1, 3),
                topic: (alias.is_none() || draw.chance(1, 2)).then_some(topic),
                packet_id: (qos != QoS::AtMostOnce).then_some(packet_id),
                properties: PublishProperties { topic_alias: alias, ..Default::default() },
                payload: if draw.chance(1, 4) { b"" } else { b"hostile" },
            }),
            5 => Packet::PubAck(ack),
            6 => Packet::PubRec(ack),
            7 => Packet::PubRel(Ack::success(packet_id)),
            8 => Packet::PubComp(Ack::success(packet_id)),
            9..11 => Packet::Subscribe(Subscribe {
                packet_id,
                identifier: None,
                user_properties: Default::default(),
                filters: [(filter, SubscriptionOptions::with_qos(qos))].into_iter().collect(),
            }),
            11 => Packet::Unsubscribe(Unsubscribe {
                packet_id,
                user_properties: Default::default(),
                filters: [filter].into_iter().collect(),
            }),
            12 => Packet::PingReq,
            _ => Packet::Disconnect(Disconnect::with_reason(ReasonCode::DisconnectWithWill)),
        };
        self.write(link, &packet, scene);
    }

    /// Writes a packet, sometimes with a byte changed, or cut off.
    fn write(&self, link: LinkId, packet: &Packet<'_>, scene: &mut Scene) {
        let mut bytes = Vec::new();
        packet.encode(self.version, &mut bytes);
        if scene.draw.chance(1, 8) {
            let place = scene.draw.below(bytes.len());
            bytes[place] ^= 1 << scene.draw.below(8);
        }
        if scene.draw.chance(1, 30) {
            bytes.truncate(scene.draw.between(0, bytes.len()));
        }
        scene.link_mut(link).write(&bytes);
    }
}
