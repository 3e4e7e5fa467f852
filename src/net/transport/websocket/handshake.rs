//! The opening handshake (RFC 6455 section 4.2): an HTTP request in, an answer out.

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use httparse::{Header, Request, Status};

use super::WebSocketTerms;

/// The longest request, headers and all.
const REQUEST_BYTES_MAX: usize = 8 * 1024;
/// Header fields in one request.
const HEADERS_MAX: usize = 100;
/// What every request begins with; whoever begins otherwise speaks something else.
const BEGINNING: &[u8] = b"GET ";
/// The end of the request's head.
const END: &[u8] = b"\r\n\r\n";
/// The only sub-protocol [MQTT-6.0.0-4].
const SUBPROTOCOL: &str = "mqtt";
/// What proves that a server knows WebSocket (1.3).
const KEY_SUFFIX: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Why a request is not upgraded. The text goes to the client and into the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(in crate::net::transport) enum Refusal {
    #[error("this is no HTTP request; a WebSocket begins with one")]
    NotHttp,
    #[error("the request is malformed")]
    Malformed,
    #[error("the request is longer than 8 KiB or has more than 100 header fields")]
    TooLarge,
    #[error("there is no such path here")]
    Path,
    #[error("this asks for no WebSocket: Upgrade and Connection are missing")]
    NoUpgrade,
    #[error("only version 13 of WebSocket is known here")]
    Version,
    #[error("Sec-WebSocket-Key is missing or malformed")]
    Key,
    #[error("[MQTT-6.0.0-3] the client does not offer the sub-protocol \"mqtt\"")]
    Subprotocol,
    #[error("pages from this origin may not connect")]
    Origin,
}

impl Refusal {
    /// The status line's code and words.
    fn status(self) -> &'static str {
        match self {
            Self::NotHttp | Self::Malformed | Self::NoUpgrade | Self::Key | Self::Subprotocol => {
                "400 Bad Request"
            }
            Self::TooLarge => "431 Request Header Fields Too Large",
            Self::Path => "404 Not Found",
            Self::Version => "426 Upgrade Required",
            Self::Origin => "403 Forbidden",
        }
    }

    /// Appends the answer that says so.
    pub(super) fn put(self, below: &mut Vec<u8>) {
        let text = self.to_string();
        let versions = match self {
            Self::Version => "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n",
            _ => "",
        };
        let answer = format!(
            "HTTP/1.1 {}\r\n{versions}Connection: close\r\nContent-Type: text/plain\r\n\
             Content-Length: {}\r\n\r\n{text}\n",
            self.status(),
            text.len() + 1
        );
        below.extend_from_slice(answer.as_bytes());
    }
}

/// A request that is arriving.
#[derive(Debug, Default)]
pub(super) struct Handshake {
    request: Vec<u8>,
}

impl Handshake {
    /// Takes bytes up to the end of the request, and then appends the answer that agrees to it.
    /// True once it has; `bytes` is left behind what was taken.
    ///
    /// # Errors
    /// Why the request is refused; the answer that says so is not appended.
    pub(super) fn receive(
        &mut self,
        bytes: &mut &[u8],
        terms: &WebSocketTerms,
        below: &mut Vec<u8>,
    ) -> Result<bool, Refusal> {
        let before = self.request.len();
        let taken = bytes.len().min(REQUEST_BYTES_MAX - before);
        self.request.extend_from_slice(&bytes[..taken]);
        let common = self.request.len().min(BEGINNING.len());
        if self.request[..common] != BEGINNING[..common] {
            return Err(Refusal::NotHttp);
        }
        // The end may lie across what came before and what came now.
        let from = before.saturating_sub(END.len() - 1);
        let end = self.request[from..].windows(END.len()).position(|window| window == END);
        let Some(end) = end.map(|at| from + at + END.len()) else {
            *bytes = &bytes[taken..];
            let is_full = self.request.len() == REQUEST_BYTES_MAX;
            return if is_full { Err(Refusal::TooLarge) } else { Ok(false) };
        };
        *bytes = &bytes[end - before..];
        self.request.truncate(end);
        let key = check(&self.request, terms)?;
        put_agreement(&key, below);
        Ok(true)
    }
}

