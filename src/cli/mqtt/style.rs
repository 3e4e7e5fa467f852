//! What a message looks like when it is printed: plain, by a format, or as a row of a table.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use jiff::Zoned;

use super::format::{Format, Printed, RenderError, strftime};

/// What a message looks like.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::cli) struct Style {
    pub(super) form: Form,
    /// The topic stands in front, where the form does not say what does.
    pub(super) is_verbose: bool,
    pub(super) has_line_ends: bool,
    /// The time stands in front.
    pub(super) has_time: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Form {
    Plain(Encoding),
    Custom(Format),
    /// A row of CSV.
    Row(Encoding),
}

/// How payloads are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Encoding {
    /// As they are.
    Raw,
    Hex,
    Base64,
}

/// The first row of a table.
pub(super) const COLUMNS: [&str; 5] = ["time", "topic", "qos", "retain", "payload"];

impl Encoding {
    /// The payload, written so.
    pub(in crate::cli) fn encode(self, payload: &[u8]) -> Vec<u8> {
        match self {
            Self::Raw => payload.to_vec(),
            Self::Hex => {
                payload.iter().flat_map(|byte| format!("{byte:02x}").into_bytes()).collect()
            }
            Self::Base64 => BASE64.encode(payload).into_bytes(),
        }
    }

    /// The payload that is written so. White space and, in hexadecimal, colons between digits mean
    /// nothing.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(in crate::cli) fn decode(self, text: &[u8]) -> Result<Vec<u8>, String> {
        let means_nothing =
            |byte: &u8| byte.is_ascii_whitespace() || (self == Self::Hex && *byte == b':');
        let bare = || text.iter().copied().filter(|byte| !means_nothing(byte)).collect::<Vec<_>>();
        match self {
            Self::Raw => Ok(text.to_vec()),
            Self::Hex => decode_hex(&bare()),
            Self::Base64 => {
                let decoded = BASE64.decode(bare());
                decoded.map_err(|error| format!("this is no Base64: {error}"))
            }
        }
    }
}

fn decode_hex(digits: &[u8]) -> Result<Vec<u8>, String> {
    let value = |digit: u8| {
        let value = char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
        value.ok_or_else(|| format!("'{}' is no hexadecimal digit", digit.escape_ascii()))
    };
    let pairs = digits.chunks(2).map(|pair| match pair {
        [high, low] => Ok(value(*high)? << 4 | value(*low)?),
        _ => Err("there is an odd number of hexadecimal digits".to_owned()),
    });
    pairs.collect()
}

impl Style {
    /// Whether only the payload is wanted, as it is.
    pub(in crate::cli) fn is_bare(&self) -> bool {
        let is_raw = matches!(self.form, Form::Plain(Encoding::Raw));
        is_raw && !self.is_verbose && !self.has_time
    }

    /// What stands above everything.
    pub(super) fn head(&self) -> Vec<u8> {
        match self.form {
            Form::Row(_) => row(COLUMNS.map(str::as_bytes)),
            _ => Vec::new(),
        }
    }

    /// Appends a message, with the end of its line.
    ///
    /// # Errors
    /// What could not be printed; the rest is all the same.
    pub(in crate::cli) fn append(
        &self,
        message: &Printed<'_>,
        now: &Zoned,
        out: &mut Vec<u8>,
    ) -> Result<(), RenderError> {
        // Nothing at all, and no line either: that is what scripts know.
        let is_nothing = message.payload.is_empty() && !(self.is_verbose && self.has_line_ends);
        if matches!(self.form, Form::Plain(_)) && is_nothing {
            return Ok(());
        }
        if self.has_time {
            out.extend_from_slice(time(now).as_bytes());
            out.push(b' ');
        }
        let rendered = match &self.form {
            Form::Custom(format) => format.render(message, now, out),
            Form::Plain(encoding) => {
                append_plain(message, *encoding, self.is_verbose, out);
                Ok(())
            }
            Form::Row(encoding) => {
                out.extend(table_row(message, *encoding, now));
                return Ok(());
            }
        };
        if self.has_line_ends {
            out.push(b'\n');
        }
        rendered
    }
}

fn append_plain(message: &Printed<'_>, encoding: Encoding, is_verbose: bool, out: &mut Vec<u8>) {
    if is_verbose {
        out.extend_from_slice(message.topic.as_bytes());
        out.push(b' ');
    }
    match message.payload {
        [] if is_verbose => out.extend_from_slice(b"(null)"),
        payload => out.extend(encoding.encode(payload)),
    }
}

