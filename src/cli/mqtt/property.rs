//! `-D COMMAND NAME VALUE`: properties of MQTT 5.0.

use std::num::NonZeroU32;
use std::str::FromStr;

use skein_client::{Farewell, PayloadFormat};

use super::usage::UsageError;

/// What stands between the words of one `-D` once they are one argument.
pub(super) const WORD_END: char = '\u{1f}';

/// The properties that were given for each packet.
#[derive(Clone, Debug, Default)]
pub(in crate::cli) struct Properties {
    pub(in crate::cli) connect: ConnectProperties,
    pub(in crate::cli) publish: skein_client::Properties,
    /// The alias of the topic, where one is to be used.
    pub(in crate::cli) topic_alias: Option<u16>,
    pub(in crate::cli) will: skein_client::Properties,
    pub(in crate::cli) will_delay_s: Option<u32>,
    pub(in crate::cli) subscription_identifier: Option<NonZeroU32>,
    pub(in crate::cli) subscribe: Vec<(String, String)>,
    pub(in crate::cli) unsubscribe: Vec<(String, String)>,
    pub(in crate::cli) disconnect: Farewell,
}

#[derive(Clone, Debug, Default)]
pub(in crate::cli) struct ConnectProperties {
    pub(super) session_expiry_s: Option<u32>,
    pub(super) receive_maximum: Option<u16>,
    pub(super) maximum_packet_size: Option<u32>,
    pub(super) topic_alias_maximum: Option<u16>,
    pub(super) request_response_information: Option<bool>,
    pub(super) request_problem_information: Option<bool>,
    pub(super) authentication_method: Option<String>,
    pub(super) authentication_data: Option<String>,
    pub(super) user_properties: Vec<(String, String)>,
}

impl Properties {
    /// Takes all of them together.
    ///
    /// # Errors
    /// A packet or a property that is none, one that the packet cannot have, a value out of range.
    pub(super) fn parse(arguments: &[String]) -> Result<Self, UsageError> {
        let mut properties = Self::default();
        for argument in arguments {
            properties.take(argument)?;
        }
        Ok(properties)
    }

    fn take(&mut self, argument: &str) -> Result<(), UsageError> {
        let words = Words::new(argument)?;
        match words.command {
            "connect" => self.connect.take(&words),
            "publish" => match words.name {
                "topic-alias" => set(&mut self.topic_alias, words.number_from(1)?, &words),
                _ => take_of_message(&mut self.publish, &words),
            },
            "will" => match words.name {
                "will-delay-interval" => set(&mut self.will_delay_s, words.number()?, &words),
                _ => take_of_message(&mut self.will, &words),
            },
            "subscribe" => match words.name {
                "subscription-identifier" => {
                    let identifier = NonZeroU32::new(words.number_from(1)?);
                    let identifier = identifier.ok_or_else(|| words.out_of_range())?;
                    set(&mut self.subscription_identifier, identifier, &words)
                }
                _ => words.take_pair(&mut self.subscribe),
            },
            "unsubscribe" => words.take_pair(&mut self.unsubscribe),
            "disconnect" => take_of_disconnect(&mut self.disconnect, &words),
            _ => Err(words.error("Invalid command", words.command)),
        }
    }
}

impl ConnectProperties {
    fn take(&mut self, words: &Words<'_>) -> Result<(), UsageError> {
        match words.name {
            "session-expiry-interval" => set(&mut self.session_expiry_s, words.number()?, words),
            "receive-maximum" => set(&mut self.receive_maximum, words.number_from(1)?, words),
            "maximum-packet-size" => {
                set(&mut self.maximum_packet_size, words.number_from(1)?, words)
            }
            "topic-alias-maximum" => set(&mut self.topic_alias_maximum, words.number()?, words),
            "request-response-information" => {
                set(&mut self.request_response_information, words.flag()?, words)
            }
            "request-problem-information" => {
                set(&mut self.request_problem_information, words.flag()?, words)
            }
            "authentication-method" => set(&mut self.authentication_method, words.text(), words),
            "authentication-data" => set(&mut self.authentication_data, words.text(), words),
            _ => words.take_pair(&mut self.user_properties),
        }
    }
}

fn take_of_message(
    properties: &mut skein_client::Properties,
    words: &Words<'_>,
) -> Result<(), UsageError> {
    match words.name {
        "payload-format-indicator" => {
            let format = if words.flag()? { PayloadFormat::Utf8 } else { PayloadFormat::Bytes };
            set(&mut properties.payload_format, format, words)
        }
        "message-expiry-interval" => set(&mut properties.message_expiry_s, words.number()?, words),
        "content-type" => set(&mut properties.content_type, words.text(), words),
        "response-topic" => set(&mut properties.response_topic, words.text(), words),
        "correlation-data" => set(&mut properties.correlation_data, words.text().into(), words),
        _ => words.take_pair(&mut properties.user_properties),
    }
}

fn take_of_disconnect(farewell: &mut Farewell, words: &Words<'_>) -> Result<(), UsageError> {
    match words.name {
        "session-expiry-interval" => set(&mut farewell.session_expiry_s, words.number()?, words),
        "reason-string" => set(&mut farewell.reason_string, words.text(), words),
        _ => words.take_pair(&mut farewell.user_properties),
    }
}

/// One `-D`, word by word.
struct Words<'a> {
    command: &'a str,
    name: &'a str,
    value: &'a str,
    /// The value of a user property, whose name is `value`.
    second: Option<&'a str>,
}

