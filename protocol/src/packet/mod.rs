//! Control packets (3): one file each, and here what they have in common.

mod ack;
mod auth;
mod connack;
mod connect;
mod disconnect;
mod ping;
mod publish;
mod show;
mod suback;
mod subscribe;
mod unsuback;
mod unsubscribe;
mod will;

use std::fmt;

use crate::wire::{put_varint, varint_len};
use crate::{Error, Frame, Version};

pub use ack::{Ack, AckProperties};
pub use auth::{Auth, AuthProperties};
pub use connack::{ConnAck, ConnAckProperties};
pub use connect::{Connect, ConnectProperties};
pub use disconnect::{Disconnect, DisconnectProperties};
pub use publish::{Publish, PublishProperties};
pub use suback::SubAck;
pub use subscribe::{RetainHandling, Subscribe, SubscriptionOptions};
pub use unsuback::UnsubAck;
pub use unsubscribe::Unsubscribe;
pub use will::{Will, WillProperties};

pub(crate) use show::{ByteCount, Quoted};

/// One row per type: variant, number, name, and the header flags its packets have (table 2-2).
macro_rules! packet_types {
    ($( $name:ident = $number:literal, $text:literal, $flags:literal; )*) => {
        /// The type of a control packet (2.1.2); prints as the standard writes it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum PacketType {
            $( #[doc = $text] $name = $number, )*
        }

        impl PacketType {
            /// The type in the high four bits of a first byte; `None` for the reserved 0.
            #[inline]
            pub fn from_header(header: u8) -> Option<Self> {
                match header >> 4 {
                    $( $number => Some(Self::$name), )*
                    _ => None,
                }
            }

            /// The name in the standard's capitals.
            pub fn name(self) -> &'static str {
                match self { $( Self::$name => $text, )* }
            }

            /// The flags every packet of the type has; PUBLISH sets its own (2.1.3).
            fn flags(self) -> u8 {
                match self { $( Self::$name => $flags, )* }
            }
        }
    };
}

packet_types! {
    Connect = 1, "CONNECT", 0b0000;
    ConnAck = 2, "CONNACK", 0b0000;
    Publish = 3, "PUBLISH", 0b0000;
    PubAck = 4, "PUBACK", 0b0000;
    PubRec = 5, "PUBREC", 0b0000;
    PubRel = 6, "PUBREL", 0b0010;
    PubComp = 7, "PUBCOMP", 0b0000;
    Subscribe = 8, "SUBSCRIBE", 0b0010;
    SubAck = 9, "SUBACK", 0b0000;
    Unsubscribe = 10, "UNSUBSCRIBE", 0b0010;
    UnsubAck = 11, "UNSUBACK", 0b0000;
    PingReq = 12, "PINGREQ", 0b0000;
    PingResp = 13, "PINGRESP", 0b0000;
    Disconnect = 14, "DISCONNECT", 0b0000;
    Auth = 15, "AUTH", 0b0000;
}

