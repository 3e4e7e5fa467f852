//! The PROXY protocol: who is believed, and what is no header.

use std::time::Duration;

use skein_protocol::Version;

use crate::harness::{Broker, Case, Doors, Peer, Way, connect, eventually};

fn raw(doors: &Doors, way: Way) -> Peer {
    let socket = doors.socket(way);
    let stream = socket.try_clone().expect("there are descriptors");
    Peer::over(socket, stream, Version::V5)
}

#[test]
fn w12_whoever_sends_no_good_header_is_closed() {
    let doors = Doors::open(2);
    let short_field = [
        &b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0E"[..],
        &[192, 0, 2, 1, 192, 0, 2, 2, 0x12, 0x67, 0x07, 0x5B, 4, 0xFF],
    ]
    .concat();
    let too_long = [&b"PROXY UNKNOWN "[..], &[b'x'; 100]].concat();
    let wrong: [&[u8]; 8] = [
        b"\x10\x0C\0\x04MQTT\x04\x02\0\x3C\0\0",
        b"\x16\x03\x01\x00\x05hello",
        b"PROXY TCP4 192.0.2.1 192.0.2.2 4711\r\n",
        b"PROXY TCP9 192.0.2.1 192.0.2.2 4711 1883\r\n",
        "PROXY UNKNOWN\r\u{e9}\r\n".as_bytes(),
        b"\r\n\r\n\0\r\nQUIT\n\x11\x11\0\x00",
        &short_field,
        &too_long,
    ];
    for bytes in wrong {
        for way in [Way::ProxyText, Way::Everything] {
            let mut peer = raw(&doors, way);
            peer.send(bytes);
            peer.expect_raw_end();
        }
    }
    let is_told = || doors.case.broker.log().contains("connection refused: the PROXY header");
    assert!(eventually(Duration::from_secs(2), is_told), "{}", doors.case.broker.log());
}

#[test]
fn a_header_in_front_of_a_listener_that_expects_none_is_no_mqtt() {
    let doors = Doors::open(2);
    for way in [Way::Plain, Way::Tls13, Way::WebSocket] {
        let mut peer = raw(&doors, way);
        // For MQTT the first letters are a packet that has not come whole until the zeros have.
        peer.send(&[&b"PROXY UNKNOWN\r\n"[..], &[0; 100]].concat());
        peer.expect_raw_end();
    }
}

#[test]
fn w12_whoever_is_no_trusted_proxy_is_closed_before_anything_is_read() {
    let settings = "[[listener]]\naddress = \"127.0.0.1:0\"\n\
                    [[listener]]\nname = \"behind\"\naddress = \"127.0.0.1:0\"\n\
                    proxy_protocol_from = [\"10.0.0.0/8\", \"127.0.0.2\"]\n\
                    auth = \"anonymous\"\n";
    let case = Case::on(std::sync::Arc::new(Broker::start_as_configured(2, settings)));
    let address = case.broker.addresses[1].parse().expect("an address");
    let mut peer = Peer::open(address, Version::V5);
    peer.try_send(b"PROXY UNKNOWN\r\n");
    peer.try_send(&connect(Version::V5, "stranger"));
    peer.expect_closed();
    let is_told = || case.broker.log().contains("proxy_protocol_from does not name its address");
    assert!(eventually(Duration::from_secs(2), is_told), "{}", case.broker.log());
}

#[test]
fn a_proxy_that_speaks_for_itself_or_does_not_know_is_served() {
    let doors = Doors::open(2);
    let local = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";
    for header in [&b"PROXY UNKNOWN\r\n"[..], local] {
        let mut peer = raw(&doors, Way::ProxyText);
        peer.send(header);
        peer.send(&connect(Version::V5, &doors.case.name("proxy")));
        peer.receive().connack();
    }
}
