//! A message as JSON, in the order and the layout of Mosquitto's.

use std::io::{self, Write};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use jiff::Zoned;
use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Serialize, Serializer};
use serde_json::ser::{CompactFormatter, Formatter};
use skein_client::Properties;
use skein_protocol::{PayloadFormat, QoS};

use super::render::{Printed, RenderError, strftime};

/// Appends a message with its payload as a string. Where the payload is no text, what is not is
/// replaced, and `payload_base64` has it whole.
pub(super) fn append(message: &Printed<'_>, now: &Zoned, is_pretty: bool, out: &mut Vec<u8>) {
    let text = String::from_utf8_lossy(message.payload);
    let whole = str::from_utf8(message.payload).is_err().then(|| BASE64.encode(message.payload));
    let payload = (!message.payload.is_empty()).then_some(text.as_ref());
    // Nothing in it can fail.
    let _ = write(&Object { message, now, payload, whole }, is_pretty, out);
}

/// Appends a message whose payload is JSON itself.
///
/// # Errors
/// The payload is not; nothing was appended.
pub(super) fn append_embedded(
    message: &Printed<'_>,
    now: &Zoned,
    is_pretty: bool,
    out: &mut Vec<u8>,
) -> Result<(), RenderError> {
    let bytes = if message.payload.is_empty() { b"null" } else { message.payload };
    let start = out.len();
    let mut payload = serde_json::Deserializer::from_slice(bytes);
    let transcoder = serde_transcode::Transcoder::new(&mut payload);
    let written = write(&Object { message, now, payload: transcoder, whole: None }, is_pretty, out);
    if written.is_err() || payload.end().is_err() {
        out.truncate(start);
        return Err(RenderError::Json(message.topic.to_owned()));
    }
    Ok(())
}

/// What a payload format is on the wire.
pub(super) fn number_of(format: PayloadFormat) -> u32 {
    u32::from(format == PayloadFormat::Utf8)
}

fn write(value: &impl Serialize, is_pretty: bool, out: &mut Vec<u8>) -> serde_json::Result<()> {
    if is_pretty {
        value.serialize(&mut serde_json::Serializer::with_formatter(out, Pretty::default()))
    } else {
        value.serialize(&mut serde_json::Serializer::with_formatter(out, Compact))
    }
}

struct Object<'a, P> {
    message: &'a Printed<'a>,
    now: &'a Zoned,
    payload: P,
    whole: Option<String>,
}

impl<P: Serialize> Serialize for Object<'_, P> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { message, now, .. } = self;
        let mut map = serializer.serialize_map(None)?;
        let micros = now.subsec_nanosecond() / 1000;
        let time = strftime(&format!("%Y-%m-%dT%H:%M:%S.{micros:06}%z"), now);
        map.serialize_entry("tst", &time)?;
        map.serialize_entry("topic", message.topic)?;
        map.serialize_entry("qos", &(message.qos as u8))?;
        map.serialize_entry("retain", &message.retain)?;
        map.serialize_entry("payloadlen", &message.payload.len())?;
        if message.qos > QoS::AtMostOnce {
            map.serialize_entry("mid", &message.packet_id)?;
        }
        let own = AllProperties(message);
        if !own.is_empty() {
            map.serialize_entry("properties", &own)?;
        }
        map.serialize_entry("payload", &self.payload)?;
        if let Some(whole) = &self.whole {
            map.serialize_entry("payload_base64", whole)?;
        }
        map.end()
    }
}

struct AllProperties<'a>(&'a Printed<'a>);

impl AllProperties<'_> {
    fn is_empty(&self) -> bool {
        let message = self.0;
        message.properties.is_none()
            && message.topic_alias.is_none()
            && message.subscription_identifiers.is_empty()
    }
}

impl Serialize for AllProperties<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let message = self.0;
        let mut map = serializer.serialize_map(None)?;
        if let Some(alias) = message.topic_alias {
            map.serialize_entry("topic-alias", &alias)?;
        }
        if let Some(own) = message.properties {
            serialize_own(own, &mut map)?;
        }
        for identifier in message.subscription_identifiers {
            map.serialize_entry("subscription-identifier", identifier)?;
        }
        if let Some(own) = message.properties.filter(|own| !own.user_properties.is_empty()) {
            map.serialize_entry("user-properties", &Pairs(&own.user_properties))?;
        }
        map.end()
    }
}

fn serialize_own<M: SerializeMap>(own: &Properties, map: &mut M) -> Result<(), M::Error> {
    if let Some(format) = own.payload_format {
        map.serialize_entry("payload-format-indicator", &number_of(format))?;
    }
    if let Some(expiry) = own.message_expiry_s {
        map.serialize_entry("message-expiry-interval", &expiry)?;
    }
    if let Some(content_type) = &own.content_type {
        map.serialize_entry("content-type", content_type)?;
    }
    if let Some(topic) = &own.response_topic {
        map.serialize_entry("response-topic", topic)?;
    }
    if let Some(data) = &own.correlation_data {
        map.serialize_entry("correlation-data", &String::from_utf8_lossy(data))?;
    }
    Ok(())
}

/// Pairs, as objects of one entry each: keys may come twice, and their order counts.
struct Pairs<'a>(&'a [(String, String)]);

impl Serialize for Pairs<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(Some(self.0.len()))?;
        for (key, value) in self.0 {
            list.serialize_element(&std::collections::BTreeMap::from([(key, value)]))?;
        }
        list.end()
    }
}

