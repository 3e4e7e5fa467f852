#![no_main]
//! Two clients and one broker: they come, go, subscribe, publish and acknowledge as the bytes
//! choose, and each must receive exactly what a plain reading of the standard gives it, in order.

// Not every target uses all of it.
#[allow(dead_code)]
#[path = "support/node.rs"]
mod node;
#[path = "../../src/topic/naive.rs"]
mod naive;

use std::collections::BTreeMap;

use libfuzzer_sys::fuzz_target;
use skein::session::ConnectionId;
use skein_protocol::{
    Ack, Connect, ConnectProperties, Disconnect, Frame, Packet, PacketId, Publish,
    PublishProperties, QoS, ReasonCode, Subscribe, SubscriptionOptions, TopicFilter, TopicName,
    Unsubscribe, UserProperties, Version,
};

use self::naive::is_match;
use self::node::Node;

const CLIENTS: [&str; 2] = ["one", "two"];
const FILTERS: [&str; 8] = ["a", "a/b", "a/+", "+", "#", "a/#", "+/b", "b"];
const TOPICS: [&str; 4] = ["a", "a/b", "b", "a/b/c"];

fuzz_target!(|bytes: &[u8]| {
    let mut world = World::new();
    for pair in bytes.chunks_exact(2).take(300) {
        world.step(pair[0], usize::from(pair[1]));
        world.check();
    }
});

/// What a client of the model has.
#[derive(Default)]
struct Client {
    has_session: bool,
    filters: BTreeMap<&'static str, QoS>,
    /// QoS 1 messages that were not acknowledged, or wait for the client.
    owed: Vec<Message>,
    /// What it is to receive now.
    expected: Vec<Message>,
    /// The same, in whatever order: retained messages.
    expected_retained: Vec<Message>,
    link: Option<ConnectionId>,
    /// Identifiers of messages that it has received and not acknowledged.
    ids: Vec<PacketId>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Message {
    topic: &'static str,
    payload: Vec<u8>,
    qos: QoS,
}

struct World {
    node: Node,
    clients: [Client; 2],
    retained: BTreeMap<&'static str, Message>,
    serial: u32,
}

impl World {
    fn new() -> Self {
        Self {
            node: Node::new(),
            clients: Default::default(),
            retained: BTreeMap::new(),
            serial: 0,
        }
    }

    fn step(&mut self, choice: u8, argument: usize) {
        let who = usize::from(choice >> 7);
        let qos = if argument & 0x40 == 0 { QoS::AtMostOnce } else { QoS::AtLeastOnce };
        let (filter, topic) = (FILTERS[argument % 8], TOPICS[argument % 4]);
        match choice % 8 {
            0 | 1 => self.connect(who, argument & 1 == 1),
            2 => self.leave(who),
            3 => self.subscribe(who, filter, qos),
            4 => self.unsubscribe(who, filter),
            5 => self.publish(who, topic, qos, argument & 0x80 != 0, argument & 0x20 != 0),
            6 => self.acknowledge(who),
            _ => self.publish(who, topic, QoS::AtLeastOnce, false, false),
        }
    }

    fn say(&mut self, who: usize, packet: &Packet<'_>) {
        let Some(link) = self.clients[who].link else { return };
        let mut bytes = Vec::new();
        packet.encode(Version::V5, &mut bytes);
        self.node.receive(link, &bytes);
    }

    fn connect(&mut self, who: usize, clean_start: bool) {
        if let Some(old) = self.clients[who].link.take() {
            // It is taken over; what had reached it before was checked.
            self.node.take_written(old);
        }
        let link = self.node.open();
        let properties =
            ConnectProperties { session_expiry_s: Some(u32::MAX), ..ConnectProperties::default() };
        let client = &mut self.clients[who];
        if clean_start || !client.has_session {
            *client = Client::default();
        }
        client.has_session = true;
        client.link = Some(link);
        client.ids.clear();
        client.expected = client.owed.clone();
        self.say(
            who,
            &Packet::Connect(Connect {
                version: Version::V5,
                clean_start,
                keep_alive_s: 0,
                client_id: CLIENTS[who],
                will: None,
                user_name: None,
                password: None,
                properties,
            }),
        );
    }

    fn leave(&mut self, who: usize) {
        let goodbye = Packet::Disconnect(Disconnect::with_reason(ReasonCode::Success));
        self.say(who, &goodbye);
        self.clients[who].link = None;
    }

