//! The PROXY protocol, version 1 (a line of text) and 2 (binary): a proxy says in front of a
//! connection's bytes from where it came.

use std::net::{IpAddr, SocketAddr};

use ppp::{v1, v2};

/// The longest header of version 1, with its line end.
const TEXT_BYTES_MAX: usize = 107;
/// The first bytes of version 1.
const TEXT_BEGINNING: &[u8] = b"PROXY ";
/// Version 2 up to the length of the rest.
const BINARY_BYTES_MIN: usize = 16;
/// The longest header of version 2. It could claim 65,551 bytes; two paths of Unix sockets and a
/// certificate's names fit into this.
const BINARY_BYTES_MAX: usize = 4_096;

/// What is wrong with a header.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ProxyError {
    #[error("the connection does not begin with a PROXY header, which this listener expects")]
    NoHeader,
    #[error("the PROXY header is too long")]
    TooLong,
    #[error("the PROXY header is malformed: {0}")]
    Malformed(String),
}

/// A header that has come whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Proxied {
    /// Where the connection comes from; `None` where the proxy speaks for itself or does not
    /// know.
    pub(super) source: Option<SocketAddr>,
}

/// A header that is arriving.
#[derive(Debug, Default)]
pub(super) struct ProxyHeader {
    bytes: Vec<u8>,
}

impl ProxyHeader {
    /// Takes bytes up to the end of the header, which it returns once it is whole; `bytes` is left
    /// behind what was taken.
    pub(super) fn receive(&mut self, bytes: &mut &[u8]) -> Result<Option<Proxied>, ProxyError> {
        let before = self.bytes.len();
        let taken = bytes.len().min(BINARY_BYTES_MAX - before);
        self.bytes.extend_from_slice(&bytes[..taken]);
        let Some(size) = size(&self.bytes)?.filter(|size| *size <= self.bytes.len()) else {
            *bytes = &bytes[taken..];
            return Ok(None);
        };
        *bytes = &bytes[size - before..];
        let header = &self.bytes[..size];
        let source = if header.starts_with(TEXT_BEGINNING) {
            text_source(header)?
        } else {
            binary_source(header)?
        };
        let canonical =
            |source: SocketAddr| SocketAddr::new(source.ip().to_canonical(), source.port());
        Ok(Some(Proxied { source: source.map(canonical) }))
    }
}

/// How long the header is that these bytes begin with, if they say.
fn size(bytes: &[u8]) -> Result<Option<usize>, ProxyError> {
    let begins = |beginning: &[u8]| {
        let common = bytes.len().min(beginning.len());
        bytes[..common] == beginning[..common]
    };
    if begins(TEXT_BEGINNING) {
        let line = &bytes[..bytes.len().min(TEXT_BYTES_MAX)];
        match line.windows(2).position(|pair| pair == b"\r\n") {
            Some(end) => Ok(Some(end + 2)),
            None if bytes.len() >= TEXT_BYTES_MAX => Err(ProxyError::TooLong),
            None => Ok(None),
        }
    } else if begins(v2::PROTOCOL_PREFIX) {
        let Some(&[high, low]) = bytes.get(BINARY_BYTES_MIN - 2..BINARY_BYTES_MIN) else {
            return Ok(None);
        };
        let size = BINARY_BYTES_MIN + usize::from(u16::from_be_bytes([high, low]));
        if size > BINARY_BYTES_MAX { Err(ProxyError::TooLong) } else { Ok(Some(size)) }
    } else {
        Err(ProxyError::NoHeader)
    }
}

fn text_source(header: &[u8]) -> Result<Option<SocketAddr>, ProxyError> {
    let malformed = |error: &dyn std::fmt::Display| ProxyError::Malformed(error.to_string());
    // The parser cuts text where it finds a carriage return, and panics inside a character.
    let text = std::str::from_utf8(header).ok().filter(|text| text.is_ascii());
    let text = text.ok_or_else(|| ProxyError::Malformed("it is not ASCII".to_owned()))?;
    let header = v1::Header::try_from(text).map_err(|error| malformed(&error))?;
    if header.header.len() != text.len() {
        return Err(ProxyError::Malformed("a carriage return inside it".to_owned()));
    }
    Ok(match header.addresses {
        v1::Addresses::Tcp4(pair) => Some(socket(pair.source_address, pair.source_port)),
        v1::Addresses::Tcp6(pair) => Some(socket(pair.source_address, pair.source_port)),
        v1::Addresses::Unknown => None,
    })
}

fn binary_source(header: &[u8]) -> Result<Option<SocketAddr>, ProxyError> {
    let malformed = |error: v2::ParseError| ProxyError::Malformed(error.to_string());
    let header = v2::Header::try_from(header).map_err(malformed)?;
    for field in header.tlvs() {
        field.map_err(malformed)?;
    }
    if header.command == v2::Command::Local {
        return Ok(None);
    }
    if header.protocol == v2::Protocol::Datagram {
        return Err(ProxyError::Malformed("it speaks of datagrams".to_owned()));
    }
    Ok(match header.addresses {
        v2::Addresses::IPv4(pair) => Some(socket(pair.source_address, pair.source_port)),
        v2::Addresses::IPv6(pair) => Some(socket(pair.source_address, pair.source_port)),
        v2::Addresses::Unix(_) | v2::Addresses::Unspecified => None,
    })
}

