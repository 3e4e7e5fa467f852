//! A packet as names and values: every field of it, and the properties of MQTT 5.0.

use skein_protocol::{
    Ack, Auth, ConnAck, Connect, Disconnect, Packet, PropertyId, PropertyValue, Publish,
    ReasonCode, RetainHandling, SubAck, Subscribe, UnsubAck, Unsubscribe, UserProperties, Version,
    Will,
};

use super::field::{Fields, Value};

/// How much is shown of what.
#[derive(Clone, Copy, Debug)]
pub(super) struct Detail {
    /// Of payloads and other bytes, so many.
    pub(super) bytes_max: usize,
    /// Passwords and what proves them.
    pub(super) has_secrets: bool,
}

/// The fields of a packet that was read as this version.
pub(super) fn fields(packet: &Packet<'_>, version: Version, detail: Detail) -> Fields {
    let mut fields = Fields::default();
    match packet {
        Packet::Connect(connect) => append_connect(connect, detail, &mut fields),
        Packet::ConnAck(connack) => append_connack(connack, version, detail, &mut fields),
        Packet::Publish(publish) => append_publish(publish, detail, &mut fields),
        Packet::PubAck(ack) | Packet::PubRec(ack) | Packet::PubRel(ack) | Packet::PubComp(ack) => {
            append_ack(ack, version, detail, &mut fields);
        }
        Packet::Subscribe(subscribe) => append_subscribe(subscribe, &mut fields),
        Packet::SubAck(suback) => append_suback(suback, detail, &mut fields),
        Packet::Unsubscribe(unsubscribe) => append_unsubscribe(unsubscribe, &mut fields),
        Packet::UnsubAck(unsuback) => append_unsuback(unsuback, detail, &mut fields),
        Packet::PingReq | Packet::PingResp => {}
        Packet::Disconnect(disconnect) => {
            append_disconnect(disconnect, version, detail, &mut fields);
        }
        Packet::Auth(auth) => append_auth(auth, detail, &mut fields),
    }
    fields
}

fn append_connect(connect: &Connect<'_>, detail: Detail, fields: &mut Fields) {
    fields.add("version", Value::Word(connect.version.to_string()));
    fields.add("client_id", Value::text(connect.client_id));
    fields.add("clean_start", Value::Flag(connect.clean_start));
    fields.add("keep_alive_s", Value::Number(connect.keep_alive_s.into()));
    if let Some(user_name) = connect.user_name {
        fields.add("user_name", Value::text(user_name));
    }
    if let Some(password) = connect.password {
        fields.add("password", secret(password, detail));
    }
    if let Some(will) = &connect.will {
        fields.add("will", Value::Fields(will_fields(will, detail)));
    }
    let mut listed = Listed::new(detail);
    connect.properties.for_each(|id, value| listed.add(id, value));
    listed.append(fields);
}

fn will_fields(will: &Will<'_>, detail: Detail) -> Fields {
    let mut fields = Fields::default();
    fields.add("topic", Value::text(will.topic.as_str()));
    fields.add("qos", Value::Number(will.qos as u64));
    fields.add("retain", Value::Flag(will.retain));
    fields.add("payload", Value::bytes(will.payload, detail.bytes_max));
    let mut listed = Listed::new(detail);
    will.properties.for_each(|id, value| listed.add(id, value));
    listed.append(&mut fields);
    fields
}

fn append_connack(connack: &ConnAck<'_>, version: Version, detail: Detail, fields: &mut Fields) {
    fields.add("session_present", Value::Flag(connack.session_present));
    fields.add(
        "reason",
        match version {
            Version::V5 => reason(connack.reason),
            _ => {
                let code = connack.reason.connack_return_code();
                Value::Word(format!("{code} {}", connack.reason.name()))
            }
        },
    );
    let mut listed = Listed::new(detail);
    connack.properties.for_each(|id, value| listed.add(id, value));
    listed.append(fields);
}

