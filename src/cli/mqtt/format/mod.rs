//! What a message is printed as: the grammar of `-F`, which is that of mosquitto_sub.
//!
//! ```text
//!   %[-][0][width][.precision][separator]CONVERSION     a part of the message, or the time
//!   @C                                                   strftime's %C; @N nanoseconds, @@ a @
//!   \\ \0 \a \e \n \r \t \v                              one byte
//! ```

mod json;
mod layout;
mod render;

use super::usage::UsageError;

#[cfg(test)]
pub(in crate::cli) use render::some_time;
pub(in crate::cli) use render::{Printed, RenderError, strftime};

/// A format that was understood.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::cli) struct Format {
    pieces: Vec<Piece>,
    /// Whether JSON is spread over lines.
    is_pretty: bool,
}

#[derive(Clone, Debug, PartialEq)]
enum Piece {
    Text(Vec<u8>),
    Field(Field, Layout),
    /// A conversion of strftime.
    Time(char),
    Nanoseconds,
}

/// How a part is laid out.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Layout {
    is_left: bool,
    pad: u8,
    width: usize,
    precision: Option<usize>,
    /// Stands between groups of hexadecimal digits.
    separator: u8,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Field {
    Percent,
    TopicAlias,
    ContentType,
    CorrelationData,
    MessageExpiry,
    PayloadFormat,
    IsoTime,
    Json,
    JsonOfJson,
    Length,
    PacketId,
    UserProperties,
    Payload,
    QoS,
    ResponseTopic,
    Retain,
    SubscriptionIdentifier,
    Topic,
    UnixTime,
    Hex,
    HexUpper,
    Float,
    Double,
}

/// What may separate groups of hexadecimal digits.
const SEPARATORS: &str = "!\"#$&'()*+,-./:;<=>?@[\\]^_`{|}~ ";

