//! One packet of every kind, small and full, in each version that has it.

use std::num::{NonZeroU16, NonZeroU32};

use skein_protocol::{
    Ack, AckProperties, Auth, AuthProperties, ConnAck, ConnAckProperties, Connect,
    ConnectProperties, Disconnect, DisconnectProperties, Packet, PacketId, PayloadFormat, Publish,
    PublishProperties, QoS, ReasonCode, RetainHandling, SubAck, Subscribe, SubscriptionIdentifiers,
    SubscriptionOptions, TopicFilter, TopicName, UnsubAck, Unsubscribe, UserProperties, Version,
    Will, WillProperties,
};
use smallvec::smallvec;

/// A packet with a name.
pub(crate) struct Case {
    /// The version it is written in.
    pub(crate) version: Version,
    /// What it is, as a file name.
    pub(crate) name: &'static str,
    /// The packet itself.
    pub(crate) packet: Packet<'static>,
}

const ALL: &[Version] = &Version::ALL;
const SINCE_3_1_1: &[Version] = &[Version::V3_1_1, Version::V5];
const BEFORE_5: &[Version] = &[Version::V3_1, Version::V3_1_1];
const ONLY_5: &[Version] = &[Version::V5];

/// One row: the name, the versions that have the packet, and the packet.
#[derive(Clone, Copy)]
struct Row(&'static str, &'static [Version], fn(Version) -> Packet<'static>);

/// Every case, sorted by version and then as the packets are numbered.
pub(crate) fn cases() -> Vec<Case> {
    let rows = [connecting(), publishing(), acknowledging(), subscribing(), ending()].concat();
    let case = |version| {
        let rows = rows.iter().filter(move |row| row.1.contains(&version));
        rows.map(move |Row(name, _, packet)| Case { version, name, packet: packet(version) })
    };
    Version::ALL.into_iter().flat_map(case).collect()
}

fn connecting() -> Vec<Row> {
    vec![
        Row("connect", ALL, |version| Packet::Connect(connect(version))),
        Row("connect-empty-client-id", ALL, |version| {
            Packet::Connect(Connect { client_id: "", keep_alive_s: 0, ..connect(version) })
        }),
        Row("connect-will", ALL, |version| {
            let properties = WillProperties::default();
            Packet::Connect(Connect { will: Some(will(properties)), ..connect(version) })
        }),
        Row("connect-credentials", ALL, |version| {
            let (user_name, password) = (Some("gander"), Some(&b"\xFFhonk"[..]));
            Packet::Connect(Connect { user_name, password, clean_start: false, ..connect(version) })
        }),
        Row("connect-password-alone", ONLY_5, |version| {
            Packet::Connect(Connect { password: Some(b"token"), ..connect(version) })
        }),
        Row("connect-full", ONLY_5, |version| {
            Packet::Connect(Connect {
                will: Some(will(WILL_PROPERTIES)),
                user_name: Some("gander"),
                password: Some(b"honk"),
                properties: CONNECT_PROPERTIES,
                ..connect(version)
            })
        }),
        Row("connack", ALL, |_| connack(false, ReasonCode::Success, ConnAckProperties::default())),
        Row("connack-session-present", SINCE_3_1_1, |_| {
            connack(true, ReasonCode::Success, ConnAckProperties::default())
        }),
        Row("connack-refused", ALL, |_| {
            connack(false, ReasonCode::NotAuthorized, ConnAckProperties::default())
        }),
        Row("connack-full", ONLY_5, |_| connack(false, ReasonCode::Success, CONNACK_PROPERTIES)),
    ]
}

fn publishing() -> Vec<Row> {
    vec![
        Row("publish", ALL, |_| Packet::Publish(publish(QoS::AtMostOnce))),
        Row("publish-qos1-dup-retain", ALL, |_| {
            Packet::Publish(Publish { dup: true, retain: true, ..publish(QoS::AtLeastOnce) })
        }),
        Row("publish-qos2", ALL, |_| Packet::Publish(publish(QoS::ExactlyOnce))),
        Row("publish-retain-nothing", ALL, |_| {
            Packet::Publish(Publish { retain: true, payload: b"", ..publish(QoS::AtMostOnce) })
        }),
        Row("publish-two-byte-length", ALL, |_| {
            Packet::Publish(Publish { payload: &[0xAB; 200], ..publish(QoS::AtMostOnce) })
        }),
        Row("publish-alias", ONLY_5, |_| {
            let topic_alias = NonZeroU16::new(3);
            let properties = PublishProperties { topic_alias, ..PublishProperties::default() };
            Packet::Publish(Publish { topic: None, properties, ..publish(QoS::AtMostOnce) })
        }),
        Row("publish-full", ONLY_5, |_| {
            let properties = publish_properties();
            Packet::Publish(Publish { properties, ..publish(QoS::AtLeastOnce) })
        }),
    ]
}

fn acknowledging() -> Vec<Row> {
    vec![
        Row("puback", ALL, |_| Packet::PubAck(Ack::success(id(1)))),
        Row("puback-reason", ONLY_5, |_| {
            Packet::PubAck(Ack::with_reason(id(1), ReasonCode::NoMatchingSubscribers))
        }),
        Row("puback-full", ONLY_5, |_| Packet::PubAck(full_ack(ReasonCode::QuotaExceeded))),
        Row("pubrec", ALL, |_| Packet::PubRec(Ack::success(id(0x1234)))),
        Row("pubrec-full", ONLY_5, |_| Packet::PubRec(full_ack(ReasonCode::PacketIdentifierInUse))),
        Row("pubrel", ALL, |_| Packet::PubRel(Ack::success(id(0x1234)))),
        Row("pubrel-full", ONLY_5, |_| Packet::PubRel(full_ack(ReasonCode::Success))),
        Row("pubcomp", ALL, |_| Packet::PubComp(Ack::success(id(0xFFFF)))),
        Row("pubcomp-reason", ONLY_5, |_| {
            Packet::PubComp(Ack::with_reason(id(1), ReasonCode::PacketIdentifierNotFound))
        }),
    ]
}

fn subscribing() -> Vec<Row> {
    vec![
        Row("subscribe", ALL, |_| {
            Packet::Subscribe(subscribe(&[("a/b", QoS::AtLeastOnce), ("c/d", QoS::ExactlyOnce)]))
        }),
        Row("subscribe-shared", ALL, |_| {
            Packet::Subscribe(subscribe(&[("$share/flock/+/#", QoS::AtMostOnce)]))
        }),
        Row("subscribe-full", ONLY_5, |_| Packet::Subscribe(full_subscribe())),
        Row("suback", ALL, |_| {
            let reasons = smallvec![ReasonCode::Success, ReasonCode::UnspecifiedError];
            Packet::SubAck(SubAck { packet_id: id(10), reasons, properties: ack_properties(false) })
        }),
        Row("suback-full", ONLY_5, |_| {
            let reasons = smallvec![ReasonCode::GrantedQoS2, ReasonCode::TopicFilterInvalid];
            Packet::SubAck(SubAck { packet_id: id(10), reasons, properties: ack_properties(true) })
        }),
        Row("unsubscribe", ALL, |_| Packet::Unsubscribe(unsubscribe(UserProperties::default()))),
        Row("unsubscribe-full", ONLY_5, |_| Packet::Unsubscribe(unsubscribe(user_properties()))),
        Row("unsuback", BEFORE_5, |_| {
            let properties = AckProperties::default();
            Packet::UnsubAck(UnsubAck { packet_id: id(10), reasons: smallvec![], properties })
        }),
        Row("unsuback-reasons", ONLY_5, |_| {
            let reasons = smallvec![ReasonCode::Success, ReasonCode::NoSubscriptionExisted];
            let properties = AckProperties::default();
            Packet::UnsubAck(UnsubAck { packet_id: id(10), reasons, properties })
        }),
    ]
}

fn ending() -> Vec<Row> {
    vec![
        Row("pingreq", ALL, |_| Packet::PingReq),
        Row("pingresp", ALL, |_| Packet::PingResp),
        Row("disconnect", ALL, |_| {
            Packet::Disconnect(Disconnect::with_reason(ReasonCode::Success))
        }),
        Row("disconnect-reason", ONLY_5, |_| {
            Packet::Disconnect(Disconnect::with_reason(ReasonCode::SessionTakenOver))
        }),
        Row("disconnect-full", ONLY_5, |_| {
            Packet::Disconnect(Disconnect {
                reason: ReasonCode::UseAnotherServer,
                properties: DisconnectProperties {
                    session_expiry_s: Some(0),
                    server_reference: Some("pond:1883"),
                    reason_string: Some("moved"),
                    user_properties: user_properties(),
                },
            })
        }),
        Row("auth-success", ONLY_5, |_| {
            let properties = AuthProperties::default();
            Packet::Auth(Auth { reason: ReasonCode::Success, properties })
        }),
        Row("auth-full", ONLY_5, |_| {
            Packet::Auth(Auth {
                reason: ReasonCode::ContinueAuthentication,
                properties: AuthProperties {
                    method: Some("SCRAM-SHA-256"),
                    data: Some(b"r=abc"),
                    reason_string: Some("go on"),
                    user_properties: user_properties(),
                },
            })
        }),
    ]
}

const PAIRS: &[(&str, &str)] = &[("k", "v"), ("k", ""), ("ключ", "🪿")];

const WILL_PROPERTIES: WillProperties<'static> = WillProperties {
    payload_format: Some(PayloadFormat::Utf8),
    message_expiry_s: Some(3600),
    content_type: Some("text/plain"),
    response_topic: None,
    correlation_data: Some(&[0, 0xFF]),
    delay_interval_s: Some(5),
    user_properties: UserProperties::from_pairs(PAIRS),
};

