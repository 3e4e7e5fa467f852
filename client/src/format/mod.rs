//! Payloads by content type: values of your own types, by [`serde`].
//!
//! The features `json`, `cbor` and `messagepack` bring a format each; any other format of serde is
//! a [`Format`] that is given to [`Builder::format`](crate::Builder::format). What a payload is, is
//! what the message says in its content type [MQTT-3.3.2-20], so one subscription may carry all of
//! them. Before MQTT 5.0 there is none, and it has to be named: [`Message::decode_as`].
//!
#![cfg_attr(feature = "json", doc = "```no_run")]
#![cfg_attr(not(feature = "json"), doc = "```ignore")]
//! use serde::{Deserialize, Serialize};
//! use skein_client::{Client, QoS, format};
//!
//! #[derive(Serialize, Deserialize)]
//! struct Reading {
//!     celsius: f64,
//! }
//!
//! let client = Client::connect("mqtt://127.0.0.1")?;
//! let readings = client.subscribe("home/+/temp").wait()?;
//! let reading = Reading { celsius: 21.5 };
//! client.publish_as("home/hall/temp", format::JSON, &reading)?.qos(QoS::AtLeastOnce).wait()?;
//! while let Some(message) = readings.receive()? {
//!     match message.decode::<Reading>() {
//!         Ok(reading) => println!("{} {}", message.topic(), reading.celsius),
//!         Err(error) => eprintln!("{}: {error}", message.topic()),
//!     }
//! }
//! # Ok::<(), skein_client::Error>(())
//! ```

mod error;
mod known;
mod media_type;

use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use self::media_type::Kind;
use crate::{Message, Publish};

pub use self::error::FormatError;
pub use erased_serde;

/// The content type of JSON (RFC 8259).
pub const JSON: &str = "application/json";
/// The content type of CBOR (RFC 8949).
pub const CBOR: &str = "application/cbor";
/// The content type of MessagePack.
pub const MESSAGE_PACK: &str = "application/vnd.msgpack";

