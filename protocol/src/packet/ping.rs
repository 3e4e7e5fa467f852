//! PINGREQ and PINGRESP (3.12, 3.13): packets without a body.

use crate::Error;

/// Succeeds for an empty body.
pub(super) fn decode(body: &[u8]) -> Result<(), Error> {
    if body.is_empty() { Ok(()) } else { Err(Error::TrailingBytes) }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{assert_codec, decode};
    use super::*;
    use crate::{Packet, Version};

    #[test]
    fn pings_are_two_bytes() {
        for version in Version::ALL {
            assert_codec(&[0xC0, 0], &Packet::PingReq, version);
            assert_codec(&[0xD0, 0], &Packet::PingResp, version);
            assert_eq!(decode(&[0xC0, 1, 0], version), Err(Error::TrailingBytes));
        }
    }
}