const CONNECT_PROPERTIES: ConnectProperties<'static> = ConnectProperties {
    session_expiry_s: Some(0xFFFF_FFFF),
    receive_maximum: NonZeroU16::new(20),
    maximum_packet_size: NonZeroU32::new(1_048_576),
    topic_alias_maximum: Some(16),
    request_response_information: Some(true),
    request_problem_information: Some(false),
    authentication_method: Some("SCRAM-SHA-256"),
    authentication_data: Some(b"n,,n=gander"),
    user_properties: UserProperties::from_pairs(PAIRS),
};

const CONNACK_PROPERTIES: ConnAckProperties<'static> = ConnAckProperties {
    session_expiry_s: Some(86_400),
    receive_maximum: NonZeroU16::new(100),
    maximum_qos: Some(QoS::AtLeastOnce),
    retain_available: Some(false),
    maximum_packet_size: NonZeroU32::new(65_536),
    assigned_client_id: Some("skein-1"),
    topic_alias_maximum: Some(0),
    reason_string: Some("welcome"),
    wildcard_subscription_available: Some(true),
    subscription_identifiers_available: Some(false),
    shared_subscription_available: Some(true),
    server_keep_alive_s: Some(600),
    response_information: Some("answers/1"),
    server_reference: Some("pond:1883"),
    authentication_method: Some("SCRAM-SHA-256"),
    authentication_data: Some(b"v=proof"),
    user_properties: UserProperties::from_pairs(PAIRS),
};

