//! Layers on real sockets: what is read and written when the kernel has little or no room.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rustls::version::TLS13;
use rustls::{ClientConnection, StreamOwned};
use skein_test_authority::Authority;

use super::super::fixtures::{client_of, server_config};
use super::super::websocket::WebSocketTerms;
use super::*;

const REQUEST: &[u8] = b"GET /mqtt HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n";
const PATIENCE: Duration = Duration::from_secs(10);

/// A socket with these layers, and its peer's end.
fn pair(layers: &Layers) -> (Layered, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let peer = TcpStream::connect(listener.local_addr().expect("it is bound")).expect("it listens");
    let (stream, _) = listener.accept().expect("a connection waits");
    stream.set_nonblocking(true).expect("a socket option");
    peer.set_read_timeout(Some(PATIENCE)).expect("a socket option");
    let socket = Plain::new(mio::net::TcpStream::from_std(stream), None);
    (Layered::new(socket, layers).expect("a good configuration"), peer)
}

fn websocket() -> Layers {
    let terms =
        WebSocketTerms { path: "/mqtt".into(), origins: Box::default(), frame_bytes_max: 1 << 20 };
    Layers { websocket: Some(Arc::new(terms)), ..Layers::default() }
}

/// Repeats what would block until it does not.
fn patiently<T>(mut attempt: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    let started = Instant::now();
    loop {
        match attempt() {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                assert!(started.elapsed() < PATIENCE, "nothing comes");
                thread::sleep(Duration::from_millis(1));
            }
            result => return result,
        }
    }
}

/// Reads this many bytes of MQTT, in pieces of `step`.
fn read(layered: &mut Layered, scratch: &mut Scratch, count: usize, step: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while bytes.len() < count {
        let mut into = vec![0; step.min(count - bytes.len())];
        let filled = patiently(|| layered.read(&mut into, scratch)).expect("it goes on");
        assert!(filled > 0, "it has not ended");
        bytes.extend_from_slice(&into[..filled]);
    }
    bytes
}

/// A frame with a mask of zeros.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(payload.len()).expect("a short payload");
    [&[first, 0x80 | length, 0, 0, 0, 0], payload].concat()
}

#[test]
fn what_was_read_and_not_taken_is_ready_for_the_next_read() {
    let (mut layered, mut peer) = pair(&websocket());
    let mut scratch = Scratch::default();
    let bytes = [REQUEST, &frame(0x82, b"abcdefgh")].concat();
    peer.write_all(&bytes).expect("there is room");
    assert_eq!(read(&mut layered, &mut scratch, 3, 1), b"abc");
    assert!(layered.holds_input() && !layered.is_drained());
    assert_eq!(read(&mut layered, &mut scratch, 5, 2), b"defgh");
    assert!(!layered.holds_input());
    let nothing = layered.read(&mut [0; 8], &mut scratch).map_err(|error| error.kind());
    assert_eq!((nothing, layered.is_drained()), (Err(ErrorKind::WouldBlock), true));
    assert_eq!(layered.ready.capacity() + layered.outgoing.capacity(), 0, "idle");
}

#[test]
fn an_end_comes_after_the_bytes_before_it() {
    for goodbye in [frame(0x88, b""), vec![]] {
        let (mut layered, mut peer) = pair(&websocket());
        let mut scratch = Scratch::default();
        peer.write_all(&[REQUEST, &frame(0x82, b"last"), &goodbye].concat()).expect("room");
        drop(peer.shutdown(std::net::Shutdown::Write));
        assert_eq!(read(&mut layered, &mut scratch, 4, 100), b"last");
        for _ in 0..2 {
            assert_eq!(patiently(|| layered.read(&mut [0; 8], &mut scratch)).expect("an end"), 0);
            assert!(!layered.is_drained());
        }
    }
}

#[test]
fn a_fault_is_invalid_data_and_its_answer_has_been_sent() {
    let (mut layered, mut peer) = pair(&websocket());
    let mut scratch = Scratch::default();
    peer.write_all(b"\x10\x0C\0\x04MQTT").expect("there is room");
    let fault = patiently(|| layered.read(&mut [0; 100], &mut scratch)).expect_err("a fault");
    assert_eq!(fault.kind(), ErrorKind::InvalidData);
    assert!(fault.to_string().contains("no HTTP request"), "{fault}");
    let silent = layered.write_vectored(&[IoSlice::new(b"more")], &mut scratch);
    assert_eq!(silent.expect("it is swallowed"), 4);
    layered.shut_down_write(&mut scratch).expect("there is room");
    let mut answer = String::new();
    peer.read_to_string(&mut answer).expect("text, and the end");
    assert!(answer.starts_with("HTTP/1.1 400 ") && answer.ends_with("begins with one\n"));
}

