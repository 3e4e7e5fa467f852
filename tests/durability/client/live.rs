//! A connection, from CONNECT to its end.

use std::io::{self, ErrorKind};
use std::num::NonZeroU16;
use std::time::{Duration, Instant};

use skein_protocol::qos::{Resend, Sender};
use skein_protocol::{
    Ack, ConnAck, Connect, ConnectProperties, Disconnect, Frame, Packet, PacketId, Publish,
    PublishProperties, ReasonCode, Subscribe, SubscriptionOptions, TopicFilter, TopicName,
    UserProperties, Version,
};

use super::{Client, Outgoing, link::Link};
use crate::history::{KEPT, Message, Operation};
use crate::scene::Moment;

/// How long the broker may take for its CONNACK; it may be stopped, or read its store.
const CONNACK_MAX: Duration = Duration::from_secs(20);
/// How often a client looks whether something is to be done, when nothing comes.
const LOOK: Duration = Duration::from_millis(20);

/// What a client has to keep of its connection.
pub(super) struct Live {
    pub(super) link: Link,
    /// What was said and is told to the scene once it was sent.
    pub(super) said: Vec<Moment>,
    /// The SUBSCRIBE that waits for its answer.
    pub(super) subscribing: Option<PacketId>,
    /// When the next filter is asked for, the next message published, and the connection ended.
    subscribe_at: Instant,
    publish_at: Instant,
    nap_at: Option<Instant>,
}

impl Client {
    /// Connects and stays so until the broker goes, the scene ends or a nap is due.
    pub(super) fn be_connected(&mut self) -> io::Result<()> {
        let version = self.plan.version;
        let address = self.scene.address().ok_or(ErrorKind::NotConnected)?;
        let mut link = Link::open(address, version)?;
        link.say(&Packet::Connect(self.connect()));
        link.flush()?;
        let bytes = first_packet(&mut link)?;
        let Packet::ConnAck(connack) = self.read(&bytes)? else {
            return Err(self.violated("CONNACK was to come first".to_owned()));
        };
        if connack.reason.is_error() {
            return Err(ErrorKind::ConnectionRefused.into());
        }
        let now = Instant::now();
        let nap = self.plan.naps.then(|| Duration::from_millis(self.rng.u64(50..2_000)));
        let mut live = Live {
            link,
            said: Vec::new(),
            subscribing: None,
            subscribe_at: now,
            publish_at: now,
            nap_at: nap.map(|nap| now + nap),
        };
        self.begin(&connack);
        let ended = self.live(&mut live);
        if let Err(error) = &ended
            && error.kind() != ErrorKind::ConnectionAborted
            && version == Version::V5
        {
            self.scene.hear_silent_end();
        }
        ended
    }

