//! Topic names and topic filters (4.7, 4.8): text that has been checked once and for all.

use std::fmt;

use crate::Error;
use crate::wire::Reader;

/// The longest topic name or filter in bytes [MQTT-4.7.3-3].
const TOPIC_BYTES_MAX: usize = 65_535;

/// How the filter of a shared subscription begins (4.8.2).
const SHARE_PREFIX: &str = "$share/";

/// The topic of a message: UTF-8, 1 to 65,535 bytes, no U+0000, no wildcard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicName<'a>(&'a str);

impl<'a> TopicName<'a> {
    /// Checks the text against the rules for names.
    ///
    /// # Errors
    /// Empty [MQTT-4.7.3-1], U+0000 [MQTT-4.7.3-2], too long [MQTT-4.7.3-3], a wildcard
    /// [MQTT-3.3.2-2].
    #[inline]
    pub fn new(text: &'a str) -> Result<Self, Error> {
        // One pass without an early exit, which the compiler turns into vector instructions.
        let forbidden = text
            .bytes()
            .fold(false, |found, byte| found | (byte == 0) | (byte == b'+') | (byte == b'#'));
        if forbidden || text.is_empty() || text.len() > TOPIC_BYTES_MAX {
            return Err(Self::error(text));
        }
        Ok(Self(text))
    }

    /// Skips the checks for text that came out of a topic name before.
    #[inline]
    pub fn assume_valid(text: &'a str) -> Self {
        debug_assert!(Self::new(text).is_ok(), "{text:?} is no topic name");
        Self(text)
    }

    /// The whole text.
    #[inline]
    pub fn as_str(self) -> &'a str {
        self.0
    }

    /// The levels between the slashes, empty ones included.
    #[inline]
    pub fn levels(self) -> impl Iterator<Item = &'a str> {
        self.0.split('/')
    }

    /// How many levels there are: one more than slashes.
    #[inline]
    pub fn level_count(self) -> usize {
        level_count(self.0)
    }

    /// Whether it starts with `$`, so that no leading wildcard matches it [MQTT-4.7.2-1].
    #[inline]
    pub fn is_reserved(self) -> bool {
        self.0.starts_with('$')
    }

    /// A name off the wire: well-formed UTF-8 [MQTT-3.3.2-1] that is a topic name.
    ///
    /// `known` is one that came before and may come again: that takes a comparison only.
    #[inline]
    pub(crate) fn from_wire(bytes: &'a [u8], known: Option<Self>) -> Result<Self, Error> {
        if let Some(known) = known
            && known.0.as_bytes() == bytes
        {
            return Ok(known);
        }
        Self::new(str::from_utf8(bytes).map_err(|_| Error::TopicNameNotUtf8)?)
    }

    #[cold]
    fn error(text: &str) -> Error {
        match () {
            () if text.is_empty() => Error::TopicNameEmpty,
            () if text.len() > TOPIC_BYTES_MAX => Error::TopicNameTooLong,
            () if text.contains('\0') => Error::TopicNameWithNull,
            () => Error::TopicNameWildcard,
        }
    }
}

impl fmt::Display for TopicName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// What a subscription asks for: a pattern of levels, perhaps shared as `$share/name/pattern`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicFilter<'a> {
    text: &'a str,
    /// Where the pattern begins: 0, or behind `$share/name/`.
    pattern_start: usize,
}

impl<'a> TopicFilter<'a> {
    /// Checks the text against the rules for filters; `$share/…` is shared in every version.
    ///
    /// # Errors
    /// Empty [MQTT-4.7.3-1], U+0000 [MQTT-4.7.3-2], too long [MQTT-4.7.3-3], a misplaced `#`
    /// [MQTT-4.7.1-1] or `+` [MQTT-4.7.1-2], a bad share name [MQTT-4.8.2-1] [MQTT-4.8.2-2].
    pub fn new(text: &'a str) -> Result<Self, Error> {
        match () {
            () if text.is_empty() => return Err(Error::TopicFilterEmpty),
            () if text.len() > TOPIC_BYTES_MAX => return Err(Error::TopicFilterTooLong),
            () if text.as_bytes().contains(&0) => return Err(Error::TopicFilterWithNull),
            () => {}
        }
        if let Some(shared) = text.strip_prefix(SHARE_PREFIX) {
            check_share(shared)?;
        }
        let filter = Self::assume_valid_start(text);
        check_levels(filter.pattern())?;
        Ok(filter)
    }

    /// Skips the checks for text that came out of a topic filter before.
    #[inline]
    pub fn assume_valid(text: &'a str) -> Self {
        debug_assert!(Self::new(text).is_ok(), "{text:?} is no topic filter");
        Self::assume_valid_start(text)
    }

