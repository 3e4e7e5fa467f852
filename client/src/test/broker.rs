//! A server for one client, without a network: it answers, keeps the session, and sends back what
//! the client has subscribed to.

use std::collections::BTreeMap;

use bytes::Bytes;
use skein_protocol::qos::{Arrival, Received, Receiver, Resend, Sender};
use skein_protocol::{
    Ack, AckProperties, ConnAck, ConnAckProperties, Connect, Disconnect, Frame, Packet, PacketId,
    Publish, PublishProperties, QoS, ReasonCode, SubAck, Subscribe, SubscriptionIdentifiers,
    TopicFilter, TopicName, UnsubAck, Version,
};

/// A server in memory. Its session survives connections, and can be made to be forgotten.
#[derive(Debug, Default)]
pub struct FakeBroker {
    /// What it has taken over, in order: topic and payload. QoS 2 counts once.
    pub taken: Vec<(String, Bytes)>,
    /// How many connections it has accepted.
    pub connections: usize,
    session: Session,
    version: Option<Version>,
    input: Vec<u8>,
}

/// What outlives a connection.
#[derive(Debug, Default)]
struct Session {
    exists: bool,
    receiver: Receiver,
    sender: Sender<Stored>,
    queue: Vec<Stored>,
    subscriptions: BTreeMap<String, (QoS, Option<u32>)>,
}

#[derive(Clone, Debug)]
struct Stored {
    topic: String,
    payload: Bytes,
    qos: QoS,
    identifiers: Vec<u32>,
}

impl FakeBroker {
    /// Forgets the session, as a server does that lost its disk; between two connections.
    pub fn forget_session(&mut self) {
        self.session = Session::default();
    }

    /// The filters the client has subscribed to.
    pub fn filters(&self) -> impl Iterator<Item = &str> {
        self.session.subscriptions.keys().map(String::as_str)
    }

    /// The link is gone.
    pub fn on_closed(&mut self) {
        self.version = None;
        self.input.clear();
        self.session.sender.begin_connection(0);
    }

    /// Takes bytes of the client and gives the answer.
    ///
    /// # Panics
    /// If the client breaks a rule: that is what the tests are for.
    pub fn on_bytes(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut input = std::mem::take(&mut self.input);
        input.extend_from_slice(bytes);
        let (mut out, mut taken) = (Vec::new(), 0);
        while let Some((frame, size)) =
            Frame::decode(&input[taken..], usize::MAX).expect("the client sends good frames")
        {
            taken += size;
            let version = self.version.unwrap_or(Version::V5);
            let packet = Packet::decode(frame, version).expect("the client sends good packets");
            self.on_packet(packet, &mut out);
        }
        self.input = input[taken..].to_vec();
        self.send_queue(&mut out);
        out
    }

    fn on_packet(&mut self, packet: Packet<'_>, out: &mut Vec<u8>) {
        let version = self.version.unwrap_or(Version::V5);
        match packet {
            Packet::Connect(connect) => self.on_connect(&connect, out),
            Packet::Publish(publish) => self.on_publish(&publish, out),
            Packet::PubAck(ack) => {
                self.session.sender.on_puback(ack.packet_id).expect("a PUBACK that fits");
            }
            Packet::PubRec(ack) => match self.session.sender.on_pubrec(ack.packet_id, false) {
                Ok(Received::Release(_) | Received::Again) => {
                    Packet::PubRel(Ack::success(ack.packet_id)).encode(version, out);
                }
                other => panic!("a PUBREC that does not fit: {other:?}"),
            },
            Packet::PubRel(ack) => {
                self.session.receiver.on_pubrel(ack.packet_id);
                Packet::PubComp(Ack::success(ack.packet_id)).encode(version, out);
            }
            Packet::PubComp(ack) => {
                self.session.sender.on_pubcomp(ack.packet_id).expect("a PUBCOMP that fits");
            }
            Packet::Subscribe(subscribe) => self.on_subscribe(&subscribe, out),
            Packet::Unsubscribe(unsubscribe) => {
                let mut reasons = Vec::new();
                for filter in &unsubscribe.filters {
                    let removed = self.session.subscriptions.remove(filter.as_str());
                    let missing = ReasonCode::NoSubscriptionExisted;
                    reasons.push(removed.map_or(missing, |_| ReasonCode::Success));
                }
                let (packet_id, properties) = (unsubscribe.packet_id, AckProperties::default());
                let reasons = reasons.into_iter().collect();
                Packet::UnsubAck(UnsubAck { packet_id, reasons, properties }).encode(version, out);
            }
            Packet::PingReq => Packet::PingResp.encode(version, out),
            Packet::Disconnect(Disconnect { .. }) => self.version = None,
            other => panic!("a client does not send {other}"),
        }
    }