/// Checks a whole request; the client's key if all is well.
fn check(request: &[u8], terms: &WebSocketTerms) -> Result<Vec<u8>, Refusal> {
    let mut fields = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut parsed = Request::new(&mut fields);
    match parsed.parse(request) {
        Ok(Status::Complete(_)) => {}
        Ok(Status::Partial) => return Err(Refusal::Malformed),
        Err(httparse::Error::TooManyHeaders) => return Err(Refusal::TooLarge),
        Err(_) => return Err(Refusal::Malformed),
    }
    let fields = Fields(&*parsed.headers);
    let has_body = fields.all("Transfer-Encoding").next().is_some()
        || fields.all("Content-Length").any(|value| value != b"0");
    if parsed.version != Some(1) || has_body || fields.all("Host").count() != 1 {
        return Err(Refusal::Malformed);
    }
    let target = parsed.path.unwrap_or_default();
    if target.split('?').next() != Some(&terms.path) {
        return Err(Refusal::Path);
    }
    if !fields.lists("Upgrade", "websocket") || !fields.lists("Connection", "upgrade") {
        return Err(Refusal::NoUpgrade);
    }
    if fields.only("Sec-WebSocket-Version") != Some(b"13") {
        return Err(Refusal::Version);
    }
    let key = fields.only("Sec-WebSocket-Key").ok_or(Refusal::Key)?;
    if STANDARD.decode(key).map(|nonce| nonce.len()) != Ok(16) {
        return Err(Refusal::Key);
    }
    if !terms.allows_origin(&mut fields.all("Origin")) {
        return Err(Refusal::Origin);
    }
    if !fields.lists("Sec-WebSocket-Protocol", SUBPROTOCOL) {
        return Err(Refusal::Subprotocol);
    }
    Ok(key.to_vec())
}

/// The header fields of a request.
struct Fields<'a>(&'a [Header<'a>]);

impl<'a> Fields<'a> {
    /// The values of every field of this name.
    fn all(&self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        let fields = self.0.iter();
        fields.filter(move |field| field.name.eq_ignore_ascii_case(name)).map(|field| field.value)
    }

    /// The value of the only field of this name.
    fn only(&self, name: &str) -> Option<&'a [u8]> {
        let mut values = self.all(name);
        values.next().filter(|_| values.next().is_none())
    }

    /// Whether a comma-separated field of this name holds this word, in whatever case.
    fn lists(&self, name: &str, word: &str) -> bool {
        let mut words = self.all(name).flat_map(|value| value.split(|byte| *byte == b','));
        words.any(|found| found.trim_ascii().eq_ignore_ascii_case(word.as_bytes()))
    }
}

