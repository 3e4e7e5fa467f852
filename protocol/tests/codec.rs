//! What holds for every packet, by way of random ones.

#[path = "oracle/packet.rs"]
mod oracle;
#[path = "oracle/publish.rs"]
mod publish_oracle;
mod strategies;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use skein_protocol::{Frame, Packet, Version};
use strategies::{packet, packet_of, publish, version};

/// A limit that no packet of these tests reaches.
const PACKET_BYTES_MAX: usize = 1 << 20;

proptest! {
    #[test]
    fn a_packet_survives_encoding_and_decoding((version, packet) in packet()) {
        let bytes = encode(&packet, version);
        prop_assert_eq!(packet.encoded_len(version), bytes.len());
        let (frame, consumed) = cut(bytes).expect("the packet is whole");
        prop_assert_eq!(consumed, bytes.len());
        prop_assert_eq!(frame.packet_type(), packet.packet_type());
        prop_assert!(frame.minimal_length);
        prop_assert_eq!(Packet::decode(frame, version), Ok(packet));
    }

    /// A17: however the bytes arrive, the packets are the same.
    #[test]
    fn a_stream_may_be_split_anywhere(
        (version, packets) in version()
            .prop_flat_map(|version| (Just(version), vec(packet_of(version), 1..6))),
        sizes in vec(1..40usize, 1..20),
    ) {
        let mut stream = Vec::new();
        for packet in &packets {
            packet.encode(version, &mut stream);
        }
        let (mut unread, mut found) = (Vec::new(), Vec::new());
        let mut rest = stream.as_slice();
        for size in sizes.into_iter().cycle() {
            let (piece, later) = rest.split_at(size.min(rest.len()));
            unread.extend_from_slice(piece);
            rest = later;
            while let Some((frame, consumed)) = cut(unread.clone().leak()) {
                found.push(Packet::decode(frame, version).expect("it was encoded"));
                unread.drain(..consumed);
            }
            if rest.is_empty() {
                break;
            }
        }
        prop_assert!(unread.is_empty());
        prop_assert_eq!(found, packets);
    }

    #[test]
    fn arbitrary_bytes_are_an_error_or_a_packet(bytes in vec(any::<u8>(), 0..200)) {
        oracle::check(&bytes);
    }

    /// Arbitrary bodies reach deeper than arbitrary headers do.
    #[test]
    fn arbitrary_bodies_are_an_error_or_a_packet(
        header in any::<u8>(),
        body in vec(prop_oneof![Just(0u8), 0..4u8, any::<u8>()], 0..127),
    ) {
        oracle::check(&[&[header, body.len() as u8], body.as_slice()].concat());
        for version in Version::ALL {
            publish_oracle::check(header, &body, version);
        }
    }

    /// A16 and beyond: valid packets with a byte changed, or cut short with a length that fits.
    #[test]
    fn damaged_packets_are_an_error_or_a_packet(
        (version, packet) in packet(),
        place in any::<Index>(),
        value in any::<u8>(),
    ) {
        let mut bytes = encode(&packet, version).to_vec();
        let place = place.index(bytes.len());
        bytes[place] = value;
        oracle::check(&bytes);
        let (frame, _) = cut(encode(&packet, version)).expect("the packet is whole");
        let body = &frame.body[..place.min(frame.body.len())];
        for version in Version::ALL {
            oracle::check_frame(Frame { body, ..frame }, version);
        }
    }

    #[test]
    fn a_publish_is_read_like_a_plain_reader_reads_it(
        (version, publish) in version().prop_flat_map(|version| (Just(version), publish(version))),
        place in any::<Index>(),
        value in any::<u8>(),
    ) {
        let mut out = Vec::new();
        publish.encode(version, &mut out);
        prop_assert_eq!(&out, encode(&Packet::Publish(publish), version));
        let (frame, _) = cut(out.leak()).expect("the packet is whole");
        publish_oracle::check(frame.header, frame.body, version);
        let mut damaged = frame.body.to_vec();
        let place = place.index(damaged.len());
        damaged[place] = value;
        publish_oracle::check(frame.header, &damaged, version);
        publish_oracle::check(value, &frame.body[..place], version);
    }
}

fn encode(packet: &Packet<'_>, version: Version) -> &'static [u8] {
    let mut bytes = Vec::new();
    packet.encode(version, &mut bytes);
    bytes.leak()
}

fn cut(bytes: &'static [u8]) -> Option<(Frame<'static>, usize)> {
    Frame::decode(bytes, PACKET_BYTES_MAX).expect("a valid header")
}