fn socket(address: impl Into<IpAddr>, port: u16) -> SocketAddr {
    SocketAddr::new(address.into(), port)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What comes of these bytes, given in pieces, and what is left of them.
    fn feed(bytes: &[u8], step: usize) -> Result<Option<(Proxied, Vec<u8>)>, ProxyError> {
        let mut header = ProxyHeader::default();
        let mut pieces = bytes.chunks(step);
        while let Some(mut piece) = pieces.next() {
            if let Some(proxied) = header.receive(&mut piece)? {
                let rest: Vec<u8> = pieces.flatten().copied().collect();
                return Ok(Some((proxied, [piece, &rest].concat())));
            }
        }
        Ok(None)
    }

    fn binary(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = u16::try_from(rest.len()).expect("a short header").to_be_bytes();
        [v2::PROTOCOL_PREFIX, &[command, family], &length, rest].concat()
    }

    const PAIR: [u8; 12] = [192, 0, 2, 1, 192, 0, 2, 2, 0x12, 0x67, 0x07, 0x5B];

    #[test]
    fn a_header_names_the_source_and_the_rest_is_left() {
        let mapped =
            [&[0; 10][..], &[0xFF; 2], &[192, 0, 2, 1], &[0; 15], &[1, 0x12, 0x67, 0, 1]].concat();
        let with_fields = [&PAIR[..], &[0x04, 0, 2, 0, 0], &[0x05, 0, 0]].concat();
        let unix = [1; 216];
        let cases: [(Vec<u8>, Option<&str>); 10] = [
            (b"PROXY TCP4 192.0.2.1 192.0.2.2 4711 1883\r\n".to_vec(), Some("192.0.2.1:4711")),
            (b"PROXY TCP6 2001:db8::1 ::1 4711 1883\r\n".to_vec(), Some("[2001:db8::1]:4711")),
            (b"PROXY UNKNOWN\r\n".to_vec(), None),
            (b"PROXY UNKNOWN whatever 1 2 3\r\n".to_vec(), None),
            (binary(0x21, 0x11, &PAIR), Some("192.0.2.1:4711")),
            (binary(0x21, 0x11, &with_fields), Some("192.0.2.1:4711")),
            (binary(0x21, 0x21, &mapped), Some("192.0.2.1:4711")),
            (binary(0x21, 0x31, &unix), None),
            (binary(0x20, 0x00, &[]), None),
            (binary(0x20, 0x11, &PAIR), None),
        ];
        for (header, source) in cases {
            let source = source.map(|text| text.parse().expect("an address"));
            let bytes = [&header[..], b"\x10MQTT"].concat();
            for step in [1, 7, 16, usize::MAX] {
                let expected = Ok(Some((Proxied { source }, b"\x10MQTT".to_vec())));
                assert_eq!(feed(&bytes, step), expected, "{header:02X?}, {step}");
            }
            assert_eq!(feed(&header[..header.len() - 1], 1), Ok(None), "{header:02X?}");
        }
    }

    #[test]
    fn what_begins_otherwise_is_refused_at_the_first_byte_that_differs() {
        for bytes in [&b"\x10"[..], b"PROXX", b"\x16\x03", b"\r\n\r\n\0\r\nQUIT\r", b"GET "] {
            assert_eq!(feed(bytes, 1), Err(ProxyError::NoHeader), "{bytes:02X?}");
            assert_eq!(feed(bytes, 100), Err(ProxyError::NoHeader), "{bytes:02X?}");
        }
    }

    #[test]
    fn w12_malformed_headers_are_refused() {
        let long = binary(0x21, 0x11, &[0; BINARY_BYTES_MAX]);
        let endless = [b"PROXY UNKNOWN ", &[b'x'; 200][..]].concat();
        assert_eq!(feed(&long, 1), Err(ProxyError::TooLong));
        assert_eq!(feed(&endless, 1), Err(ProxyError::TooLong));
        let short_field = [&PAIR[..], &[0x04, 0xFF]].concat();
        let overlong_field = [&PAIR[..], &[0x04, 0xFF, 0xFF, 0]].concat();
        let wrong: [&[u8]; 15] = [
            b"PROXY TCP4 192.0.2.1 192.0.2.2 4711\r\n",
            b"PROXY TCP4 192.0.2.999 192.0.2.2 4711 1883\r\n",
            b"PROXY TCP4 192.0.2.1 192.0.2.2 4711 66666\r\n",
            b"PROXY TCP4 192.0.2.1 192.0.2.2 04711 1883\r\n",
            b"PROXY TCP5 192.0.2.1 192.0.2.2 4711 1883\r\n",
            b"PROXY TCP4  192.0.2.1 192.0.2.2 4711 1883\r\n",
            "PROXY UNKNOWN\ré\r\n".as_bytes(),
            b"PROXY UNKNOWN\rx\r\n",
            b"PROXY TCP4 192.0.2.1 192.0.2.2 4711 1883\rx\r\n",
            &binary(0x31, 0x11, &PAIR),
            &binary(0x22, 0x11, &PAIR),
            &binary(0x21, 0x12, &PAIR),
            &binary(0x21, 0x21, &PAIR),
            &binary(0x21, 0x11, &short_field),
            &binary(0x21, 0x11, &overlong_field),
        ];
        for bytes in wrong {
            for step in [1, 1_000] {
                let refused = feed(bytes, step);
                assert!(
                    matches!(refused, Err(ProxyError::Malformed(_))),
                    "{bytes:02X?} {refused:?}"
                );
            }
        }
    }

    proptest::proptest! {
        #[test]
        fn w12_no_bytes_cause_a_panic(
            is_text: bool,
            rest in proptest::collection::vec(proptest::num::u8::ANY, 0..300),
        ) {
            let beginning: &[u8] = if is_text { b"PROXY " } else { v2::PROTOCOL_PREFIX };
            let bytes = [beginning, &rest].concat();
            assert_eq!(feed(&bytes, 1).is_err(), feed(&bytes, usize::MAX).is_err());
        }
    }
}
