//! Every message that a model client ever published or left as its will.

use skein::shard::Time;
use skein_protocol::{
    PublishProperties, TopicName,
    properties::{PayloadFormat, UserProperties},
};

use super::{Oracle, violated};

/// Marks the payloads of model clients.
const MARK: [u8; 3] = *b"sim";

/// The properties of one message, all derived from its number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Properties {
    pub(crate) is_text: bool,
    pub(crate) content_type: String,
    pub(crate) response_topic: String,
    pub(crate) correlation_data: Vec<u8>,
    pub(crate) user: Vec<(String, String)>,
}

/// What was said of a message when it was published.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    /// Its number in the alphabet; `None` for the denied one.
    pub(crate) topic: Option<usize>,
    pub(crate) qos: u8,
    pub(crate) retain: bool,
    pub(crate) expiry_s: Option<u32>,
    pub(crate) properties: Option<Properties>,
    pub(crate) payload: Vec<u8>,
    pub(crate) is_will: bool,
}

/// One message.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) facts: Facts,
    /// Each time the core took it, by number.
    pub(super) attempts: Vec<usize>,
    /// How often the core took it and refused it.
    pub(super) refusals: usize,
    /// How often it was refused because its publisher may not.
    pub(super) denials: usize,
    /// The packet id its publisher gave it, if it is not of QoS 0.
    pub(super) packet_id: u16,
    /// PUBACK or PUBREC was seen, and did not refuse it.
    pub(super) is_accepted: bool,
    /// PUBCOMP was seen.
    pub(super) is_completed: bool,
    /// It was refused while nothing could be made durable.
    pub(super) is_refused_by_store: bool,
}

/// The core took a message once.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attempt {
    pub(super) message: usize,
    /// The session that published it.
    pub(super) session: usize,
    pub(super) step: u64,
    pub(super) at: Time,
    pub(super) expires_at: Option<Time>,
    /// Whether a subscription that was confirmed wanted it.
    pub(super) is_wanted: bool,
}

impl Properties {
    fn new(number: usize) -> Self {
        let user = (0..number % 3).map(|at| (format!("k{}", at % 2), format!("{number}-{at}")));
        Self {
            is_text: number.is_multiple_of(2),
            content_type: format!("type/{}", number % 5),
            response_topic: format!("answer/{number}"),
            correlation_data: number.to_be_bytes()[6..].to_vec(),
            user: user.collect(),
        }
    }

    pub(crate) fn pairs(&self) -> Vec<(&str, &str)> {
        self.user.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect()
    }

    /// As the codec wants them; `pairs` are those of [`Properties::pairs`].
    pub(crate) fn fill<'a>(
        &'a self,
        pairs: &'a [(&'a str, &'a str)],
        into: &mut PublishProperties<'a>,
    ) {
        into.payload_format =
            Some(if self.is_text { PayloadFormat::Utf8 } else { PayloadFormat::Bytes });
        into.content_type = Some(&self.content_type);
        into.response_topic = TopicName::new(&self.response_topic).ok();
        into.correlation_data = Some(&self.correlation_data);
        into.user_properties = UserProperties::from_pairs(pairs);
    }
}

impl Facts {
    /// The payload that names message `number`, of about `bytes` bytes.
    fn payload(number: usize, bytes: usize) -> Vec<u8> {
        let mut payload = MARK.to_vec();
        payload.extend_from_slice(&(number as u32).to_be_bytes());
        payload.extend((payload.len()..bytes).map(|at| (at * 7 + number) as u8));
        payload
    }

    /// About how many bytes a PUBLISH of it has, at most.
    pub(super) fn packet_bytes(&self) -> usize {
        let properties = self.properties.as_ref().map_or(0, |properties| {
            let user: usize = properties.user.iter().map(|(k, v)| k.len() + v.len() + 5).sum();
            properties.content_type.len() + properties.response_topic.len() + user + 20
        });
        self.payload.len() + properties + 70
    }
}

impl Oracle {
    /// Enters a message that is about to be published for the first time.
    pub(crate) fn enter(
        &mut self,
        mut facts: Facts,
        payload_bytes: Option<usize>,
        has_properties: bool,
    ) -> usize {
        let number = self.messages.len();
        if let Some(bytes) = payload_bytes {
            facts.payload = Facts::payload(number, bytes);
        }
        facts.properties = has_properties.then(|| Properties::new(number));
        self.messages.push(Message {
            facts,
            attempts: Vec::new(),
            refusals: 0,
            denials: 0,
            packet_id: 0,
            is_accepted: false,
            is_completed: false,
            is_refused_by_store: false,
        });
        number
    }

    /// Its publisher sends it with this packet id.
    pub(crate) fn note_packet_id(&mut self, message: usize, packet_id: u16) {
        self.messages[message].packet_id = packet_id;
    }

    pub(crate) fn facts(&self, message: usize) -> &Facts {
        &self.messages[message].facts
    }

    /// The message with this payload, if a model client made it.
    pub(crate) fn find_message(&self, payload: &[u8]) -> Option<usize> {
        let number = payload.strip_prefix(&MARK)?.first_chunk::<4>()?;
        let number = u32::from_be_bytes(*number) as usize;
        let message = self.messages.get(number)?;
        (message.facts.payload == payload).then_some(number)
    }
}

/// What was published with a message is what it comes with.
pub(super) fn check_properties(facts: &Facts, found: &PublishProperties<'_>) {
    let user: Vec<(&str, &str)> = found.user_properties.iter().collect();
    let is_right = match &facts.properties {
        None => {
            found.payload_format.is_none()
                && found.content_type.is_none()
                && found.response_topic.is_none()
                && found.correlation_data.is_none()
                && user.is_empty()
        }
        Some(known) => {
            let is_text = found.payload_format.map(|format| format == PayloadFormat::Utf8);
            is_text == Some(known.is_text)
                && found.content_type == Some(&known.content_type)
                && found.response_topic.map(|topic| topic.as_str()) == Some(&known.response_topic)
                && found.correlation_data == Some(&known.correlation_data)
                && user == known.pairs()
        }
    };
    if !is_right {
        violated!("properties are unaltered and in order", "{:?}: {found:?}", facts.properties);
    }
}
