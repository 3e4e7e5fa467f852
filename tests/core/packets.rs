//! The packets of the tests, in few words each way.

use std::num::{NonZeroU16, NonZeroU32};

use skein_protocol::{
    Connect, ConnectProperties, Disconnect, DisconnectProperties, Publish, PublishProperties, QoS,
    ReasonCode, Subscribe, SubscriptionIdentifiers, SubscriptionOptions, TopicFilter, TopicName,
    Unsubscribe, UserProperties, Version, Will, WillProperties,
    packet::{Ack, Auth, AuthProperties, Packet},
    qos::PacketId,
};

/// An MQTT 5 client with a clean start whose session ends with its connection.
pub(crate) fn v5(client_id: &str) -> Connect<'_> {
    let properties = ConnectProperties::default();
    let (will, user_name, password) = (None, None, None);
    let (version, clean_start, keep_alive_s) = (Version::V5, true, 0);
    Connect { version, clean_start, keep_alive_s, client_id, will, user_name, password, properties }
}

/// An MQTT 5 client that resumes, and whose session outlives its connection by so many seconds.
pub(crate) fn lasting(client_id: &str, expiry_s: u32) -> Connect<'_> {
    let mut connect = v5(client_id);
    connect.clean_start = false;
    connect.properties.session_expiry_s = Some(expiry_s);
    connect
}

/// An MQTT 3.1.1 client.
pub(crate) fn v3(client_id: &str, clean_session: bool) -> Connect<'_> {
    Connect { version: Version::V3_1_1, clean_start: clean_session, ..v5(client_id) }
}

/// With a Receive Maximum.
pub(crate) fn with_receive_maximum(mut connect: Connect<'_>, maximum: u16) -> Connect<'_> {
    connect.properties.receive_maximum = NonZeroU16::new(maximum);
    connect
}

/// With a Maximum Packet Size.
pub(crate) fn with_packet_bytes_max(mut connect: Connect<'_>, bytes: u32) -> Connect<'_> {
    connect.properties.maximum_packet_size = NonZeroU32::new(bytes);
    connect
}

/// With a Topic Alias Maximum.
pub(crate) fn with_aliases(mut connect: Connect<'_>, maximum: u16) -> Connect<'_> {
    connect.properties.topic_alias_maximum = Some(maximum);
    connect
}

/// With a user name, which is the password as well.
pub(crate) fn as_user<'a>(mut connect: Connect<'a>, name: &'a str) -> Connect<'a> {
    connect.user_name = Some(name);
    connect.password = Some(name.as_bytes());
    connect
}

/// With an Authentication Method and the first data.
pub(crate) fn with_method<'a>(
    mut connect: Connect<'a>,
    method: &'a str,
    data: &'a str,
) -> Connect<'a> {
    connect.properties.authentication_method = Some(method);
    connect.properties.authentication_data = Some(data.as_bytes());
    connect
}

/// AUTH.
pub(crate) fn auth<'a>(reason: ReasonCode, method: &'a str, data: &'a str) -> Packet<'a> {
    let (method, data) = (Some(method), Some(data.as_bytes()));
    Packet::Auth(Auth { reason, properties: AuthProperties { method, data, ..Default::default() } })
}

/// With a keep alive.
pub(crate) fn with_keep_alive(mut connect: Connect<'_>, seconds: u16) -> Connect<'_> {
    connect.keep_alive_s = seconds;
    connect
}

/// With a will of QoS 1 to a topic, after a delay.
pub(crate) fn with_will<'a>(
    mut connect: Connect<'a>,
    text: &'a str,
    delay_s: Option<u32>,
) -> Connect<'a> {
    let properties = WillProperties { delay_interval_s: delay_s, ..WillProperties::default() };
    let (qos, retain) = (QoS::AtLeastOnce, false);
    connect.will = Some(Will { topic: topic(text), payload: b"the will", qos, retain, properties });
    connect
}

/// With a will of QoS 1 that is retained.
pub(crate) fn with_retained_will<'a>(connect: Connect<'a>, text: &'a str) -> Connect<'a> {
    let mut connect = with_will(connect, text, None);
    if let Some(will) = &mut connect.will {
        will.retain = true;
    }
    connect
}

fn topic(text: &str) -> TopicName<'_> {
    TopicName::new(text).expect("tests name valid topics")
}

fn filter(text: &str) -> TopicFilter<'_> {
    TopicFilter::new(text).expect("tests name valid filters")
}

/// A packet id.
pub(crate) fn id(number: u16) -> PacketId {
    PacketId::new(number).expect("tests use ids above zero")
}

/// PUBLISH with QoS 0 for packet id 0, else QoS 1.
pub(crate) fn publish<'a>(number: u16, text: &'a str, payload: &'a str) -> Packet<'a> {
    let qos = if number == 0 { QoS::AtMostOnce } else { QoS::AtLeastOnce };
    Packet::Publish(publish_fields(qos, number, text, payload))
}