fn append_publish(publish: &Publish<'_>, detail: Detail, fields: &mut Fields) {
    fields.add("topic", Value::text(publish.topic.map_or("", |topic| topic.as_str())));
    fields.add("qos", Value::Number(publish.qos as u64));
    if let Some(id) = publish.packet_id {
        fields.add("id", Value::Number(id.get().into()));
    }
    fields.add("dup", Value::Flag(publish.dup));
    fields.add("retain", Value::Flag(publish.retain));
    fields.add("payload", Value::bytes(publish.payload, detail.bytes_max));
    let mut listed = Listed::new(detail);
    publish.properties.for_each(|id, value| listed.add(id, value));
    listed.append(fields);
}

/// Before MQTT 5.0 it has no reason.
fn append_ack(ack: &Ack<'_>, version: Version, detail: Detail, fields: &mut Fields) {
    fields.add("id", Value::Number(ack.packet_id.get().into()));
    if version == Version::V5 {
        fields.add("reason", reason(ack.reason));
    }
    let mut listed = Listed::new(detail);
    ack.properties.for_each(|id, value| listed.add(id, value));
    listed.append(fields);
}

fn append_subscribe(subscribe: &Subscribe<'_>, fields: &mut Fields) {
    fields.add("id", Value::Number(subscribe.packet_id.get().into()));
    let filters = subscribe.filters.iter().map(|(filter, options)| {
        let mut fields = Fields::default();
        fields.add("filter", Value::text(filter.as_str()));
        fields.add("qos", Value::Number(options.qos as u64));
        fields.add("no_local", Value::Flag(options.no_local));
        fields.add("retain_as_published", Value::Flag(options.retain_as_published));
        let handling = match options.retain_handling {
            RetainHandling::SendAtSubscribe => return Value::Fields(fields),
            RetainHandling::SendIfNew => "if new",
            RetainHandling::DoNotSend => "never",
        };
        fields.add("retained", Value::Word(handling.to_owned()));
        Value::Fields(fields)
    });
    fields.add("filters", Value::List(filters.collect()));
    let mut listed = Fields::default();
    if let Some(identifier) = subscribe.identifier {
        listed.add("subscription_identifier", Value::Number(identifier.get().into()));
    }
    add_pairs(subscribe.user_properties, &mut listed);
    if !listed.is_empty() {
        fields.add("properties", Value::Fields(listed));
    }
}

fn append_suback(suback: &SubAck<'_>, detail: Detail, fields: &mut Fields) {
    fields.add("id", Value::Number(suback.packet_id.get().into()));
    fields.add("reasons", Value::List(suback.reasons.iter().copied().map(granted).collect()));
    let mut listed = Listed::new(detail);
    suback.properties.for_each(|id, value| listed.add(id, value));
    listed.append(fields);
}

fn append_unsubscribe(unsubscribe: &Unsubscribe<'_>, fields: &mut Fields) {
    fields.add("id", Value::Number(unsubscribe.packet_id.get().into()));
    let filters = unsubscribe.filters.iter().map(|filter| Value::text(filter.as_str()));
    fields.add("filters", Value::List(filters.collect()));
    let mut listed = Fields::default();
    add_pairs(unsubscribe.user_properties, &mut listed);
    if !listed.is_empty() {
        fields.add("properties", Value::Fields(listed));
    }
}

fn append_unsuback(unsuback: &UnsubAck<'_>, detail: Detail, fields: &mut Fields) {
    fields.add("id", Value::Number(unsuback.packet_id.get().into()));
    if !unsuback.reasons.is_empty() {
        fields.add("reasons", Value::List(unsuback.reasons.iter().copied().map(reason).collect()));
    }
    let mut listed = Listed::new(detail);
    unsuback.properties.for_each(|id, value| listed.add(id, value));
    listed.append(fields);
}