    /// The whole text, `$share/name/` included.
    #[inline]
    pub fn as_str(self) -> &'a str {
        self.text
    }

    /// The share name of a shared subscription (4.8.2).
    #[inline]
    pub fn share(self) -> Option<&'a str> {
        (self.pattern_start > 0).then(|| &self.text[SHARE_PREFIX.len()..self.pattern_start - 1])
    }

    /// The filter without `$share/name/`: what topics are compared with.
    #[inline]
    pub fn pattern(self) -> &'a str {
        &self.text[self.pattern_start..]
    }

    /// Whether the pattern has a `+` or a `#`.
    #[inline]
    pub fn has_wildcard(self) -> bool {
        self.pattern().bytes().any(|byte| matches!(byte, b'+' | b'#'))
    }

    /// The levels of the pattern, empty ones included.
    #[inline]
    pub fn levels(self) -> impl Iterator<Item = &'a str> {
        self.pattern().split('/')
    }

    /// How many levels the pattern has.
    #[inline]
    pub fn level_count(self) -> usize {
        level_count(self.pattern())
    }

    /// Whether a message with this topic is asked for; level by level, with no index behind it.
    ///
    /// `a/#` takes `a` as well (4.7.1.2), and a leading wildcard takes no topic that starts with
    /// `$` [MQTT-4.7.2-1].
    pub fn matches(self, topic: TopicName<'_>) -> bool {
        if topic.is_reserved() && self.pattern().starts_with(['+', '#']) {
            return false;
        }
        let mut names = topic.levels();
        for level in self.levels() {
            match (level, names.next()) {
                ("#", _) => return true,
                ("+", Some(_)) => {}
                (level, Some(name)) if level == name => {}
                _ => return false,
            }
        }
        names.next().is_none()
    }

    /// Reads a filter, a string with its length in front [MQTT-3.8.3-1] [MQTT-3.10.3-1].
    pub(crate) fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        Self::new(str::from_utf8(reader.binary()?).map_err(|_| Error::TopicFilterNotUtf8)?)
    }

    #[inline]
    fn assume_valid_start(text: &'a str) -> Self {
        let shared = text.strip_prefix(SHARE_PREFIX).and_then(|shared| shared.find('/'));
        let pattern_start = shared.map_or(0, |slash| SHARE_PREFIX.len() + slash + 1);
        Self { text, pattern_start }
    }
}

impl fmt::Display for TopicFilter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text)
    }
}

fn level_count(text: &str) -> usize {
    1 + text.bytes().filter(|byte| *byte == b'/').count()
}

/// Checks what follows `$share/`: a name, a slash and a filter that is not empty.
fn check_share(shared: &str) -> Result<(), Error> {
    let (name, pattern) = shared.split_once('/').unwrap_or((shared, ""));
    if name.is_empty() {
        return Err(Error::ShareNameEmpty);
    }
    if name.contains(['+', '#']) || pattern.is_empty() {
        return Err(Error::ShareNameInvalid);
    }
    Ok(())
}

