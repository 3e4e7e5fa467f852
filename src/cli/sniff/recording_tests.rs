use etherparse::PacketBuilder;

use super::*;

const FROM: &str = "10.0.0.1:50000";
const TO: &str = "10.0.0.2:1883";

/// A packet of IPv4 with this payload of TCP.
fn ip(payload: &[u8]) -> Vec<u8> {
    let builder =
        PacketBuilder::ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64).tcp(50_000, 1_883, 100, 1_024);
    let mut bytes = Vec::new();
    builder.write(&mut bytes, payload).expect("a Vec takes everything");
    bytes
}

/// A file of pcap: packets with the number of bytes that are kept of each.
fn pcap(link: u32, packets: &[(&[u8], usize)]) -> Vec<u8> {
    let mut file = 0xA1B2_C3D4_u32.to_le_bytes().to_vec();
    file.extend([2, 0, 4, 0]);
    file.extend([0; 8]);
    file.extend(65_535_u32.to_le_bytes());
    file.extend(link.to_le_bytes());
    for (packet, kept) in packets {
        let (kept, length) = (*kept as u32, packet.len() as u32);
        for number in [1_600_000_000, 5, kept.min(length), length] {
            file.extend(number.to_le_bytes());
        }
        file.extend(&packet[..packet.len().min(kept as usize)]);
    }
    file
}

fn block(number: u32, body: &[u8]) -> Vec<u8> {
    let padded = body.len().next_multiple_of(4);
    let length = (12 + padded as u32).to_le_bytes();
    let mut block = number.to_le_bytes().to_vec();
    block.extend(length);
    block.extend(body);
    block.resize(8 + padded, 0);
    block.extend(length);
    block
}

/// A file of pcapng with one interface of Ethernet, whose clock counts nanoseconds.
fn pcapng(packet: &[u8]) -> Vec<u8> {
    let mut section = 0x1A2B_3C4D_u32.to_le_bytes().to_vec();
    section.extend([1, 0, 0, 0]);
    section.extend([0xFF; 8]);
    // The option if_tsresol, 10^-9.
    let interface = [&[1, 0, 0, 0, 0, 0, 0, 0][..], &[9, 0, 1, 0, 9, 0, 0, 0, 0, 0, 0, 0]].concat();
    let units = 1_600_000_000_000_000_007_u64;
    let mut enhanced = vec![0; 4];
    enhanced.extend(((units >> 32) as u32).to_le_bytes());
    enhanced.extend((units as u32).to_le_bytes());
    enhanced.extend((packet.len() as u32).to_le_bytes());
    enhanced.extend((packet.len() as u32).to_le_bytes());
    enhanced.extend(packet);
    [block(0x0A0D_0D0A, &section), block(1, &interface), block(6, &enhanced)].concat()
}

/// A segment that was found.
#[derive(Debug, PartialEq)]
struct Kept {
    nanoseconds: i128,
    from: String,
    to: String,
    bytes: Vec<u8>,
    cut: u64,
}

fn found(file: &[u8]) -> (Vec<Kept>, Result<Contents, FileError>) {
    let mut all = Vec::new();
    let read = read(file, |it| {
        let (from, to, bytes) = (it.from.to_string(), it.to.to_string(), it.bytes.to_vec());
        all.push(Kept { nanoseconds: it.at.as_nanosecond(), from, to, bytes, cut: it.cut });
        true
    });
    (all, read)
}

#[test]
fn every_link_is_understood() {
    let packet = ip(b"hi");
    let ethernet = [&[0; 12][..], &[8, 0], &packet].concat();
    let vlan = [&[0; 12][..], &[0x81, 0, 0, 7, 8, 0], &packet].concat();
    // Short frames are filled up.
    let filled = [&ethernet[..], &[0; 9]].concat();
    let cooked = [&[0; 14][..], &[8, 0], &packet].concat();
    let cooked_2 = [&[8, 0][..], &[0; 18], &packet].concat();
    let loopback = [&[2, 0, 0, 0][..], &packet].concat();
    let rows = [
        (1, &ethernet),
        (1, &vlan),
        (1, &filled),
        (113, &cooked),
        (276, &cooked_2),
        (0, &loopback),
        (108, &loopback),
        (101, &packet),
        (12, &packet),
        (228, &packet),
    ];
    for (link, bytes) in rows {
        let (segments, contents) = found(&pcap(link, &[(bytes, 9_999)]));
        let expected = Kept {
            nanoseconds: 1_600_000_000_000_005_000,
            from: FROM.to_owned(),
            to: TO.to_owned(),
            bytes: b"hi".to_vec(),
            cut: 0,
        };
        assert_eq!(segments, [expected], "link {link}");
        assert_eq!(contents, Ok(Contents { packets: 1, ..Contents::default() }));
    }
    let (segments, contents) = found(&pcap(147, &[(&packet, 9_999)]));
    assert!(segments.is_empty());
    assert_eq!(contents.map(|contents| contents.of_unknown_links), Ok(1));
}

