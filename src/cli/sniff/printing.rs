//! What was seen, as lines of text or JSON.

use std::fmt::Write as _;

use jiff::Zoned;
use jiff::tz::TimeZone;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use skein_protocol::PacketType;

use super::filter::Filter;
use super::seen::{Bytes, Direction, Seen, What};

const HEX_COLUMNS: usize = 16;

/// Makes lines of what was seen.
#[derive(Clone, Debug)]
pub(super) struct Lines {
    pub(super) filter: Filter,
    pub(super) is_json: bool,
    pub(super) has_hex: bool,
    pub(super) zone: TimeZone,
}

impl Lines {
    /// The lines for this; none if it is not asked for.
    pub(super) fn of(&self, at: &Zoned, connection: u64, seen: &Seen) -> Option<String> {
        if !self.filter.takes(seen) {
            return None;
        }
        if self.is_json {
            let line = JsonLine { at, connection, seen, has_hex: self.has_hex };
            return serde_json::to_string(&line).ok().map(|line| line + "\n");
        }
        let arrow = match seen.direction {
            Direction::ToBroker => '>',
            Direction::FromBroker => '<',
        };
        let client = if seen.client_id.is_empty() {
            String::new()
        } else {
            format!(" {}", seen.client_id.escape_debug())
        };
        let mut text = format!("{} #{connection}{client} {arrow} {}\n", clock(at), words(seen));
        if self.has_hex {
            append_hex(&seen.bytes, &mut text);
        }
        Some(text)
    }

    /// A line about a connection itself.
    pub(super) fn note(&self, at: &Zoned, connection: u64, event: &str, more: &str) -> String {
        if self.is_json {
            let time = rfc_3339(at);
            let line = serde_json::json!({
                "time": time, "connection": connection, "event": event, "detail": more,
            });
            return format!("{line}\n");
        }
        format!("{} #{connection} {event} {}\n", clock(at), more.escape_debug())
    }
}

fn clock(at: &Zoned) -> String {
    at.strftime("%H:%M:%S%.6f").to_string()
}

fn rfc_3339(at: &Zoned) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S%.6f%:z").to_string()
}

fn words(seen: &Seen) -> String {
    let name = |packet_type: &Option<PacketType>| packet_type.map_or("bytes", PacketType::name);
    match &seen.what {
        What::Packet { packet_type, fields } => {
            format!("{packet_type} {fields}").trim_end().to_owned()
        }
        What::Malformed { packet_type, error } => {
            format!("MALFORMED {} at byte {}: {error}", name(packet_type), seen.offset)
        }
        What::TooLong { packet_type, size } => {
            format!("{} of {size} bytes, too long to be looked at", name(packet_type))
        }
        What::Missing { count } => {
            format!("{count} bytes are missing in the recording from byte {} on", seen.offset)
        }
        What::NotMqtt { guess } => format!("this is not MQTT but {guess}"),
    }
}

/// Sixteen bytes a line, with what of them is text.
fn append_hex(bytes: &Bytes, text: &mut String) {
    let Bytes::Shown(shown, size) = bytes else {
        text.push_str("    hidden: --show-secrets\n");
        return;
    };
    for (index, row) in shown.chunks(HEX_COLUMNS).enumerate() {
        let digits: Vec<String> = row.iter().map(|byte| format!("{byte:02x}")).collect();
        let printed = |byte: &u8| if byte.is_ascii_graphic() { char::from(*byte) } else { '.' };
        let letters: String = row.iter().map(printed).collect();
        let (at, digits) = (index * HEX_COLUMNS, digits.join(" "));
        // A String takes everything.
        let _ = writeln!(text, "    {at:04x}  {digits:47}  {letters}");
    }
    if shown.len() < *size {
        let _ = writeln!(text, "    … {size} bytes in all");
    }
}

struct JsonLine<'a> {
    at: &'a Zoned,
    connection: u64,
    seen: &'a Seen,
    has_hex: bool,
}

impl Serialize for JsonLine<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let seen = self.seen;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("time", &rfc_3339(self.at))?;
        map.serialize_entry("connection", &self.connection)?;
        map.serialize_entry("client", &seen.client_id)?;
        map.serialize_entry(
            "to",
            match seen.direction {
                Direction::ToBroker => "broker",
                Direction::FromBroker => "client",
            },
        )?;
        map.serialize_entry("offset", &seen.offset)?;
        let name = |packet_type: &Option<PacketType>| packet_type.map(PacketType::name);
        match &seen.what {
            What::Packet { packet_type, fields } => {
                map.serialize_entry("packet", packet_type.name())?;
                fields.serialize_into(&mut map)?;
            }
            What::Malformed { packet_type, error } => {
                map.serialize_entry("packet", &name(packet_type))?;
                map.serialize_entry("malformed", &error.to_string())?;
                map.serialize_entry("clause", error.clause())?;
            }
            What::TooLong { packet_type, size } => {
                map.serialize_entry("packet", &name(packet_type))?;
                map.serialize_entry("too_long", size)?;
            }
            What::Missing { count } => map.serialize_entry("missing", count)?,
            What::NotMqtt { guess } => map.serialize_entry("not_mqtt", guess)?,
        }
        if self.has_hex {
            append_json_hex(&seen.bytes, &mut map)?;
        }
        map.end()
    }
}