/// PUBLISH with QoS 2.
pub(crate) fn publish2<'a>(number: u16, text: &'a str, payload: &'a str) -> Packet<'a> {
    Packet::Publish(publish_fields(QoS::ExactlyOnce, number, text, payload))
}

/// PUBLISH with QoS 0 and RETAIN.
pub(crate) fn retained<'a>(text: &'a str, payload: &'a str) -> Packet<'a> {
    let publish = publish_fields(QoS::AtMostOnce, 0, text, payload);
    Packet::Publish(Publish { retain: true, ..publish })
}

/// PUBLISH with QoS 1 and RETAIN.
pub(crate) fn retained1<'a>(number: u16, text: &'a str, payload: &'a str) -> Packet<'a> {
    let publish = publish_fields(QoS::AtLeastOnce, number, text, payload);
    Packet::Publish(Publish { retain: true, ..publish })
}

/// The same PUBLISH, with a Message Expiry Interval.
pub(crate) fn expiring(packet: Packet<'_>, seconds: u32) -> Packet<'_> {
    change(packet, |publish| publish.properties.message_expiry_s = Some(seconds))
}

/// The same PUBLISH, sent again.
pub(crate) fn again(packet: Packet<'_>) -> Packet<'_> {
    change(packet, |publish| publish.dup = true)
}

/// The same PUBLISH, with a topic alias.
pub(crate) fn aliased(packet: Packet<'_>, alias: u16) -> Packet<'_> {
    change(packet, |publish| publish.properties.topic_alias = NonZeroU16::new(alias))
}

/// The same PUBLISH, with a Subscription Identifier, which only a server sends.
pub(crate) fn with_identifier(packet: Packet<'_>) -> Packet<'_> {
    let identifiers = SubscriptionIdentifiers::from_slice(&[7]);
    change(packet, |publish| publish.properties.subscription_identifiers = identifiers)
}

/// PUBLISH with QoS 0 whose topic is only named by its alias.
pub(crate) fn alias_only(alias: u16, payload: &str) -> Packet<'_> {
    change(aliased(publish(0, "a", payload), alias), |publish| publish.topic = None)
}

fn change<'a>(packet: Packet<'a>, how: impl FnOnce(&mut Publish<'a>)) -> Packet<'a> {
    let Packet::Publish(mut publish) = packet else { panic!("only a PUBLISH is changed so") };
    how(&mut publish);
    Packet::Publish(publish)
}

fn publish_fields<'a>(qos: QoS, number: u16, text: &'a str, payload: &'a str) -> Publish<'a> {
    Publish {
        dup: false,
        qos,
        retain: false,
        topic: Some(topic(text)),
        packet_id: PacketId::new(number),
        properties: PublishProperties::default(),
        payload: payload.as_bytes(),
    }
}

/// SUBSCRIBE to one filter with a maximum QoS.
pub(crate) fn subscribe(number: u16, text: &str, qos: u8) -> Packet<'_> {
    subscribe_with(number, text, qos, |_| {})
}

/// SUBSCRIBE to one filter with options.
pub(crate) fn subscribe_with(
    number: u16,
    text: &str,
    qos: u8,
    change: impl FnOnce(&mut SubscriptionOptions),
) -> Packet<'_> {
    let mut options = options(qos);
    change(&mut options);
    Packet::Subscribe(subscribe_fields(number, [(filter(text), options)]))
}

/// SUBSCRIBE to one filter with a Subscription Identifier.
pub(crate) fn subscribe_as(number: u16, text: &str, qos: u8, identifier: u32) -> Packet<'_> {
    let mut subscribe = subscribe_fields(number, [(filter(text), options(qos))]);
    subscribe.identifier = NonZeroU32::new(identifier);
    Packet::Subscribe(subscribe)
}

/// SUBSCRIBE to many filters with QoS 0.
pub(crate) fn subscribe_all(number: u16, texts: &[String]) -> Packet<'_> {
    let filters = texts.iter().map(|text| (filter(text), SubscriptionOptions::default()));
    Packet::Subscribe(subscribe_fields(number, filters))
}

fn options(qos: u8) -> SubscriptionOptions {
    let qos = QoS::try_from(qos).expect("tests use QoS 0 to 2");
    SubscriptionOptions { qos, ..SubscriptionOptions::default() }
}

fn subscribe_fields<'a>(
    number: u16,
    filters: impl IntoIterator<Item = (TopicFilter<'a>, SubscriptionOptions)>,
) -> Subscribe<'a> {
    Subscribe {
        packet_id: id(number),
        identifier: None,
        user_properties: UserProperties::default(),
        filters: filters.into_iter().collect(),
    }
}

