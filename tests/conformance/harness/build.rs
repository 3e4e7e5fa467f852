//! What a peer says: packets with everything left out that a test does not care for, and bytes
//! that are no valid packet.

use skein_protocol::{
    Ack, Auth, Connect, ConnectProperties, Disconnect, Packet, PacketId, Publish,
    PublishProperties, QoS, ReasonCode, Subscribe, SubscriptionOptions, TopicFilter, TopicName,
    Unsubscribe, UserProperties, Version, Will, WillProperties,
};

/// What can be said: a packet, or any bytes.
pub(crate) trait Bytes {
    fn put(&self, version: Version, out: &mut Vec<u8>);
}

impl Bytes for Packet<'_> {
    fn put(&self, version: Version, out: &mut Vec<u8>) {
        self.encode(version, out);
    }
}

impl Bytes for Connect<'_> {
    fn put(&self, version: Version, out: &mut Vec<u8>) {
        Packet::Connect(self.clone()).encode(version, out);
    }
}

impl Bytes for Publish<'_> {
    fn put(&self, version: Version, out: &mut Vec<u8>) {
        self.encode(version, out);
    }
}

impl Bytes for Subscribe<'_> {
    fn put(&self, version: Version, out: &mut Vec<u8>) {
        Packet::Subscribe(self.clone()).encode(version, out);
    }
}

impl Bytes for Disconnect<'_> {
    fn put(&self, version: Version, out: &mut Vec<u8>) {
        Packet::Disconnect(self.clone()).encode(version, out);
    }
}

impl Bytes for Auth<'_> {
    fn put(&self, version: Version, out: &mut Vec<u8>) {
        Packet::Auth(self.clone()).encode(version, out);
    }
}

impl Bytes for [u8] {
    fn put(&self, _version: Version, out: &mut Vec<u8>) {
        out.extend_from_slice(self);
    }
}

impl<const N: usize> Bytes for [u8; N] {
    fn put(&self, version: Version, out: &mut Vec<u8>) {
        self.as_slice().put(version, out);
    }
}

impl Bytes for Vec<u8> {
    fn put(&self, version: Version, out: &mut Vec<u8>) {
        self.as_slice().put(version, out);
    }
}

/// These bytes as a version writes them.
pub(crate) fn bytes(what: &impl Bytes, version: Version) -> Vec<u8> {
    let mut out = Vec::new();
    what.put(version, &mut out);
    out
}

/// CONNECT with Clean Start, no keep alive and no will.
pub(crate) fn connect(version: Version, client_id: &str) -> Connect<'_> {
    Connect {
        version,
        clean_start: true,
        keep_alive_s: 0,
        client_id,
        will: None,
        user_name: None,
        password: None,
        properties: ConnectProperties::default(),
    }
}

/// CONNECT for a session that goes on, and outlives the connection by this many seconds; in MQTT
/// 3.1.1 by as long as the settings say.
pub(crate) fn persistent(version: Version, client_id: &str, expiry_s: u32) -> Connect<'_> {
    let properties =
        ConnectProperties { session_expiry_s: Some(expiry_s), ..ConnectProperties::default() };
    Connect { clean_start: false, properties, ..connect(version, client_id) }
}

/// A will of QoS 1, not retained, without delay.
pub(crate) fn will<'a>(topic: &'a str, payload: &'a [u8]) -> Will<'a> {
    let (topic, qos) = (TopicName::new(topic).expect("a topic"), QoS::AtLeastOnce);
    Will { topic, payload, qos, retain: false, properties: WillProperties::default() }
}

/// PUBLISH of QoS 0.
pub(crate) fn publish<'a>(topic: &'a str, payload: &'a [u8]) -> Publish<'a> {
    Publish {
        dup: false,
        qos: QoS::AtMostOnce,
        retain: false,
        topic: Some(TopicName::new(topic).expect("a topic")),
        packet_id: None,
        properties: PublishProperties::default(),
        payload,
    }
}

/// PUBLISH of QoS 1 or 2.
pub(crate) fn publish_as<'a>(qos: QoS, id: u16, topic: &'a str, payload: &'a [u8]) -> Publish<'a> {
    Publish { qos, packet_id: PacketId::new(id), ..publish(topic, payload) }
}

/// SUBSCRIBE without identifier.
pub(crate) fn subscribe<'a>(id: u16, filters: &[(&'a str, SubscriptionOptions)]) -> Subscribe<'a> {
    let valid = |text| TopicFilter::new(text).expect("a topic filter");
    Subscribe {
        packet_id: packet_id(id),
        identifier: None,
        user_properties: UserProperties::default(),
        filters: filters.iter().map(|(filter, options)| (valid(*filter), *options)).collect(),
    }
}

