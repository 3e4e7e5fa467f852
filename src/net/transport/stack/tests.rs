//! The layers upon one another, in every combination.

use std::io::Write;
use std::sync::OnceLock;

use rustls::ClientConnection;
use rustls::version::TLS13;
use skein_test_authority::Authority;

use super::super::fixtures::{client_of, give_records, server_config, take_records};
use super::*;

const HEADER: &[u8] = b"PROXY TCP4 192.0.2.1 192.0.2.2 4711 8883\r\n";
const REQUEST: &[u8] = b"GET /mqtt HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n";

fn authority() -> &'static Authority {
    static AUTHORITY: OnceLock<Authority> = OnceLock::new();
    AUTHORITY.get_or_init(|| Authority::new("authority"))
}

/// A client of these layers.
struct Client {
    layers: Layers,
    tls: Option<ClientConnection>,
    /// Plain bytes that the server has said.
    heard: Vec<u8>,
}

impl Client {
    fn new(proxy: bool, tls: bool, websocket: bool) -> Self {
        let terms = WebSocketTerms {
            path: "/mqtt".into(),
            origins: Box::default(),
            frame_bytes_max: 1 << 20,
        };
        let layers = Layers {
            proxy,
            tls: tls.then(|| server_config(authority(), false)),
            websocket: websocket.then(|| Arc::new(terms)),
        };
        let tls = tls.then(|| client_of(authority(), &[&TLS13], None));
        Self { layers, tls, heard: Vec::new() }
    }

    /// Says all this to the stack, in pieces of `step`; what comes out as MQTT.
    fn say(
        &mut self,
        stack: &mut Stack,
        header: &[u8],
        plain: &[u8],
        step: usize,
    ) -> (Result<Flow, Fault>, Vec<u8>) {
        let (mut above, mut between) = (Vec::new(), Between::default());
        let mut bytes = header.to_vec();
        match &mut self.tls {
            Some(tls) => tls.writer().write_all(plain).expect("it is kept"),
            None => bytes.extend_from_slice(plain),
        }
        loop {
            bytes.extend(self.tls.as_mut().map(take_records).unwrap_or_default());
            if bytes.is_empty() {
                return (Ok(Flow::Going), above);
            }
            for piece in std::mem::take(&mut bytes).chunks_mut(step) {
                let mut below = Vec::new();
                let flow = stack.receive(piece, &mut between, &mut above, &mut below);
                self.hear(&below);
                if flow != Ok(Flow::Going) {
                    return (flow, above);
                }
            }
        }
    }

    fn hear(&mut self, bytes: &[u8]) {
        let Some(tls) = &mut self.tls else { return self.heard.extend_from_slice(bytes) };
        self.heard.extend(give_records(tls, bytes).expect("it is good TLS"));
    }
}

/// A frame with a mask of zeros.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(payload.len()).expect("a short payload");
    [&[first, 0x80 | length, 0, 0, 0, 0], payload].concat()
}

#[test]
fn mqtt_passes_through_every_combination_one_byte_at_a_time() {
    for choice in 1..8 {
        let [proxy, tls, websocket] = [1, 2, 4].map(|bit| choice & bit != 0);
        for step in [1, 3, 1_000, usize::MAX] {
            let mut client = Client::new(proxy, tls, websocket);
            assert!(!client.layers.is_empty());
            let mut stack = Stack::new(&client.layers).expect("a good configuration");
            assert!(!stack.is_open());
            let header = if proxy { HEADER } else { b"" };
            let said = match websocket {
                true => [REQUEST, &frame(0x02, b"CON"), &frame(0x80, b"NECT")].concat(),
                false => b"CONNECT".to_vec(),
            };
            let heard = client.say(&mut stack, header, &said, step);
            assert_eq!(heard, (Ok(Flow::Going), b"CONNECT".to_vec()), "{choice}, {step}");
            assert!(stack.is_open());
            let source = proxy.then(|| "192.0.2.1:4711".parse().expect("an address"));
            assert_eq!(stack.source(), source);
            client.heard.clear();
            let (mut between, mut below) = (Between::default(), Vec::new());
            stack.send(b"CONNACK", &mut between, &mut below).expect("it is open");
            stack.finish(&mut below);
            client.hear(&below);
            let expected = match websocket {
                true => [&[0x82, 7], &b"CONNACK"[..], &[0x88, 2, 3, 0xE8]].concat(),
                false => b"CONNACK".to_vec(),
            };
            assert_eq!(client.heard, expected);
        }
    }
}

#[test]
fn the_last_word_of_a_websocket_passes_through_tls() {
    for tls in [false, true] {
        for step in [1, usize::MAX] {
            let mut client = Client::new(false, tls, true);
            let mut stack = Stack::new(&client.layers).expect("a good configuration");
            let (flow, _) = client.say(&mut stack, b"", REQUEST, step);
            assert_eq!(flow, Ok(Flow::Going));
            client.heard.clear();
            let (flow, above) = client.say(&mut stack, b"", &frame(0x81, b"text"), step);
            assert_eq!(flow, Err(Fault::WebSocket(WebSocketError::TextFrame)));
            assert_eq!((above, &client.heard[..]), (vec![], &[0x88, 2, 0x03, 0xEB][..]));
        }
    }
}

#[test]
fn pings_are_answered_through_tls() {
    for tls in [false, true] {
        let mut client = Client::new(false, tls, true);
        let mut stack = Stack::new(&client.layers).expect("a good configuration");
        let (flow, _) = client.say(&mut stack, b"", REQUEST, 1);
        assert_eq!(flow, Ok(Flow::Going));
        client.heard.clear();
        let pings = [frame(0x89, b"one"), frame(0x89, b"two")].concat();
        assert_eq!(client.say(&mut stack, b"", &pings, 1), (Ok(Flow::Going), vec![]));
        let (mut between, mut below) = (Between::default(), Vec::new());
        stack.answer(&mut between, &mut below).expect("it is open");
        stack.answer(&mut between, &mut below).expect("it is open");
        client.hear(&below);
        assert_eq!(client.heard, [&[0x8A, 3], &b"two"[..]].concat());
    }
}

#[test]
fn a_missing_header_is_a_fault_before_tls_sees_a_byte() {
    let mut client = Client::new(true, true, false);
    let mut stack = Stack::new(&client.layers).expect("a good configuration");
    let (flow, above) = client.say(&mut stack, b"", b"CONNECT", 1);
    assert_eq!((flow, above), (Err(Fault::Proxy(ProxyError::NoHeader)), vec![]));
    assert!(client.heard.is_empty());
}
