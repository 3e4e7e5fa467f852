//! Random packets. What they borrow is leaked: a test is short, and packets then live as long as
//! anybody could ask.

mod text;

use std::num::{NonZeroU16, NonZeroU32};

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use skein_protocol::{
    Ack, AckProperties, Auth, AuthProperties, ConnAck, ConnAckProperties, Connect,
    ConnectProperties, Disconnect, DisconnectProperties, Packet, PacketId, PacketType,
    PayloadFormat, Publish, PublishProperties, QoS, ReasonCode, RetainHandling, SubAck, Subscribe,
    SubscriptionIdentifiers, SubscriptionOptions, TopicFilter, UnsubAck, Unsubscribe,
    UserProperties, Version, Will, WillProperties,
};
use text::{text, topic_filter, topic_name};

/// Any packet and a version that has it.
pub(crate) fn packet() -> impl Strategy<Value = (Version, Packet<'static>)> {
    version().prop_flat_map(|version| (Just(version), packet_of(version)))
}

/// Any version.
pub(crate) fn version() -> impl Strategy<Value = Version> {
    prop::sample::select(&Version::ALL[..])
}

/// Any packet that `version` has, with nothing in it that `version` cannot write.
pub(crate) fn packet_of(version: Version) -> BoxedStrategy<Packet<'static>> {
    let common = prop_oneof![
        connect(version).prop_map(Packet::Connect),
        connack(version).prop_map(Packet::ConnAck),
        publish(version).prop_map(Packet::Publish),
        ack(version, PacketType::PubAck).prop_map(Packet::PubAck),
        ack(version, PacketType::PubRec).prop_map(Packet::PubRec),
        ack(version, PacketType::PubRel).prop_map(Packet::PubRel),
        ack(version, PacketType::PubComp).prop_map(Packet::PubComp),
        subscribe(version).prop_map(Packet::Subscribe),
        suback(version).prop_map(Packet::SubAck),
        unsubscribe(version).prop_map(Packet::Unsubscribe),
        unsuback(version).prop_map(Packet::UnsubAck),
        Just(Packet::PingReq),
        Just(Packet::PingResp),
        disconnect(version).prop_map(Packet::Disconnect),
    ];
    match version {
        Version::V5 => prop_oneof![14 => common, 1 => auth().prop_map(Packet::Auth)].boxed(),
        Version::V3_1 | Version::V3_1_1 => common.boxed(),
    }
}

fn bytes() -> impl Strategy<Value = &'static [u8]> {
    vec(any::<u8>(), 0..20).prop_map(|bytes| &*bytes.leak())
}

fn packet_id() -> impl Strategy<Value = PacketId> {
    (1..=u16::MAX).prop_filter_map("[MQTT-2.2.1-3]", PacketId::new)
}

fn qos() -> impl Strategy<Value = QoS> {
    prop::sample::select(&[QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce][..])
}

fn reason(packet: PacketType) -> impl Strategy<Value = ReasonCode> {
    let valid = ReasonCode::ALL.iter().copied().filter(|reason| reason.is_valid_for(packet));
    prop::sample::select(valid.collect::<Vec<_>>())
}

fn user_properties() -> impl Strategy<Value = UserProperties<'static>> {
    vec((text(), text()), 0..4).prop_map(|pairs| UserProperties::from_pairs(pairs.leak()))
}

fn subscription_identifiers() -> impl Strategy<Value = SubscriptionIdentifiers<'static>> {
    vec(identifier(), 0..3).prop_map(|list| {
        let list: Vec<u32> = list.into_iter().map(NonZeroU32::get).collect();
        SubscriptionIdentifiers::from_slice(list.leak())
    })
}

fn identifier() -> impl Strategy<Value = NonZeroU32> {
    prop_oneof![1..=200u32, 1..=268_435_455u32].prop_filter_map("not 0", NonZeroU32::new)
}

fn payload_format() -> impl Strategy<Value = PayloadFormat> {
    prop::sample::select(&[PayloadFormat::Bytes, PayloadFormat::Utf8][..])
}

/// These properties where the version has any, and none where it has not.
fn since_5<T>(version: Version, properties: impl Strategy<Value = T> + 'static) -> BoxedStrategy<T>
where
    T: std::fmt::Debug + Clone + Default + 'static,
{
    match version {
        Version::V5 => properties.boxed(),
        Version::V3_1 | Version::V3_1_1 => Just(T::default()).boxed(),
    }
}

fn connect(version: Version) -> impl Strategy<Value = Connect<'static>> {
    let credentials = (option::of(text()), option::of(bytes()));
    let properties = since_5(version, connect_properties());
    let fields = (any::<bool>(), any::<u16>(), text(), option::of(will(version)));
    (fields, credentials, properties).prop_map(move |(fields, credentials, properties)| {
        let (clean_start, keep_alive_s, client_id, will) = fields;
        let (user_name, password) = credentials;
        let password = password.filter(|_| user_name.is_some() || version == Version::V5);
        Connect {
            version,
            clean_start,
            keep_alive_s,
            client_id,
            will,
            user_name,
            password,
            properties,
        }
    })
}