fn append_disconnect(
    disconnect: &Disconnect<'_>,
    version: Version,
    detail: Detail,
    fields: &mut Fields,
) {
    if version == Version::V5 {
        let name = match disconnect.reason {
            ReasonCode::Success => Value::Word("0x00 Normal disconnection".to_owned()),
            other => reason(other),
        };
        fields.add("reason", name);
    }
    let mut listed = Listed::new(detail);
    disconnect.properties.for_each(|id, value| listed.add(id, value));
    listed.append(fields);
}

fn append_auth(auth: &Auth<'_>, detail: Detail, fields: &mut Fields) {
    fields.add("reason", reason(auth.reason));
    let mut listed = Listed::new(detail);
    auth.properties.for_each(|id, value| listed.add(id, value));
    listed.append(fields);
}

fn add_pairs(pairs: UserProperties<'_>, fields: &mut Fields) {
    let pairs: Vec<Value> = pairs.iter().map(|(key, value)| pair(key, value)).collect();
    if !pairs.is_empty() {
        fields.add(name_of(PropertyId::UserProperty), Value::List(pairs));
    }
}

fn pair(key: &str, value: &str) -> Value {
    Value::List(vec![Value::text(key), Value::text(value)])
}

fn reason(reason: ReasonCode) -> Value {
    Value::Word(format!("0x{:02X} {}", reason as u8, reason.name()))
}

/// What SUBACK calls success.
fn granted(code: ReasonCode) -> Value {
    match code {
        ReasonCode::Success => Value::Word("0x00 Granted QoS 0".to_owned()),
        other => reason(other),
    }
}

fn secret(bytes: &[u8], detail: Detail) -> Value {
    match detail.has_secrets {
        true => Value::bytes(bytes, detail.bytes_max),
        false => Value::Word("hidden".to_owned()),
    }
}

/// The standard's name, as one word.
fn name_of(id: PropertyId) -> String {
    id.name().to_lowercase().replace(' ', "_")
}

/// The properties of a packet.
struct Listed {
    detail: Detail,
    fields: Fields,
    /// Those that may come many times.
    pairs: Vec<Value>,
    identifiers: Vec<Value>,
}

impl Listed {
    fn new(detail: Detail) -> Self {
        Self { detail, fields: Fields::default(), pairs: Vec::new(), identifiers: Vec::new() }
    }

    fn add(&mut self, id: PropertyId, value: PropertyValue<'_>) {
        let value = match (id, value) {
            (PropertyId::SubscriptionIdentifier, PropertyValue::Number(number)) => {
                return self.identifiers.push(Value::Number(number.into()));
            }
            (_, PropertyValue::Pair(key, value)) => return self.pairs.push(pair(key, value)),
            (PropertyId::AuthenticationData, PropertyValue::Binary(data)) => {
                secret(data, self.detail)
            }
            (_, PropertyValue::Number(number)) => Value::Number(number.into()),
            (_, PropertyValue::Text(text)) => Value::text(text),
            (_, PropertyValue::Binary(data)) => Value::bytes(data, self.detail.bytes_max),
        };
        self.fields.add(name_of(id), value);
    }

    fn append(mut self, fields: &mut Fields) {
        for (id, values) in [
            (PropertyId::SubscriptionIdentifier, self.identifiers),
            (PropertyId::UserProperty, self.pairs),
        ] {
            if !values.is_empty() {
                self.fields.add(name_of(id), Value::List(values));
            }
        }
        if !self.fields.is_empty() {
            fields.add("properties", Value::Fields(self.fields));
        }
    }
}

#[cfg(test)]
mod tests {
    use skein_protocol::{
        ConnectProperties, PacketId, PublishProperties, QoS, SubscriptionOptions, TopicFilter,
        TopicName, WillProperties,
    };

    use super::*;

    const DETAIL: Detail = Detail { bytes_max: 8, has_secrets: false };

    fn shown(packet: &Packet<'_>, version: Version, detail: Detail) -> String {
        fields(packet, version, detail).to_string()
    }

