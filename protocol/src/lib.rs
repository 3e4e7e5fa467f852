#![forbid(unsafe_code)]
//! MQTT 3.1, 3.1.1 and 5.0 without I/O: no socket, no clock, no thread.
//!
//! Bytes become a [`Frame`] (one whole packet, cut but not parsed), a frame becomes a [`Packet`]
//! that borrows every string and payload from it, and a packet becomes bytes again:
//!
//! ```
//! use skein_protocol::{Frame, Packet, Version};
//!
//! let bytes = [0x30, 5, 0, 1, b'a', b'h', b'i'];
//! let (frame, consumed) = Frame::decode(&bytes, 1024)?.expect("the packet is whole");
//! let packet = Packet::decode(frame, Version::V3_1_1)?;
//! assert_eq!(packet.to_string(), "PUBLISH topic=\"a\" qos=0 payload=2 bytes");
//!
//! let mut out = Vec::new();
//! packet.encode(Version::V3_1_1, &mut out);
//! assert_eq!((out.as_slice(), consumed), (&bytes[..], 7));
//! # Ok::<(), skein_protocol::Error>(())
//! ```
//!
//! Clauses in square brackets are those of MQTT 5.0; where only MQTT 3.1.1 has the rule, the text
//! says so.

mod error;
mod frame;
pub mod packet;
pub mod properties;
pub mod qos;
mod reason;
mod topic;
mod version;
pub mod wire;

pub use error::Error;
pub use frame::Frame;
pub use packet::{
    Ack, AckProperties, Auth, AuthProperties, ConnAck, ConnAckProperties, Connect,
    ConnectProperties, Disconnect, DisconnectProperties, Packet, PacketType, Publish,
    PublishProperties, RetainHandling, SubAck, Subscribe, SubscriptionOptions, UnsubAck,
    Unsubscribe, Will, WillProperties,
};
pub use properties::{
    PayloadFormat, PropertyId, PropertyValue, SubscriptionIdentifiers, UserProperties,
};
pub use qos::{PacketId, QoS};
pub use reason::ReasonCode;
pub use topic::{TopicFilter, TopicName};
pub use version::Version;