fn will(version: Version) -> impl Strategy<Value = Will<'static>> {
    let properties = since_5(version, will_properties());
    (topic_name(), bytes(), qos(), any::<bool>(), properties).prop_map(
        |(topic, payload, qos, retain, properties)| Will {
            topic,
            payload,
            qos,
            retain,
            properties,
        },
    )
}

fn will_properties() -> impl Strategy<Value = WillProperties<'static>> {
    let seconds = (option::of(any::<u32>()), option::of(any::<u32>()));
    let content = (option::of(payload_format()), option::of(text()));
    let request = (option::of(topic_name()), option::of(bytes()), user_properties());
    (seconds, content, request).prop_map(|(seconds, content, request)| WillProperties {
        delay_interval_s: seconds.0,
        message_expiry_s: seconds.1,
        payload_format: content.0,
        content_type: content.1,
        response_topic: request.0,
        correlation_data: request.1,
        user_properties: request.2,
    })
}

fn connect_properties() -> impl Strategy<Value = ConnectProperties<'static>> {
    let limits = (option::of(any::<u32>()), maxima(), option::of(any::<u16>()));
    let requests = (option::of(any::<bool>()), option::of(any::<bool>()));
    (limits, requests, authentication(), user_properties()).prop_map(
        |(limits, requests, authentication, user_properties)| ConnectProperties {
            session_expiry_s: limits.0,
            receive_maximum: limits.1.0,
            maximum_packet_size: limits.1.1,
            topic_alias_maximum: limits.2,
            request_response_information: requests.0,
            request_problem_information: requests.1,
            authentication_method: authentication.0,
            authentication_data: authentication.1,
            user_properties,
        },
    )
}

/// Receive Maximum and Maximum Packet Size.
fn maxima() -> impl Strategy<Value = (Option<NonZeroU16>, Option<NonZeroU32>)> {
    (option::of(any::<NonZeroU16>()), option::of(any::<NonZeroU32>()))
}

/// Method, and data only with a method (3.1.2.11.10).
fn authentication() -> impl Strategy<Value = (Option<&'static str>, Option<&'static [u8]>)> {
    option::of((text(), option::of(bytes())))
        .prop_map(|pair| pair.map_or((None, None), |(method, data)| (Some(method), data)))
}

fn connack(version: Version) -> impl Strategy<Value = ConnAck<'static>> {
    let reason = match version {
        Version::V5 => reason(PacketType::ConnAck).boxed(),
        Version::V3_1 | Version::V3_1_1 => (0..=5u8)
            .prop_map(|code| ReasonCode::from_connack_return_code(code).expect("0 to 5 exist"))
            .boxed(),
    };
    let properties = since_5(version, connack_properties());
    (any::<bool>(), reason, properties).prop_map(move |(present, reason, properties)| {
        let may_be_present = reason == ReasonCode::Success && version != Version::V3_1;
        ConnAck { session_present: present && may_be_present, reason, properties }
    })
}

fn connack_properties() -> impl Strategy<Value = ConnAckProperties<'static>> {
    let maximum_qos = prop::sample::select(&[QoS::AtMostOnce, QoS::AtLeastOnce][..]);
    let numbers = (option::of(any::<u32>()), maxima(), option::of(maximum_qos));
    let shorts = (option::of(any::<u16>()), option::of(any::<u16>()));
    let available = prop::array::uniform4(option::of(any::<bool>()));
    let texts = prop::array::uniform4(option::of(text()));
    (numbers, shorts, available, texts, authentication(), user_properties()).prop_map(
        |(numbers, shorts, available, texts, authentication, user_properties)| ConnAckProperties {
            session_expiry_s: numbers.0,
            receive_maximum: numbers.1.0,
            maximum_packet_size: numbers.1.1,
            maximum_qos: numbers.2,
            topic_alias_maximum: shorts.0,
            server_keep_alive_s: shorts.1,
            retain_available: available[0],
            wildcard_subscription_available: available[1],
            subscription_identifiers_available: available[2],
            shared_subscription_available: available[3],
            assigned_client_id: texts[0],
            reason_string: texts[1],
            response_information: texts[2],
            server_reference: texts[3],
            authentication_method: authentication.0,
            authentication_data: authentication.1,
            user_properties,
        },
    )
}

/// Any PUBLISH that `version` can write.
pub(crate) fn publish(version: Version) -> impl Strategy<Value = Publish<'static>> {
    let properties = since_5(version, publish_properties());
    let fields = (any::<bool>(), qos(), any::<bool>(), packet_id());
    let topic = (any::<bool>(), topic_name());
    (fields, topic, properties, bytes()).prop_map(|(fields, topic, properties, payload)| {
        let (dup, qos, retain, packet_id) = fields;
        let only_alias = topic.0 && properties.topic_alias.is_some();
        Publish {
            dup: dup && qos > QoS::AtMostOnce,
            qos,
            retain,
            topic: (!only_alias).then_some(topic.1),
            packet_id: (qos > QoS::AtMostOnce).then_some(packet_id),
            properties,
            payload,
        }
    })
}

