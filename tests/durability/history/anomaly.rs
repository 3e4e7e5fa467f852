//! What a history can show that must not happen.

use std::fmt;

use skein_protocol::QoS;

use super::{Message, Operation};

/// A promise that was not kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Anomaly {
    /// Acknowledged, and never delivered to a session that was subscribed before.
    Lost { client: usize, message: Message, filter: String },
    /// Published and delivered with QoS 2, more than once to one session [MQTT-4.3.3-10].
    Twice { client: usize, message: Message, times: usize },
    /// Delivered for the first time behind a later one of its publisher and topic [MQTT-4.6.0-5].
    Disordered { client: usize, message: Message, behind: u64 },
    /// A topic does not retain the last message that was published to it [MQTT-3.3.1-5].
    NotKept { message: Message, kept: Option<Message> },
    /// A session that outlives its connection was not there any more [MQTT-3.1.2-5].
    Forgotten { client: usize },
    /// Delivered without a subscription for it.
    Unasked { client: usize, message: Message },
    /// Delivered, and nobody has published it to this topic.
    Invented { client: usize, message: Message },
    /// Delivered with a QoS that is not the lower one of message and subscription [MQTT-3.8.4-8].
    WrongQoS { client: usize, message: Message, qos: QoS },
    /// A packet came that may not come, or a payload that nobody has sent.
    Violated { client: usize, what: String },
}

/// Operations that are shown before the one that tells of an anomaly, and behind it.
const SHOWN: usize = 40;

impl Anomaly {
    /// What its client has done and seen around it, and what happened to its message.
    pub(crate) fn context(&self, history: &[Operation]) -> String {
        let (client, message) = match self {
            Self::Lost { client, message, .. }
            | Self::Twice { client, message, .. }
            | Self::Disordered { client, message, .. }
            | Self::Unasked { client, message }
            | Self::Invented { client, message }
            | Self::WrongQoS { client, message, .. } => (*client, Some(*message)),
            Self::NotKept { message, .. } => (message.publisher, Some(*message)),
            Self::Forgotten { client } | Self::Violated { client, .. } => (*client, None),
        };
        let concerns = |operation: &&Operation| operation.concerns(client, message);
        let lines: Vec<String> =
            history.iter().filter(concerns).map(|it| format!("    {it:?}")).collect();
        let at = lines.iter().rposition(|line| match message {
            Some(it) => line.contains(&format!("{it:?}")),
            None => true,
        });
        let at = at.unwrap_or(lines.len());
        lines[at.saturating_sub(SHOWN)..lines.len().min(at + SHOWN)].join("\n")
    }
}

impl fmt::Display for Anomaly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lost { client, message, filter } => {
                write!(
                    f,
                    "client {client} never got {message} for {filter}, which was acknowledged"
                )
            }
            Self::Twice { client, message, times } => {
                write!(f, "client {client} got {message} {times} times with QoS 2")
            }
            Self::Disordered { client, message, behind } => {
                write!(f, "client {client} got {message} behind number {behind}")
            }
            Self::NotKept { message, kept: Some(kept) } => {
                write!(f, "{message} was to be retained, and {kept} is")
            }
            Self::NotKept { message, kept: None } => {
                write!(f, "{message} was to be retained, and nothing is")
            }
            Self::Forgotten { client } => write!(f, "the session of client {client} was gone"),
            Self::Unasked { client, message } => {
                write!(f, "client {client} got {message}, and had not asked for it")
            }
            Self::Invented { client, message } => {
                write!(f, "client {client} got {message}, which nobody had published there")
            }
            Self::WrongQoS { client, message, qos } => {
                write!(f, "client {client} got {message} with QoS {qos}")
            }
            Self::Violated { client, what } => write!(f, "client {client}: {what}"),
        }
    }
}