/// Subscription options with nothing but a QoS.
pub(crate) fn options(qos: QoS) -> SubscriptionOptions {
    SubscriptionOptions::with_qos(qos)
}

/// UNSUBSCRIBE.
pub(crate) fn unsubscribe<'a>(id: u16, filters: &[&'a str]) -> Packet<'a> {
    let valid = |text| TopicFilter::new(text).expect("a topic filter");
    Packet::Unsubscribe(Unsubscribe {
        packet_id: packet_id(id),
        user_properties: UserProperties::default(),
        filters: filters.iter().map(|filter| valid(*filter)).collect(),
    })
}

/// PUBACK with success.
pub(crate) fn puback(id: u16) -> Packet<'static> {
    Packet::PubAck(Ack::success(packet_id(id)))
}

/// PUBREC with success.
pub(crate) fn pubrec(id: u16) -> Packet<'static> {
    Packet::PubRec(Ack::success(packet_id(id)))
}

/// PUBREL with success.
pub(crate) fn pubrel(id: u16) -> Packet<'static> {
    Packet::PubRel(Ack::success(packet_id(id)))
}

/// PUBCOMP with success.
pub(crate) fn pubcomp(id: u16) -> Packet<'static> {
    Packet::PubComp(Ack::success(packet_id(id)))
}

/// PINGREQ.
pub(crate) fn ping() -> Packet<'static> {
    Packet::PingReq
}

/// DISCONNECT with Normal disconnection.
pub(crate) fn disconnect() -> Disconnect<'static> {
    Disconnect::with_reason(ReasonCode::Success)
}

/// A packet identifier.
pub(crate) fn packet_id(id: u16) -> PacketId {
    PacketId::new(id).expect("tests use identifiers above zero")
}

/// A packet with this first byte around any body.
pub(crate) fn raw(header: u8, body: &[u8]) -> Vec<u8> {
    let mut out = vec![header];
    out.extend(varint(body.len()));
    out.extend_from_slice(body);
    out
}

/// A variable byte integer.
pub(crate) fn varint(value: usize) -> Vec<u8> {
    let mut out = Vec::new();
    skein_protocol::wire::put_varint(&mut out, u32::try_from(value).expect("at most 256 MiB"));
    out
}

/// Bytes with their two byte length in front: a string or binary data, valid or not.
pub(crate) fn sized(bytes: impl AsRef<[u8]>) -> Vec<u8> {
    let bytes = bytes.as_ref();
    let length = u16::try_from(bytes.len()).expect("at most 65,535 bytes");
    [&length.to_be_bytes(), bytes].concat()
}

/// A property block with its length in front.
pub(crate) fn block(properties: &[u8]) -> Vec<u8> {
    [&varint(properties.len()), properties].concat()
}

/// What a version has for an empty property block: MQTT 3.1.1 has none.
pub(crate) fn no_properties(version: Version) -> &'static [u8] {
    if version == Version::V5 { &[0] } else { &[] }
}

/// A PUBLISH of QoS 0 with any properties, for MQTT 5.
pub(crate) fn raw_publish(topic: &str, properties: &[u8], payload: &[u8]) -> Vec<u8> {
    raw(0x30, &[&sized(topic)[..], &block(properties), payload].concat())
}

/// A CONNECT part by part, each of which may be wrong.
#[derive(Clone)]
pub(crate) struct RawConnect {
    pub(crate) header: u8,
    pub(crate) name: Vec<u8>,
    pub(crate) level: u8,
    pub(crate) flags: u8,
    /// With the length in front; empty before MQTT 5.
    pub(crate) properties: Vec<u8>,
    /// Client id, will, user name and password.
    pub(crate) payload: Vec<u8>,
}

impl RawConnect {
    /// A valid one with Clean Start and no keep alive.
    pub(crate) fn new(version: Version, client_id: &str) -> Self {
        Self {
            header: 0x10,
            name: version.protocol_name().into(),
            level: version.level(),
            flags: 0x02,
            properties: no_properties(version).into(),
            payload: sized(client_id),
        }
    }
}

impl Bytes for RawConnect {
    fn put(&self, _version: Version, out: &mut Vec<u8>) {
        let start = [&sized(&self.name)[..], &[self.level, self.flags, 0, 0]].concat();
        out.extend(raw(
            self.header,
            &[start, self.properties.clone(), self.payload.clone()].concat(),
        ));
    }
}
