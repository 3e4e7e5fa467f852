//! What the tests of this layer, and fuzzers, are held against.

/// Whether a filter matches a topic: 4.7, read aloud.
pub(super) fn is_match(filter: &str, topic: &str) -> bool {
    if topic.starts_with('$') && filter.starts_with(['+', '#']) {
        return false;
    }
    let mut levels = topic.split('/');
    for level in filter.split('/') {
        let of_topic = match level {
            "#" => return true,
            _ => levels.next(),
        };
        if of_topic.is_none() || (level != "+" && Some(level) != of_topic) {
            return false;
        }
    }
    levels.next().is_none()
}