/// Checks that wildcards are whole levels and that `#` is the last one.
fn check_levels(pattern: &str) -> Result<(), Error> {
    let mut ended = false;
    for level in pattern.split('/') {
        if ended || (level.len() > 1 && level.contains('#')) {
            return Err(Error::TopicFilterMultiLevel);
        }
        if level.len() > 1 && level.contains('+') {
            return Err(Error::TopicFilterSingleLevel);
        }
        ended = level == "#";
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> TopicName<'_> {
        TopicName::new(text).unwrap()
    }

    fn filter(text: &str) -> TopicFilter<'_> {
        TopicFilter::new(text).unwrap()
    }

    /// [MQTT-3.3.2-2] [MQTT-4.7.3-1] [MQTT-4.7.3-2] [MQTT-4.7.3-3]
    #[test]
    fn names_are_refused_by_the_clause_they_break() {
        let long = "a".repeat(65_536);
        let rows = [
            ("", Error::TopicNameEmpty),
            ("a\0b", Error::TopicNameWithNull),
            ("a/+", Error::TopicNameWildcard),
            ("a#", Error::TopicNameWildcard),
            (&long, Error::TopicNameTooLong),
        ];
        for (text, error) in rows {
            assert_eq!(TopicName::new(text), Err(error));
        }
        for text in ["/", "a", " ", "$SYS/x", "Accounts payable", "é/\u{FEFF}", &long[..65_535]] {
            assert_eq!(name(text).as_str(), text);
        }
    }

    #[test]
    fn levels_include_the_empty_ones() {
        assert_eq!(name("/a//").levels().collect::<Vec<_>>(), ["", "a", "", ""]);
        assert_eq!((name("/a//").level_count(), name("a").level_count()), (4, 1));
        assert_eq!(filter("$share/g/a/+").levels().collect::<Vec<_>>(), ["a", "+"]);
        assert_eq!(filter("$share/g/a/+").level_count(), 2);
        assert!(name("$SYS").is_reserved() && !name("a/$SYS").is_reserved());
    }

    /// [MQTT-4.7.1-1] [MQTT-4.7.1-2] [MQTT-4.7.3-1] [MQTT-4.7.3-2] [MQTT-4.7.3-3]
    #[test]
    fn filters_are_refused_by_the_clause_they_break() {
        let long = "a".repeat(65_536);
        let rows = [
            ("", Error::TopicFilterEmpty),
            ("a\0", Error::TopicFilterWithNull),
            (&long, Error::TopicFilterTooLong),
            ("a/#/b", Error::TopicFilterMultiLevel),
            ("#/", Error::TopicFilterMultiLevel),
            ("#a", Error::TopicFilterMultiLevel),
            ("a#", Error::TopicFilterMultiLevel),
            ("##", Error::TopicFilterMultiLevel),
            ("a+/b", Error::TopicFilterSingleLevel),
            ("++", Error::TopicFilterSingleLevel),
            ("a/+b", Error::TopicFilterSingleLevel),
        ];
        for (text, error) in rows {
            assert_eq!(TopicFilter::new(text), Err(error), "{text:.9}");
        }
        for text in ["#", "+", "/", "+/+/#", "sport/+/player1", "/finance", "a b", "$SYS/#"] {
            assert_eq!((filter(text).as_str(), filter(text).pattern()), (text, text));
            assert_eq!(filter(text).share(), None);
        }
    }

    /// [MQTT-4.8.2-1] [MQTT-4.8.2-2]
    #[test]
    fn shared_filters_have_a_name_and_a_pattern() {
        let rows = [
            ("$share/", Error::ShareNameEmpty),
            ("$share//x", Error::ShareNameEmpty),
            ("$share/g", Error::ShareNameInvalid),
            ("$share/g/", Error::ShareNameInvalid),
            ("$share/+/x", Error::ShareNameInvalid),
            ("$share/a#/x", Error::ShareNameInvalid),
            ("$share/g/a#", Error::TopicFilterMultiLevel),
        ];
        for (text, error) in rows {
            assert_eq!(TopicFilter::new(text), Err(error), "{text}");
        }
        let shared = filter("$share/group/a/+");
        assert_eq!((shared.share(), shared.pattern()), (Some("group"), "a/+"));
        assert_eq!(
            (filter("$share/g//").share(), filter("$share/g//").pattern()),
            (Some("g"), "/")
        );
        assert_eq!(TopicFilter::assume_valid("$share/group/a/+"), shared);
        assert!(shared.has_wildcard() && !filter("$share/g/a").has_wildcard());
        assert_eq!(filter("$share").share(), None);
        assert_eq!(filter("$shared/g/a").share(), None);
    }

    /// The examples of 4.7.1.2, 4.7.1.3 and 4.7.2, [MQTT-4.7.2-1].
    #[test]
    fn matching_follows_the_examples_of_the_standard() {
        let rows = [
            ("sport/tennis/player1/#", "sport/tennis/player1", true),
            ("sport/tennis/player1/#", "sport/tennis/player1/ranking", true),
            ("sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon", true),
            ("sport/#", "sport", true),
            ("sport/#", "sports", false),
            ("#", "a/b/c", true),
            ("sport/tennis/+", "sport/tennis/player2", true),
            ("sport/tennis/+", "sport/tennis/player1/ranking", false),
            ("sport/+", "sport", false),
            ("sport/+", "sport/", true),
            ("+/+", "/finance", true),
            ("/+", "/finance", true),
            ("+", "/finance", false),
            ("#", "$SYS/monitor/Clients", false),
            ("+/monitor/Clients", "$SYS/monitor/Clients", false),
            ("$SYS/#", "$SYS/monitor/Clients", true),
            ("$SYS/monitor/+", "$SYS/monitor/Clients", true),
            ("ACCOUNTS", "Accounts", false),
            ("$share/g/sport/+", "sport/x", true),
            ("$share/g/#", "$SYS/x", false),
        ];
        for (pattern, topic, expected) in rows {
            assert_eq!(filter(pattern).matches(name(topic)), expected, "{pattern} {topic}");
        }
    }

    /// CVE-2019-11779: depth costs neither stack nor more than one pass.
    #[test]
    fn sixty_five_thousand_levels_are_no_problem() {
        let slashes = "/".repeat(65_535);
        assert_eq!(name(&slashes).level_count(), 65_536);
        assert!(filter(&slashes).matches(name(&slashes)));
        let pluses = "+/".repeat(32_767);
        assert!(!filter(&pluses).matches(name(&slashes)));
    }
}