#[test]
fn ipv6_is_understood() {
    let builder = PacketBuilder::ipv6([1; 16], [2; 16], 64).tcp(50_000, 1_883, 100, 1_024);
    let mut packet = Vec::new();
    builder.write(&mut packet, b"hi").expect("a Vec takes everything");
    let (segments, _) = found(&pcap(101, &[(&packet, packet.len() - 1)]));
    let Kept { from, bytes, cut, .. } = &segments[0];
    assert_eq!(from, "[101:101:101:101:101:101:101:101]:50000");
    assert_eq!((bytes.as_slice(), *cut), (&b"h"[..], 1));
}

#[test]
fn what_the_recording_has_cut_off_is_counted() {
    let packet = ip(b"0123456789");
    let (segments, _) = found(&pcap(101, &[(&packet, packet.len() - 4)]));
    assert_eq!((segments[0].bytes.as_slice(), segments[0].cut), (&b"012345"[..], 4));
}

#[test]
fn pcapng_is_understood_with_the_clock_of_its_interface() {
    let ethernet = [&[0; 12][..], &[8, 0], &ip(b"hi")].concat();
    let (segments, contents) = found(&pcapng(&ethernet));
    assert_eq!(contents, Ok(Contents { packets: 1, ..Contents::default() }));
    assert_eq!(
        (segments[0].nanoseconds, segments[0].bytes.as_slice()),
        (1_600_000_000_000_000_007, &b"hi"[..])
    );
}

#[test]
fn large_packets_are_read_whole() {
    let packet = ip(&[b'x'; 60_000]);
    let packets: Vec<_> = std::iter::repeat_n((packet.as_slice(), 99_999), 20).collect();
    let (segments, contents) = found(&pcap(101, &packets));
    assert_eq!(contents.map(|contents| contents.packets), Ok(20));
    assert!(segments.iter().all(|segment| segment.bytes.len() == 60_000));
}

#[test]
fn broken_files_are_refused_with_a_reason() {
    let packet = ip(b"hi");
    let whole = pcap(101, &[(&packet, 9_999), (&packet, 9_999)]);
    let rows: [(&[u8], &str); 4] = [
        (b"", "the file is empty"),
        (b"this is a text about the sea", "neither pcap nor pcapng"),
        (&whole[..whole.len() - 1], "in the middle of a packet (after 1 packets)"),
        (&whole[..30], "in the middle of a packet (after 0 packets)"),
    ];
    for (file, words) in rows {
        let error = found(file).1.expect_err("it is broken").to_string();
        assert!(error.contains(words), "{error}");
    }
    // What is not TCP is passed over, and so is what is no packet at all.
    let (segments, contents) = found(&pcap(1, &[(&[0; 3], 9), (&[0; 60], 99)]));
    assert!(segments.is_empty());
    assert_eq!(contents.map(|contents| contents.passed_over), Ok(2));
}

/// Whatever a file says, reading it ends, and panics nowhere.
#[test]
fn no_file_is_too_broken() {
    let ethernet = [&[0; 12][..], &[8, 0], &ip(b"hi")].concat();
    for good in [pcap(1, &[(&ethernet, 9_999)]), pcapng(&ethernet)] {
        for at in 0..good.len() {
            for value in [0, 1, 0x7F, 0x80, 0xFF] {
                let mut bad = good.clone();
                bad[at] = value;
                let _ = found(&bad);
            }
            let _ = found(&good[..at]);
        }
    }
}