/// All digits in a row; as with other bytes, there is their number if they are not all shown.
fn append_json_hex<M: SerializeMap>(bytes: &Bytes, map: &mut M) -> Result<(), M::Error> {
    let Bytes::Shown(shown, size) = bytes else {
        return map.serialize_entry("hex", "hidden");
    };
    let digits: String = shown.iter().map(|byte| format!("{byte:02x}")).collect();
    map.serialize_entry("hex", &digits)?;
    if shown.len() < *size { map.serialize_entry("hex_bytes", size) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use skein_protocol::Error;

    use super::super::field::{Fields, Value};
    use super::*;

    fn lines(is_json: bool, has_hex: bool) -> Lines {
        Lines { filter: Filter::default(), is_json, has_hex, zone: TimeZone::UTC }
    }

    fn at() -> Zoned {
        "2020-05-06T21:48:00.001002003+02:00[+02:00]".parse().expect("a time")
    }

    fn seen(what: What) -> Seen {
        Seen {
            direction: Direction::ToBroker,
            offset: 17,
            client_id: "me\n".to_owned(),
            what,
            topics: Vec::new(),
            bytes: Bytes::of(b"0\x03\0\x01a", 5),
        }
    }

    fn publish() -> Seen {
        let fields = Fields(vec![("topic".to_owned(), Value::text("a"))]);
        seen(What::Packet { packet_type: PacketType::Publish, fields })
    }

    #[test]
    fn a_packet_is_a_line_of_its_own() {
        let text = lines(false, false).of(&at(), 2, &publish()).expect("it is asked for");
        assert_eq!(text, "21:48:00.001002 #2 me\\n > PUBLISH topic=\"a\"\n");
        let json = lines(true, true).of(&at(), 2, &publish()).expect("it is asked for");
        assert_eq!(
            json,
            "{\"time\":\"2020-05-06T21:48:00.001002+02:00\",\"connection\":2,\"client\":\"me\\n\",\
             \"to\":\"broker\",\"offset\":17,\"packet\":\"PUBLISH\",\"topic\":\"a\",\
             \"hex\":\"3003000161\"}\n"
        );
    }

    #[test]
    fn what_is_wrong_is_told_with_clause_and_offset() {
        let (packet_type, error) = (Some(PacketType::Publish), Error::PublishQoS);
        let broken = seen(What::Malformed { packet_type, error });
        let text = lines(false, false).of(&at(), 2, &broken).expect("it always is");
        assert!(
            text.ends_with("> MALFORMED PUBLISH at byte 17: [MQTT-3.3.1-4] QoS 3 in PUBLISH\n"),
            "{text}"
        );
        let json = lines(true, false).of(&at(), 2, &broken).expect("it always is");
        assert!(json.contains("\"clause\":\"MQTT-3.3.1-4\""), "{json}");
    }

    #[test]
    fn bytes_are_shown_sixteen_a_line() {
        let text = lines(false, true).of(&at(), 2, &publish()).expect("it is asked for");
        let expected = format!("    0000  {:47}  0...a\n", "30 03 00 01 61");
        assert!(text.ends_with(&expected), "{text}");
        let long = Seen { bytes: Bytes::of(&[b'x'; 5_000], 6_000), ..publish() };
        let text = lines(false, true).of(&at(), 2, &long).expect("it is asked for");
        assert!(text.ends_with("    … 6000 bytes in all\n"), "{text}");
        assert_eq!(text.lines().count(), 1 + 256 + 1);
        let json = lines(true, true).of(&at(), 2, &long).expect("it is asked for");
        assert!(json.ends_with("78\",\"hex_bytes\":6000}\n"), "{json}");
    }

    #[test]
    fn hidden_bytes_are_said_to_be() {
        let hidden = Seen { bytes: Bytes::Hidden, ..publish() };
        let text = lines(false, true).of(&at(), 2, &hidden).expect("it is asked for");
        assert!(text.ends_with("\n    hidden: --show-secrets\n"), "{text}");
        let json = lines(true, true).of(&at(), 2, &hidden).expect("it is asked for");
        assert!(json.ends_with("\"hex\":\"hidden\"}\n"), "{json}");
    }
}
