//! The WebSocket as a whole: handshake, frames, control frames, closing.

use std::sync::Arc;

use super::*;

const REQUEST: &[u8] = b"GET /mqtt HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n";

fn websocket() -> WebSocket {
    let terms =
        WebSocketTerms { path: "/mqtt".into(), origins: Box::default(), frame_bytes_max: 1 << 20 };
    WebSocket::new(Arc::new(terms))
}

fn opened() -> WebSocket {
    let mut websocket = websocket();
    let mut below = Vec::new();
    assert_eq!(websocket.receive(REQUEST, &mut Vec::new(), &mut below), Ok(Flow::Going));
    assert!(below.starts_with(b"HTTP/1.1 101 ") && websocket.is_open());
    websocket
}

/// A frame with a mask of zeros.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(payload.len()).expect("a short payload");
    [&[first, 0x80 | length, 0, 0, 0, 0], payload].concat()
}

/// What the WebSocket makes of these bytes: MQTT's, and its answers.
fn receive(
    websocket: &mut WebSocket,
    bytes: &[u8],
    step: usize,
) -> (Result<Flow, WebSocketError>, Vec<u8>, Vec<u8>) {
    let (mut above, mut below) = (Vec::new(), Vec::new());
    let mut flow = Ok(Flow::Going);
    for piece in bytes.chunks(step) {
        flow = websocket.receive(piece, &mut above, &mut below);
        if flow != Ok(Flow::Going) {
            break;
        }
    }
    (flow, above, below)
}

#[test]
fn bytes_behind_the_handshake_are_frames_already() {
    for step in [1, 5, usize::MAX] {
        let bytes = [REQUEST, &frame(0x82, b"CONNECT")].concat();
        let (flow, above, below) = receive(&mut websocket(), &bytes, step);
        assert_eq!((flow, above), (Ok(Flow::Going), b"CONNECT".to_vec()));
        assert!(below.ends_with(b"\r\n\r\n"));
    }
}

#[test]
fn nothing_is_sent_before_the_handshake_is_over_nor_after_the_close() {
    let mut below = Vec::new();
    let mut websocket = websocket();
    websocket.send(b"x", &mut below);
    websocket.finish(&mut below);
    assert!(below.is_empty());
    let mut websocket = opened();
    websocket.send(b"x", &mut below);
    websocket.finish(&mut below);
    websocket.send(b"y", &mut below);
    websocket.finish(&mut below);
    assert_eq!(below, [0x82, 1, b'x', 0x88, 2, 0x03, 0xE8]);
}

#[test]
fn w03_a_refused_request_is_answered_and_nothing_behind_it_is_read() {
    let request = String::from_utf8_lossy(REQUEST).replace("mqtt\r\n\r\n", "other\r\n\r\n");
    let bytes = [request.as_bytes(), &frame(0x82, b"CONNECT")].concat();
    let (flow, above, below) = receive(&mut websocket(), &bytes, 1);
    assert_eq!(flow, Err(WebSocketError::Refused(Refusal::Subprotocol)));
    assert!(above.is_empty() && below.starts_with(b"HTTP/1.1 400 "));
}

#[test]
fn w01_w04_w05_wrong_frames_are_closed_with_their_code() {
    let long = [0x82, 0xFF, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let wrong: [(&[u8], u16, WebSocketError); 3] = [
        (&frame(0x81, b"text"), 1003, WebSocketError::TextFrame),
        (&[0x82, 0x01, b'x'], 1002, WebSocketError::ProtocolError),
        (&long, 1002, WebSocketError::ProtocolError),
    ];
    for (bytes, code, error) in wrong {
        let mut websocket = opened();
        let (flow, above, below) = receive(&mut websocket, bytes, 1);
        let [high, low] = code.to_be_bytes();
        assert_eq!((flow, above, below), (Err(error), vec![], vec![0x88, 2, high, low]));
        let (flow, above, _) = receive(&mut websocket, &frame(0x82, b"more"), 100);
        assert_eq!((flow, above), (Ok(Flow::Ended), vec![]));
    }
}

#[test]
fn w10_many_pings_have_one_answer_the_last_one() {
    let mut websocket = opened();
    let pings: Vec<u8> = (0..1_000_u16).flat_map(|n| frame(0x89, &n.to_be_bytes())).collect();
    let (flow, _, mut below) = receive(&mut websocket, &pings, usize::MAX);
    assert_eq!((flow, below.len()), (Ok(Flow::Going), 0));
    websocket.answer_ping(&mut below);
    websocket.answer_ping(&mut below);
    assert_eq!(below, [0x8A, 2, 0x03, 0xE7]);
}

#[test]
fn a_close_is_answered_with_its_code_once() {
    for (payload, code) in [(&b""[..], 1000_u16), (b"\x03\xE9bye", 1001), (b"\x0B\xB8", 3000)] {
        let mut websocket = opened();
        let stream = [frame(0x82, b"last"), frame(0x88, payload), frame(0x82, b"no")].concat();
        let (flow, above, below) = receive(&mut websocket, &stream, 1);
        let [high, low] = code.to_be_bytes();
        assert_eq!((flow, above), (Ok(Flow::Ended), b"last".to_vec()));
        assert_eq!(below, [0x88, 2, high, low]);
    }
}

#[test]
fn a_close_that_may_not_be_is_a_broken_protocol() {
    for payload in [&b"\x03"[..], b"\x03\xED", b"\x00\x00", b"\x03\xE8\xFF", b"\x13\x88"] {
        let (flow, _, below) = receive(&mut opened(), &frame(0x88, payload), 1);
        assert_eq!(flow, Err(WebSocketError::ProtocolError), "{payload:02X?}");
        assert_eq!(below, [0x88, 2, 0x03, 0xEA]);
    }
}