/// No spaces; whole numbers without a point.
struct Compact;

impl Formatter for Compact {
    fn write_f64<W: ?Sized + Write>(&mut self, writer: &mut W, value: f64) -> io::Result<()> {
        write_number(writer, value)
    }
}

/// Tabs, as Mosquitto's library for JSON has them.
#[derive(Default)]
struct Pretty {
    depth: usize,
}

impl Pretty {
    fn indent<W: ?Sized + Write>(&self, writer: &mut W) -> io::Result<()> {
        writer.write_all("\t".repeat(self.depth).as_bytes())
    }
}

impl Formatter for Pretty {
    fn write_f64<W: ?Sized + Write>(&mut self, writer: &mut W, value: f64) -> io::Result<()> {
        write_number(writer, value)
    }

    fn begin_array<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.depth += 1;
        writer.write_all(b"[")
    }

    fn end_array<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.depth -= 1;
        writer.write_all(b"]")
    }

    fn begin_array_value<W: ?Sized + Write>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> io::Result<()> {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }

    fn begin_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.depth += 1;
        writer.write_all(b"{\n")
    }

    fn begin_object_key<W: ?Sized + Write>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> io::Result<()> {
        if !first {
            writer.write_all(b",\n")?;
        }
        self.indent(writer)
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b":\t")
    }

    fn end_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.depth -= 1;
        writer.write_all(b"\n")?;
        self.indent(writer)?;
        writer.write_all(b"}")
    }
}

/// A number as C's "%d" has it where that is exact, or else the shortest that is.
fn write_number<W: ?Sized + Write>(writer: &mut W, value: f64) -> io::Result<()> {
    /// Whole numbers up to here are exact.
    const EXACT_MAX: f64 = 9_007_199_254_740_992.0;
    if value.fract() == 0.0 && value.abs() < EXACT_MAX {
        write!(writer, "{value:.0}")
    } else {
        CompactFormatter.write_f64(writer, value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::mqtt::format::render::some_time;

    fn message<'a>(payload: &'a [u8], properties: Option<&'a Properties>) -> Printed<'a> {
        Printed { properties, ..Printed::plain("a", payload) }
    }

    fn json(message: &Printed<'_>, is_pretty: bool) -> String {
        let mut out = Vec::new();
        append(message, &some_time(), is_pretty, &mut out);
        String::from_utf8(out).expect("JSON is text")
    }

    fn embedded(payload: &str) -> Result<String, RenderError> {
        let mut out = Vec::new();
        append_embedded(&message(payload.as_bytes(), None), &some_time(), false, &mut out)?;
        Ok(String::from_utf8(out).expect("JSON is text"))
    }

    const HEAD: &str =
        "{\"tst\":\"2020-05-06T21:48:00.001002+0200\",\"topic\":\"a\",\"qos\":0,\"retain\":false";

    #[test]
    fn a_payload_is_a_string_or_null() {
        let expected = format!("{HEAD},\"payloadlen\":4,\"payload\":\"\\\"é\\n\"}}");
        assert_eq!(json(&message("\"é\n".as_bytes(), None), false), expected);
        let expected = format!("{HEAD},\"payloadlen\":0,\"payload\":null}}");
        assert_eq!(json(&message(b"", None), false), expected);
    }

    /// Mosquitto's ends at the first zero byte, whatever follows.
    #[test]
    fn a_binary_payload_is_there_whole() {
        let text = json(&message(b"a\0b\xff", None), false);
        assert!(
            text.ends_with("\"payload\":\"a\\u0000b\u{fffd}\",\"payload_base64\":\"YQBi/w==\"}")
        );
        let text = json(&message(b"a\0b", None), false);
        assert!(text.ends_with("\"payload\":\"a\\u0000b\"}"), "{text}");
    }

    #[test]
    fn a_payload_of_json_is_embedded_in_its_order() {
        let payload = " { \"b\" : 1.0, \"a\" : [ true, null, 1.5, \"\\u00e9\" ] } ";
        let expected = "\"payload\":{\"b\":1,\"a\":[true,null,1.5,\"é\"]}}";
        assert!(embedded(payload).expect("JSON").ends_with(expected));
        assert!(embedded("").expect("nothing is null").ends_with("\"payload\":null}"));
        for payload in ["{", "x", "1 2", "\"a"] {
            assert_eq!(embedded(payload), Err(RenderError::Json("a".to_owned())), "{payload}");
        }
    }

    #[test]
    fn properties_are_an_object_and_pairs_a_list() {
        let properties = Properties {
            content_type: Some("t".to_owned()),
            user_properties: vec![("k".into(), "v".into()), ("k".into(), "w".into())],
            ..Properties::default()
        };
        let text = json(&message(b"x", Some(&properties)), false);
        let expected = "\"properties\":{\"content-type\":\"t\",\"user-properties\":[{\"k\":\"v\"},{\"k\":\"w\"}]}";
        assert!(text.contains(expected), "{text}");
        let pretty = json(&message(b"x", Some(&properties)), true);
        assert!(pretty.starts_with("{\n\t\"tst\":\t\"2020"), "{pretty}");
        let expected = "\t\t\"user-properties\":\t[{\n\t\t\t\t\"k\":\t\"v\"\n\t\t\t}, {\n";
        assert!(pretty.contains(expected), "{pretty}");
        assert!(pretty.ends_with("\n\t},\n\t\"payload\":\t\"x\"\n}"), "{pretty}");
    }
}
