//! rumqttc's two clients, of MQTT 3.1.1 and of 5, behind one face.

use rumqttc::v5::mqttbytes::QoS as QoS5;
use rumqttc::v5::mqttbytes::v5::{
    Filter, LastWill as Will5, Packet as Packet5, Publish as Publish5, SubscribeProperties,
    SubscribeReasonCode as Grant5,
};
use rumqttc::{AsyncClient, EventLoop, LastWill, MqttOptions, Packet, Publish, QoS, v5};

use crate::PublishProperties;
use crate::inbox::ConnAck;
use crate::setup::{Message, Setup, Subscription, Version};

/// More than any message of the scripts; the client's own default is 10 kB.
const PACKET_BYTES_MAX: u32 = 1_000_000;
/// Requests the client takes before it makes the caller wait.
const REQUESTS_MAX: usize = 100;

/// What a poll of the client brought, as far as the scripts care.
pub(crate) enum Notice {
    Connected(ConnAck),
    Message(Message),
    Subscribed(Option<u8>),
    Unsubscribed(Vec<String>),
    /// A publish is done with: the reason of its PUBACK, or "Success" for PUBCOMP.
    Acknowledged(String),
    /// The reason of a PUBREC.
    Received(String),
    Nothing,
}

/// The half of the client that takes requests.
#[derive(Clone)]
pub(crate) enum Requests {
    V3(AsyncClient),
    V5(v5::AsyncClient),
}

/// The half that owns the connection.
pub(crate) enum Connection {
    V3(Box<EventLoop>),
    V5(Box<v5::EventLoop>),
}

/// Both halves of a client that is not connected yet.
pub(crate) fn open(setup: &Setup) -> (Requests, Connection) {
    match setup.version {
        Version::V3_1_1 => {
            let (client, event_loop) = AsyncClient::new(options_v3(setup), REQUESTS_MAX);
            (Requests::V3(client), Connection::V3(Box::new(event_loop)))
        }
        Version::V5 => {
            let (client, event_loop) = v5::AsyncClient::new(options_v5(setup), REQUESTS_MAX);
            (Requests::V5(client), Connection::V5(Box::new(event_loop)))
        }
    }
}

fn options_v3(setup: &Setup) -> MqttOptions {
    let (host, port) = crate::report::broker();
    let mut options = MqttOptions::new(setup.client_id.clone(), host, port);
    options.set_clean_session(!setup.persistent);
    options.set_manual_acks(setup.manual_acks);
    options.set_inflight(setup.in_flight);
    options.set_max_packet_size(PACKET_BYTES_MAX as usize, PACKET_BYTES_MAX as usize);
    if let Some(will) = &setup.will {
        options.set_last_will(LastWill::new(&will.topic, "gone", qos_v3(will.qos), will.retain));
    }
    options
}

fn options_v5(setup: &Setup) -> v5::MqttOptions {
    let (host, port) = crate::report::broker();
    let mut options = v5::MqttOptions::new(setup.client_id.clone(), host, port);
    options.set_clean_start(!setup.persistent);
    options.set_manual_acks(setup.manual_acks);
    options.set_outgoing_inflight_upper_limit(setup.in_flight);
    let mut properties = setup.properties.clone();
    if setup.persistent {
        properties.session_expiry_interval.get_or_insert(300);
    }
    properties.max_packet_size.get_or_insert(PACKET_BYTES_MAX);
    options.set_connect_properties(properties);
    if let Some(will) = &setup.will {
        let (qos, properties) = (qos_v5(will.qos), will.properties.clone());
        options.set_last_will(Will5::new(&will.topic, "gone", qos, will.retain, properties));
    }
    options
}

impl Requests {
    pub(crate) async fn publish(
        &self,
        topic: &str,
        payload: Vec<u8>,
        qos: u8,
        retain: bool,
        properties: Option<PublishProperties>,
    ) -> Result<(), String> {
        match (self, properties) {
            (Self::V3(client), _) => {
                client.publish(topic, qos_v3(qos), retain, payload).await.map_err(told)
            }
            (Self::V5(client), None) => {
                client.publish(topic, qos_v5(qos), retain, payload).await.map_err(told)
            }
            (Self::V5(client), Some(properties)) => client
                .publish_with_properties(topic, qos_v5(qos), retain, payload, properties)
                .await
                .map_err(told),
        }
    }

    pub(crate) async fn subscribe(&self, subscription: Subscription<'_>) -> Result<(), String> {
        let Subscription { filter, qos, identifier, .. } = subscription;
        match self {
            Self::V3(client) => client.subscribe(filter, qos_v3(qos)).await.map_err(told),
            Self::V5(client) => {
                let chosen = Filter {
                    path: filter.to_owned(),
                    qos: qos_v5(qos),
                    nolocal: subscription.no_local,
                    preserve_retain: subscription.retain_as_published,
                    retain_forward_rule: subscription.retain_handling,
                };
                let Some(id) = identifier else {
                    return client.subscribe_many([chosen]).await.map_err(told);
                };
                let told_too = SubscribeProperties { id: Some(id), user_properties: Vec::new() };
                client.subscribe_many_with_properties([chosen], told_too).await.map_err(told)
            }
        }
    }