fn table_row(message: &Printed<'_>, encoding: Encoding, now: &Zoned) -> Vec<u8> {
    let (time, payload) = (time(now), encoding.encode(message.payload));
    let (qos, retain) = (message.qos.to_string(), message.retain.to_string());
    let topic = message.topic.as_bytes();
    row([time.as_bytes(), topic, qos.as_bytes(), retain.as_bytes(), &payload])
}

fn row(fields: [&[u8]; COLUMNS.len()]) -> Vec<u8> {
    let mut writer = csv::WriterBuilder::new().from_writer(Vec::new());
    // A Vec takes everything.
    let _ = writer.write_record(fields);
    writer.into_inner().unwrap_or_default()
}

/// ISO 8601 with milliseconds.
fn time(now: &Zoned) -> String {
    strftime("%FT%T.%3f%z", now)
}

#[cfg(test)]
mod tests {
    use skein_protocol::QoS;

    use super::*;
    use crate::cli::mqtt::format::some_time;

    const PLAIN: Style = Style {
        form: Form::Plain(Encoding::Raw),
        is_verbose: false,
        has_line_ends: true,
        has_time: false,
    };

    fn printed(style: &Style, payload: &[u8]) -> String {
        let now = some_time();
        let message = Printed { qos: QoS::AtLeastOnce, ..Printed::plain("a,b", payload) };
        let mut out = Vec::new();
        style.append(&message, &now, &mut out).expect("it can be printed");
        String::from_utf8_lossy(&out).into_owned()
    }

    #[test]
    fn payloads_stand_alone_or_behind_their_topic() {
        let verbose = Style { is_verbose: true, ..PLAIN };
        assert_eq!(printed(&PLAIN, b"x"), "x\n");
        assert_eq!(printed(&PLAIN, b""), "");
        assert_eq!(printed(&verbose, b"x"), "a,b x\n");
        assert_eq!(printed(&verbose, b""), "a,b (null)\n");
        let open = Style { has_line_ends: false, ..verbose };
        assert_eq!((printed(&open, b"x"), printed(&open, b"")), ("a,b x".into(), String::new()));
    }

    #[test]
    fn the_time_stands_in_front() {
        let timed = Style { has_time: true, is_verbose: true, ..PLAIN };
        assert_eq!(printed(&timed, b"x"), "2020-05-06T21:48:00.001+0200 a,b x\n");
        assert!(!timed.is_bare() && PLAIN.is_bare());
    }

    #[test]
    fn bytes_are_written_as_text() {
        let encoded = |encoding| Style { form: Form::Plain(encoding), is_verbose: true, ..PLAIN };
        assert_eq!(printed(&encoded(Encoding::Hex), b"\0\xff"), "a,b 00ff\n");
        assert_eq!(printed(&encoded(Encoding::Base64), b"\0\xff"), "a,b AP8=\n");
    }

    #[test]
    fn a_row_is_quoted_where_it_has_to_be() {
        let table = |encoding| Style { form: Form::Row(encoding), ..PLAIN };
        let raw = table(Encoding::Raw);
        assert_eq!(raw.head(), b"time,topic,qos,retain,payload\n");
        let time = "2020-05-06T21:48:00.001+0200";
        let quoted = format!("{time},\"a,b\",1,false,\"say \"\"hi\"\"\n\"\n");
        assert_eq!(printed(&raw, b"say \"hi\"\n"), quoted);
        assert_eq!(printed(&raw, b""), format!("{time},\"a,b\",1,false,\n"));
        let base64 = printed(&table(Encoding::Base64), b"\0\xff");
        assert_eq!(base64, format!("{time},\"a,b\",1,false,AP8=\n"));
        assert!(PLAIN.head().is_empty());
    }

    #[test]
    fn what_was_encoded_is_decoded() {
        let all: Vec<u8> = (0..=255).collect();
        for encoding in [Encoding::Raw, Encoding::Hex, Encoding::Base64] {
            assert_eq!(encoding.decode(&encoding.encode(&all)), Ok(all.clone()), "{encoding:?}");
        }
        assert_eq!(Encoding::Hex.decode(b"DE:ad be\nEF"), Ok(vec![0xde, 0xad, 0xbe, 0xef]));
        assert_eq!(Encoding::Base64.decode(b"AP8=\n"), Ok(vec![0, 0xff]));
        for (encoding, text, words) in [
            (Encoding::Hex, "abc", "odd number"),
            (Encoding::Hex, "0x", "'x' is no"),
            (Encoding::Base64, "!", "no Base64"),
        ] {
            let error = encoding.decode(text.as_bytes()).expect_err(text);
            assert!(error.contains(words), "{error}");
        }
    }
}
