//! The retained topics that one shard owns, in order of their names.

use std::collections::BTreeMap;
use std::ops::Bound;

/// Topic → message. Names stand in the order of their bytes, so what a filter matches is found by
/// leaps from one name that can match to the next.
#[derive(Debug)]
pub struct Retained<M> {
    messages: BTreeMap<Box<str>, M>,
}

/// How a scan ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scan {
    /// Nothing that matches is left.
    Done,
    /// Something may be left, strictly after this topic, the last one that was looked at.
    More(Box<str>),
}

/// What a filter says about a topic.
enum Verdict {
    Matches,
    /// Does not match; the next one may.
    Next,
    /// Does not match, and neither does anything before this text.
    From(String),
    /// Neither it nor anything behind it matches.
    End,
}

impl<M> Default for Retained<M> {
    fn default() -> Self {
        Self::new()
    }
}

impl<M> Retained<M> {
    /// Nothing is retained.
    pub fn new() -> Self {
        Self { messages: BTreeMap::new() }
    }

    /// Keeps a message for its topic and gives back the one it replaces.
    pub fn insert(&mut self, topic: &str, message: M) -> Option<M> {
        match self.messages.get_mut(topic) {
            Some(old) => Some(std::mem::replace(old, message)),
            None => self.messages.insert(topic.into(), message),
        }
    }

    /// Forgets the message of a topic.
    pub fn remove(&mut self, topic: &str) -> Option<M> {
        self.messages.remove(topic)
    }

    /// The message of a topic.
    pub fn find(&self, topic: &str) -> Option<&M> {
        self.messages.get(topic)
    }

    /// How many topics have a message.
    pub fn len(&self) -> usize {
        self.messages.len()
    }

    /// No topic has a message.
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// Every topic with its message, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &M)> {
        self.messages.iter().map(|(topic, message)| (&**topic, message))
    }

    /// Visits the topics that match a filter (a valid one, without `$share/name/`), in order,
    /// strictly after `after`, until `visit` returns false. Looks at no more than `steps` topics,
    /// those included that turn out not to match; most of these are leapt over and not looked at.
    ///
    /// A scan may be continued after topics came or went: it goes on where it was.
    pub fn scan(
        &self,
        filter: &str,
        after: Option<&str>,
        steps: usize,
        mut visit: impl FnMut(&str, &M) -> bool,
    ) -> Scan {
        // No topic is empty, so the empty text stands before all of them.
        let mut last = after.unwrap_or_default();
        let mut rest = match judge(filter, last) {
            Verdict::Matches | Verdict::Next => self.behind(Bound::Excluded(last)),
            Verdict::From(text) => self.behind(Bound::Included(&text)),
            Verdict::End => return Scan::Done,
        };
        for _ in 0..steps {
            let Some((topic, message)) = rest.next() else { return Scan::Done };
            last = topic;
            match judge(filter, topic) {
                Verdict::Matches if !visit(topic, message) => break,
                Verdict::Matches | Verdict::Next => {}
                Verdict::From(text) => rest = self.behind(Bound::Included(&text)),
                Verdict::End => return Scan::Done,
            }
        }
        Scan::More(last.into())
    }

    fn behind(&self, from: Bound<&str>) -> impl Iterator<Item = (&str, &M)> + use<'_, M> {
        let range = self.messages.range::<str, _>((from, Bound::Unbounded));
        range.map(|(topic, message)| (&**topic, message))
    }
}

/// Compares a topic with a filter, level by level, up to the first that differs.
fn judge(filter: &str, topic: &str) -> Verdict {
    // [MQTT-4.7.2-1]
    if topic.starts_with('$') && filter.starts_with(['+', '#']) {
        return Verdict::From(char::from(b'$' + 1).to_string());
    }
    let mut wanted = Some(filter);
    // Where the level of the topic begins; beyond the end: there is none.
    let mut start = 0;
    // Where the last level ends that `+` matched: another one in its place may match again.
    let mut plus_end = None;
    let mut is_plus = false;
    while let Some(filter_rest) = wanted {
        let (level, behind) = cut(filter_rest);
        if level == "#" {
            return Verdict::Matches;
        }
        if start > topic.len() {
            // Between `a` and `a/` there are `a!/b` and the like: other levels that `+` matches.
            if is_plus {
                return Verdict::Next;
            }
            return Verdict::From([topic, "/", plain_levels(filter_rest).0].concat());
        }
        let end = topic[start..].find('/').map_or(topic.len(), |length| start + length);
        is_plus = level == "+";
        if is_plus {
            plus_end = Some(end);
        } else if level != &topic[start..end] {
            return before_or_past(topic, start, filter_rest, plus_end);
        }
        start = end + 1;
        wanted = behind;
    }
    if start > topic.len() { Verdict::Matches } else { past(topic, plus_end) }
}

/// The topic differs from the filter in the level that begins at `start`, which is plain text.
fn before_or_past(topic: &str, start: usize, rest: &str, plus_end: Option<usize>) -> Verdict {
    let (texts, ends) = plain_levels(rest);
    let (beginning, topic_rest) = topic.split_at(start);
    match topic_rest.strip_prefix(texts) {
        None if topic_rest < texts => Verdict::From([beginning, texts].concat()),
        // `a!` stands between `a` and `a/`.
        Some(longer) if !ends && longer < "/" => Verdict::From([beginning, texts, "/"].concat()),
        _ => past(topic, plus_end),
    }
}

/// Everything with the same beginning as the topic, up to the last level that `+` matched, stands
/// before it. What comes next has something else in that place.
fn past(topic: &str, plus_end: Option<usize>) -> Verdict {
    // The text behind all that begin with `…/`.
    let behind = char::from(b'/' + 1).to_string();
    plus_end.map_or(Verdict::End, |end| Verdict::From([&topic[..end], &behind].concat()))
}

/// The levels before the first wildcard, and whether the filter ends with them.
fn plain_levels(rest: &str) -> (&str, bool) {
    let mut end = 0;
    for level in rest.split('/') {
        if level == "+" || level == "#" {
            return (rest[..end].strip_suffix('/').unwrap_or_default(), false);
        }
        end += level.len() + 1;
    }
    (rest, true)
}

fn cut(rest: &str) -> (&str, Option<&str>) {
    rest.split_once('/').map_or((rest, None), |(level, behind)| (level, Some(behind)))
}

#[cfg(test)]
mod tests;
