//! Filters with names in them: `home/{room}/temp` and `logs/{rest..}`.

use std::ops::Index;
use std::sync::Arc;

use skein_protocol::TopicFilter;

use crate::{Error, Result};

/// A topic filter whose wildcards may have names: `{name}` stands for `+`, and `{name..}` at the
/// end for `#`. Plain wildcards stay what they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    /// The filter without names, `$share/name/` included.
    filter: Arc<str>,
    /// The names and the levels they stand at.
    names: Arc<[(usize, Box<str>)]>,
}

/// What the names of a pattern stand for in one topic.
#[derive(Clone, Debug)]
pub struct Captures {
    names: Arc<[(usize, Box<str>)]>,
    values: Vec<String>,
}

impl Pattern {
    /// Parses a pattern.
    ///
    /// # Errors
    /// What is left without the names is no filter, or a name is empty or given twice.
    pub fn new(text: &str) -> Result<Self> {
        let mut names: Vec<(usize, Box<str>)> = Vec::new();
        let mut levels = Vec::new();
        for level in text.split('/') {
            let Some(name) = level.strip_prefix('{').and_then(|name| name.strip_suffix('}')) else {
                levels.push(level);
                continue;
            };
            let (name, wildcard) = name.strip_suffix("..").map_or((name, "+"), |name| (name, "#"));
            if name.is_empty() || names.iter().any(|(_, known)| **known == *name) {
                return Err(bad(text, skein_protocol::Error::TopicFilterSingleLevel));
            }
            names.push((levels.len(), name.into()));
            levels.push(wildcard);
        }
        let filter = levels.join("/");
        let parsed = TopicFilter::new(&filter).map_err(|error| bad(text, error))?;
        // Levels count from where topics begin.
        let behind_share = levels.len() - parsed.level_count();
        for (level, _) in &mut names {
            *level = level
                .checked_sub(behind_share)
                .ok_or_else(|| bad(text, skein_protocol::Error::ShareNameInvalid))?;
        }
        Ok(Self { filter: filter.into(), names: names.into() })
    }

    /// The filter to subscribe to.
    pub fn filter(&self) -> TopicFilter<'_> {
        TopicFilter::assume_valid(&self.filter)
    }

    /// The text of the filter, to be shared.
    pub fn text(&self) -> Arc<str> {
        Arc::clone(&self.filter)
    }

    /// What the names stand for in a topic that the filter takes.
    pub fn capture(&self, topic: &str) -> Captures {
        let levels: Vec<&str> = topic.split('/').collect();
        let last = self.filter().level_count() - 1;
        let is_rest = self.filter.ends_with('#');
        let value = |(level, _): &(usize, Box<str>)| match is_rest && *level == last {
            true => levels.get(*level..).unwrap_or_default().join("/"),
            false => levels.get(*level).copied().unwrap_or_default().to_owned(),
        };
        Captures { names: Arc::clone(&self.names), values: self.names.iter().map(value).collect() }
    }
}

impl Captures {
    /// What a name stands for.
    pub fn find(&self, name: &str) -> Option<&str> {
        let place = self.names.iter().position(|(_, known)| **known == *name)?;
        self.values.get(place).map(String::as_str)
    }

    /// Names and what they stand for, in the order of the pattern.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.names.iter().zip(&self.values).map(|((_, name), value)| (&**name, value.as_str()))
    }
}

/// What a name stands for; empty for a name the pattern does not have.
impl Index<&str> for Captures {
    type Output = str;

    fn index(&self, name: &str) -> &str {
        self.find(name).unwrap_or_default()
    }
}

fn bad(text: &str, source: skein_protocol::Error) -> Error {
    Error::bad_topic(text, source)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stand_for_levels() {
        let rows = [
            ("home/{room}/temp", "home/+/temp", "home/hall/temp", vec![("room", "hall")]),
            ("{a}/+/{b}", "+/+/+", "x/y/z", vec![("a", "x"), ("b", "z")]),
            ("logs/{rest..}", "logs/#", "logs/a/b", vec![("rest", "a/b")]),
            ("logs/{rest..}", "logs/#", "logs", vec![("rest", "")]),
            ("$share/g/a/{x}", "$share/g/a/+", "a/1", vec![("x", "1")]),
            ("a/+", "a/+", "a/b", vec![]),
        ];
        for (text, filter, topic, expected) in rows {
            let pattern = Pattern::new(text).unwrap();
            assert_eq!(pattern.filter().as_str(), filter);
            let captures = pattern.capture(topic);
            assert_eq!(captures.iter().collect::<Vec<_>>(), expected, "{text}");
        }
    }

    #[test]
    fn a_name_is_looked_up_by_itself() {
        let captures = Pattern::new("{room}").unwrap().capture("hall");
        assert_eq!((&captures["room"], &captures["other"]), ("hall", ""));
        assert_eq!(captures.find("other"), None);
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for text in ["", "a/{}", "{a}/{a}", "{a..}/b", "$share/{g}/a", "a/{b}c+"] {
            assert!(Pattern::new(text).is_err(), "{text}");
        }
    }
}
