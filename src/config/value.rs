//! The types a key may have: how each is read from TOML, and how it is shown.

use std::fmt;
use std::ops::{RangeFull, RangeInclusive};

use skein_protocol::{QoS, TopicFilter};
use toml::de::DeValue;

/// What happens to a message that does not fit the queue of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overflow {
    /// The message that arrives is dropped.
    DropNewest,
    /// The message that has waited longest is dropped.
    DropOldest,
    /// The session's connection is closed with 0x97.
    Disconnect,
    /// An MQTT 5 publisher is told 0x97 when nobody could take its message. Otherwise as
    /// [`Overflow::DropNewest`].
    Refuse,
}

/// What an acknowledgement promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DurabilityMode {
    /// What it is for is on the disk.
    Disk,
    /// What it is for was handed to the system.
    Os,
    /// Nothing: it ends with the broker.
    Memory,
}

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// One line of text for people.
    Text,
    /// One JSON object per line for machines.
    Json,
}

/// The least important log lines that are still written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// What an operator must act on.
    Error,
    /// What an operator should look at.
    Warn,
    /// What happened: clients coming and going.
    Info,
    /// Why it happened: refusals, takeovers, expiries.
    Debug,
    /// Every packet.
    Trace,
}

/// A type that a key of the configuration can have.
pub(super) trait Value: Sized {
    /// What the user is asked to write, as in "write {}".
    const WANTED: &'static str;
    /// Reads the value; the error says what is wrong with it when its type alone is not enough.
    fn read(value: &DeValue<'_>) -> Result<Self, String>;
    /// The value as TOML.
    fn show(&self) -> String;
}

/// What of a type is allowed for one key.
pub(super) trait Allowed<T> {
    /// Whether the value may be used.
    fn allows(&self, value: &T) -> bool;
    /// For people: "1 to 65535".
    fn describe(&self) -> String;
}

impl<T: PartialOrd + fmt::Display> Allowed<T> for RangeInclusive<T> {
    fn allows(&self, value: &T) -> bool {
        self.contains(value)
    }

    fn describe(&self) -> String {
        format!("{} to {}", self.start(), self.end())
    }
}

impl<T: Value> Allowed<T> for RangeFull {
    fn allows(&self, _: &T) -> bool {
        true
    }

    fn describe(&self) -> String {
        T::WANTED.to_owned()
    }
}

macro_rules! whole_numbers {
    ($($number:ty),*) => { $(
        impl Value for $number {
            const WANTED: &'static str = "a whole number";

            fn read(value: &DeValue<'_>) -> Result<Self, String> {
                let integer = value.as_integer().ok_or_else(String::new)?;
                let digits = integer.as_str().replace('_', "");
                let wide = i128::from_str_radix(&digits, integer.radix())
                    .map_err(|_| format!("{} is not a number skein can hold", integer.as_str()))?;
                wide.try_into().map_err(|_| format!("{wide} is out of range"))
            }

            fn show(&self) -> String {
                self.to_string()
            }
        }
    )* };
}

whole_numbers!(u16, u32, u64, usize);

impl Value for bool {
    const WANTED: &'static str = "true or false";

    fn read(value: &DeValue<'_>) -> Result<Self, String> {
        value.as_bool().ok_or_else(String::new)
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl Value for String {
    const WANTED: &'static str = "text in quotes";

    fn read(value: &DeValue<'_>) -> Result<Self, String> {
        value.as_str().map(Self::from).ok_or_else(Self::new)
    }

    fn show(&self) -> String {
        quote(self)
    }
}

impl Value for QoS {
    const WANTED: &'static str = "0, 1 or 2";

    fn read(value: &DeValue<'_>) -> Result<Self, String> {
        let number = u16::read(value)?;
        u8::try_from(number)
            .ok()
            .and_then(|number| Self::try_from(number).ok())
            .ok_or_else(|| format!("{number} is not a QoS"))
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl Value for Vec<String> {
    const WANTED: &'static str = "a list of topic filters, like [\"private/#\"]";

    fn read(value: &DeValue<'_>) -> Result<Self, String> {
        let array = value.as_array().ok_or_else(String::new)?;
        array.iter().map(|item| filter(item.get_ref())).collect()
    }

    fn show(&self) -> String {
        let items: Self = self.iter().map(|item| quote(item)).collect();
        format!("[{}]", items.join(", "))
    }
}

/// One topic filter. A shared one is refused: the rule is about topics, however they are shared.
fn filter(value: &DeValue<'_>) -> Result<String, String> {
    let text = value.as_str().ok_or_else(String::new)?;
    let filter = TopicFilter::new(text)
        .map_err(|error| format!("{} is not a topic filter: {error}", quote(text)))?;
    if filter.share().is_some() {
        return Err(format!(
            "{} names a share; {} covers the shared subscriptions too",
            quote(text),
            quote(filter.pattern())
        ));
    }
    Ok(text.to_owned())
}

/// Enums written as a word: each variant with its word.
macro_rules! words {
    ($name:ty, $wanted:literal, $($variant:path = $word:literal),*) => {
        impl Value for $name {
            const WANTED: &'static str = $wanted;

            fn read(value: &DeValue<'_>) -> Result<Self, String> {
                let text = value.as_str().ok_or_else(String::new)?;
                match text {
                    $($word => Ok($variant),)*
                    _ => Err(crate::config::value::unknown_word(text, &[$($word),*])),
                }
            }

            fn show(&self) -> String {
                quote(match self { $($variant => $word),* })
            }
        }
    };
}

pub(super) use words;

words!(
    Overflow,
    "\"drop-newest\", \"drop-oldest\", \"disconnect\" or \"refuse\"",
    Overflow::DropNewest = "drop-newest",
    Overflow::DropOldest = "drop-oldest",
    Overflow::Disconnect = "disconnect",
    Overflow::Refuse = "refuse"
);

words!(
    DurabilityMode,
    "\"disk\", \"os\" or \"memory\"",
    DurabilityMode::Disk = "disk",
    DurabilityMode::Os = "os",
    DurabilityMode::Memory = "memory"
);

words!(LogFormat, "\"text\" or \"json\"", LogFormat::Text = "text", LogFormat::Json = "json");

words!(
    LogLevel,
    "\"error\", \"warn\", \"info\", \"debug\" or \"trace\"",
    LogLevel::Error = "error",
    LogLevel::Warn = "warn",
    LogLevel::Info = "info",
    LogLevel::Debug = "debug",
    LogLevel::Trace = "trace"
);

pub(super) fn unknown_word(text: &str, words: &[&str]) -> String {
    match nearest(text, words.iter().copied()) {
        Some(word) => format!("unknown value {}; did you mean \"{word}\"?", quote(text)),
        None => format!("unknown value {}", quote(text)),
    }
}

/// The known word a mistyped one most resembles, if any does.
pub(super) fn nearest<'a>(text: &str, words: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    // Above this similarity a typing error is likelier than another intention.
    const ALIKE: f64 = 0.6;
    words
        .map(|word| (strsim::normalized_damerau_levenshtein(text, word), word))
        .filter(|(likeness, _)| *likeness >= ALIKE)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, word)| word)
}

/// Text as a TOML string: control characters and quotes escaped.
pub(super) fn quote(text: &str) -> String {
    format!("{text:?}")
}