impl Format {
    /// Understands a format.
    ///
    /// # Errors
    /// What is wrong with it, in Mosquitto's words.
    pub(in crate::cli) fn parse(text: &str, is_pretty: bool) -> Result<Self, UsageError> {
        let mut parser = Parser { rest: text, pieces: Vec::new() };
        while let Some(next) = parser.next() {
            match next {
                '%' => parser.take_field()?,
                '@' => parser.take_time()?,
                '\\' => parser.take_escape()?,
                other => parser.push_text(other.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        Ok(Self { pieces: parser.pieces, is_pretty })
    }
}

struct Parser<'a> {
    rest: &'a str,
    pieces: Vec<Piece>,
}

impl Parser<'_> {
    fn next(&mut self) -> Option<char> {
        let next = self.peek()?;
        self.rest = &self.rest[next.len_utf8()..];
        Some(next)
    }

    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    fn next_if(&mut self, is_it: impl Fn(char) -> bool) -> Option<char> {
        if is_it(self.peek()?) { self.next() } else { None }
    }

    fn push_text(&mut self, bytes: &[u8]) {
        match self.pieces.last_mut() {
            Some(Piece::Text(text)) => text.extend_from_slice(bytes),
            _ => self.pieces.push(Piece::Text(bytes.to_vec())),
        }
    }

    fn take_field(&mut self) -> Result<(), UsageError> {
        let is_left = self.next_if(|c| c == '-').is_some();
        let pad = if self.next_if(|c| c == '0').is_some() { b'0' } else { b' ' };
        let width = self.take_number();
        let precision = self.next_if(|c| c == '.').map(|_| self.take_number());
        let separator = self.next_if(|c| SEPARATORS.contains(c));
        let conversion = self.next().ok_or_else(|| incomplete("format"))?;
        let field = Field::new(conversion).ok_or_else(|| invalid("format", conversion))?;
        // All separators are ASCII.
        let separator = separator.and_then(|c| u8::try_from(c).ok()).unwrap_or(b' ');
        self.pieces.push(Piece::Field(field, Layout { is_left, pad, width, precision, separator }));
        Ok(())
    }

    fn take_number(&mut self) -> usize {
        /// More than any line has.
        const NUMBER_MAX: usize = 1 << 20;
        let mut number = 0;
        while let Some(digit) = self.next_if(|c| c.is_ascii_digit()) {
            let digit = digit.to_digit(10).unwrap_or_default() as usize;
            number = (number * 10 + digit).min(NUMBER_MAX);
        }
        number
    }

    fn take_time(&mut self) -> Result<(), UsageError> {
        match self.next().ok_or_else(|| incomplete("format"))? {
            '@' => self.push_text(b"@"),
            'N' => self.pieces.push(Piece::Nanoseconds),
            other => self.pieces.push(Piece::Time(other)),
        }
        Ok(())
    }

    fn take_escape(&mut self) -> Result<(), UsageError> {
        let byte = match self.next().ok_or_else(|| incomplete("escape"))? {
            '\\' => b'\\',
            '0' => 0,
            'a' => 0x07,
            'e' => 0x1b,
            'n' => b'\n',
            'r' => b'\r',
            't' => b'\t',
            'v' => 0x0b,
            other => return Err(invalid("escape", other)),
        };
        self.push_text(&[byte]);
        Ok(())
    }
}

impl Field {
    fn new(conversion: char) -> Option<Self> {
        Some(match conversion {
            '%' => Self::Percent,
            'A' => Self::TopicAlias,
            'C' => Self::ContentType,
            'D' => Self::CorrelationData,
            'E' => Self::MessageExpiry,
            'F' => Self::PayloadFormat,
            'I' => Self::IsoTime,
            'j' => Self::Json,
            'J' => Self::JsonOfJson,
            'l' => Self::Length,
            'm' => Self::PacketId,
            'P' => Self::UserProperties,
            'p' => Self::Payload,
            'q' => Self::QoS,
            'R' => Self::ResponseTopic,
            'r' => Self::Retain,
            'S' => Self::SubscriptionIdentifier,
            't' => Self::Topic,
            'U' => Self::UnixTime,
            'x' => Self::Hex,
            'X' => Self::HexUpper,
            'f' => Self::Float,
            'd' => Self::Double,
            _ => return None,
        })
    }
}

fn incomplete(what: &str) -> UsageError {
    UsageError::new(format!("Incomplete {what} specifier."))
}

fn invalid(what: &str, found: char) -> UsageError {
    UsageError::new(format!("Invalid {what} specifier '{found}'."))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(text: &str) -> Vec<Piece> {
        Format::parse(text, false).expect(text).pieces
    }

    #[test]
    fn a_format_is_taken_apart() {
        let plain =
            Layout { is_left: false, pad: b' ', width: 0, precision: None, separator: b' ' };
        assert_eq!(
            pieces("a%t: %-012.3:x@H@@@N\\n"),
            [
                Piece::Text(b"a".to_vec()),
                Piece::Field(Field::Topic, plain),
                Piece::Text(b": ".to_vec()),
                Piece::Field(
                    Field::Hex,
                    Layout {
                        is_left: true,
                        pad: b'0',
                        width: 12,
                        precision: Some(3),
                        separator: b':'
                    }
                ),
                Piece::Time('H'),
                Piece::Text(b"@".to_vec()),
                Piece::Nanoseconds,
                Piece::Text(b"\n".to_vec()),
            ]
        );
        assert_eq!(
            pieces("\\\\\\0\\a\\e\\r\\t\\v"),
            [Piece::Text(b"\\\0\x07\x1b\r\t\x0b".to_vec())]
        );
        for conversion in "%ACDEFIJPRSUXdfjlmpqrtx".chars() {
            assert_eq!(pieces(&format!("%{conversion}")).len(), 1, "{conversion}");
        }
    }

    #[test]
    fn what_is_no_format_is_refused_at_the_start() {
        for (text, words) in [
            ("%", "Incomplete format specifier."),
            ("%-", "Incomplete format specifier."),
            ("%05", "Incomplete format specifier."),
            ("%5.2", "Incomplete format specifier."),
            ("@", "Incomplete format specifier."),
            ("\\", "Incomplete escape specifier."),
            ("%z", "Invalid format specifier 'z'."),
            ("%é", "Invalid format specifier 'é'."),
            ("\\q", "Invalid escape specifier 'q'."),
        ] {
            let error = Format::parse(text, false).expect_err(text);
            assert_eq!(error.to_string(), words, "{text}");
        }
    }
}
