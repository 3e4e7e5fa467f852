//! A retained message as a line of JSON.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};
use skein_client::{Message, PayloadFormat, Properties, Publish};

use crate::cli::mqtt::{check_topic, qos};

/// A retained message as JSON.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Record {
    topic: String,
    qos: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload_base64: Option<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    is_text: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    message_expiry_s: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_topic: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    correlation_data_base64: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    user_properties: Vec<(String, String)>,
}

impl Record {
    pub(super) fn new(message: &Message) -> Self {
        let text = message.text().ok().map(str::to_owned);
        let own = message.properties().cloned().unwrap_or_default();
        Self {
            topic: message.topic().to_owned(),
            qos: message.qos() as u8,
            payload_base64: text.is_none().then(|| BASE64.encode(message.payload())),
            payload: text,
            is_text: own.payload_format == Some(PayloadFormat::Utf8),
            message_expiry_s: own.message_expiry_s,
            content_type: own.content_type,
            response_topic: own.response_topic,
            correlation_data_base64: own.correlation_data.map(|data| BASE64.encode(data)),
            user_properties: own.user_properties,
        }
    }

    /// The message.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn publish(self) -> Result<Publish, String> {
        check_topic("publish", &self.topic).map_err(|error| error.to_string())?;
        let decode = |text: String| BASE64.decode(text).map_err(|error| error.to_string());
        let payload = match (self.payload, self.payload_base64) {
            (Some(text), None) => text.into_bytes(),
            (None, Some(text)) => decode(text)?,
            _ => return Err("one of payload and payload_base64 is needed".to_owned()),
        };
        if self.qos > 2 {
            return Err(format!("{} is no QoS", self.qos));
        }
        let properties = Properties {
            payload_format: self.is_text.then_some(PayloadFormat::Utf8),
            message_expiry_s: self.message_expiry_s,
            content_type: self.content_type,
            response_topic: self.response_topic,
            correlation_data: self.correlation_data_base64.map(decode).transpose()?.map(Into::into),
            user_properties: self.user_properties,
        };
        let mut publish = Publish::new(self.topic, payload).qos(qos(self.qos)).retain();
        if properties != Properties::default() {
            *publish.properties_mut() = properties;
        }
        Ok(publish)
    }
}

#[cfg(test)]
mod tests {
    use skein_client::QoS;

    use super::*;

    #[test]
    fn a_record_is_a_message_or_says_why_not() {
        let parse =
            |text: &str| serde_json::from_str::<Record>(text).map_err(|error| error.to_string());
        let publish = |text: &str| parse(text).and_then(Record::publish);
        let message = publish(
            "{\"topic\":\"t\",\"qos\":2,\"payload_base64\":\"AP8=\",\"content_type\":\"c\",\
             \"user_properties\":[[\"k\",\"v\"]]}",
        );
        let message = message.expect("a message");
        assert_eq!((message.topic(), &message.payload()[..]), ("t", &[0, 255][..]));
        assert!(message.is_retained() && message.level() == QoS::ExactlyOnce);
        let properties = message.properties().expect("it has some");
        assert_eq!(properties.user_properties, [("k".to_owned(), "v".to_owned())]);
        for (text, words) in [
            ("{", "EOF"),
            ("{\"topic\":\"t\"}", "one of payload"),
            ("{\"topic\":\"t\",\"payload\":\"\",\"qos\":3}", "3 is no QoS"),
            ("{\"topic\":\"t\",\"payload_base64\":\"!\"}", "Invalid"),
            ("{\"topic\":\"a/#\",\"payload\":\"\"}", "Invalid publish topic 'a/#'"),
            ("{\"topic\":\"t\",\"nonsense\":1}", "unknown field"),
        ] {
            let error = publish(text).expect_err(text);
            assert!(error.contains(words), "{text}: {error}");
        }
    }
}