/// A control packet whose text and bytes borrow from the frame it was read from, or from whoever
/// is about to send it.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "each variant is the packet of its name")]
pub enum Packet<'a> {
    Connect(Connect<'a>),
    ConnAck(ConnAck<'a>),
    Publish(Publish<'a>),
    PubAck(Ack<'a>),
    PubRec(Ack<'a>),
    PubRel(Ack<'a>),
    PubComp(Ack<'a>),
    Subscribe(Subscribe<'a>),
    SubAck(SubAck<'a>),
    Unsubscribe(Unsubscribe<'a>),
    UnsubAck(UnsubAck<'a>),
    PingReq,
    PingResp,
    Disconnect(Disconnect<'a>),
    Auth(Auth<'a>),
}

impl<'a> Packet<'a> {
    /// Parses a frame. A CONNECT names its own version; every other packet is read as `version`.
    ///
    /// # Errors
    /// The first rule the bytes break; nothing of the packet may be acted on then.
    pub fn decode(frame: Frame<'a>, version: Version) -> Result<Self, Error> {
        let packet_type = frame.packet_type();
        match packet_type {
            PacketType::Connect => return Connect::decode(frame).map(Self::Connect),
            PacketType::Publish => return Publish::decode(frame, version).map(Self::Publish),
            PacketType::PubAck => return Ack::decode(frame, version).map(Self::PubAck),
            PacketType::PubRec => return Ack::decode(frame, version).map(Self::PubRec),
            PacketType::PubRel => return Ack::decode(frame, version).map(Self::PubRel),
            PacketType::PubComp => return Ack::decode(frame, version).map(Self::PubComp),
            _ => check_header(&frame, version)?,
        }
        let body = frame.body;
        Ok(match packet_type {
            PacketType::Connect
            | PacketType::Publish
            | PacketType::PubAck
            | PacketType::PubRec
            | PacketType::PubRel
            | PacketType::PubComp => unreachable!("returned above"),
            PacketType::ConnAck => Self::ConnAck(ConnAck::decode(body, version)?),
            PacketType::Subscribe => Self::Subscribe(Subscribe::decode(body, version)?),
            PacketType::SubAck => Self::SubAck(SubAck::decode(body, version)?),
            PacketType::Unsubscribe => Self::Unsubscribe(Unsubscribe::decode(body, version)?),
            PacketType::UnsubAck => Self::UnsubAck(UnsubAck::decode(body, version)?),
            PacketType::PingReq => ping::decode(body).map(|()| Self::PingReq)?,
            PacketType::PingResp => ping::decode(body).map(|()| Self::PingResp)?,
            PacketType::Disconnect => Self::Disconnect(Disconnect::decode(body, version)?),
            PacketType::Auth => Self::Auth(Auth::decode(body)?),
        })
    }

    /// Appends the packet as `version` writes it; a CONNECT is written as the version it names.
    ///
    /// What `version` has no place for (properties, reason strings) is left out.
    ///
    /// # Panics
    /// If a string or binary field is longer than 65,535 bytes, or the packet than 256 MiB.
    pub fn encode(&self, version: Version, out: &mut Vec<u8>) {
        let body_len = self.body_len(version);
        out.reserve(1 + varint_len(body_len as u32) + body_len);
        out.push(self.header());
        put_remaining_length(out, body_len);
        match self {
            Self::Connect(connect) => connect.write_body(out),
            Self::ConnAck(connack) => connack.write_body(version, out),
            Self::Publish(publish) => publish.write_body(version, out),
            Self::PubAck(ack) | Self::PubRec(ack) | Self::PubRel(ack) | Self::PubComp(ack) => {
                ack.write_body(version, out);
            }
            Self::Subscribe(subscribe) => subscribe.write_body(version, out),
            Self::SubAck(suback) => suback.write_body(version, out),
            Self::Unsubscribe(unsubscribe) => unsubscribe.write_body(version, out),
            Self::UnsubAck(unsuback) => unsuback.write_body(version, out),
            Self::PingReq | Self::PingResp => {}
            Self::Disconnect(disconnect) => disconnect.write_body(version, out),
            Self::Auth(auth) => auth.write_body(out),
        }
    }

    /// How many bytes [`Packet::encode`] appends.
    pub fn encoded_len(&self, version: Version) -> usize {
        let body_len = self.body_len(version);
        1 + varint_len(body_len as u32) + body_len
    }

    /// The type of the packet.
    pub fn packet_type(&self) -> PacketType {
        match self {
            Self::Connect(_) => PacketType::Connect,
            Self::ConnAck(_) => PacketType::ConnAck,
            Self::Publish(_) => PacketType::Publish,
            Self::PubAck(_) => PacketType::PubAck,
            Self::PubRec(_) => PacketType::PubRec,
            Self::PubRel(_) => PacketType::PubRel,
            Self::PubComp(_) => PacketType::PubComp,
            Self::Subscribe(_) => PacketType::Subscribe,
            Self::SubAck(_) => PacketType::SubAck,
            Self::Unsubscribe(_) => PacketType::Unsubscribe,
            Self::UnsubAck(_) => PacketType::UnsubAck,
            Self::PingReq => PacketType::PingReq,
            Self::PingResp => PacketType::PingResp,
            Self::Disconnect(_) => PacketType::Disconnect,
            Self::Auth(_) => PacketType::Auth,
        }
    }

    fn header(&self) -> u8 {
        match self {
            Self::Publish(publish) => publish.header(),
            other => (other.packet_type() as u8) << 4 | other.packet_type().flags(),
        }
    }

    fn body_len(&self, version: Version) -> usize {
        match self {
            Self::Connect(connect) => connect.body_len(),
            Self::ConnAck(connack) => connack.body_len(version),
            Self::Publish(publish) => publish.body_len(version),
            Self::PubAck(ack) | Self::PubRec(ack) | Self::PubRel(ack) | Self::PubComp(ack) => {
                ack.body_len(version)
            }
            Self::Subscribe(subscribe) => subscribe.body_len(version),
            Self::SubAck(suback) => suback.body_len(version),
            Self::Unsubscribe(unsubscribe) => unsubscribe.body_len(version),
            Self::UnsubAck(unsuback) => unsuback.body_len(version),
            Self::PingReq | Self::PingResp => 0,
            Self::Disconnect(disconnect) => disconnect.body_len(version),
            Self::Auth(auth) => auth.body_len(),
        }
    }
}

/// One line for a log: every field by name, never a payload, a password or authentication data.
impl fmt::Display for Packet<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect(connect) => connect.fmt(f),
            Self::ConnAck(connack) => connack.fmt(f),
            Self::Publish(publish) => publish.fmt(f),
            Self::PubAck(ack) | Self::PubRec(ack) | Self::PubRel(ack) | Self::PubComp(ack) => {
                write!(f, "{} {ack}", self.packet_type())
            }
            Self::Subscribe(subscribe) => subscribe.fmt(f),
            Self::SubAck(suback) => suback.fmt(f),
            Self::Unsubscribe(unsubscribe) => unsubscribe.fmt(f),
            Self::UnsubAck(unsuback) => unsuback.fmt(f),
            Self::PingReq | Self::PingResp => self.packet_type().fmt(f),
            Self::Disconnect(disconnect) => disconnect.fmt(f),
            Self::Auth(auth) => auth.fmt(f),
        }
    }
}

impl fmt::Display for PacketType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

fn put_remaining_length(out: &mut Vec<u8>, body_len: usize) {
    let length = u32::try_from(body_len).expect("a packet of MQTT holds at most 256 MiB");
    put_varint(out, length);
}

/// Checks what every packet but PUBLISH and CONNECT has to obey before its body is read.
///
/// MQTT 3.1 calls the flags of these packets unused and lets clients set DUP on a repetition, so
/// only later versions hold them to table 2-2.
#[inline]
fn check_header(frame: &Frame<'_>, version: Version) -> Result<(), Error> {
    let packet_type = frame.packet_type();
    if packet_type == PacketType::Auth && version != Version::V5 {
        return Err(Error::PacketTypeReserved);
    }
    frame.check_length(version)?;
    if frame.flags() == packet_type.flags() || version == Version::V3_1 {
        return Ok(());
    }
    Err(match packet_type {
        PacketType::PubRel => Error::PubRelFlags,
        PacketType::Subscribe => Error::SubscribeFlags,
        PacketType::Unsubscribe => Error::UnsubscribeFlags,
        PacketType::Disconnect => Error::DisconnectFlags,
        PacketType::Auth => Error::AuthFlags,
        other => Error::ReservedFlags(other),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The packet in `bytes`, which must be exactly one.
    pub(super) fn decode(bytes: &[u8], version: Version) -> Result<Packet<'_>, Error> {
        let (frame, consumed) = Frame::decode(bytes, usize::MAX)?.expect("a whole packet");
        assert_eq!(consumed, bytes.len(), "one packet");
        Packet::decode(frame, version)
    }

    /// Asserts that `bytes` mean `packet` and that `packet` is written as `bytes`.
    pub(super) fn assert_codec<'a>(bytes: &'a [u8], packet: &Packet<'a>, version: Version) {
        assert_eq!(decode(bytes, version).as_ref(), Ok(packet));
        let mut out = Vec::new();
        packet.encode(version, &mut out);
        assert_eq!(out, bytes);
        assert_eq!(packet.encoded_len(version), bytes.len());
    }

    /// [MQTT-2.1.3-1] [MQTT-3.6.1-1] [MQTT-3.8.1-1] [MQTT-3.10.1-1] [MQTT-3.14.1-1]
    /// [MQTT-3.15.1-1]: whatever follows, wrong flags are the error.
    #[test]
    fn header_flags_are_those_of_the_table() {
        let rows = [
            (0x11, Error::ReservedFlags(PacketType::Connect)),
            (0x21, Error::ReservedFlags(PacketType::ConnAck)),
            (0x48, Error::ReservedFlags(PacketType::PubAck)),
            (0x52, Error::ReservedFlags(PacketType::PubRec)),
            (0x60, Error::PubRelFlags),
            (0x71, Error::ReservedFlags(PacketType::PubComp)),
            (0x80, Error::SubscribeFlags),
            (0x94, Error::ReservedFlags(PacketType::SubAck)),
            (0xA3, Error::UnsubscribeFlags),
            (0xB1, Error::ReservedFlags(PacketType::UnsubAck)),
            (0xC1, Error::ReservedFlags(PacketType::PingReq)),
            (0xD1, Error::ReservedFlags(PacketType::PingResp)),
            (0xE1, Error::DisconnectFlags),
            (0xF1, Error::AuthFlags),
        ];
        for (header, error) in rows {
            assert_eq!(decode(&[header, 0], Version::V5), Err(error));
        }
    }

    /// MQTT 3.1, 2.1: the flags are not used, and DUP marks a repeated SUBSCRIBE or PUBREL.
    #[test]
    fn header_flags_of_3_1_are_not_checked() {
        assert_eq!(decode(&[0xC1, 0], Version::V3_1), Ok(Packet::PingReq));
        assert!(decode(&[0x6A, 2, 0, 1], Version::V3_1).is_ok());
        assert_eq!(decode(&[0x6A, 2, 0, 1], Version::V3_1_1), Err(Error::PubRelFlags));
    }

    #[test]
    fn type_15_is_reserved_before_5_0() {
        assert_eq!(decode(&[0xF0, 0], Version::V3_1), Err(Error::PacketTypeReserved));
        assert_eq!(decode(&[0xF0, 0], Version::V3_1_1), Err(Error::PacketTypeReserved));
        assert!(decode(&[0xF0, 0], Version::V5).is_ok());
    }

    /// [MQTT-1.5.5-1] since 5.0.
    #[test]
    fn a_long_form_of_the_length_is_refused_by_5_0_only() {
        let ping = [0xC0, 0x80, 0x00];
        assert_eq!(decode(&ping, Version::V3_1_1), Ok(Packet::PingReq));
        assert_eq!(decode(&ping, Version::V5), Err(Error::VarintNotMinimal));
    }

    #[test]
    fn types_have_the_numbers_and_names_of_the_table() {
        assert_eq!(PacketType::from_header(0x0F), None);
        for number in 1..=15 {
            let packet_type = PacketType::from_header(number << 4).unwrap();
            assert_eq!(packet_type as u8, number);
        }
        assert_eq!(format!("{:>8}", PacketType::PubRel), "  PUBREL");
    }
}
