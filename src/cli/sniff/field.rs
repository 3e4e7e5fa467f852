//! What stands in a packet: names and values, which are text on a screen and JSON elsewhere.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

/// Names and values, in order. A name may come twice.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Fields(pub(super) Vec<(String, Value)>);

/// One value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    /// What a peer has chosen.
    Text(String),
    /// A word of ours.
    Word(String),
    Number(u64),
    /// Shown only if it is set.
    Flag(bool),
    /// The beginning of some bytes, and how many there are in all.
    Bytes {
        shown: Vec<u8>,
        count: usize,
    },
    List(Vec<Self>),
    Fields(Fields),
}

impl Fields {
    pub(super) fn add(&mut self, name: impl Into<String>, value: Value) {
        self.0.push((name.into(), value));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Value {
    /// Bytes, of which at most so many are shown.
    pub(super) fn bytes(bytes: &[u8], shown_max: usize) -> Self {
        let shown = bytes[..bytes.len().min(shown_max)].to_vec();
        Self::Bytes { shown, count: bytes.len() }
    }

    pub(super) fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }
}

/// ` name=value` for each; a flag that is set is its name alone.
impl fmt::Display for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.0.iter().filter(|(_, value)| *value != Value::Flag(false));
        for (index, (name, value)) in shown.enumerate() {
            let space = if index > 0 { " " } else { "" };
            match value {
                Value::Flag(_) => write!(f, "{space}{name}")?,
                value => write!(f, "{space}{name}={value}")?,
            }
        }
        Ok(())
    }
}

/// Nothing of it commands a terminal.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(f, "{text:?}"),
            Self::Word(word) => f.write_str(word),
            Self::Number(number) => number.fmt(f),
            Self::Flag(flag) => flag.fmt(f),
            Self::Bytes { shown, count } => show_bytes(shown, *count, f),
            Self::List(values) => {
                f.write_str("[")?;
                for (index, value) in values.iter().enumerate() {
                    let comma = if index > 0 { ", " } else { "" };
                    write!(f, "{comma}{value}")?;
                }
                f.write_str("]")
            }
            Self::Fields(fields) => write!(f, "({fields})"),
        }
    }
}

/// Text where it is text, hexadecimal digits elsewhere; what is not shown is counted.
fn show_bytes(shown: &[u8], count: usize, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match text_of(shown, count) {
        Some(text) => write!(f, "{text:?}")?,
        None => {
            f.write_str("0x")?;
            shown.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        }
    }
    if shown.len() < count { write!(f, "…({count} bytes)") } else { Ok(()) }
}

/// The text that the bytes are; where they were cut, the end of a letter may be missing.
fn text_of(shown: &[u8], count: usize) -> Option<&str> {
    match std::str::from_utf8(shown) {
        Ok(text) => Some(text),
        Err(error) if error.error_len().is_none() && shown.len() < count => {
            std::str::from_utf8(&shown[..error.valid_up_to()]).ok()
        }
        Err(_) => None,
    }
}

impl Serialize for Fields {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        self.serialize_into(&mut map)?;
        map.end()
    }
}

impl Fields {
    /// As entries of an object. Of bytes that are no text there is `NAME_base64`, and of those that are
    /// not all shown `NAME_bytes`, their number.
    pub(super) fn serialize_into<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        for (name, value) in &self.0 {
            let Value::Bytes { shown, count } = value else {
                map.serialize_entry(name, value)?;
                continue;
            };
            match text_of(shown, *count) {
                Some(text) => map.serialize_entry(name, text)?,
                None => map.serialize_entry(&format!("{name}_base64"), &BASE64.encode(shown))?,
            }
            if shown.len() < *count {
                map.serialize_entry(&format!("{name}_bytes"), count)?;
            }
        }
        Ok(())
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) | Self::Word(text) => serializer.serialize_str(text),
            Self::Number(number) => serializer.serialize_u64(*number),
            Self::Flag(flag) => serializer.serialize_bool(*flag),
            Self::Bytes { shown, .. } => serializer.serialize_str(&BASE64.encode(shown)),
            Self::List(values) => values.serialize(serializer),
            Self::Fields(fields) => fields.serialize(serializer),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(value: Value) -> Fields {
        Fields(vec![("x".to_owned(), value)])
    }

    #[test]
    fn bytes_are_text_or_digits_and_what_is_left_out_is_counted() {
        let rows: [(&[u8], usize, &str, &str); 5] = [
            (b"hi\n", 9, r#"x="hi\n""#, r#"{"x":"hi\n"}"#),
            (b"\x00\xff", 9, "x=0x00ff", r#"{"x_base64":"AP8="}"#),
            (b"hello", 2, r#"x="he"…(5 bytes)"#, r#"{"x":"he","x_bytes":5}"#),
            // In the middle of a letter.
            ("a€€".as_bytes(), 2, r#"x="a"…(7 bytes)"#, r#"{"x":"a","x_bytes":7}"#),
            (b"", 9, r#"x="""#, r#"{"x":""}"#),
        ];
        for (bytes, shown_max, text, json) in rows {
            let fields = one(Value::bytes(bytes, shown_max));
            assert_eq!(fields.to_string(), text);
            assert_eq!(serde_json::to_string(&fields).expect("JSON"), json);
        }
    }

    #[test]
    fn flags_are_there_or_not_and_in_json_always() {
        let mut fields = one(Value::Flag(false));
        fields.add("y", Value::Flag(true));
        fields.add("z", Value::List(vec![Value::Number(1), Value::text("\x1b")]));
        fields.add("w", Value::Fields(one(Value::Word("v".to_owned()))));
        assert_eq!(fields.to_string(), r#"y z=[1, "\u{1b}"] w=(x=v)"#);
        let json = r#"{"x":false,"y":true,"z":[1,"\u001b"],"w":{"x":"v"}}"#;
        assert_eq!(serde_json::to_string(&fields).expect("JSON"), json);
    }
}
