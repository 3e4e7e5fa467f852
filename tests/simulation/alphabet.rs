//! The few topics and filters of all worlds, and which filter matches which topic.

/// Topics that model clients publish to.
pub(crate) const TOPICS: [&str; 12] =
    ["a", "a/b", "a/b/c", "a/c", "b", "b/c", "c", "/a", "a/", "$x/a", "$x", "d/e/f"];

/// A topic that nobody may publish to.
pub(crate) const DENIED_TOPIC: &str = "denied/a";

/// Filters that model clients subscribe to.
pub(crate) const FILTERS: [&str; 28] = [
    "a",
    "a/b",
    "a/b/c",
    "a/c",
    "b",
    "b/c",
    "c",
    "$x/a",
    "d/e/f",
    "#",
    "+",
    "a/#",
    "a/+",
    "+/b",
    "+/+",
    "a/+/c",
    "+/c",
    "b/#",
    "/+",
    "$x/#",
    "d/+/+",
    "$share/g/a/#",
    "$share/g/b",
    "$share/h/#",
    "$share/g/+/c",
    "$share/h/a/b",
    "$share/g/c",
    "$share/h/d/e/f",
];

/// The share name and the pattern of a filter.
pub(crate) fn split_share(filter: &str) -> (Option<&str>, &str) {
    match filter.strip_prefix("$share/").and_then(|rest| rest.split_once('/')) {
        Some((group, pattern)) => (Some(group), pattern),
        None => (None, filter),
    }
}

pub(crate) fn is_share(filter: usize) -> bool {
    FILTERS[filter].starts_with("$share/")
}

pub(crate) fn has_wildcard(filter: usize) -> bool {
    FILTERS[filter].contains(['+', '#'])
}

/// Which filter matches which topic, worked out once, the plain way.
#[derive(Debug)]
pub(crate) struct Alphabet {
    matches: Vec<[bool; TOPICS.len()]>,
}

impl Alphabet {
    pub(crate) fn new() -> Self {
        let row = |filter: &&str| TOPICS.map(|topic| does_match(filter, topic));
        Self { matches: FILTERS.iter().map(row).collect() }
    }

    pub(crate) fn matches(&self, filter: usize, topic: usize) -> bool {
        self.matches[filter][topic]
    }
}

/// [4.7] read literally.
pub(crate) fn does_match(filter: &str, topic: &str) -> bool {
    let (_, pattern) = split_share(filter);
    if topic.starts_with('$') && pattern.starts_with(['+', '#']) {
        return false;
    }
    let filter: Vec<&str> = pattern.split('/').collect();
    let topic: Vec<&str> = topic.split('/').collect();
    levels_match(&filter, &topic)
}

fn levels_match(filter: &[&str], topic: &[&str]) -> bool {
    match (filter.split_first(), topic.split_first()) {
        (Some((&"#", _)), _) | (None, None) => true,
        (Some((&"+", filter)), Some((_, topic))) => levels_match(filter, topic),
        (Some((one, filter)), Some((other, topic))) => one == other && levels_match(filter, topic),
        (Some(_), None) | (None, Some(_)) => false,
    }
}