    fn connect(&self) -> Connect<'_> {
        let properties = match self.plan.version {
            Version::V5 => ConnectProperties {
                session_expiry_s: Some(u32::MAX),
                receive_maximum: NonZeroU16::new(self.plan.receive_maximum),
                ..ConnectProperties::default()
            },
            Version::V3_1 | Version::V3_1_1 => ConnectProperties::default(),
        };
        Connect {
            version: self.plan.version,
            clean_start: false,
            keep_alive_s: 0,
            client_id: &self.id,
            will: None,
            user_name: None,
            password: None,
            properties,
        }
    }

    /// The session goes on. Were it gone, which the check notices, so would all that the broker
    /// knows of its identifiers.
    fn begin(&mut self, connack: &ConnAck<'_>) {
        let (client, session_present) = (self.plan.client, connack.session_present);
        self.scene.history.record(Operation::Connected { client, session_present });
        if !session_present {
            self.held.clear();
            self.granted = 0;
        }
        if self.sender.is_empty() {
            // Identifiers begin anew: one that the broker still holds would swallow a new message.
            self.sender = Sender::new();
        }
        let maximum = connack.properties.receive_maximum.map_or(u16::MAX, NonZeroU16::get);
        self.sender.begin_connection(maximum);
    }

    fn live(&mut self, live: &mut Live) -> io::Result<()> {
        while !self.scene.has_ended() {
            self.speak(live);
            self.scene.set_done(self.plan.client, self.is_done());
            // What is answered late is on its way when the broker dies.
            if !self.scene.is_busy() || self.rng.u8(..4) > 0 {
                if let Err(error) = live.link.flush() {
                    return self.listen_to_the_end(live, error);
                }
                live.said.drain(..).for_each(|moment| self.scene.reach(moment));
            }
            if live.nap_at.is_some_and(|at| at <= Instant::now()) && self.scene.is_busy() {
                return self.nap(live);
            }
            live.link.wait(self.patience(live))?;
            self.hear_all(live)?;
        }
        live.link.say(&Packet::Disconnect(Disconnect::with_reason(ReasonCode::Success)));
        live.link.flush()
    }

    fn hear_all(&mut self, live: &mut Live) -> io::Result<()> {
        while let Some(bytes) = live.link.next().map_err(|error| self.no_mqtt(&error))? {
            let packet = self.read(&bytes)?;
            self.hear(live, &packet)?;
        }
        Ok(())
    }

    /// The broker reads no more, but it may have said why.
    fn listen_to_the_end(&mut self, live: &mut Live, error: io::Error) -> io::Result<()> {
        while live.link.wait(LOOK).is_ok() {
            self.hear_all(live)?;
        }
        Err(error)
    }

    /// How long to wait for the broker before there is something to do.
    fn patience(&self, live: &Live) -> Duration {
        if self.plan.topics.is_empty() || !self.scene.is_busy() {
            return LOOK;
        }
        live.publish_at.saturating_duration_since(Instant::now()).min(LOOK)
    }

    /// Says good-bye, or nothing, and comes back later.
    fn nap(&mut self, live: &mut Live) -> io::Result<()> {
        if self.rng.bool() {
            live.link.say(&Packet::Disconnect(Disconnect::with_reason(ReasonCode::Success)));
            live.link.flush()?;
        }
        Ok(())
    }

    /// What is to be sent again, then a filter, then messages.
    fn speak(&mut self, live: &mut Live) {
        while let Some(resend) = self.sender.next_resend() {
            match resend {
                Resend::Publish(id, outgoing) => say_publish(&mut live.link, outgoing, id, true),
                Resend::PubRel(id) => live.link.say(&Packet::PubRel(Ack::success(id))),
            }
        }
        let now = Instant::now();
        if live.subscribing.is_none() && live.subscribe_at <= now {
            self.subscribe(live);
            live.subscribe_at = now + Duration::from_millis(self.rng.u64(0..600));
        }
        if self.scene.is_busy() && !self.plan.topics.is_empty() && live.publish_at <= now {
            self.publish(live);
            live.publish_at = now + Duration::from_millis(self.rng.u64(..=self.plan.pause_ms_max));
        }
    }

    fn subscribe(&mut self, live: &mut Live) {
        let Some((filter, qos)) = self.plan.filters.get(self.granted).cloned() else { return };
        let Some(packet_id) = self.sender.reserve() else { return };
        live.subscribing = Some(packet_id);
        let valid = TopicFilter::new(&filter).expect("plans have valid filters");
        live.link.say(&Packet::Subscribe(Subscribe {
            packet_id,
            identifier: None,
            user_properties: UserProperties::default(),
            filters: [(valid, SubscriptionOptions::with_qos(qos))].into_iter().collect(),
        }));
        let (client, filter) = (self.plan.client, filter.clone());
        self.scene.history.record(Operation::Asked { client, filter, qos });
    }

    /// Some messages at once, as often as not.
    fn publish(&mut self, live: &mut Live) {
        for _ in 0..self.rng.usize(1..4) {
            if self.sender.quota() == 0 || self.sender.in_flight() >= self.plan.window {
                return;
            }
            self.number += 1;
            let message = Message { publisher: self.plan.client, number: self.number };
            let topic = self.plan.topics[self.rng.usize(..self.plan.topics.len())].clone();
            let qos = match topic.starts_with(KEPT) {
                // What is sent again with QoS 1 is new, and retained in place of a later one of QoS
                // 2, which is not.
                true => self.plan.qos[0],
                false => self.plan.qos[self.rng.usize(..self.plan.qos.len())],
            };
            self.scene.history.record(Operation::Published { message, topic: topic.clone(), qos });
            let outgoing = Outgoing { message, topic, qos };
            let sent = self.sender.send(qos, outgoing.clone());
            let id = sent.expect("there is quota, and the QoS is not 0");
            say_publish(&mut live.link, &outgoing, id, false);
        }
    }

    fn read<'a>(&self, bytes: &'a [u8]) -> io::Result<Packet<'a>> {
        let cut = Frame::decode(bytes, usize::MAX).map_err(|error| self.no_mqtt(&error))?;
        let (frame, _) = cut.ok_or(ErrorKind::UnexpectedEof)?;
        Packet::decode(frame, self.plan.version).map_err(|error| self.no_mqtt(&error))
    }

    fn no_mqtt(&self, error: &skein_protocol::Error) -> io::Error {
        self.violated(format!("a malformed packet came: {error}"))
    }

    /// Takes down what must not come; the connection is given up.
    pub(super) fn violated(&self, what: String) -> io::Error {
        let client = self.plan.client;
        self.scene.history.record(Operation::Violated { client, what });
        ErrorKind::InvalidData.into()
    }
}

fn first_packet(link: &mut Link) -> io::Result<Vec<u8>> {
    let deadline = Instant::now() + CONNACK_MAX;
    while Instant::now() < deadline {
        link.wait(LOOK)?;
        if let Ok(Some(bytes)) = link.next() {
            return Ok(bytes);
        }
    }
    Err(ErrorKind::TimedOut.into())
}

fn say_publish(link: &mut Link, outgoing: &Outgoing, id: PacketId, dup: bool) {
    link.say(&Packet::Publish(Publish {
        dup,
        qos: outgoing.qos,
        retain: outgoing.topic.starts_with(KEPT),
        topic: TopicName::new(&outgoing.topic).ok(),
        packet_id: Some(id),
        properties: PublishProperties::default(),
        payload: &outgoing.message.payload(),
    }));
}
