//! What the numbers in packets stand for: a topic for its alias, and topics or filters for the identifier of
//! the packet that named them.

use std::collections::HashMap;

/// Of a topic so many letters are remembered, and of a packet so many topics.
const TOPIC_LETTERS_MAX: usize = 256;
const TOPICS_MAX: usize = 16;

/// What is remembered of a direction takes no more memory. Beyond it all is forgotten: most of it was never
/// answered then, and what answers the rest is told without its topics.
const REMEMBERED_BYTES_MAX: usize = 1024 * 1024;
/// A number without its topics takes about as much.
const NUMBER_BYTES: usize = 64;

/// Topics by number.
#[derive(Debug, Default)]
pub(super) struct Remembered {
    topics: HashMap<u16, Vec<String>>,
    bytes: usize,
}

impl Remembered {
    /// The number stands for these from now on.
    pub(super) fn put(&mut self, number: u16, topics: &[String]) {
        self.take(number);
        let shortened = |text: &String| text.chars().take(TOPIC_LETTERS_MAX).collect();
        let topics: Vec<String> = topics.iter().take(TOPICS_MAX).map(shortened).collect();
        let size = size(&topics);
        if self.bytes + size > REMEMBERED_BYTES_MAX {
            *self = Self::default();
        }
        self.bytes += size;
        self.topics.insert(number, topics);
    }

    /// What a number stands for; nothing if that is not known.
    pub(super) fn of(&self, number: u16) -> Vec<String> {
        self.topics.get(&number).cloned().unwrap_or_default()
    }

    /// The same, and from now on it stands for nothing.
    pub(super) fn take(&mut self, number: u16) -> Vec<String> {
        let Some(topics) = self.topics.remove(&number) else { return Vec::new() };
        self.bytes -= size(&topics);
        topics
    }
}

fn size(topics: &[String]) -> usize {
    let of_texts: usize = topics.iter().map(|text| size_of::<String>() + text.len()).sum();
    NUMBER_BYTES + of_texts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn a_number_stands_for_what_was_said_last() {
        let mut remembered = Remembered::default();
        remembered.put(7, &own(&["a"]));
        remembered.put(7, &own(&["b", "c"]));
        assert_eq!(remembered.of(7), ["b", "c"]);
        assert_eq!(remembered.take(7), ["b", "c"]);
        assert!(remembered.of(7).is_empty() && remembered.take(7).is_empty());
        assert_eq!(remembered.bytes, 0);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut remembered = Remembered::default();
        let long = vec!["\u{1f600}".repeat(1_000); 100];
        for number in 0..500 {
            remembered.put(number, &long);
            assert!(remembered.bytes <= REMEMBERED_BYTES_MAX);
            // What was said last is known in any case.
            assert_eq!(remembered.topics[&number].len(), TOPICS_MAX);
        }
        let bytes: usize = remembered.topics.values().map(|topics| size(topics)).sum();
        assert_eq!(bytes, remembered.bytes);
    }
}
