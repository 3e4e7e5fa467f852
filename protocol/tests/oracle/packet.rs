//! What holds for any bytes at all.

use skein_protocol::{Connect, Frame, Packet, PacketType, Version};

/// A limit that the packets of a test do not reach.
const PACKET_BYTES_MAX: usize = 1 << 20;

/// Asserts that every version reads the first packet of `bytes` or refuses it, and that what it
/// reads it can write and read again.
pub(crate) fn check(bytes: &[u8]) {
    let size = Frame::size(bytes);
    match Frame::decode(bytes, PACKET_BYTES_MAX) {
        Err(error) => assert!(error.reason().is_error() && !error.clause().is_empty()),
        Ok(None) => assert!(size.unwrap().is_none_or(|size| size > bytes.len())),
        Ok(Some((frame, consumed))) => {
            assert_eq!(size, Ok(Some(consumed)));
            Version::ALL.iter().for_each(|version| check_frame(frame, *version));
        }
    }
}

/// The same for one frame and one version.
pub(crate) fn check_frame(frame: Frame<'_>, version: Version) {
    let mut written = Vec::new();
    let packet = match Packet::decode(frame, version) {
        Ok(packet) => packet,
        Err(error) => return assert!(error.reason().is_error() && !error.clause().is_empty()),
    };
    if frame.packet_type() == PacketType::Connect {
        assert!(Connect::peek_version(frame).is_ok());
    }
    assert!(packet.to_string().starts_with(frame.packet_type().name()));
    packet.encode(version, &mut written);
    assert_eq!(packet.encoded_len(version), written.len());
    let (again, consumed) = Frame::decode(&written, usize::MAX).unwrap().expect("a whole packet");
    assert_eq!(consumed, written.len());
    assert_eq!(Packet::decode(again, version), Ok(packet));
}
