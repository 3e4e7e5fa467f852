//! What a message becomes on the other side of a bridge.

use skein_client::{Message, Publish, QoS};

use super::trace::{self, Names};
use crate::config::BridgeTopic;

/// One of the two clients of a bridge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    /// The client of this broker.
    Local,
    /// The client of the other broker.
    Remote,
}

impl Side {
    pub(super) fn other(self) -> Self {
        match self {
            Self::Local => Self::Remote,
            Self::Remote => Self::Local,
        }
    }
}

/// Why a message is not carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Left {
    /// No topic of the bridge is about it.
    Unmapped,
    /// It has been where it would go.
    Circling,
}

/// The message that comes from this side, as it goes on at the other.
///
/// # Errors
/// Why it does not.
pub(super) fn carry(
    message: &Message,
    from: Side,
    topics: &[BridgeTopic],
    own: &str,
    names: &Names,
) -> Result<Publish, Left> {
    let (topic, qos) = map(message.topic(), from, topics).ok_or(Left::Unmapped)?;
    let may_pass = match from {
        Side::Local => trace::may_leave(message, names),
        Side::Remote => trace::may_enter(message, own),
    };
    if !may_pass {
        return Err(Left::Circling);
    }
    let mut publish = Publish::new(topic, message.payload().clone()).qos(message.qos().min(qos));
    if message.is_retained() {
        publish = publish.retain();
    }
    if let Some(properties) = message.properties() {
        *publish.properties_mut() = properties.clone();
    }
    trace::note(publish.properties_mut(), own, (from == Side::Remote).then_some(names));
    Ok(publish)
}

/// Whether what the other broker would call this topic of this one is brought here by that name.
pub(super) fn comes_in(topic: &str, topics: &[BridgeTopic]) -> bool {
    let there = map(topic, Side::Local, topics).map(|(there, _)| there);
    there.and_then(|there| map(&there, Side::Remote, topics)).is_some_and(|(here, _)| here == topic)
}

/// The topic at the other side and the highest QoS there, by the first of the topics that is about it.
fn map(topic: &str, from: Side, topics: &[BridgeTopic]) -> Option<(String, QoS)> {
    topics.iter().find_map(|each| {
        let mapped = match from {
            Side::Local => each.outward(topic),
            Side::Remote => each.inward(topic),
        };
        mapped.map(|mapped| (mapped, each.qos))
    })
}
