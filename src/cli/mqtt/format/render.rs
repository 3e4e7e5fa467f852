//! From a message and the time to the text of a format.

use std::num::NonZeroU16;

use jiff::Zoned;
use skein_client::{Message, Properties};
use skein_protocol::QoS;

use super::json;
use super::{Field, Format, Layout, Piece};

/// What is printed of a message.
#[derive(Clone, Copy, Debug)]
pub(in crate::cli) struct Printed<'a> {
    pub(in crate::cli) topic: &'a str,
    pub(in crate::cli) payload: &'a [u8],
    pub(in crate::cli) qos: QoS,
    pub(in crate::cli) retain: bool,
    /// 0 for QoS 0.
    pub(in crate::cli) packet_id: u16,
    pub(in crate::cli) topic_alias: Option<NonZeroU16>,
    pub(in crate::cli) subscription_identifiers: &'a [u32],
    pub(in crate::cli) properties: Option<&'a Properties>,
}

/// Why a part could not be printed; the rest is all the same.
#[derive(Debug, PartialEq, thiserror::Error)]
pub(in crate::cli) enum RenderError {
    #[error("Message payload is not valid JSON on topic {0}.")]
    Json(String),
    #[error("requested float printing, but non-float data received")]
    Float,
    #[error("requested double printing, but non-double data received")]
    Double,
}

impl<'a> From<&'a Message> for Printed<'a> {
    fn from(message: &'a Message) -> Self {
        Self {
            topic: message.topic(),
            payload: message.payload(),
            qos: message.qos(),
            retain: message.is_retained(),
            packet_id: message.packet_id().map_or(0, |id| id.get()),
            topic_alias: message.topic_alias(),
            subscription_identifiers: message.subscription_identifiers(),
            properties: message.properties(),
        }
    }
}

#[cfg(test)]
impl<'a> Printed<'a> {
    /// A message of QoS 0 with nothing but this.
    pub(in crate::cli) fn plain(topic: &'a str, payload: &'a [u8]) -> Self {
        Self {
            topic,
            payload,
            qos: QoS::AtMostOnce,
            retain: false,
            packet_id: 0,
            topic_alias: None,
            subscription_identifiers: &[],
            properties: None,
        }
    }
}

/// A moment that tests write down.
#[cfg(test)]
pub(in crate::cli) fn some_time() -> Zoned {
    "2020-05-06T21:48:00.001002003+02:00[+02:00]".parse().expect("a time")
}

impl Format {
    /// Appends the text for a message.
    ///
    /// # Errors
    /// What could not be printed; everything else is.
    pub(in crate::cli) fn render(
        &self,
        message: &Printed<'_>,
        now: &Zoned,
        out: &mut Vec<u8>,
    ) -> Result<(), RenderError> {
        let mut result = Ok(());
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => out.extend_from_slice(text),
                Piece::Nanoseconds => append(out, &nanoseconds(now)),
                Piece::Time(conversion) => append(out, &strftime(&format!("%{conversion}"), now)),
                Piece::Field(field, layout) => {
                    result = result.and(self.field(*field, layout, message, now, out));
                }
            }
        }
        result
    }

    fn field(
        &self,
        field: Field,
        layout: &Layout,
        message: &Printed<'_>,
        now: &Zoned,
        out: &mut Vec<u8>,
    ) -> Result<(), RenderError> {
        match field {
            Field::Percent => out.push(b'%'),
            Field::IsoTime => layout.text(&strftime("%FT%T%z", now), out),
            Field::UnixTime => {
                append(out, &format!("{}.{}", strftime("%s", now), nanoseconds(now)));
            }
            Field::Json => json::append(message, now, self.is_pretty, out),
            Field::JsonOfJson => json::append_embedded(message, now, self.is_pretty, out)?,
            Field::Float => {
                let bytes = message.payload.try_into().map_err(|_| RenderError::Float)?;
                layout.float(f64::from(f32::from_ne_bytes(bytes)), out);
            }
            Field::Double => {
                let bytes = message.payload.try_into().map_err(|_| RenderError::Double)?;
                layout.float(f64::from_ne_bytes(bytes), out);
            }
            Field::Length => layout.number(message.payload.len() as u64, out),
            Field::PacketId => layout.number(message.packet_id.into(), out),
            Field::Payload => layout.bytes(message.payload, out),
            Field::Hex => layout.hex(message.payload, false, out),
            Field::HexUpper => layout.hex(message.payload, true, out),
            Field::QoS => append(out, &message.qos.to_string()),
            Field::Retain => append(out, if message.retain { "1" } else { "0" }),
            Field::Topic => layout.text(message.topic, out),
            property => append_property(property, layout, message, out),
        }
        Ok(())
    }
}

