//! `--template`: payloads that are different each time.

use jiff::Zoned;

use super::format::strftime;
use super::usage::UsageError;

/// A text with holes: `{seq}`, `{now}`, `{unix}`, `{unix_ms}`, `{random}`, `{topic}` and `{line}`;
/// `{{` and `}}` are braces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) struct Template {
    pieces: Vec<Piece>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Hole(Hole),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hole {
    Sequence,
    Now,
    Unix,
    UnixMillis,
    Random,
    Topic,
    Line,
}

const HOLES: [(&str, Hole); 7] = [
    ("seq", Hole::Sequence),
    ("now", Hole::Now),
    ("unix", Hole::Unix),
    ("unix_ms", Hole::UnixMillis),
    ("random", Hole::Random),
    ("topic", Hole::Topic),
    ("line", Hole::Line),
];

/// What the holes of one payload are filled with.
#[derive(Clone, Copy, Debug)]
pub(in crate::cli) struct Filling<'a> {
    /// Counts the messages, from 1 on.
    pub(in crate::cli) sequence: u32,
    pub(in crate::cli) topic: &'a str,
    /// The line of standard input, if that is read.
    pub(in crate::cli) line: &'a [u8],
    pub(in crate::cli) now: &'a Zoned,
    pub(in crate::cli) random: u32,
}

impl Template {
    /// Whether it wants lines of standard input.
    pub(in crate::cli) fn has_line(&self) -> bool {
        self.pieces.contains(&Piece::Hole(Hole::Line))
    }

    /// # Errors
    /// A hole that nothing is known for, or a brace that belongs to none.
    pub(in crate::cli) fn parse(text: &str) -> Result<Self, UsageError> {
        let (mut pieces, mut rest, mut plain) = (Vec::new(), text, String::new());
        while let Some(at) = rest.find(['{', '}']) {
            plain.push_str(&rest[..at]);
            let brace = &rest[at..];
            if brace.starts_with("{{") || brace.starts_with("}}") {
                plain.push_str(&brace[..1]);
                rest = &brace[2..];
                continue;
            }
            let (name, behind) =
                brace.strip_prefix('{').and_then(|it| it.split_once('}')).ok_or_else(|| {
                    UsageError::new(
                        "--template has a brace without its other; {{ and }} are braces.",
                    )
                })?;
            if !plain.is_empty() {
                pieces.push(Piece::Text(std::mem::take(&mut plain)));
            }
            pieces.push(Piece::Hole(hole(name)?));
            rest = behind;
        }
        plain.push_str(rest);
        if !plain.is_empty() {
            pieces.push(Piece::Text(plain));
        }
        Ok(Self { pieces })
    }

    /// A payload.
    pub(in crate::cli) fn fill(&self, filling: &Filling<'_>) -> Vec<u8> {
        let now = filling.now;
        let mut payload = Vec::new();
        for piece in &self.pieces {
            let hole = match piece {
                Piece::Text(text) => {
                    payload.extend_from_slice(text.as_bytes());
                    continue;
                }
                Piece::Hole(hole) => hole,
            };
            let text = match hole {
                Hole::Sequence => filling.sequence.to_string(),
                Hole::Now => strftime("%Y-%m-%dT%H:%M:%S.%6f%z", now),
                Hole::Unix => now.timestamp().as_second().to_string(),
                Hole::UnixMillis => now.timestamp().as_millisecond().to_string(),
                Hole::Random => filling.random.to_string(),
                Hole::Topic => filling.topic.to_owned(),
                Hole::Line => {
                    payload.extend_from_slice(filling.line);
                    continue;
                }
            };
            payload.extend_from_slice(text.as_bytes());
        }
        payload
    }
}

fn hole(name: &str) -> Result<Hole, UsageError> {
    let found = HOLES.iter().find(|(known, _)| *known == name).map(|(_, hole)| *hole);
    found.ok_or_else(|| {
        let known = HOLES.map(|(known, _)| format!("{{{known}}}")).join(", ");
        UsageError::new(format!("--template does not know {{{name}}}; there are {known}."))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::mqtt::format::some_time;

    fn filled(text: &str) -> String {
        let now = some_time();
        let template = Template::parse(text).expect(text);
        let filling = Filling { sequence: 7, topic: "a/b", line: b"x\xffy", now: &now, random: 42 };
        String::from_utf8_lossy(&template.fill(&filling)).into_owned()
    }

    #[test]
    fn holes_are_filled() {
        assert_eq!(filled("id={seq} t={now}"), "id=7 t=2020-05-06T21:48:00.001002+0200");
        assert_eq!(filled("{unix} {unix_ms} {random}"), "1588794480 1588794480001 42");
        assert_eq!(filled("{topic}: {line}"), "a/b: x\u{fffd}y");
        assert_eq!(filled(""), "");
    }

    #[test]
    fn doubled_braces_are_braces() {
        assert_eq!(filled("{{\"n\":{seq},\"o\":{{}}}}"), "{\"n\":7,\"o\":{}}");
        assert_eq!(filled("é{seq}é"), "é7é");
    }

    #[test]
    fn what_is_no_template_is_refused() {
        for (text, words) in
            [("{", "without its other"), ("a}", "without its other"), ("{x}", "{seq}, {now}")]
        {
            let error = Template::parse(text).expect_err(text).to_string();
            assert!(error.contains(words), "{error}");
        }
    }

    #[test]
    fn only_some_want_lines() {
        let has_line = |text| Template::parse(text).expect(text).has_line();
        assert!(has_line("<{line}>") && !has_line("{{line}}"));
    }
}
