//! Topic aliases of one connection, both ways (3.3.2.3.4).

use std::num::NonZeroU16;
use std::sync::Arc;

use skein_protocol::{Error, TopicName};

use crate::message::alias;

/// The aliases the server has set.
#[derive(Debug, Default)]
pub(super) struct Inbound {
    topics: Vec<Option<Arc<str>>>,
    maximum: u16,
    /// The last topic that came without an alias: streams repeat themselves, and one allocation
    /// then serves many messages.
    last: Option<Arc<str>>,
}

impl Inbound {
    /// No alias set, and none above the maximum allowed.
    pub(super) fn new(maximum: u16) -> Self {
        Self { maximum, ..Self::default() }
    }

    /// The topic of a PUBLISH that has this topic and this alias.
    ///
    /// # Errors
    /// An alias above the maximum [MQTT-3.3.2-9], or one that was never set.
    pub(super) fn resolve(
        &mut self,
        topic: Option<TopicName<'_>>,
        alias: Option<NonZeroU16>,
    ) -> Result<Arc<str>, Error> {
        let Some(alias) = alias else {
            return topic.map(|topic| self.share(topic)).ok_or(Error::TopicMissing);
        };
        if alias.get() > self.maximum {
            return Err(Error::TopicAliasTooLarge);
        }
        let index = usize::from(alias.get()) - 1;
        match topic {
            None => self.topics.get(index).cloned().flatten().ok_or(Error::TopicAliasUnknown),
            Some(topic) => {
                let topic: Arc<str> = topic.as_str().into();
                if self.topics.len() <= index {
                    self.topics.resize(index + 1, None);
                }
                self.topics[index] = Some(Arc::clone(&topic));
                Ok(topic)
            }
        }
    }

    fn share(&mut self, topic: TopicName<'_>) -> Arc<str> {
        match &self.last {
            Some(last) if **last == *topic.as_str() => Arc::clone(last),
            _ => Arc::clone(self.last.insert(topic.as_str().into())),
        }
    }
}

/// The aliases this side has set: a topic has one place, and who came last has it.
#[derive(Debug, Default)]
pub(super) struct Outbound {
    topics: Vec<Option<Arc<str>>>,
}

/// How a topic is written.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Written {
    /// In full.
    Topic,
    /// In full, and it sets this alias.
    Both(NonZeroU16),
    /// As this alias alone.
    Alias(NonZeroU16),
}

impl Outbound {
    /// No alias set, and this many allowed.
    pub(super) fn new(maximum: u16) -> Self {
        Self { topics: vec![None; usize::from(maximum)] }
    }

    /// Aliases to measure a packet with, which is longest when it sets one.
    pub(super) fn measure(&self) -> Self {
        Self::new(u16::from(!self.topics.is_empty()))
    }

    /// How this topic is to be written now. Topics shorter than what an alias takes get none.
    pub(super) fn write(&mut self, topic: &str) -> Written {
        /// Identifier and value of the property.
        const ALIAS_BYTES: usize = 3;
        if self.topics.is_empty() || topic.len() <= ALIAS_BYTES {
            return Written::Topic;
        }
        let place = hash(topic) % self.topics.len();
        let Some(alias) = alias(place + 1) else { return Written::Topic };
        if self.topics[place].as_deref() == Some(topic) {
            return Written::Alias(alias);
        }
        self.topics[place] = Some(topic.into());
        Written::Both(alias)
    }
}

/// FNV-1a: where in the table a topic belongs. The topics are this client's own, so nobody else
/// can make them collide.
fn hash(topic: &str) -> usize {
    let hash = topic.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    (hash >> 32) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(topic: &str) -> Option<TopicName<'_>> {
        Some(TopicName::new(topic).unwrap())
    }

    /// [MQTT-3.3.2-7] [MQTT-3.3.2-9]
    #[test]
    fn an_alias_stands_for_the_topic_that_set_it() {
        let mut inbound = Inbound::new(2);
        assert_eq!(inbound.resolve(None, alias(1)), Err(Error::TopicAliasUnknown));
        assert_eq!(inbound.resolve(name("a"), alias(1)).as_deref(), Ok("a"));
        assert_eq!(inbound.resolve(name("b"), alias(2)).as_deref(), Ok("b"));
        assert_eq!(inbound.resolve(None, alias(1)).as_deref(), Ok("a"));
        assert_eq!(inbound.resolve(name("c"), alias(1)).as_deref(), Ok("c"));
        assert_eq!(inbound.resolve(None, alias(1)).as_deref(), Ok("c"));
        assert_eq!(inbound.resolve(name("d"), alias(3)), Err(Error::TopicAliasTooLarge));
        assert_eq!(inbound.resolve(name("d"), None).as_deref(), Ok("d"));
    }

    #[test]
    fn a_topic_is_written_once_and_then_as_its_alias() {
        let mut outbound = Outbound::new(1);
        let one = alias(1).unwrap();
        assert_eq!(outbound.write("home/a"), Written::Both(one));
        assert_eq!(outbound.write("home/a"), Written::Alias(one));
        assert_eq!(outbound.write("home/b"), Written::Both(one));
        assert_eq!(outbound.write("home/a"), Written::Both(one));
        assert_eq!(outbound.write("abc"), Written::Topic);
        assert_eq!(Outbound::new(0).write("home/a"), Written::Topic);
    }
}