#[test]
fn a_budget_of_pings_is_not_a_drained_socket() {
    let (mut layered, mut peer) = pair(&websocket());
    let mut scratch = Scratch::default();
    peer.write_all(REQUEST).expect("there is room");
    peer.write_all(&frame(0x89, b"ping").repeat(20_000)).expect("there is room");
    let mut rounds = 0;
    while !{
        let nothing = layered.read(&mut [0; 4_096], &mut scratch).map_err(|error| error.kind());
        assert_eq!(nothing, Err(ErrorKind::WouldBlock));
        layered.is_drained() && rounds > 45
    } {
        rounds += 1;
    }
    peer.write_all(&frame(0x82, b"x")).expect("there is room");
    assert_eq!(read(&mut layered, &mut scratch, 1, 1), b"x");
    layered.shut_down_write(&mut scratch).expect("there is room");
    let mut answers = Vec::new();
    peer.read_to_end(&mut answers).expect("the end comes");
    let pongs = answers.windows(6).filter(|window| *window == b"\x8A\x04ping").count();
    assert!((1..=rounds + 2).contains(&pongs), "{pongs} answers in {rounds} rounds");
}

#[test]
fn what_a_full_socket_does_not_take_is_kept_and_bounded() {
    let (mut layered, mut peer) = pair(&websocket());
    let mut scratch = Scratch::default();
    peer.write_all(REQUEST).expect("there is room");
    let nothing = || layered.read(&mut [0; 1], &mut scratch).map_err(|error| error.kind());
    let mut nothing = nothing;
    while nothing() != Err(ErrorKind::WouldBlock) {}
    let payload = vec![b'x'; 100_000];
    let reader = thread::spawn(move || {
        thread::sleep(Duration::from_millis(100));
        let mut received = Vec::new();
        peer.read_to_end(&mut received).expect("the end comes");
        received
    });
    let (mut sent, mut has_waited) = (0, false);
    while sent < 100 * payload.len() {
        let from = sent % payload.len();
        let slices = [IoSlice::new(&payload[from..])];
        match layered.write_vectored(&slices, &mut scratch) {
            Ok(count) => sent += count,
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::WouldBlock);
                assert!(layered.holds_output());
                has_waited = true;
                thread::sleep(Duration::from_millis(1));
            }
        }
        assert!(layered.outgoing.len() < 2 * BELOW_BYTES_MAX + 100);
    }
    patiently(|| layered.shut_down_write(&mut scratch)).expect("the peer reads");
    let received = reader.join().expect("the peer reads to the end");
    let payload_bytes = received.iter().filter(|byte| **byte == b'x').count();
    assert!(has_waited && payload_bytes >= sent);
}

#[test]
fn a_client_is_introduced_once() {
    let authority = Authority::new("authority");
    let layers =
        Layers { proxy: true, tls: Some(server_config(&authority, true)), websocket: None };
    let (mut layered, mut peer) = pair(&layers);
    let identity = authority.client("client");
    let certificate: Box<[u8]> = identity.certificate().as_ref().into();
    let client: ClientConnection = client_of(&authority, &[&TLS13], Some(identity));
    let client = thread::spawn(move || {
        peer.write_all(b"PROXY TCP4 192.0.2.1 192.0.2.2 4711 8883\r\n").expect("there is room");
        let mut stream = StreamOwned::new(client, peer);
        stream.write_all(b"hello").expect("the handshake is good");
        let mut heard = [0; 5];
        stream.read_exact(&mut heard).expect("an answer");
        heard
    });
    let mut scratch = Scratch::default();
    assert_eq!(layered.take_introduction(), None);
    assert_eq!(read(&mut layered, &mut scratch, 5, 5), b"hello");
    let source = Some("192.0.2.1:4711".parse().expect("an address"));
    let expected = Introduction { source, certificates: vec![certificate] };
    assert_eq!(layered.take_introduction(), Some(expected));
    assert_eq!(layered.take_introduction(), None);
    layered.write_vectored(&[IoSlice::new(b"world")], &mut scratch).expect("there is room");
    assert_eq!(&client.join().expect("the client is content"), b"world");
}