    pub(crate) async fn unsubscribe(&self, filter: &str) -> Result<(), String> {
        match self {
            Self::V3(client) => client.unsubscribe(filter).await.map_err(told),
            Self::V5(client) => client.unsubscribe(filter).await.map_err(told),
        }
    }

    pub(crate) async fn acknowledge(&self, message: &Message) -> Result<(), String> {
        match self {
            Self::V3(client) => {
                let mut publish = Publish::new(&message.topic, qos_v3(message.qos), Vec::new());
                publish.pkid = message.packet_id;
                client.ack(&publish).await.map_err(told)
            }
            Self::V5(client) => {
                let qos = qos_v5(message.qos);
                let mut publish = Publish5::new(message.topic.clone(), qos, Vec::new(), None);
                publish.pkid = message.packet_id;
                client.ack(&publish).await.map_err(told)
            }
        }
    }

    pub(crate) async fn disconnect(&self) -> Result<(), String> {
        match self {
            Self::V3(client) => client.disconnect().await.map_err(told),
            Self::V5(client) => client.disconnect().await.map_err(told),
        }
    }
}

impl Connection {
    /// Connects if need be, and waits for the next thing that happens. Fails with the reason when
    /// the connection is over.
    pub(crate) async fn poll(&mut self) -> Result<Notice, String> {
        match self {
            Self::V3(event_loop) => match event_loop.poll().await.map_err(told)? {
                rumqttc::Event::Incoming(packet) => Ok(notice_v3(packet)),
                rumqttc::Event::Outgoing(_) => Ok(Notice::Nothing),
            },
            Self::V5(event_loop) => match event_loop.poll().await.map_err(told)? {
                v5::Event::Incoming(packet) => Ok(notice_v5(packet)),
                v5::Event::Outgoing(_) => Ok(Notice::Nothing),
            },
        }
    }

    /// Closes the socket without a DISCONNECT; what is owed is kept for the next connection.
    pub(crate) fn cut(&mut self) {
        match self {
            Self::V3(event_loop) => event_loop.clean(),
            Self::V5(event_loop) => event_loop.clean(),
        }
    }
}

fn notice_v3(packet: Packet) -> Notice {
    match packet {
        Packet::ConnAck(connack) => Notice::Connected(ConnAck {
            session_present: connack.session_present,
            assigned_client_id: None,
        }),
        Packet::Publish(publish) => Notice::Message(Message {
            topic: publish.topic,
            payload: publish.payload.to_vec(),
            qos: publish.qos as u8,
            retain: publish.retain,
            dup: publish.dup,
            packet_id: publish.pkid,
            properties: PublishProperties::default(),
        }),
        Packet::SubAck(suback) => {
            Notice::Subscribed(suback.return_codes.first().and_then(|code| match code {
                rumqttc::SubscribeReasonCode::Success(qos) => Some(*qos as u8),
                rumqttc::SubscribeReasonCode::Failure => None,
            }))
        }
        Packet::UnsubAck(_) => Notice::Unsubscribed(Vec::new()),
        Packet::PubAck(_) | Packet::PubComp(_) => Notice::Acknowledged("Success".to_owned()),
        Packet::PubRec(_) => Notice::Received("Success".to_owned()),
        _ => Notice::Nothing,
    }
}

fn notice_v5(packet: Packet5) -> Notice {
    match packet {
        Packet5::ConnAck(connack) => Notice::Connected(ConnAck {
            session_present: connack.session_present,
            assigned_client_id: connack.properties.and_then(|all| all.assigned_client_identifier),
        }),
        Packet5::Publish(publish) => Notice::Message(Message {
            topic: String::from_utf8_lossy(&publish.topic).into_owned(),
            payload: publish.payload.to_vec(),
            qos: publish.qos as u8,
            retain: publish.retain,
            dup: publish.dup,
            packet_id: publish.pkid,
            properties: publish.properties.unwrap_or_default(),
        }),
        Packet5::SubAck(suback) => {
            Notice::Subscribed(suback.return_codes.first().and_then(|code| match code {
                Grant5::Success(qos) => Some(*qos as u8),
                _ => None,
            }))
        }
        Packet5::UnsubAck(unsuback) => Notice::Unsubscribed(
            unsuback.reasons.iter().map(|reason| format!("{reason:?}")).collect(),
        ),
        Packet5::PubAck(puback) => Notice::Acknowledged(format!("{:?}", puback.reason)),
        Packet5::PubComp(pubcomp) => Notice::Acknowledged(format!("{:?}", pubcomp.reason)),
        Packet5::PubRec(pubrec) => Notice::Received(format!("{:?}", pubrec.reason)),
        _ => Notice::Nothing,
    }
}

fn qos_v3(qos: u8) -> QoS {
    [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce][usize::from(qos)]
}

fn qos_v5(qos: u8) -> QoS5 {
    [QoS5::AtMostOnce, QoS5::AtLeastOnce, QoS5::ExactlyOnce][usize::from(qos)]
}

fn told(error: impl std::fmt::Display) -> String {
    error.to_string()
}
