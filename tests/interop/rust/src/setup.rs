//! How a client connects, and what it sends and gets.

use std::fmt;

use rumqttc::v5::mqttbytes::v5::ConnectProperties;

use crate::report::unique;
use crate::{LastWillProperties, PublishProperties, RetainForwardRule};

/// The versions that rumqttc speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// MQTT 3.1.1.
    V3_1_1,
    /// MQTT 5.
    V5,
}

/// Both versions.
pub const VERSIONS: [Version; 2] = [Version::V3_1_1, Version::V5];

impl fmt::Display for Version {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(if *self == Self::V5 { "5" } else { "3.1.1" })
    }
}

/// A message as it came.
#[derive(Clone, Debug)]
pub struct Message {
    /// Topic; the client has put it in the place of an alias.
    pub topic: String,
    /// Payload.
    pub payload: Vec<u8>,
    /// QoS it was delivered with.
    pub qos: u8,
    /// RETAIN flag.
    pub retain: bool,
    /// DUP flag.
    pub dup: bool,
    /// Packet id, 0 for QoS 0.
    pub packet_id: u16,
    /// Properties, none before MQTT 5.
    pub properties: PublishProperties,
}

impl Message {
    /// The payload as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.payload).into_owned()
    }
}

/// A will; its payload is "gone".
#[derive(Clone, Default)]
pub struct Will {
    /// Topic.
    pub topic: String,
    /// QoS.
    pub qos: u8,
    /// RETAIN flag.
    pub retain: bool,
    /// Properties (MQTT 5).
    pub properties: Option<LastWillProperties>,
}

/// What is asked for with one filter. The last four are of MQTT 5.
#[derive(Default)]
pub struct Subscription<'a> {
    /// Topic filter.
    pub filter: &'a str,
    /// Maximum QoS.
    pub qos: u8,
    /// Subscription identifier.
    pub identifier: Option<usize>,
    /// No Local.
    pub no_local: bool,
    /// Retain As Published.
    pub retain_as_published: bool,
    /// Retain Handling.
    pub retain_handling: RetainForwardRule,
}

/// How a client connects.
#[derive(Clone)]
pub struct Setup {
    pub(crate) client_id: String,
    pub(crate) version: Version,
    pub(crate) persistent: bool,
    pub(crate) manual_acks: bool,
    pub(crate) in_flight: u16,
    pub(crate) will: Option<Will>,
    pub(crate) properties: ConnectProperties,
}

impl Setup {
    /// A client with a clean session. No name is an empty client id.
    pub fn new(name: &str, version: Version) -> Self {
        Self {
            client_id: if name.is_empty() { String::new() } else { unique(name) },
            version,
            persistent: false,
            manual_acks: false,
            in_flight: 100,
            will: None,
            properties: ConnectProperties::new(),
        }
    }

    /// A client whose session outlives its connection, in MQTT 5 by 300 s.
    pub fn persistent(name: &str, version: Version) -> Self {
        Self { persistent: true, ..Self::new(name, version) }
    }

    /// The same with a will.
    #[must_use]
    pub fn with_will(self, will: Will) -> Self {
        Self { will: Some(will), ..self }
    }

    /// The same, acknowledging messages by hand.
    #[must_use]
    pub fn with_manual_acks(self) -> Self {
        Self { manual_acks: true, ..self }
    }

    /// The same, sending so many QoS 1 and 2 messages without waiting.
    #[must_use]
    pub fn with_in_flight(self, in_flight: u16) -> Self {
        Self { in_flight, ..self }
    }

    /// The same with a Session Expiry Interval (MQTT 5).
    #[must_use]
    pub fn with_session_expiry(mut self, seconds: u32) -> Self {
        self.properties.session_expiry_interval = Some(seconds);
        self
    }

    /// The same with a Topic Alias Maximum (MQTT 5).
    #[must_use]
    pub fn with_topic_alias_maximum(mut self, maximum: u16) -> Self {
        self.properties.topic_alias_max = Some(maximum);
        self
    }
}
