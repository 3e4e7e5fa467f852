//! What the broker adds to a SCRAM exchange, so that no proof can be used twice.

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// How many bytes of the hash a nonce shows: 24 characters.
const NONCE_BYTES: usize = 18;

/// Makes nonces for [`Providers::challenge`](super::provider::Providers::challenge): from a secret
/// and a count, so that nobody foresees one and none comes twice.
pub struct Nonces {
    key: [u8; 32],
    made: u64,
}

impl Nonces {
    /// Nonces of one shard. The seed is secret and random; all shards may have the same one.
    pub fn new(seed: [u64; 4], shard: usize) -> Self {
        let mut key = [0; 32];
        for (bytes, word) in key.chunks_exact_mut(8).zip(seed) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
        // The seed has other uses: what is made of it here must not say anything about those.
        let own = hash(&key, format!("nonces of shard {shard}").as_bytes());
        key.copy_from_slice(&own);
        Self { key, made: 0 }
    }

    /// The next one: printable, without a comma.
    pub fn next_nonce(&mut self) -> String {
        self.made += 1;
        let hash = hash(&self.key, &self.made.to_le_bytes());
        STANDARD_NO_PAD.encode(&hash[..NONCE_BYTES])
    }
}

impl std::fmt::Debug for Nonces {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Nonces").field("made", &self.made).finish_non_exhaustive()
    }
}

fn hash(key: &[u8], text: &[u8]) -> [u8; 32] {
    let keyed = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of every length");
    keyed.chain_update(text).finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_nonce_comes_twice_and_each_can_stand_in_a_message() {
        let (mut one, mut other) = (Nonces::new([1; 4], 0), Nonces::new([1; 4], 1));
        let made: std::collections::BTreeSet<String> =
            (0..100).flat_map(|_| [one.next_nonce(), other.next_nonce()]).collect();
        assert_eq!(made.len(), 200);
        let is_right = |nonce: &String| {
            nonce.len() == 24 && nonce.bytes().all(|byte| byte.is_ascii_graphic() && byte != b',')
        };
        assert!(made.iter().all(is_right));
    }
}