/// Appends the answer that begins the WebSocket. No extension is ever agreed to, so nothing is
/// compressed.
fn put_agreement(key: &[u8], below: &mut Vec<u8>) {
    let proof = digest(&SHA1_FOR_LEGACY_USE_ONLY, &[key, KEY_SUFFIX].concat());
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {}\r\nSec-WebSocket-Protocol: {SUBPROTOCOL}\r\n\r\n",
        STANDARD.encode(proof)
    );
    below.extend_from_slice(answer.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    const REQUEST: &str = "GET /mqtt?x=1 HTTP/1.1\r\nHost: a\r\nUpgrade: WebSocket\r\n\
        Connection: keep-alive, Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: mqttv3.1, mqtt\r\n\r\n";

    fn answer(request: &str, step: usize, origins: &[&str]) -> Result<String, Refusal> {
        let terms = WebSocketTerms {
            path: "/mqtt".into(),
            origins: origins.iter().map(|&origin| origin.into()).collect(),
            frame_bytes_max: 1 << 20,
        };
        let (mut handshake, mut below) = (Handshake::default(), Vec::new());
        for mut piece in request.as_bytes().chunks(step) {
            if handshake.receive(&mut piece, &terms, &mut below)? {
                let rest = std::str::from_utf8(piece).expect("it was text");
                return Ok(String::from_utf8(below).expect("an answer is text") + rest);
            }
        }
        Ok("waiting".to_owned())
    }

    fn refusal(request: &str) -> Refusal {
        let refused = answer(request, usize::MAX, &[]);
        assert_eq!(answer(request, 1, &[]), refused, "{request}");
        refused.expect_err("it is refused")
    }

    #[test]
    fn the_example_of_the_rfc_is_answered_as_it_says() {
        for step in [1, 2, 7, 10_000] {
            let answer = answer(REQUEST, step, &[]).expect("it is a good request");
            assert!(answer.starts_with("HTTP/1.1 101 Switching Protocols\r\n"));
            assert!(answer.contains("\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"));
            assert!(answer.contains("\r\nSec-WebSocket-Protocol: mqtt\r\n"));
            assert!(!answer.contains("Extensions"));
            assert!(answer.ends_with("\r\n\r\n"));
        }
    }

    #[test]
    fn bytes_behind_the_request_are_left_to_the_frames() {
        let answer = answer(&format!("{REQUEST}frames"), usize::MAX, &[]);
        assert!(answer.expect("it is a good request").ends_with("\r\n\r\nframes"));
    }

    #[test]
    fn what_is_missing_or_wrong_is_refused_by_name() {
        for (from, to, expected) in [
            ("mqttv3.1, mqtt", "mqttv3.1", Refusal::Subprotocol),
            ("Sec-WebSocket-Protocol: mqttv3.1, mqtt\r\n", "", Refusal::Subprotocol),
            ("/mqtt?x=1", "/other", Refusal::Path),
            ("/mqtt?x=1", "/mqtt/", Refusal::Path),
            ("Version: 13", "Version: 8", Refusal::Version),
            ("Upgrade: WebSocket", "Upgrade: h2c", Refusal::NoUpgrade),
            ("keep-alive, Upgrade", "keep-alive", Refusal::NoUpgrade),
            ("dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBs", Refusal::Key),
            ("HTTP/1.1", "HTTP/1.0", Refusal::Malformed),
            ("Host: a\r\n", "", Refusal::Malformed),
            ("Host: a\r\n", "Host: a\r\nContent-Length: 5\r\n", Refusal::Malformed),
            ("Host: a\r\n", "Host: a\r\nTransfer-Encoding: chunked\r\n", Refusal::Malformed),
            ("Host: a", "Host : a", Refusal::Malformed),
            ("GET", "PUT", Refusal::NotHttp),
        ] {
            assert!(REQUEST.contains(from), "{from}");
            assert_eq!(refusal(&REQUEST.replacen(from, to, 1)), expected, "{from} → {to}");
        }
        assert_eq!(refusal("\u{10}\u{c}\0\u{4}MQTT"), Refusal::NotHttp);
    }

    #[test]
    fn a_large_request_is_refused_before_it_has_come() {
        let long = REQUEST.replace("Host: a\r\n", &format!("Host: a\r\nX: {}", "y".repeat(8_192)));
        assert_eq!(refusal(&long), Refusal::TooLarge);
        let many =
            REQUEST.replace("Host: a\r\n", &format!("Host: a\r\n{}", "X: y\r\n".repeat(100)));
        assert_eq!(refusal(&many), Refusal::TooLarge);
        assert!(Refusal::TooLarge.status().starts_with("431"));
    }

    #[test]
    fn only_listed_origins_may_connect_when_there_is_a_list() {
        let from = |origin: &str| REQUEST.replace("Host: a", &format!("Host: a\r\n{origin}"));
        let list = ["https://a.example"];
        let good = from("Origin: https://A.example");
        assert!(answer(&good, usize::MAX, &list).is_ok());
        assert!(answer(REQUEST, usize::MAX, &list).is_ok(), "whoever sends none is no browser");
        let long = format!("Origin: https://a.example{}", "x".repeat(4_000));
        for bad in ["Origin: https://b.example", "Origin: null", "Origin:", &long] {
            assert_eq!(answer(&from(bad), usize::MAX, &list), Err(Refusal::Origin), "{bad}");
            assert!(answer(&from(bad), usize::MAX, &[]).is_ok());
        }
        let twice = from("Origin: https://a.example\r\nOrigin: https://a.example");
        assert_eq!(answer(&twice, usize::MAX, &list), Err(Refusal::Origin));
    }

    #[test]
    fn a_refusal_is_a_whole_answer() {
        let mut below = Vec::new();
        Refusal::Version.put(&mut below);
        let text = String::from_utf8(below).expect("an answer is text");
        assert!(text.starts_with("HTTP/1.1 426 Upgrade Required\r\n"));
        assert!(text.contains("\r\nSec-WebSocket-Version: 13\r\n"));
        let (head, body) = text.split_once("\r\n\r\n").expect("a head and a body");
        assert!(head.contains(&format!("Content-Length: {}", body.len())));
    }
}
