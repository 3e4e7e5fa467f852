//! The kinds of records and their fields.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use skein_protocol::qos::{PacketId, QoS};
use skein_protocol::{RetainHandling, Version};

use super::{
    RecordError,
    field::{Field, Reader},
    json,
};

/// The table of records: enum, bytes and JSON are made from it.
macro_rules! records {
    ($(
        $(#[$about:meta])*
        $kind:literal v $version:literal $name:ident {
            $( $(#[$field_about:meta])* $field:ident: $type:ty, )*
        }
    )*) => {
        /// One change of durable state.
        #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(tag = "record", rename_all = "snake_case", deny_unknown_fields)]
        pub enum Record<'a> {
            $( $(#[$about])* $name { $( $(#[$field_about])* $field: $type, )* }, )*
        }

        impl<'a> Record<'a> {
            /// Appends its bytes.
            pub fn encode(&self, out: &mut Vec<u8>) {
                match self {
                    $( Self::$name { $( $field, )* } => {
                        out.extend_from_slice(&[$kind, $version]);
                        $( $field.put(out); )*
                    } )*
                }
            }

            /// Reads one; what it holds borrows from `bytes`.
            ///
            /// # Errors
            /// The bytes are none.
            pub fn decode(bytes: &'a [u8]) -> Result<Self, RecordError> {
                let mut reader = Reader::new(bytes);
                let (kind, version) = (reader.byte()?, reader.byte()?);
                let record = match (kind, version) {
                    $( ($kind, $version) => Self::$name {
                        $( $field: <$type as Field<'a>>::take(&mut reader)?, )*
                    }, )*
                    _ => return Err(RecordError::UnknownKind { kind, version }),
                };
                reader.finish()?;
                Ok(record)
            }
        }
    };
}

records! {
    /// A session begins, or its client has connected to it again.
    1 v 1 Connected {
        /// The Client Identifier.
        client_id: Cow<'a, str>,
        /// The user that it belongs to, if it has one.
        owner: Option<Cow<'a, str>>,
        /// The name of the listener through which it came.
        listener: Cow<'a, str>,
        /// The version of MQTT that its client speaks.
        #[serde(with = "json::version")]
        version: Version,
        /// Session Expiry Interval, seconds [MQTT-3.1.2-11].
        expiry_s: u32,
        /// When.
        at_ms: u64,
    }
    /// The connection of a session has ended; its expiry begins.
    2 v 1 Disconnected {
        /// The Client Identifier.
        client_id: Cow<'a, str>,
        /// Session Expiry Interval, which DISCONNECT may change, seconds.
        expiry_s: u32,
        /// When.
        at_ms: u64,
    }
    /// A session ends, and all that belongs to it.
    3 v 1 Ended {
        /// The Client Identifier.
        client_id: Cow<'a, str>,
    }
    /// A subscription is made, or replaced [MQTT-3.8.4-3].
    4 v 1 Subscribed {
        /// The Client Identifier.
        client_id: Cow<'a, str>,
        /// The Topic Filter as it was sent, with `$share/name/` if it was.
        filter: Cow<'a, str>,
        /// The QoS that was granted.
        #[serde(with = "json::qos")]
        qos: QoS,
        /// No Local.
        no_local: bool,
        /// Retain As Published.
        retain_as_published: bool,
        /// Retain Handling.
        #[serde(with = "json::retain_handling")]
        retain_handling: RetainHandling,
        /// The Subscription Identifier.
        identifier: Option<u32>,
    }
    /// A subscription is taken back.
    5 v 1 Unsubscribed {
        /// The Client Identifier.
        client_id: Cow<'a, str>,
        /// The Topic Filter.
        filter: Cow<'a, str>,
    }
    /// A message, for the entries and the retained topic that refer to it.
    6 v 1 Message {
        /// Its number, which no other message of the log has or had.
        message: u64,
        /// The Topic Name.
        topic: Cow<'a, str>,
        /// The properties that are forwarded unaltered, as in a packet and without their length.
        #[serde(with = "json::bytes")]
        properties: Cow<'a, [u8]>,
        /// The payload.
        #[serde(with = "json::bytes")]
        payload: Cow<'a, [u8]>,
        /// The QoS it was published with.
        #[serde(with = "json::qos")]
        qos: QoS,
        /// The RETAIN flag it was published with.
        retain: bool,
        /// When it expires, if it does [MQTT-3.3.2-5].
        expires_at_ms: Option<u64>,
    }
    /// A message waits for a client.
    7 v 1 Queued {
        /// The Client Identifier.
        client_id: Cow<'a, str>,
        /// The number of the entry; each is larger than those before it in the session.
        entry: u64,
        /// The message.
        message: u64,
        /// The QoS of the delivery.
        #[serde(with = "json::qos")]
        qos: QoS,
        /// The RETAIN flag of the delivery.
        retain: bool,
        /// The Subscription Identifiers of the delivery.
        identifiers: Vec<u32>,
        /// The shared subscription that it was picked for, as `$share/name/filter`.
        share: Option<Cow<'a, str>>,
    }
    /// An entry goes out with a Packet Identifier, which it keeps [MQTT-4.4.0-1].
    8 v 1 Sent {
        /// The Client Identifier.
        client_id: Cow<'a, str>,
        /// The entry.
        entry: u64,
        /// The Packet Identifier.
        #[serde(with = "json::packet_id")]
        packet_id: PacketId,
    }
    /// PUBREC has come: the message is the client's, and only PUBREL is owed [MQTT-4.3.3-6].
    9 v 1 Received {
        /// The Client Identifier.
        client_id: Cow<'a, str>,
        /// The Packet Identifier.
        #[serde(with = "json::packet_id")]
        packet_id: PacketId,
    }
    /// PUBACK, PUBCOMP or a refusing PUBREC has come: the Packet Identifier is free.
    10 v 1 Finished {
        /// The Client Identifier.
        client_id: Cow<'a, str>,
        /// The Packet Identifier.
        #[serde(with = "json::packet_id")]
        packet_id: PacketId,
    }
    /// An entry goes without having been sent: expired, denied, or pushed out of a full queue.
    11 v 1 Dropped {
        /// The Client Identifier.
        client_id: Cow<'a, str>,
        /// The entry.
        entry: u64,
    }
    /// A QoS 2 message has come from the client: its Packet Identifier is held [MQTT-4.3.3-10].
    12 v 1 Held {
        /// The Client Identifier.
        client_id: Cow<'a, str>,
        /// The Packet Identifier.
        #[serde(with = "json::packet_id")]
        packet_id: PacketId,
    }
    /// PUBREL has come: the Packet Identifier is free [MQTT-4.3.3-12].
    13 v 1 Released {
        /// The Client Identifier.
        client_id: Cow<'a, str>,
        /// The Packet Identifier.
        #[serde(with = "json::packet_id")]
        packet_id: PacketId,
    }
    /// The message's topic retains it, in place of another one [MQTT-3.3.1-5].
    14 v 1 Retained {
        /// The message, whose topic is meant.
        message: u64,
        /// The Client Identifier of who published it.
        author: Option<Cow<'a, str>>,
        /// The user who published it, if it had a name.
        user: Option<Cow<'a, str>>,
        /// The name of the listener it came through.
        listener: Option<Cow<'a, str>>,
    }
    /// A topic retains nothing any more [MQTT-3.3.1-6].
    15 v 1 Unretained {
        /// The Topic Name.
        topic: Cow<'a, str>,
    }
    /// A client has left a will.
    16 v 1 WillSet {
        /// The Client Identifier.
        client_id: Cow<'a, str>,
        /// The Will Topic.
        topic: Cow<'a, str>,
        /// The properties that are forwarded unaltered, as in a packet and without their length.
        #[serde(with = "json::bytes")]
        properties: Cow<'a, [u8]>,
        /// The Will Payload.
        #[serde(with = "json::bytes")]
        payload: Cow<'a, [u8]>,
        /// Will QoS.
        #[serde(with = "json::qos")]
        qos: QoS,
        /// Will Retain.
        retain: bool,
        /// Will Delay Interval, seconds.
        delay_s: u32,
        /// Message Expiry Interval of the published will, seconds.
        message_expiry_s: Option<u32>,
    }
    /// A connection is lost: the will is published then.
    17 v 1 WillDue {
        /// The Client Identifier.
        client_id: Cow<'a, str>,
        /// When.
        at_ms: u64,
    }
    /// The will is published, or deleted.
    18 v 1 WillCleared {
        /// The Client Identifier.
        client_id: Cow<'a, str>,
    }
    /// Of a QoS 2 message only PUBREL is owed; stands in a snapshot for what led to it.
    19 v 1 PubRelOwed {
        /// The Client Identifier.
        client_id: Cow<'a, str>,
        /// The entry, whose number tells its place among the others.
        entry: u64,
        /// The Packet Identifier.
        #[serde(with = "json::packet_id")]
        packet_id: PacketId,
    }
}
