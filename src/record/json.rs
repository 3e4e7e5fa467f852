//! How the nouns of MQTT stand in JSON: as the numbers of the standard, and bytes as text where
//! they are text.

use std::borrow::Cow;

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};
use skein_protocol::qos::{PacketId, QoS};
use skein_protocol::{RetainHandling, Version};

/// Bytes: `{"text": "…"}` if they are, `{"base64": "…"}` if not.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Bytes<'a> {
    Text(Cow<'a, str>),
    Base64(Cow<'a, str>),
}

pub(super) mod bytes {
    use super::*;

    pub(in super::super) fn serialize<S: Serializer>(
        bytes: &[u8],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match std::str::from_utf8(bytes) {
            Ok(text) => Bytes::Text(text.into()).serialize(serializer),
            Err(_) => Bytes::Base64(STANDARD.encode(bytes).into()).serialize(serializer),
        }
    }

    pub(in super::super) fn deserialize<'de, 'a, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Cow<'a, [u8]>, D::Error> {
        match Bytes::deserialize(deserializer)? {
            Bytes::Text(text) => Ok(Cow::Owned(text.into_owned().into_bytes())),
            Bytes::Base64(text) => {
                STANDARD.decode(text.as_bytes()).map(Cow::Owned).map_err(Error::custom)
            }
        }
    }
}

/// A noun that JSON has as a number.
macro_rules! number {
    ($module:ident, $noun:ty, $number:ty, $to:expr, $from:expr) => {
        pub(super) mod $module {
            use super::*;

            pub(in super::super) fn serialize<S: Serializer>(
                noun: &$noun,
                serializer: S,
            ) -> Result<S::Ok, S::Error> {
                let number: $number = $to(*noun);
                number.serialize(serializer)
            }

            pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
                deserializer: D,
            ) -> Result<$noun, D::Error> {
                let number = <$number>::deserialize(deserializer)?;
                let unknown = || Error::custom(concat!("no ", stringify!($module)));
                $from(number).ok_or_else(unknown)
            }
        }
    };
}

number!(qos, QoS, u8, |qos| qos as u8, |number| QoS::try_from(number).ok());
number!(packet_id, PacketId, u16, PacketId::get, PacketId::new);
number!(
    version,
    Version,
    String,
    |version| match version {
        Version::V3_1 => "3.1".to_owned(),
        Version::V3_1_1 => "3.1.1".to_owned(),
        Version::V5 => "5".to_owned(),
    },
    |number: String| match number.as_str() {
        "3.1" => Some(Version::V3_1),
        "3.1.1" => Some(Version::V3_1_1),
        "5" => Some(Version::V5),
        _ => None,
    }
);
number!(retain_handling, RetainHandling, u8, |handling| handling as u8, |number| match number {
    0 => Some(RetainHandling::SendAtSubscribe),
    1 => Some(RetainHandling::SendIfNew),
    2 => Some(RetainHandling::DoNotSend),
    _ => None,
});