    fn subscribe(&mut self, who: usize, filter: &'static str, qos: QoS) {
        if self.clients[who].link.is_none() {
            return;
        }
        self.clients[who].filters.insert(filter, qos);
        let kept = self.retained.values().filter(|message| is_match(filter, message.topic));
        let granted = kept.map(|kept| Message { qos: kept.qos.min(qos), ..kept.clone() });
        let granted: Vec<Message> = granted.collect();
        let owed = granted.iter().filter(|message| message.qos > QoS::AtMostOnce);
        self.clients[who].owed.extend(owed.cloned());
        self.clients[who].expected_retained.extend(granted);
        self.say(
            who,
            &Packet::Subscribe(Subscribe {
                packet_id: PacketId::new(1).expect("above zero"),
                identifier: None,
                user_properties: UserProperties::default(),
                filters: [(
                    TopicFilter::new(filter).expect("a filter"),
                    SubscriptionOptions::with_qos(qos),
                )]
                .into_iter()
                .collect(),
            }),
        );
    }

    fn unsubscribe(&mut self, who: usize, filter: &'static str) {
        if self.clients[who].link.is_none() {
            return;
        }
        self.clients[who].filters.remove(filter);
        self.say(
            who,
            &Packet::Unsubscribe(Unsubscribe {
                packet_id: PacketId::new(2).expect("above zero"),
                user_properties: UserProperties::default(),
                filters: [TopicFilter::new(filter).expect("a filter")].into_iter().collect(),
            }),
        );
    }

    fn publish(&mut self, who: usize, topic: &'static str, qos: QoS, retain: bool, empty: bool) {
        if self.clients[who].link.is_none() {
            return;
        }
        self.serial += 1;
        let payload =
            if empty && retain { Vec::new() } else { self.serial.to_string().into_bytes() };
        let message = Message { topic, payload, qos };
        for client in self.clients.iter_mut().filter(|client| client.has_session) {
            let matching = client.filters.iter().filter(|(filter, _)| is_match(filter, topic));
            let Some(granted) = matching.map(|(_, qos)| *qos).max() else { continue };
            let copy = Message { qos: qos.min(granted), ..message.clone() };
            if copy.qos > QoS::AtMostOnce {
                client.owed.push(copy.clone());
            }
            if client.link.is_some() {
                client.expected.push(copy);
            }
        }
        if retain && message.payload.is_empty() {
            self.retained.remove(topic);
        } else if retain {
            self.retained.insert(topic, message.clone());
        }
        self.say(
            who,
            &Packet::Publish(Publish {
                dup: false,
                qos,
                retain,
                topic: Some(TopicName::new(topic).expect("a topic")),
                packet_id: (qos > QoS::AtMostOnce).then(|| PacketId::new(3).expect("above zero")),
                properties: PublishProperties::default(),
                payload: &message.payload,
            }),
        );
    }

    /// Everything that has come is acknowledged.
    fn acknowledge(&mut self, who: usize) {
        for id in std::mem::take(&mut self.clients[who].ids) {
            self.say(who, &Packet::PubAck(Ack::success(id)));
        }
        if self.clients[who].link.is_some() {
            self.clients[who].owed.clear();
        }
    }

    fn check(&mut self) {
        for (client, name) in self.clients.iter_mut().zip(CLIENTS) {
            let Some(link) = client.link else { continue };
            assert!(self.node.is_open(link), "{name} was closed");
            let (mut live, mut retained) = (Vec::new(), Vec::new());
            let bytes = self.node.take_written(link);
            let mut rest = &bytes[..];
            while let Ok(Some((frame, size))) = Frame::decode(rest, usize::MAX) {
                let packet = Packet::decode(frame, Version::V5).expect("a broker sends MQTT");
                if let Packet::Publish(publish) = &packet {
                    client.ids.extend(publish.packet_id);
                    let is_retained = publish.retain;
                    let message = read(publish);
                    if is_retained { &mut retained } else { &mut live }.push(message);
                }
                rest = &rest[size..];
            }
            // Of messages that are sent again it cannot be told here which had been retained.
            let mut received = [live, retained].concat();
            let mut expected = [
                std::mem::take(&mut client.expected),
                std::mem::take(&mut client.expected_retained),
            ]
            .concat();
            if received != expected {
                received.sort();
                expected.sort();
                assert_eq!(received, expected, "{name}");
            }
        }
    }
}

fn read(publish: &Publish<'_>) -> Message {
    let name = publish.topic.expect("the broker was allowed no alias").as_str();
    let topic = TOPICS.into_iter().find(|topic| *topic == name).expect("a topic of ours");
    Message { topic, payload: publish.payload.to_vec(), qos: publish.qos }
}
