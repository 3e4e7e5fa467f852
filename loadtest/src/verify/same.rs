//! Whether bytes are the same.

/// Longer ones are compared by the system's library, which is faster once its call is paid for.
const BYTES_MAX: usize = 128;

/// Whether both are the same, as `==` says. A topic and a small body are compared for every
/// delivery, and the call of `memcmp` costs more than that.
#[inline]
pub(crate) fn is_same(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    let (Some(last_a), Some(last_b)) = (a.last_chunk(), b.last_chunk()) else { return a == b };
    if a.len() > BYTES_MAX {
        return a == b;
    }
    // The last word overlaps the one before where the length is no multiple of its size.
    let last = difference(last_a, last_b);
    let words = a.as_chunks().0.iter().zip(b.as_chunks().0);
    words.fold(last, |differing, (a, b)| differing | difference(a, b)) == 0
}

#[inline]
fn difference(a: &[u8; 8], b: &[u8; 8]) -> u64 {
    u64::from_ne_bytes(*a) ^ u64::from_ne_bytes(*b)
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
