//! Connections that come: what they claim, how many, and how fast.

use std::net::TcpStream;
use std::time::Duration;

use skein_protocol::{Publish, QoS, Version};

use super::{counted, counted_by_acceptor, is_closed_within, say, socket};
use crate::harness::{
    Broker, Case, Doors, Heard, Peer, Way, connect, eventually, publish, raw, sized,
};

const FOR_THIS_MACHINE_TOO: &str = "addresses_unlimited = \"192.0.2.0/24\"\n";

/// A claim is not believed: memory follows the bytes that have come.
fn claims_of_256_mib_take_no_memory(beginning: &[u8]) {
    let case = Case::with_settings("");
    let grown = case.survives(|| {
        let sockets: Vec<TcpStream> = (0..100).map(|_| socket(&case)).collect();
        for socket in &sockets {
            say(socket, beginning);
            say(socket, &[b'x'; 4_000]);
        }
        for socket in &sockets {
            assert!(is_closed_within(socket, Duration::from_secs(5)));
        }
    });
    assert!(grown < 2 << 20, "{} KiB", grown / 1024);
}

/// CVE-2017-7651.
#[test]
fn g01_connects_that_claim_256_mib_take_no_memory() {
    claims_of_256_mib_take_no_memory(b"\x10\xFF\xFF\xFF\x7F\0\x04MQTT\x05\x02\0\0");
}

/// CVE-2023-0809.
#[test]
fn g02_other_packets_that_claim_256_mib_take_no_memory() {
    for header in [0x30, 0x82, 0xF0] {
        claims_of_256_mib_take_no_memory(&[header, 0xFF, 0xFF, 0xFF, 0x7F]);
    }
}

/// What may come before authentication has an end of its own.
#[test]
fn g02_no_more_than_64_kib_are_read_before_authentication() {
    let case = Case::with_settings("");
    let body = sized("MQTT").into_iter().chain([5, 2, 0, 0, 0]).chain(sized("x"));
    let mut body: Vec<u8> = body.collect();
    body.resize(65_537, 0);
    let peer = socket(&case);
    say(&peer, &raw(0x10, &body));
    assert!(is_closed_within(&peer, Duration::from_secs(5)));
}

/// CVE-2023-3592.
#[test]
fn g04_300_broken_wills_leave_nothing() {
    let case = Case::with_settings("");
    let will = [&[9, 0x26, 0, 1, b'k', 0, 1, b'v', 0x23, 0][..], &[0; 4]].concat();
    let body = [
        &sized("MQTT")[..],
        &[5, 0x06, 0, 0, 0],
        &sized("client"),
        &will,
        &sized("topic"),
        &sized(vec![b'x'; 8_000]),
    ]
    .concat();
    let broken = raw(0x10, &body);
    let grown = case.survives(|| {
        for _ in 0..300 {
            let mut peer = case.open(Version::V5);
            peer.send(&broken);
            peer.expect_refused(0x81, 0);
        }
    });
    assert!(grown < 1 << 20, "{} KiB", grown / 1024);
}

/// SlowITe takes all connections from one address: an address has no more than its own.
#[test]
fn g07_an_address_has_so_many_connections_and_room_again_when_they_end() {
    // The harness itself comes with eight at the start, and with one to see that all is well.
    let settings = format!("[limits]\nconnections_per_address_max = 12\n{FOR_THIS_MACHINE_TOO}");
    let case = Case::with_settings(&settings);
    let mut peers: Vec<Peer> =
        (0..12).map(|n| case.connect(Version::V5, &format!("peer-{n}"))).collect();
    let further = socket(&case);
    assert!(is_closed_within(&further, Duration::from_secs(5)));
    peers.pop().expect("there are twelve").leave();
    peers.pop().expect("there are eleven").cut();
    let has_room = || {
        let mut peer = case.open(Version::V5);
        peer.try_send(&connect(Version::V5, "late"))
            && matches!(peer.hear(Duration::from_secs(2)), Heard::Packet(_))
    };
    assert!(eventually(Duration::from_secs(5), has_room));
    drop(peers);
    // More than the one if it took a moment to notice that two had gone.
    assert!(counted_by_acceptor(&case, "connections_crowded") > 0);
    // Whoever checks the broker afterwards needs room.
    eventually(Duration::from_secs(5), has_room);
}

/// Behind a proxy the address that it names counts, not its own.
#[test]
fn g07_behind_a_proxy_the_source_that_it_names_is_counted() {
    let doors = Doors::open_with(2, "[limits]\nconnections_per_address_max = 2\n");
    for way in [Way::ProxyText, Way::Everything] {
        let open = |name: &str| {
            let mut peer = doors.peer(way, Version::V5);
            peer.send(&connect(Version::V5, &doors.case.name(name)));
            peer.receive().connack();
            peer
        };
        let (one, two) = (open("one"), open("two"));
        let third = doors.socket(way);
        say(&third, b"PROXY TCP4 192.0.2.77 192.0.2.1 4711 1883\r\n");
        assert!(is_closed_within(&third, Duration::from_secs(5)));
        // Another source of the same proxy has its own.
        let other = doors.socket(way);
        say(&other, b"PROXY TCP4 192.0.2.78 192.0.2.1 4711 1883\r\n");
        assert!(!is_closed_within(&other, Duration::from_millis(200)));
        one.leave();
        two.leave();
    }
    assert_eq!(counted(&doors.case, "connections_crowded"), 2);
}

/// What needs no password of a brute force: its connections come no faster than they may. The rest
/// is in what guards the passwords.
#[test]
fn g18_an_address_that_comes_too_fast_is_closed_at_once() {
    let settings =
        format!("[limits]\nconnections_per_address_per_s_max = 20\n{FOR_THIS_MACHINE_TOO}");
    let case = Case::with_settings(&settings);
    // Those who came at the start are paid for.
    std::thread::sleep(Duration::from_secs(1));
    let mut accepted = 0;
    for _ in 0..60 {
        let mut peer = case.open(Version::V5);
        peer.try_send(&connect(Version::V5, "guess"));
        accepted += u32::from(matches!(peer.hear(Duration::from_secs(2)), Heard::Packet(_)));
    }
    assert!((15..50).contains(&accepted), "{accepted} of 60 were let in");
    std::thread::sleep(Duration::from_secs(1));
}

/// Without descriptors it waits instead of asking again and again, keeps what it was told, and
/// serves as soon as there are some.
#[test]
fn g15_without_descriptors_the_acceptor_does_not_spin_and_sighup_changes_nothing() {
    let settings = "[access]\ndeny_publish = [\"secret/#\"]\n";
    let broker = Broker::start_with_files(2, settings, 64);
    let case = Case::on(std::sync::Arc::new(broker));
    let mut early = case.connect(Version::V5, "early");
    let crowd: Vec<TcpStream> = (0..100).map(|_| socket(&case)).collect();
    std::thread::sleep(Duration::from_secs(1));
    let load = case.load_during(Duration::from_secs(2));
    assert!(load < 0.1, "{load} of a core");
    case.broker.signal("HUP");
    early.publish("open", b"x", QoS::AtLeastOnce);
    let secret = Publish { qos: QoS::AtLeastOnce, ..publish("secret/a", b"x") };
    assert_eq!(early.say(&secret) as u8, 0x87);
    drop(crowd);
    let late = case.connect(Version::V5, "late");
    late.leave();
    early.leave();
}