    fn on_connect(&mut self, connect: &Connect<'_>, out: &mut Vec<u8>) {
        if connect.clean_start {
            self.forget_session();
        }
        let session_present = std::mem::replace(&mut self.session.exists, true);
        self.version = Some(connect.version);
        self.connections += 1;
        let (reason, properties) = (ReasonCode::Success, ConnAckProperties::default());
        let connack = ConnAck { session_present, reason, properties };
        Packet::ConnAck(connack).encode(connect.version, out);
        let maximum = connect.properties.receive_maximum.map_or(u16::MAX, |maximum| maximum.get());
        self.session.receiver.begin_connection(u16::MAX);
        self.session.sender.begin_connection(maximum);
    }

    fn on_publish(&mut self, publish: &Publish<'_>, out: &mut Vec<u8>) {
        let version = self.version.expect("PUBLISH comes after CONNECT");
        let mut is_new = true;
        if let Some(id) = publish.packet_id {
            let arrival = self.session.receiver.on_publish(publish.qos, id);
            is_new = arrival.expect("the client keeps to its window") == Arrival::New;
            let ack = Ack::success(id);
            if publish.qos == QoS::AtLeastOnce {
                self.session.receiver.acknowledged(id);
                Packet::PubAck(ack).encode(version, out);
            } else {
                Packet::PubRec(ack).encode(version, out);
            }
        }
        if is_new {
            let topic = publish.topic.expect("this server allows no aliases");
            let payload = Bytes::copy_from_slice(publish.payload);
            self.taken.push((topic.to_string(), payload.clone()));
            self.echo(topic, payload, publish.qos);
        }
    }

    /// Sends a message to the client as if another client had published it.
    ///
    /// # Panics
    /// If the topic is none.
    pub fn publish(&mut self, topic: &str, payload: impl Into<Bytes>, qos: QoS) -> Vec<u8> {
        self.echo(TopicName::new(topic).expect("a good topic"), payload.into(), qos);
        let mut out = Vec::new();
        self.send_queue(&mut out);
        out
    }

    /// Overlapping subscriptions get one copy, with the highest QoS and every identifier.
    fn echo(&mut self, topic: TopicName<'_>, payload: Bytes, qos: QoS) {
        let matching = self.session.subscriptions.iter();
        let matching: Vec<_> =
            matching.filter(|(text, _)| TopicFilter::assume_valid(text).matches(topic)).collect();
        let Some(granted) = matching.iter().map(|(_, (granted, _))| *granted).max() else { return };
        let identifiers = matching.iter().filter_map(|(_, (_, identifier))| *identifier).collect();
        let topic = topic.to_string();
        self.session.queue.push(Stored { topic, payload, qos: qos.min(granted), identifiers });
    }

    fn on_subscribe(&mut self, subscribe: &Subscribe<'_>, out: &mut Vec<u8>) {
        let version = self.version.expect("SUBSCRIBE comes after CONNECT");
        let identifier = subscribe.identifier.map(|identifier| identifier.get());
        let mut reasons = Vec::new();
        for (filter, options) in &subscribe.filters {
            let subscription = (options.qos, identifier);
            self.session.subscriptions.insert(filter.to_string(), subscription);
            reasons.push(ReasonCode::try_from(options.qos as u8).expect("0, 1 and 2 are granted"));
        }
        let (packet_id, properties) = (subscribe.packet_id, AckProperties::default());
        let reasons = reasons.into_iter().collect();
        Packet::SubAck(SubAck { packet_id, reasons, properties }).encode(version, out);
    }

    /// Sends again what an earlier connection left, then what waits.
    fn send_queue(&mut self, out: &mut Vec<u8>) {
        let Some(version) = self.version else { return };
        while let Some(resend) = self.session.sender.next_resend() {
            match resend {
                Resend::PubRel(id) => Packet::PubRel(Ack::success(id)).encode(version, out),
                Resend::Publish(id, stored) => write(stored, Some(id), true, version, out),
            }
        }
        while let Some(stored) = self.session.queue.first().cloned() {
            let id = match stored.qos {
                QoS::AtMostOnce => None,
                qos => match self.session.sender.send(qos, stored.clone()) {
                    Ok(id) => Some(id),
                    Err(_) => return,
                },
            };
            self.session.queue.remove(0);
            write(&stored, id, false, version, out);
        }
    }
}

fn write(stored: &Stored, id: Option<PacketId>, dup: bool, version: Version, out: &mut Vec<u8>) {
    let publish = Publish {
        dup,
        qos: stored.qos,
        retain: false,
        topic: Some(TopicName::assume_valid(&stored.topic)),
        packet_id: id,
        properties: PublishProperties {
            subscription_identifiers: SubscriptionIdentifiers::from_slice(&stored.identifiers),
            ..PublishProperties::default()
        },
        payload: &stored.payload,
    };
    publish.encode(version, out);
}