/// Takes a value out of a deserializer.
pub type Take<'a> =
    dyn FnMut(&mut dyn erased_serde::Deserializer<'_>) -> Result<(), erased_serde::Error> + 'a;

/// A format of your own: anything serde can write and read.
///
/// ```
/// use std::collections::BTreeMap;
///
/// use skein_client::format::{Format, FormatError, Formats, Take, erased_serde};
///
/// struct Toml;
///
/// impl Format for Toml {
///     fn encode(&self, value: &dyn erased_serde::Serialize) -> Result<Vec<u8>, String> {
///         toml::to_string(value).map(String::into_bytes).map_err(|error| error.to_string())
///     }
///
///     fn decode(&self, payload: &[u8], take: &mut Take<'_>) -> Result<(), String> {
///         let text = str::from_utf8(payload).map_err(|error| error.to_string())?;
///         let document = toml::Deserializer::parse(text).map_err(|error| error.to_string())?;
///         take(&mut <dyn erased_serde::Deserializer<'_>>::erase(document))
///             .map_err(|error| error.to_string())
///     }
/// }
///
/// let formats = Formats::new().with("application/toml", Toml);
/// let reading = BTreeMap::from([("celsius", 21.5)]);
/// let payload = formats.encode("application/toml", &reading)?;
/// assert_eq!(payload, b"celsius = 21.5\n");
/// let read: BTreeMap<String, f64> = formats.decode("application/toml", &payload)?;
/// assert_eq!(read["celsius"], 21.5);
/// let error = formats.decode::<BTreeMap<String, f64>>("application/toml", b"warm").unwrap_err();
/// assert_eq!(error.content_type(), Some("application/toml"));
/// # Ok::<(), FormatError>(())
/// ```
pub trait Format: Send + Sync {
    /// Writes a value.
    ///
    /// # Errors
    /// Why this format has nothing for it, in words.
    fn encode(&self, value: &dyn erased_serde::Serialize) -> Result<Vec<u8>, String>;

    /// Reads a value, by giving `take` a deserializer of the payload, once.
    ///
    /// # Errors
    /// Why it cannot be read, in words.
    fn decode(&self, payload: &[u8], take: &mut Take<'_>) -> Result<(), String>;
}

/// Which content type is written and read how. A clone is cheap.
#[derive(Clone, Default)]
pub struct Formats {
    /// Your own, the last one first.
    own: Vec<(Arc<str>, Arc<dyn Format>)>,
}

impl Formats {
    /// The formats that the features bring.
    pub fn new() -> Self {
        Self::default()
    }

    /// With another format, or another way to write and read a known one.
    pub fn with(mut self, content_type: &str, format: impl Format + 'static) -> Self {
        self.add(content_type, Arc::new(format));
        self
    }

    pub(crate) fn add(&mut self, content_type: &str, format: Arc<dyn Format>) {
        self.own.insert(0, (media_type::essence(content_type).into(), format));
    }

    /// Writes a value as this content type.
    ///
    /// # Errors
    /// The content type is not known, or has nothing for this value.
    pub fn encode<T: Serialize + ?Sized>(
        &self,
        content_type: &str,
        value: &T,
    ) -> Result<Vec<u8>, FormatError> {
        let written = match (self.own(content_type), Kind::of(content_type)) {
            (Some(own), _) => own.encode(&value),
            #[cfg(feature = "json")]
            (None, Some(Kind::Json)) => known::json::encode(value),
            #[cfg(feature = "cbor")]
            (None, Some(Kind::Cbor)) => known::cbor::encode(value),
            #[cfg(feature = "messagepack")]
            (None, Some(Kind::MessagePack)) => known::message_pack::encode(value),
            _ => return Err(FormatError::Unknown { content_type: content_type.into() }),
        };
        written.map_err(|why| FormatError::Encode { content_type: content_type.into(), why })
    }

    /// Reads a value of this content type.
    ///
    /// # Errors
    /// The content type is not known, or the payload is not of it, or not of this type.
    pub fn decode<T: DeserializeOwned>(
        &self,
        content_type: &str,
        payload: &[u8],
    ) -> Result<T, FormatError> {
        let read = match (self.own(content_type), Kind::of(content_type)) {
            (Some(own), _) => decode_own(&*own, payload),
            #[cfg(feature = "json")]
            (None, Some(Kind::Json)) => known::json::decode(payload),
            #[cfg(feature = "cbor")]
            (None, Some(Kind::Cbor)) => known::cbor::decode(payload),
            #[cfg(feature = "messagepack")]
            (None, Some(Kind::MessagePack)) => known::message_pack::decode(payload),
            _ => return Err(FormatError::Unknown { content_type: content_type.into() }),
        };
        read.map_err(|why| FormatError::Decode { content_type: content_type.into(), why })
    }

    fn own(&self, content_type: &str) -> Option<Arc<dyn Format>> {
        let essence = media_type::essence(content_type);
        let found = self.own.iter().find(|(own, _)| **own == *essence);
        found.map(|(_, format)| Arc::clone(format))
    }
}

impl Publish {
    /// A message of QoS 0 whose payload is this value, in the format of this content type; both are
    /// told to whoever gets it.
    ///
    /// # Errors
    /// As for [`Formats::encode`]; of the formats those that the features bring.
    pub fn encode<T: Serialize + ?Sized>(
        topic: impl Into<Arc<str>>,
        content_type: &str,
        value: &T,
    ) -> Result<Self, FormatError> {
        Self::encode_with(&Formats::new(), topic, content_type, value)
    }

    /// As [`encode`](Self::encode), with these formats.
    ///
    /// # Errors
    /// As for [`Formats::encode`].
    pub fn encode_with<T: Serialize + ?Sized>(
        formats: &Formats,
        topic: impl Into<Arc<str>>,
        content_type: &str,
        value: &T,
    ) -> Result<Self, FormatError> {
        let publish = Self::new(topic, formats.encode(content_type, value)?);
        let publish = publish.content_type(content_type);
        // JSON between programs is UTF-8 (RFC 8259, 8.1).
        Ok(if Kind::of(content_type) == Some(Kind::Json) { publish.text() } else { publish })
    }
}

impl Message {
    /// The payload as a value, by its content type.
    ///
    /// # Errors
    /// The message has no content type, or as for [`Formats::decode`]; of the formats those that the
    /// features bring.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, FormatError> {
        self.decode_with(&Formats::new())
    }

    /// As [`decode`](Self::decode), with these formats.
    ///
    /// # Errors
    /// As for it.
    pub fn decode_with<T: DeserializeOwned>(&self, formats: &Formats) -> Result<T, FormatError> {
        formats.decode(self.content_type().ok_or(FormatError::Missing)?, self.payload())
    }

    /// The payload as a value of this content type, whatever the message says.
    ///
    /// # Errors
    /// As for [`Formats::decode`]; of the formats those that the features bring.
    pub fn decode_as<T: DeserializeOwned>(&self, content_type: &str) -> Result<T, FormatError> {
        Formats::new().decode(content_type, self.payload())
    }
}

fn decode_own<T: DeserializeOwned>(format: &dyn Format, payload: &[u8]) -> Result<T, String> {
    let mut value = None;
    format.decode(payload, &mut |deserializer| {
        value = Some(erased_serde::deserialize(deserializer)?);
        Ok(())
    })?;
    value.ok_or_else(|| "the format has read nothing".to_owned())
}

impl std::fmt::Debug for Formats {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.own.iter().map(|(content_type, _)| content_type)).finish()
    }
}