    fn connect() -> Packet<'static> {
        Packet::Connect(Connect {
            version: Version::V5,
            clean_start: true,
            keep_alive_s: 60,
            client_id: "me",
            will: Some(Will {
                topic: TopicName::assume_valid("gone"),
                payload: b"\0",
                qos: QoS::AtLeastOnce,
                retain: true,
                properties: WillProperties { delay_interval_s: Some(5), ..Default::default() },
            }),
            user_name: Some("ann"),
            password: Some(b"secret"),
            properties: ConnectProperties {
                session_expiry_s: Some(9),
                authentication_method: Some("M"),
                authentication_data: Some(b"proof"),
                ..Default::default()
            },
        })
    }

    #[test]
    fn a_connect_shows_everything_but_secrets() {
        let text = shown(&connect(), Version::V5, DETAIL);
        assert_eq!(
            text,
            "version=5.0 client_id=\"me\" clean_start keep_alive_s=60 user_name=\"ann\" \
             password=hidden will=(topic=\"gone\" qos=1 retain payload=\"\\0\" \
             properties=(will_delay_interval=5)) properties=(session_expiry_interval=9 \
             authentication_method=\"M\" authentication_data=hidden)"
        );
        let detail = Detail { has_secrets: true, ..DETAIL };
        let text = shown(&connect(), Version::V5, detail);
        assert!(text.contains("password=\"secret\"") && text.contains("data=\"proof\""), "{text}");
    }

    #[test]
    fn a_publish_shows_its_properties_and_the_beginning_of_its_payload() {
        let pairs = [("k", "v"), ("k", "w")];
        let publish = Packet::Publish(Publish {
            dup: true,
            qos: QoS::AtLeastOnce,
            retain: false,
            topic: Some(TopicName::assume_valid("a/b")),
            packet_id: PacketId::new(7),
            properties: PublishProperties {
                content_type: Some("t"),
                correlation_data: Some(b"\xff"),
                user_properties: UserProperties::from_pairs(&pairs),
                ..Default::default()
            },
            payload: b"0123456789",
        });
        assert_eq!(
            shown(&publish, Version::V5, DETAIL),
            "topic=\"a/b\" qos=1 id=7 dup payload=\"01234567\"…(10 bytes) \
             properties=(content_type=\"t\" correlation_data=0xff \
             user_property=[[\"k\", \"v\"], [\"k\", \"w\"]])"
        );
    }

    #[test]
    fn answers_show_reasons_where_their_version_has_them() {
        let id = PacketId::new(3).expect("not zero");
        let ack = Packet::PubRec(Ack::with_reason(id, ReasonCode::QuotaExceeded));
        assert_eq!(shown(&ack, Version::V5, DETAIL), "id=3 reason=0x97 Quota exceeded");
        assert_eq!(shown(&ack, Version::V3_1_1, DETAIL), "id=3");
        let goodbye = Packet::Disconnect(Disconnect::with_reason(ReasonCode::Success));
        assert_eq!(shown(&goodbye, Version::V5, DETAIL), "reason=0x00 Normal disconnection");
        assert_eq!(shown(&goodbye, Version::V3_1_1, DETAIL), "");
    }

    #[test]
    fn a_subscribe_shows_each_filter_with_its_options() {
        let options = SubscriptionOptions {
            no_local: true,
            retain_handling: RetainHandling::DoNotSend,
            ..SubscriptionOptions::with_qos(QoS::ExactlyOnce)
        };
        let subscribe = Packet::Subscribe(Subscribe {
            packet_id: PacketId::new(3).expect("not zero"),
            identifier: std::num::NonZeroU32::new(4),
            user_properties: UserProperties::default(),
            filters: [(TopicFilter::assume_valid("a/#"), options)].into_iter().collect(),
        });
        assert_eq!(
            shown(&subscribe, Version::V5, DETAIL),
            "id=3 filters=[(filter=\"a/#\" qos=2 no_local retained=never)] \
             properties=(subscription_identifier=4)"
        );
    }
}
