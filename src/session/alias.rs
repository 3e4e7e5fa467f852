//! Topic aliases of one connection, each way (MQTT 5, 3.3.2.3.4). They end with the connection.

use std::num::NonZeroU16;

use ahash::{AHashMap, RandomState};
use skein_protocol::Error;

/// The aliases a client has set: alias → topic.
#[derive(Debug, Default)]
pub struct IncomingAliases {
    topics: Vec<Option<Box<str>>>,
    bytes: usize,
}

impl IncomingAliases {
    /// Bytes of all topics that have an alias.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The whole topic of a PUBLISH that names `alias` and perhaps a topic; a topic sets the
    /// alias anew. `alias_max` is what the CONNACK granted.
    ///
    /// # Errors
    /// An alias above the maximum [MQTT-3.3.2-9], or one that was never set.
    pub fn resolve<'a>(
        &'a mut self,
        alias: NonZeroU16,
        topic: Option<&str>,
        alias_max: u16,
    ) -> Result<&'a str, Error> {
        if alias.get() > alias_max {
            return Err(Error::TopicAliasTooLarge);
        }
        let index = usize::from(alias.get()) - 1;
        if let Some(topic) = topic {
            if self.topics.len() <= index {
                self.topics.resize(index + 1, None);
            }
            let old = self.topics[index].replace(topic.into());
            self.bytes += topic.len();
            self.bytes -= old.map_or(0, |old| old.len());
        }
        self.topics.get(index).and_then(Option::as_deref).ok_or(Error::TopicAliasUnknown)
    }
}

/// How the topic of one outgoing PUBLISH is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TopicField {
    /// The topic alone.
    Whole,
    /// The topic, and from now on this alias for it.
    Introduces(u16),
    /// No topic: the alias stands for it.
    Alias(u16),
}

/// The aliases we have set towards a client: topic → alias, first come, until the client's
/// Topic Alias Maximum is reached [MQTT-3.1.2-26].
#[derive(Debug)]
pub struct OutgoingAliases {
    aliases: AHashMap<Box<str>, u16>,
    alias_max: u16,
}

impl OutgoingAliases {
    /// None set yet, at most `alias_max`.
    pub fn new(alias_max: u16, hasher: RandomState) -> Self {
        Self { aliases: AHashMap::with_hasher(hasher), alias_max }
    }

    /// How to write this topic. The alias counts as set only after [`OutgoingAliases::introduced`]:
    /// a packet that turns out too large introduces nothing.
    pub fn field(&self, topic: &str) -> TopicField {
        match self.aliases.get(topic) {
            Some(&alias) => TopicField::Alias(alias),
            None if self.aliases.len() < usize::from(self.alias_max) => {
                TopicField::Introduces(self.aliases.len() as u16 + 1)
            }
            None => TopicField::Whole,
        }
    }

    /// The packet that introduces this alias is on its way.
    pub fn introduced(&mut self, topic: &str, alias: u16) {
        self.aliases.insert(topic.into(), alias);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alias(value: u16) -> NonZeroU16 {
        NonZeroU16::new(value).expect("tests use aliases above zero")
    }

    #[test]
    fn an_alias_keeps_its_topic_until_set_anew() {
        let mut aliases = IncomingAliases::default();
        assert_eq!(aliases.resolve(alias(2), Some("a"), 4).ok(), Some("a"));
        assert_eq!(aliases.resolve(alias(2), None, 4).ok(), Some("a"));
        assert_eq!(aliases.resolve(alias(2), Some("b"), 4).ok(), Some("b"));
        assert_eq!(aliases.resolve(alias(2), None, 4).ok(), Some("b"));
        assert_eq!(aliases.resolve(alias(1), Some("abc"), 4).ok(), Some("abc"));
        assert_eq!(aliases.resolve(alias(1), Some("abcd"), 4).ok(), Some("abcd"));
        assert_eq!(aliases.bytes(), 5);
    }

    #[test]
    fn mqtt_3_3_2_9_an_alias_above_the_maximum_is_refused() {
        let refused = IncomingAliases::default().resolve(alias(5), Some("a"), 4).err();
        assert_eq!(refused, Some(Error::TopicAliasTooLarge));
    }

    #[test]
    fn an_alias_never_set_is_refused() {
        let refused = IncomingAliases::default().resolve(alias(1), None, 4).err();
        assert_eq!(refused, Some(Error::TopicAliasUnknown));
    }

    #[test]
    fn outgoing_aliases_are_introduced_once_and_never_above_the_maximum() {
        let mut aliases = OutgoingAliases::new(1, RandomState::with_seeds(1, 2, 3, 4));
        assert_eq!(aliases.field("a"), TopicField::Introduces(1));
        assert_eq!(aliases.field("a"), TopicField::Introduces(1));
        aliases.introduced("a", 1);
        assert_eq!(aliases.field("a"), TopicField::Alias(1));
        assert_eq!(aliases.field("b"), TopicField::Whole);
    }
}
