//! How the files are called.

/// A snapshot that is being written.
pub(super) const SNAPSHOT_DRAFT: &str = "snapshot.new";

/// Whether a file of this name is one of a log's.
pub fn is_of_log(name: &str) -> bool {
    [SEGMENT, NEWEST, SNAPSHOT].iter().any(|beginning| name.starts_with(beginning))
}

/// A segment whose header is not durable.
pub(super) const SEGMENT_DRAFT: &str = "segment.new";

const SEGMENT: &str = "segment-";
const NEWEST: &str = "newest-";
const SNAPSHOT: &str = "snapshot-";

pub(super) fn segment_name(number: u64) -> String {
    format!("{SEGMENT}{number:010}")
}

/// The empty file whose name says which segment is there at least.
pub(super) fn newest_name(number: u64) -> String {
    format!("{NEWEST}{number:010}")
}

pub(super) fn snapshot_name(covers: u64) -> String {
    format!("{SNAPSHOT}{covers:020}")
}

/// The number of a segment's name.
pub(super) fn segment_number(name: &str) -> Option<u64> {
    number(name, SEGMENT).filter(|number| segment_name(*number) == name)
}

/// The segment that the empty file of this name vouches for.
pub(super) fn newest_number(name: &str) -> Option<u64> {
    number(name, NEWEST).filter(|number| newest_name(*number) == name)
}

/// The sequence of a snapshot's name.
pub(super) fn snapshot_covers(name: &str) -> Option<u64> {
    number(name, SNAPSHOT).filter(|covers| snapshot_name(*covers) == name)
}

fn number(name: &str, prefix: &str) -> Option<u64> {
    name.strip_prefix(prefix)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        assert_eq!(segment_number(&segment_name(7)), Some(7));
        assert_eq!(segment_number("segment-7"), None);
        assert_eq!(newest_number(&newest_name(7)), Some(7));
        assert_eq!(newest_number(&segment_name(7)), None);
        assert_eq!(segment_number("segment-+000000007"), None);
        assert_eq!(snapshot_covers(&snapshot_name(41)), Some(41));
        assert_eq!(snapshot_covers(SNAPSHOT_DRAFT), None);
    }
}