/// A property; as wide as it would be if the message does not have it.
fn append_property(field: Field, layout: &Layout, message: &Printed<'_>, out: &mut Vec<u8>) {
    let own = message.properties;
    let number = match field {
        Field::TopicAlias => message.topic_alias.map(|alias| u32::from(alias.get())),
        Field::MessageExpiry => own.and_then(|own| own.message_expiry_s),
        Field::PayloadFormat => own.and_then(|own| own.payload_format).map(json::number_of),
        Field::SubscriptionIdentifier => message.subscription_identifiers.first().copied(),
        _ => None,
    };
    match field {
        Field::ContentType => match own.and_then(|own| own.content_type.as_deref()) {
            Some(content_type) => layout.text(content_type, out),
            None => layout.blank(out),
        },
        Field::ResponseTopic => {
            layout_or_nothing(layout, own.and_then(|own| own.response_topic.as_deref()), out);
        }
        Field::CorrelationData => {
            out.extend_from_slice(
                own.and_then(|own| own.correlation_data.as_deref()).unwrap_or_default(),
            );
        }
        Field::UserProperties => {
            let pairs = own.map(|own| own.user_properties.as_slice()).unwrap_or_default();
            let pairs = pairs.iter().map(|(key, value)| format!("{key}:{value}"));
            append(out, &pairs.collect::<Vec<_>>().join(" "));
        }
        _ => match number {
            Some(number) => layout.number(number.into(), out),
            None => layout.blank(out),
        },
    }
}

fn layout_or_nothing(layout: &Layout, text: Option<&str>, out: &mut Vec<u8>) {
    if let Some(text) = text {
        layout.text(text, out);
    }
}

/// The time as strftime writes it; what it does not know stays as it is.
pub(in crate::cli) fn strftime(format: &str, now: &Zoned) -> String {
    jiff::fmt::strtime::format(format, now).unwrap_or_else(|_| format.to_owned())
}

fn nanoseconds(now: &Zoned) -> String {
    format!("{:09}", now.subsec_nanosecond())
}

fn append(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use skein_protocol::PayloadFormat;

    use super::*;

    fn message<'a>(payload: &'a [u8], properties: Option<&'a Properties>) -> Printed<'a> {
        Printed {
            qos: QoS::AtLeastOnce,
            retain: true,
            packet_id: 7,
            topic_alias: NonZeroU16::new(3),
            subscription_identifiers: &[9, 10],
            properties,
            ..Printed::plain("a/b", payload)
        }
    }

    fn rendered(format: &str, message: &Printed<'_>) -> String {
        let format = Format::parse(format, false).expect(format);
        let mut out = Vec::new();
        format.render(message, &some_time(), &mut out).expect("it can be printed");
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn parts_of_a_message() {
        let message = message(b"hi", None);
        assert_eq!(rendered("%t %p %q %r %m %l %%", &message), "a/b hi 1 1 7 2 %");
        assert_eq!(rendered("[%5t|%-5t|%.1t|%04l]", &message), "[  a/b|a/b  |a|0002]");
        assert_eq!(rendered("%x %X", &message), "6869 6869");
        assert_eq!(rendered("%A %S", &message), "3 9");
    }

    #[test]
    fn the_time() {
        let message = message(b"", None);
        assert_eq!(rendered("%I", &message), "2020-05-06T21:48:00+0200");
        assert_eq!(rendered("%U", &message), "1588794480.001002003");
        assert_eq!(rendered("@Y-@m-@dT@H:@M:@S.@N@@", &message), "2020-05-06T21:48:00.001002003@");
        assert_eq!(rendered("@a @j @%", &message), "Wed 127 %");
    }

    #[test]
    fn properties_and_their_absence() {
        let properties = Properties {
            payload_format: Some(PayloadFormat::Utf8),
            message_expiry_s: Some(60),
            content_type: Some("text".to_owned()),
            response_topic: Some("r".to_owned()),
            correlation_data: Some("c".into()),
            user_properties: vec![("k".into(), "v".into()), ("k".into(), "w".into())],
        };
        let format = "%F|%E|%C|%R|%D|%P";
        assert_eq!(rendered(format, &message(b"", Some(&properties))), "1|60|text|r|c|k:v k:w");
        let mut bare = message(b"", None);
        (bare.topic_alias, bare.subscription_identifiers) = (None, &[]);
        assert_eq!(rendered("%A|%2E|%03C|%5R|%D|%P|%1S", &bare), "|  |000||||".to_owned() + " ");
    }

    #[test]
    fn floating_point_numbers() {
        assert_eq!(rendered("%.2f", &message(&1.5_f32.to_ne_bytes(), None)), "1.50");
        assert_eq!(rendered("%.1d", &message(&(-0.25_f64).to_ne_bytes(), None)), "-0.2");
        let format = Format::parse("a%fb", false).expect("a format");
        let mut out = Vec::new();
        let result = format.render(&message(b"x", None), &some_time(), &mut out);
        assert_eq!((result, out), (Err(RenderError::Float), b"ab".to_vec()));
    }
}