fn publish_properties() -> PublishProperties<'static> {
    PublishProperties {
        payload_format: Some(PayloadFormat::Bytes),
        message_expiry_s: Some(60),
        content_type: Some("application/json"),
        response_topic: Some(TopicName::assume_valid("answers/1")),
        correlation_data: Some(&[1, 2, 3]),
        subscription_identifiers: SubscriptionIdentifiers::from_slice(&[1, 128, 268_435_455]),
        topic_alias: NonZeroU16::new(7),
        user_properties: user_properties(),
    }
}

fn connect(version: Version) -> Connect<'static> {
    Connect {
        version,
        clean_start: true,
        keep_alive_s: 60,
        client_id: "goose-1",
        will: None,
        user_name: None,
        password: None,
        properties: ConnectProperties::default(),
    }
}

fn will(properties: WillProperties<'static>) -> Will<'static> {
    let topic = TopicName::assume_valid("geese/1/state");
    Will { topic, payload: b"lost", qos: QoS::ExactlyOnce, retain: true, properties }
}

fn connack(
    session_present: bool,
    reason: ReasonCode,
    properties: ConnAckProperties<'static>,
) -> Packet<'static> {
    Packet::ConnAck(ConnAck { session_present, reason, properties })
}

fn publish(qos: QoS) -> Publish<'static> {
    Publish {
        dup: false,
        qos,
        retain: false,
        topic: Some(TopicName::assume_valid("geese/1/height")),
        packet_id: (qos > QoS::AtMostOnce).then(|| id(10)),
        properties: PublishProperties::default(),
        payload: b"1200 m",
    }
}

fn full_ack(reason: ReasonCode) -> Ack<'static> {
    Ack { packet_id: id(0x1234), reason, properties: ack_properties(true) }
}

fn ack_properties(full: bool) -> AckProperties<'static> {
    match full {
        true => AckProperties { reason_string: Some("why"), user_properties: user_properties() },
        false => AckProperties::default(),
    }
}

fn subscribe(filters: &[(&'static str, QoS)]) -> Subscribe<'static> {
    let filters = filters.iter().map(|(filter, qos)| {
        (TopicFilter::assume_valid(filter), SubscriptionOptions::with_qos(*qos))
    });
    Subscribe {
        packet_id: id(10),
        identifier: None,
        user_properties: UserProperties::default(),
        filters: filters.collect(),
    }
}

fn full_subscribe() -> Subscribe<'static> {
    let options = |qos, no_local, retain_as_published, retain_handling| SubscriptionOptions {
        qos,
        no_local,
        retain_as_published,
        retain_handling,
    };
    Subscribe {
        packet_id: id(10),
        identifier: NonZeroU32::new(268_435_455),
        user_properties: user_properties(),
        filters: smallvec![
            (
                TopicFilter::assume_valid("#"),
                options(QoS::ExactlyOnce, true, true, RetainHandling::DoNotSend)
            ),
            (
                TopicFilter::assume_valid("$share/flock/a"),
                options(QoS::AtLeastOnce, false, true, RetainHandling::SendIfNew)
            ),
            (TopicFilter::assume_valid("/"), SubscriptionOptions::default()),
        ],
    }
}

fn unsubscribe(user_properties: UserProperties<'static>) -> Unsubscribe<'static> {
    let filters = smallvec![TopicFilter::assume_valid("a/b"), TopicFilter::assume_valid("c/d")];
    Unsubscribe { packet_id: id(10), user_properties, filters }
}

fn user_properties() -> UserProperties<'static> {
    UserProperties::from_pairs(PAIRS)
}

fn id(number: u16) -> PacketId {
    PacketId::new(number).expect("no case uses 0")
}
