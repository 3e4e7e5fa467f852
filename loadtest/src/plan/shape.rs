//! Names for who publishes to whom.

use std::{fmt, num::NonZeroUsize, str::FromStr};

/// How many publish and subscribe, and to how many topics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    /// Connections that publish.
    pub(crate) publishers: usize,
    /// Connections that subscribe.
    pub(crate) subscribers: usize,
    /// Topics, dealt out to publishers and to subscribers.
    pub(crate) topics: usize,
    /// Whether the same connections publish and subscribe.
    pub(crate) mesh: bool,
}

impl FromStr for Shape {
    type Err = String;

    /// `P:S`, `mesh:N`, `pairs:N` or `topics:N` (N topics with a publisher and a subscriber that
    /// handle all of them; `topics:N:P:S` with more).
    fn from_str(text: &str) -> Result<Self, String> {
        let (name, rest) = text.split_once(':').unwrap_or((text, ""));
        let numbers = |text: &str| text.split(':').map(number).collect::<Result<Vec<_>, _>>();
        let shape = |publishers, subscribers, topics, mesh| {
            Ok(Self { publishers, subscribers, topics, mesh })
        };
        match (name, &*numbers(if name.starts_with(char::is_numeric) { text } else { rest })?) {
            ("mesh", [n]) => shape(*n, *n, 1, true),
            ("pairs", [n]) => shape(*n, *n, *n, false),
            ("topics", [n]) => shape(1, 1, *n, false),
            ("topics", [n, publishers, subscribers]) => shape(*publishers, *subscribers, *n, false),
            (_, [publishers, subscribers]) if name.starts_with(char::is_numeric) => {
                shape(*publishers, *subscribers, 1, false)
            }
            _ => Err(format!("{text} is none of P:S, mesh:N, pairs:N, topics:N, topics:N:P:S")),
        }
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { publishers, subscribers, topics, mesh } = self;
        match () {
            () if *mesh => write!(f, "mesh:{publishers}")?,
            () if *topics == 1 => return write!(f, "{publishers}:{subscribers}"),
            () if publishers == topics && subscribers == topics => {
                return write!(f, "pairs:{topics}");
            }
            () => return write!(f, "topics:{topics}:{publishers}:{subscribers}"),
        }
        if *topics > 1 { write!(f, " on {topics} topics") } else { Ok(()) }
    }
}

fn number(text: &str) -> Result<usize, String> {
    let number = text.parse::<NonZeroUsize>();
    number.map(NonZeroUsize::get).map_err(|_| format!("\"{text}\" is no number above 0"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shape_is_printed_as_it_is_written() {
        for text in ["1:1", "20:1", "1:20", "mesh:20", "pairs:8", "topics:9:2:3"] {
            assert_eq!(text.parse::<Shape>().unwrap().to_string(), text);
        }
        assert_eq!("topics:9".parse::<Shape>().unwrap().to_string(), "topics:9:1:1");
    }

    #[test]
    fn what_is_no_shape_is_refused() {
        for text in ["", "1", "1:", "0:1", "mesh", "mesh:0", "ring:4", "1:2:3", "topics:1:2"] {
            assert!(text.parse::<Shape>().is_err(), "{text}");
        }
    }
}
