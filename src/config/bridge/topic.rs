//! What goes over a bridge, which way, and what it is called on either side.

use skein_protocol::{QoS, TopicFilter, TopicName};

use super::{Allowed, DeValue, Reader, Row, Value, quote, section, words};

section! {
    /// What goes where: one of the `topics` of a bridge.
    BridgeTopic = "bridge.topics";
    /// The topics, without the prefixes; empty = the one topic that the prefixes are.
    filter: String = String::new(), .., "other topics stay where they are";
    /// Where they go: out, to the other broker; in, from it; or both.
    direction: Direction = Direction::Out, .., "messages of the other direction stay where they are";
    /// The highest QoS.
    qos: QoS = QoS::AtMostOnce, .., "messages of a higher one are sent with this one";
    /// What topics begin with in this broker.
    local_prefix: String = String::new(), .., "it is replaced by remote_prefix";
    /// What topics begin with in the other broker.
    remote_prefix: String = String::new(), .., "it is replaced by local_prefix";
}

/// Where messages go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// To the other broker.
    Out,
    /// From the other broker.
    In,
    /// Both.
    Both,
}

words!(
    Direction,
    "\"out\", \"in\" or \"both\"",
    Direction::Out = "out",
    Direction::In = "in",
    Direction::Both = "both"
);

impl Direction {
    /// Whether messages go to the other broker.
    #[must_use]
    pub fn is_out(self) -> bool {
        self != Self::In
    }

    /// Whether messages come from the other broker.
    #[must_use]
    pub fn is_in(self) -> bool {
        self != Self::Out
    }
}

impl BridgeTopic {
    /// The filter in this broker.
    #[must_use]
    pub fn local_filter(&self) -> String {
        format!("{}{}", self.local_prefix, self.filter)
    }

    /// The filter in the other broker.
    #[must_use]
    pub fn remote_filter(&self) -> String {
        format!("{}{}", self.remote_prefix, self.filter)
    }

    /// What a topic of this broker is called in the other one, if it goes there.
    #[must_use]
    pub fn outward(&self, topic: &str) -> Option<String> {
        let filter = self.direction.is_out().then_some(self.filter.as_str())?;
        map(topic, filter, &self.local_prefix, &self.remote_prefix)
    }

    /// What a topic of the other broker is called in this one, if it comes here.
    #[must_use]
    pub fn inward(&self, topic: &str) -> Option<String> {
        let filter = self.direction.is_in().then_some(self.filter.as_str())?;
        map(topic, filter, &self.remote_prefix, &self.local_prefix)
    }

    /// What is wrong with it.
    pub(in crate::config) fn fault(&self) -> Option<String> {
        for (side, filter) in [("local", self.local_filter()), ("remote", self.remote_filter())] {
            let text = quote(&filter);
            match TopicFilter::new(&filter) {
                Err(error) => {
                    return Some(format!("the {side} topics {text} are none: {error}"));
                }
                Ok(filter) if filter.share().is_some() => {
                    return Some(format!(
                        "the {side} topics {text} name a share, of which a bridge would get a part \
                         only; leave out $share and the name behind it"
                    ));
                }
                Ok(_) => {}
            }
        }
        let prefixes = [&self.local_prefix, &self.remote_prefix];
        prefixes.into_iter().any(|prefix| prefix.contains(['+', '#'])).then(|| {
            "a prefix with a wildcard could not be put in front of a topic; write wildcards into \
             filter"
                .to_owned()
        })
    }
}

/// A topic that begins with `from` and goes on as the filter says, with `to` in front instead.
fn map(topic: &str, filter: &str, from: &str, to: &str) -> Option<String> {
    // The whole filter, so that a wildcard in the beginning takes no topic of the broker itself.
    let whole = format!("{from}{filter}");
    let whole = TopicFilter::new(&whole).ok()?;
    let rest = topic.strip_prefix(from)?;
    if !whole.matches(TopicName::new(topic).ok()?) {
        return None;
    }
    let mapped = format!("{to}{rest}");
    TopicName::new(&mapped).ok()?;
    Some(mapped)
}
