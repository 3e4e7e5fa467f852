//! Whether bytes are the same.

/// Longer ones are compared by the system's library, which is faster once its call is paid for.
const BYTES_MAX: usize = 128;
/// What one or two instructions compare.
const LARGE: usize = 32;
const SMALL: usize = 8;

/// Whether both are the same, as `==` says. A topic and a small body are compared for every
/// delivery, and the call of `memcmp` costs more than that.
#[inline]
pub(crate) fn is_same(a: &[u8], b: &[u8]) -> bool {
    match a.len() {
        length if length != b.len() => false,
        LARGE..=BYTES_MAX => in_pieces::<LARGE>(a, b),
        SMALL..LARGE => in_pieces::<SMALL>(a, b),
        _ => a == b,
    }
}

/// The last piece overlaps the one before where the length is no multiple of its size.
#[inline]
fn in_pieces<const SIZE: usize>(a: &[u8], b: &[u8]) -> bool {
    let last = a.last_chunk::<SIZE>() == b.last_chunk();
    last && a.as_chunks::<SIZE>().0.iter().zip(b.as_chunks().0).all(|(a, b)| a == b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_changed_byte_of_every_length_is_noticed() {
        for length in 0..300 {
            let bytes: Vec<u8> = (0..length).map(|number| number as u8).collect();
            assert!(is_same(&bytes, &bytes.clone()), "{length}");
            for place in 0..length {
                let mut changed = bytes.clone();
                changed[place] ^= 0x10;
                assert!(!is_same(&bytes, &changed), "{place} of {length}");
            }
            assert!(!is_same(&bytes, &[&bytes[..], b"x"].concat()), "{length}");
        }
    }
}
