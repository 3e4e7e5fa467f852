//! How what a peer chose is printed in a log line: escaped, and never long.

use std::fmt;

/// The characters of a string that are shown before it is cut.
const SHOWN_CHARS_MAX: usize = 128;

/// A string in quotes, control characters escaped, cut after 128 characters.
pub(crate) struct Quoted<'a>(pub(crate) &'a str);

/// Bytes by their number, because what they say is nobody's business.
pub(crate) struct ByteCount(pub(crate) usize);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.char_indices().nth(SHOWN_CHARS_MAX) {
            Some((cut, _)) => write!(f, "{:?}…({} bytes)", &self.0[..cut], self.0.len()),
            None => write!(f, "{:?}", self.0),
        }
    }
}

impl fmt::Display for ByteCount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_of_a_peer_are_escaped_and_cut() {
        assert_eq!(Quoted("a\n\"\u{1b}é").to_string(), r#""a\n\"\u{1b}é""#);
        let long = "é".repeat(129);
        let expected = format!("\"{}\"…(258 bytes)", "é".repeat(128));
        assert_eq!(Quoted(&long).to_string(), expected);
        assert_eq!(ByteCount(3).to_string(), "3 bytes");
    }
}
