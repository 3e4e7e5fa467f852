//! TLS against rustls' own client, and against bytes that no client sends.

use std::io::Write;
use std::sync::OnceLock;

use rustls::version::{TLS12, TLS13};
use rustls::{ClientConnection, SupportedProtocolVersion};
use skein_test_authority::Authority;

use super::super::fixtures::{client_of, converse, give_records, server_config, take_records};
use super::*;

const VERSIONS: [&SupportedProtocolVersion; 2] = [&TLS12, &TLS13];

fn authority() -> &'static Authority {
    static AUTHORITY: OnceLock<Authority> = OnceLock::new();
    AUTHORITY.get_or_init(|| Authority::new("authority"))
}

fn server(asks: bool) -> Tls {
    Tls::new(server_config(authority(), asks)).expect("a good configuration")
}

/// Both ends after their handshake.
fn opened(version: &'static SupportedProtocolVersion) -> (Tls, ClientConnection) {
    let (mut tls, mut client) = (server(false), client_of(authority(), &[version], None));
    assert_eq!(converse(&mut tls, &mut client, usize::MAX), Ok((Flow::Going, vec![])));
    assert!(tls.is_open() && !client.is_handshaking());
    (tls, client)
}

#[test]
fn a_handshake_and_data_pass_however_the_records_are_cut() {
    for version in VERSIONS {
        for step in [1, 2, 5, 100, 20_000, usize::MAX] {
            let (mut tls, mut client) = (server(false), client_of(authority(), &[version], None));
            let payload: Vec<u8> = (0..40_000_u32).map(|n| n as u8).collect();
            client.writer().write_all(&payload).expect("it is kept until the handshake is over");
            assert_eq!(converse(&mut tls, &mut client, step), Ok((Flow::Going, payload.clone())));
            let mut below = Vec::new();
            tls.send(&payload, &mut below).expect("the handshake is over");
            assert_eq!(give_records(&mut client, &below), Ok(payload));
            assert_eq!(tls.held.capacity(), 0, "an idle connection holds nothing");
        }
    }
}

#[test]
fn a_part_of_a_record_waits_while_others_are_sent() {
    for version in VERSIONS {
        let (mut tls, mut client) = opened(version);
        client.writer().write_all(b"split").expect("it is kept");
        let mut records = take_records(&mut client);
        let (first, second) = records.split_at_mut(9);
        let (mut above, mut below) = (Vec::new(), Vec::new());
        assert_eq!(tls.receive(first, &mut above, &mut below), Ok(Flow::Going));
        tls.send(b"meanwhile", &mut below).expect("it is open");
        assert_eq!(tls.receive(second, &mut above, &mut below), Ok(Flow::Going));
        assert_eq!(above, b"split");
        assert_eq!(give_records(&mut client, &below), Ok(b"meanwhile".to_vec()));
    }
}

#[test]
fn new_keys_are_agreed_on_while_the_connection_goes_on() {
    let (mut tls, mut client) = opened(&TLS13);
    for round in 0..3 {
        client.refresh_traffic_keys().expect("TLS 1.3 has this");
        client.writer().write_all(&[round]).expect("it is kept");
        assert_eq!(converse(&mut tls, &mut client, 1), Ok((Flow::Going, vec![round])));
        let mut below = Vec::new();
        tls.send(b"x", &mut below).expect("it is open");
        assert_eq!(give_records(&mut client, &below), Ok(b"x".to_vec()));
    }
}

#[test]
fn each_end_says_when_it_ends() {
    for version in VERSIONS {
        let (mut tls, mut client) = opened(version);
        client.writer().write_all(b"last").expect("it is kept");
        client.send_close_notify();
        assert_eq!(converse(&mut tls, &mut client, 1), Ok((Flow::Ended, b"last".to_vec())));
        let (mut tls, mut client) = opened(version);
        let mut below = Vec::new();
        tls.finish(&mut below);
        tls.finish(&mut below);
        client.read_tls(&mut below.as_slice()).expect("a slice gives everything");
        let state = client.process_new_packets().expect("it is good TLS");
        assert!(state.peer_has_closed());
    }
}

#[test]
fn nothing_is_said_before_the_handshake_is_over() {
    let mut below = Vec::new();
    let mut tls = server(false);
    assert_eq!(tls.send(b"x", &mut below), Err(TlsError::NotOpen));
    tls.finish(&mut below);
    assert!(below.is_empty() && !tls.is_open());
}

#[test]
fn a_client_certificate_is_kept_and_a_wrong_one_is_refused() {
    for version in VERSIONS {
        let good = authority().client("client");
        let expected = good.certificate();
        let (mut tls, mut client) = (server(true), client_of(authority(), &[version], Some(good)));
        converse(&mut tls, &mut client, 1).expect("it is of the same authority");
        assert_eq!(tls.client_certificates(), [expected]);
        let wrong_authority = Authority::new("authority").client("client");
        let wrong_usage = authority().server(&["client"]);
        for wrong in [None, Some(wrong_authority), Some(wrong_usage)] {
            let (mut tls, mut client) = (server(true), client_of(authority(), &[version], wrong));
            let refused = converse(&mut tls, &mut client, usize::MAX);
            assert!(matches!(refused, Err(TlsError::Failed(_))), "{refused:?}");
            assert_eq!(tls.client_certificates(), []);
        }
    }
}