fn publish_properties() -> impl Strategy<Value = PublishProperties<'static>> {
    let numbers = (option::of(any::<u32>()), option::of(any::<NonZeroU16>()));
    let content = (option::of(payload_format()), option::of(text()));
    let request = (option::of(topic_name()), option::of(bytes()), user_properties());
    (numbers, content, request, subscription_identifiers()).prop_map(
        |(numbers, content, request, subscription_identifiers)| PublishProperties {
            message_expiry_s: numbers.0,
            topic_alias: numbers.1,
            payload_format: content.0,
            content_type: content.1,
            response_topic: request.0,
            correlation_data: request.1,
            user_properties: request.2,
            subscription_identifiers,
        },
    )
}

fn ack_properties(version: Version) -> BoxedStrategy<AckProperties<'static>> {
    let properties =
        (option::of(text()), user_properties()).prop_map(|(reason_string, user_properties)| {
            AckProperties { reason_string, user_properties }
        });
    since_5(version, properties)
}

fn ack(version: Version, packet: PacketType) -> impl Strategy<Value = Ack<'static>> {
    (packet_id(), since_5(version, reason(packet)), ack_properties(version))
        .prop_map(|(packet_id, reason, properties)| Ack { packet_id, reason, properties })
}

fn subscribe(version: Version) -> impl Strategy<Value = Subscribe<'static>> {
    let filters = vec((topic_filter(), options(version)), 1..4);
    let identifier = since_5(version, option::of(identifier()));
    (packet_id(), identifier, since_5(version, user_properties()), filters).prop_map(
        |(packet_id, identifier, user_properties, filters)| Subscribe {
            packet_id,
            identifier,
            user_properties,
            filters: filters.into_iter().map(without_no_local_on_shared).collect(),
        },
    )
}

/// [MQTT-3.8.3-4]
fn without_no_local_on_shared(
    (filter, options): (TopicFilter<'static>, SubscriptionOptions),
) -> (TopicFilter<'static>, SubscriptionOptions) {
    let no_local = options.no_local && filter.share().is_none();
    (filter, SubscriptionOptions { no_local, ..options })
}

fn options(version: Version) -> impl Strategy<Value = SubscriptionOptions> {
    use RetainHandling::{DoNotSend, SendAtSubscribe, SendIfNew};
    let handling = prop::sample::select(&[SendAtSubscribe, SendIfNew, DoNotSend][..]);
    let newer = since_5(version, (any::<bool>(), any::<bool>(), handling));
    (qos(), newer).prop_map(|(qos, (no_local, retain_as_published, retain_handling))| {
        SubscriptionOptions { qos, no_local, retain_as_published, retain_handling }
    })
}

fn suback(version: Version) -> impl Strategy<Value = SubAck<'static>> {
    let old = prop::sample::select(
        &[
            ReasonCode::Success,
            ReasonCode::GrantedQoS1,
            ReasonCode::GrantedQoS2,
            ReasonCode::UnspecifiedError,
        ][..],
    );
    let reason = match version {
        Version::V5 => reason(PacketType::SubAck).boxed(),
        Version::V3_1 | Version::V3_1_1 => old.boxed(),
    };
    (packet_id(), vec(reason, 0..6), ack_properties(version)).prop_map(
        |(packet_id, reasons, properties)| SubAck {
            packet_id,
            reasons: reasons.into(),
            properties,
        },
    )
}

fn unsubscribe(version: Version) -> impl Strategy<Value = Unsubscribe<'static>> {
    let filters = vec(topic_filter(), 1..4);
    (packet_id(), since_5(version, user_properties()), filters).prop_map(
        |(packet_id, user_properties, filters)| Unsubscribe {
            packet_id,
            user_properties,
            filters: filters.into(),
        },
    )
}

fn unsuback(version: Version) -> impl Strategy<Value = UnsubAck<'static>> {
    let reasons = since_5(version, vec(reason(PacketType::UnsubAck), 0..6));
    (packet_id(), reasons, ack_properties(version)).prop_map(|(packet_id, reasons, properties)| {
        UnsubAck { packet_id, reasons: reasons.into(), properties }
    })
}

fn disconnect(version: Version) -> impl Strategy<Value = Disconnect<'static>> {
    let texts = (option::of(text()), option::of(text()));
    let properties = (option::of(any::<u32>()), texts, user_properties()).prop_map(
        |(session_expiry_s, texts, user_properties)| DisconnectProperties {
            session_expiry_s,
            server_reference: texts.0,
            reason_string: texts.1,
            user_properties,
        },
    );
    (since_5(version, reason(PacketType::Disconnect)), since_5(version, properties))
        .prop_map(|(reason, properties)| Disconnect { reason, properties })
}

/// Always with a method, as 3.15.2.2.2 demands.
fn auth() -> impl Strategy<Value = Auth<'static>> {
    let authentication = (text(), option::of(bytes()));
    (reason(PacketType::Auth), authentication, option::of(text()), user_properties()).prop_map(
        |(reason, (method, data), reason_string, user_properties)| {
            let method = Some(method);
            let properties = AuthProperties { method, data, reason_string, user_properties };
            Auth { reason, properties }
        },
    )
}
