//! A client that says one thing after the other, and expects.

use std::time::{Duration, Instant};

use skein_protocol::{
    Connect, ConnectProperties, Frame, Packet, PacketId, Publish, PublishProperties, QoS,
    Subscribe, SubscriptionOptions, TopicFilter, TopicName, UserProperties, Version,
};

use crate::broker::Broker;
use crate::client::Link;

/// How long a packet may take; a broker may be reading its store.
const PATIENCE: Duration = Duration::from_secs(60);

/// One end of a connection.
pub(crate) struct Peer {
    link: Link,
    version: Version,
}

impl Peer {
    /// Connects to a session that never expires; says whether it was there.
    pub(crate) fn connect(broker: &Broker, client_id: &str, version: Version) -> (Self, bool) {
        let link = Link::open(broker.address, version).expect("it listens");
        let mut peer = Self { link, version };
        let session_expiry_s = (version == Version::V5).then_some(u32::MAX);
        peer.say(&Packet::Connect(Connect {
            version,
            clean_start: false,
            keep_alive_s: 0,
            client_id,
            will: None,
            user_name: None,
            password: None,
            properties: ConnectProperties { session_expiry_s, ..ConnectProperties::default() },
        }));
        let session_present = peer.hear_with(|packet| match packet {
            Packet::ConnAck(connack) if !connack.reason.is_error() => connack.session_present,
            other => panic!("{client_id} was to be accepted, not {other}"),
        });
        (peer, session_present)
    }

    /// Resumes a session, which has to be there.
    pub(crate) fn resume(broker: &Broker, client_id: &str, version: Version) -> Self {
        let (peer, session_present) = Self::connect(broker, client_id, version);
        assert!(session_present, "the session of {client_id} is gone");
        peer
    }

    /// Says this, now.
    pub(crate) fn say(&mut self, packet: &Packet<'_>) {
        self.link.say(packet);
        self.link.flush().expect("the broker reads");
    }

    /// The next packet, as it is printed.
    pub(crate) fn hear(&mut self) -> String {
        self.hear_with(|packet| packet.to_string())
    }

    /// The next packet, which is a message: its topic, payload, QoS, identifier and DUP.
    pub(crate) fn hear_message(&mut self) -> String {
        self.hear_with(|packet| match packet {
            Packet::Publish(publish) => {
                let payload = String::from_utf8_lossy(publish.payload);
                let id = publish.packet_id.map_or(0, PacketId::get);
                let topic = publish.topic.map_or("", TopicName::as_str);
                format!("{topic} {payload} qos={} id={id} dup={}", publish.qos, publish.dup)
            }
            other => other.to_string(),
        })
    }

    /// The next packet, shown in this way.
    pub(crate) fn hear_with<T>(&mut self, show: impl Fn(&Packet<'_>) -> T) -> T {
        self.hear_within(PATIENCE, show).expect("a packet was to come")
    }

    /// The next packet, shown in this way, if one comes in time.
    pub(crate) fn hear_within<T>(
        &mut self,
        within: Duration,
        show: impl Fn(&Packet<'_>) -> T,
    ) -> Option<T> {
        let deadline = Instant::now() + within;
        loop {
            if let Some(bytes) = self.link.next().expect("the broker sends MQTT") {
                let cut = Frame::decode(&bytes, usize::MAX).expect("it was cut before");
                let (frame, _) = cut.expect("it is whole");
                let packet = Packet::decode(frame, self.version);
                return Some(show(&packet.expect("the broker sends MQTT")));
            }
            if Instant::now() > deadline {
                return None;
            }
            self.link.wait(Duration::from_millis(100)).expect("the broker stays");
        }
    }
}

/// A packet identifier.
pub(crate) fn id(number: u16) -> PacketId {
    PacketId::new(number).expect("it is above 0")
}

/// PUBLISH, not retained and for the first time.
pub(crate) fn publish<'a>(qos: QoS, number: u16, topic: &'a str, payload: &'a [u8]) -> Publish<'a> {
    Publish {
        dup: false,
        qos,
        retain: false,
        topic: TopicName::new(topic).ok(),
        packet_id: Some(id(number)),
        properties: PublishProperties::default(),
        payload,
    }
}

/// SUBSCRIBE to one filter.
pub(crate) fn subscribe(qos: QoS, number: u16, filter: &str) -> Subscribe<'_> {
    let filter = TopicFilter::new(filter).expect("it is one");
    Subscribe {
        packet_id: id(number),
        identifier: None,
        user_properties: UserProperties::default(),
        filters: [(filter, SubscriptionOptions::with_qos(qos))].into_iter().collect(),
    }
}