/// UNSUBSCRIBE from one filter.
pub(crate) fn unsubscribe(number: u16, text: &str) -> Packet<'_> {
    Packet::Unsubscribe(Unsubscribe {
        packet_id: id(number),
        user_properties: UserProperties::default(),
        filters: [filter(text)].into_iter().collect(),
    })
}

/// PUBACK.
pub(crate) fn puback(number: u16) -> Packet<'static> {
    Packet::PubAck(Ack::success(id(number)))
}

/// PUBREC.
pub(crate) fn pubrec(number: u16) -> Packet<'static> {
    Packet::PubRec(Ack::success(id(number)))
}

/// PUBREL.
pub(crate) fn pubrel(number: u16) -> Packet<'static> {
    Packet::PubRel(Ack::success(id(number)))
}

/// PUBCOMP.
pub(crate) fn pubcomp(number: u16) -> Packet<'static> {
    Packet::PubComp(Ack::success(id(number)))
}

/// PUBCOMP of a client that knows no such id.
pub(crate) fn pubcomp_unknown(number: u16) -> Packet<'static> {
    Packet::PubComp(Ack::with_reason(id(number), ReasonCode::PacketIdentifierNotFound))
}

/// DISCONNECT with a reason, and perhaps another Session Expiry Interval.
pub(crate) fn disconnect(reason: u8, session_expiry_s: Option<u32>) -> Packet<'static> {
    let properties = DisconnectProperties { session_expiry_s, ..DisconnectProperties::default() };
    let reason = if reason == 4 { ReasonCode::DisconnectWithWill } else { ReasonCode::Success };
    Packet::Disconnect(Disconnect { reason, properties })
}

/// What a client has received, in one line: `PUBLISH a hello q1 #7 dup retain`.
pub(crate) fn line(packet: &Packet<'_>) -> String {
    let ack = |name: &str, ack: &Ack<'_>| match ack.reason {
        ReasonCode::Success => format!("{name} #{}", ack.packet_id),
        reason => format!("{name} #{} {}", ack.packet_id, code(reason)),
    };
    let codes = |reasons: &[ReasonCode]| {
        let codes: Vec<String> = reasons.iter().map(|reason| code(*reason)).collect();
        codes.join(" ")
    };
    match packet {
        Packet::ConnAck(connack) => {
            let present = if connack.session_present { " present" } else { "" };
            let proof = connack.properties.authentication_data.map(String::from_utf8_lossy);
            let proof = proof.map_or(String::new(), |proof| format!("{proof} "));
            format!("CONNACK{present} {proof}{}", code(connack.reason))
        }
        Packet::Publish(publish) => publish_line(publish),
        Packet::PubAck(fields) => ack("PUBACK", fields),
        Packet::PubRec(fields) => ack("PUBREC", fields),
        Packet::PubRel(fields) => ack("PUBREL", fields),
        Packet::PubComp(fields) => ack("PUBCOMP", fields),
        Packet::SubAck(suback) => {
            format!("SUBACK #{} {}", suback.packet_id, codes(&suback.reasons))
        }
        Packet::UnsubAck(unsuback) => {
            format!("UNSUBACK #{} {}", unsuback.packet_id, codes(&unsuback.reasons))
        }
        Packet::PingResp => "PINGRESP".to_owned(),
        Packet::Disconnect(disconnect) => format!("DISCONNECT {}", code(disconnect.reason)),
        Packet::Auth(auth) => {
            let data = String::from_utf8_lossy(auth.properties.data.unwrap_or_default());
            let method = auth.properties.method.unwrap_or_default();
            format!("AUTH {} {method} {data}", code(auth.reason)).trim_end().to_owned()
        }
        other => panic!("no server sends {other}"),
    }
}

fn code(reason: ReasonCode) -> String {
    format!("0x{:02X}", reason as u8)
}

fn publish_line(publish: &Publish<'_>) -> String {
    let topic = publish.topic.map_or("", |topic| topic.as_str());
    let payload = String::from_utf8_lossy(publish.payload);
    let payload =
        if payload.len() > 40 { format!("({} bytes)", payload.len()) } else { payload.into() };
    let mut line = format!("PUBLISH {topic} {payload}");
    if let Some(packet_id) = publish.packet_id {
        line += &format!(" q{} #{packet_id}", publish.qos);
    }
    let properties = &publish.properties;
    line += if publish.dup { " dup" } else { "" };
    line += if publish.retain { " retain" } else { "" };
    if let Some(alias) = properties.topic_alias {
        line += &format!(" alias={alias}");
    }
    if let Some(seconds) = properties.message_expiry_s {
        line += &format!(" expiry={seconds}");
    }
    for identifier in properties.subscription_identifiers.iter() {
        line += &format!(" id={identifier}");
    }
    line
}