#[test]
fn w14_bytes_that_are_no_tls_are_refused_with_an_alert() {
    let connect = b"\x10\x0C\0\x04MQTT\x04\x02\0\x3C\0\0";
    for bytes in [&connect[..], b"GET / HTTP/1.1\r\n\r\n", b"PROXY UNKNOWN\r\n\r\n"] {
        let (mut above, mut below) = (Vec::new(), Vec::new());
        let refused = server(false).receive(&mut bytes.to_vec(), &mut above, &mut below);
        assert_eq!(refused, Err(TlsError::NotTls));
        assert!(above.is_empty());
        assert_eq!(below.first(), Some(&21), "an alert: {below:02X?}");
    }
}

/// A hello of TLS 1.0 or 1.1, which offers one cipher of that time.
fn old_hello(minor: u8) -> Vec<u8> {
    let body = [&[3, minor][..], &[7; 32], &[0, 0, 2, 0, 0x2F, 1, 0]].concat();
    let length = u8::try_from(body.len()).expect("it is short");
    [&[22, 3, 1, 0, length + 4, 1, 0, 0, length], &body[..]].concat()
}

#[test]
fn w15_versions_before_1_2_are_refused() {
    for minor in [0, 1, 2] {
        let (mut above, mut below) = (Vec::new(), Vec::new());
        let refused = server(false).receive(&mut old_hello(minor), &mut above, &mut below);
        assert!(matches!(refused, Err(TlsError::Failed(_))), "{refused:?}");
        assert_eq!(below.first(), Some(&21), "an alert: {below:02X?}");
    }
}

/// Cuts the messages of a handshake record into records of `size` bytes.
fn fragmented(record: &[u8], size: usize) -> Vec<u8> {
    let cut = |piece: &[u8]| {
        let length = u16::try_from(piece.len()).expect("it is short").to_be_bytes();
        [&record[..3], &length, piece].concat()
    };
    record[5..].chunks(size).flat_map(cut).collect()
}

#[test]
fn a_hello_in_many_records_is_understood() {
    for size in [1, 3, 50] {
        for step in [1, 1_000] {
            let (mut tls, mut client) = (server(false), client_of(authority(), &[&TLS13], None));
            let mut records = fragmented(&take_records(&mut client), size);
            for piece in records.chunks_mut(step) {
                let mut below = Vec::new();
                tls.receive(piece, &mut Vec::new(), &mut below).expect("it is good TLS");
                give_records(&mut client, &below).expect("it is good TLS");
            }
            converse(&mut tls, &mut client, step).expect("it is good TLS");
            assert!(tls.is_open());
        }
    }
}

proptest::proptest! {
    #[test]
    fn no_bytes_cause_a_panic(
        size in 1..300_usize,
        step in 1..2_000_usize,
        changes in proptest::collection::vec((0..2_000_usize, proptest::num::u8::ANY), 0..4),
        rest in proptest::collection::vec(proptest::num::u8::ANY, 0..100),
    ) {
        let mut client = client_of(authority(), &[&TLS12, &TLS13], None);
        let mut bytes = [fragmented(&take_records(&mut client), size), rest].concat();
        for (at, value) in changes {
            let at = at % bytes.len();
            bytes[at] = value;
        }
        let (mut tls, mut above) = (server(false), Vec::new());
        for piece in bytes.chunks_mut(step) {
            if let Err(error) = tls.receive(piece, &mut above, &mut Vec::new()) {
                assert_ne!(error, TlsError::Panicked);
                break;
            }
            // It has nothing to say yet, but may be asked to.
            assert_eq!(tls.send(b"x", &mut Vec::new()), Err(TlsError::NotOpen));
        }
        tls.finish(&mut Vec::new());
        assert!(above.is_empty());
    }

    #[test]
    fn no_records_cause_a_panic_behind_a_handshake(
        is_new: bool,
        length in 0..40_000_usize,
        step in 1..9_000_usize,
        change in (0..60_000_usize, 1..=u8::MAX),
        rest in proptest::collection::vec(proptest::num::u8::ANY, 0..100),
    ) {
        let (mut tls, mut client) = opened(VERSIONS[usize::from(is_new)]);
        let payload = vec![b'x'; length];
        client.writer().write_all(&payload).expect("it is kept");
        let mut bytes = [take_records(&mut client), rest].concat();
        if let Some(byte) = bytes.get_mut(change.0) {
            *byte ^= change.1;
        }
        let mut above = Vec::new();
        for piece in bytes.chunks_mut(step) {
            let received = tls.receive(piece, &mut above, &mut Vec::new());
            assert_ne!(received, Err(TlsError::Panicked));
            let sent = tls.send(b"x", &mut Vec::new());
            assert_ne!(sent, Err(TlsError::Panicked));
        }
        tls.finish(&mut Vec::new());
        assert!(payload.starts_with(&above), "nothing that was changed comes through");
    }
}