impl<'a> Words<'a> {
    /// From the command line the words come apart; from the environment or a file a user property
    /// may have its name up to the first space.
    fn new(argument: &'a str) -> Result<Self, UsageError> {
        let missing =
            || UsageError::new("--property argument given but not enough arguments specified.");
        let is_prepared = argument.contains(WORD_END);
        let end = if is_prepared { WORD_END } else { ' ' };
        let (command, rest) = argument.split_once(end).ok_or_else(missing)?;
        let (name, value) = rest.split_once(end).ok_or_else(missing)?;
        let (value, second) = match value.split_once(end) {
            Some((key, second)) if name == "user-property" => (key, Some(second)),
            None if name == "user-property" => return Err(missing()),
            _ => (value, None),
        };
        Ok(Self { command, name, value, second })
    }

    fn text(&self) -> String {
        self.value.to_owned()
    }

    fn number<N: FromStr>(&self) -> Result<N, UsageError> {
        self.value.trim().parse().map_err(|_| self.out_of_range())
    }

    fn number_from<N: FromStr + PartialOrd + Copy>(&self, min: N) -> Result<N, UsageError> {
        let number = self.number()?;
        if number < min { Err(self.out_of_range()) } else { Ok(number) }
    }

    fn flag(&self) -> Result<bool, UsageError> {
        match self.number::<u8>()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(self.out_of_range()),
        }
    }

    fn take_pair(&self, pairs: &mut Vec<(String, String)>) -> Result<(), UsageError> {
        match (self.name, self.second) {
            ("user-property", Some(second)) => {
                pairs.push((self.text(), second.to_owned()));
                Ok(())
            }
            _ if KNOWN.contains(&self.name) => {
                let (name, command) = (self.name, self.command);
                let text =
                    format!("{name} property not allowed for {command} in --property argument.");
                Err(UsageError::new(text))
            }
            _ => Err(self.error("Invalid property name", self.name)),
        }
    }

    fn out_of_range(&self) -> UsageError {
        let (value, name) = (self.value, self.name);
        UsageError::new(format!("Property value ({value}) out of range for property {name}."))
    }

    fn error(&self, what: &str, word: &str) -> UsageError {
        UsageError::new(format!("{what} {word} given in --property argument."))
    }
}

/// Every property of MQTT 5.0 but the user property, which any packet may have.
const KNOWN: [&str; 26] = [
    "assigned-client-identifier",
    "authentication-data",
    "authentication-method",
    "content-type",
    "correlation-data",
    "maximum-packet-size",
    "maximum-qos",
    "message-expiry-interval",
    "payload-format-indicator",
    "reason-string",
    "receive-maximum",
    "request-problem-information",
    "request-response-information",
    "response-information",
    "response-topic",
    "retain-available",
    "server-keep-alive",
    "server-reference",
    "session-expiry-interval",
    "shared-subscription-available",
    "subscription-identifier",
    "subscription-identifier-available",
    "topic-alias",
    "topic-alias-maximum",
    "wildcard-subscription-available",
    "will-delay-interval",
];

/// Sets what can be there only once.
fn set<T>(place: &mut Option<T>, value: T, words: &Words<'_>) -> Result<(), UsageError> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(UsageError::new(format!("{} property was given twice.", words.name))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(rows: &[&str]) -> Result<Properties, UsageError> {
        let arguments = rows.iter().map(|row| row.replace('|', &WORD_END.to_string()));
        Properties::parse(&arguments.collect::<Vec<_>>())
    }

    #[test]
    fn each_packet_has_its_properties() {
        let properties = parse(&[
            "connect|receive-maximum|7",
            "connect|user-property|a b|c d",
            "publish|content-type|text/plain; x",
            "publish|payload-format-indicator|1",
            "publish|topic-alias|3",
            "will|will-delay-interval|9",
            "will|correlation-data|x",
            "subscribe|subscription-identifier|5",
            "unsubscribe|user-property|k|v",
            "disconnect|session-expiry-interval|0",
        ])
        .expect("all of them are good");
        assert_eq!(properties.connect.receive_maximum, Some(7));
        assert_eq!(properties.connect.user_properties, [("a b".to_owned(), "c d".to_owned())]);
        assert_eq!(properties.publish.content_type.as_deref(), Some("text/plain; x"));
        assert_eq!(properties.publish.payload_format, Some(PayloadFormat::Utf8));
        assert_eq!((properties.topic_alias, properties.will_delay_s), (Some(3), Some(9)));
        assert_eq!(properties.will.correlation_data.as_deref(), Some(&b"x"[..]));
        assert_eq!(properties.subscription_identifier, NonZeroU32::new(5));
        assert_eq!(properties.unsubscribe.len(), 1);
        assert_eq!(properties.disconnect.session_expiry_s, Some(0));
        let from_file = parse(&["publish user-property key a value"]).expect("spaces do as well");
        assert_eq!(from_file.publish.user_properties, [("key".to_owned(), "a value".to_owned())]);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for (row, words) in [
            ("publish", "not enough arguments"),
            ("publish|user-property|k", "not enough arguments"),
            ("nonsense|content-type|x", "Invalid command nonsense"),
            ("publish|nonsense|x", "Invalid property name nonsense"),
            ("publish|receive-maximum|1", "not allowed for publish"),
            ("publish|subscription-identifier|1", "not allowed for publish"),
            ("connect|receive-maximum|0", "out of range"),
            ("connect|receive-maximum|70000", "out of range"),
            ("connect|request-problem-information|2", "out of range"),
        ] {
            let error = parse(&[row]).expect_err(row).to_string();
            assert!(error.contains(words), "{row}: {error}");
        }
        let twice = parse(&["publish|content-type|x", "publish|content-type|y"]);
        assert!(twice.expect_err("only one").to_string().contains("twice"));
    }
}
