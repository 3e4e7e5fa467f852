//! The layers as the fuzz targets see them: bytes in, in pieces, and what comes out. Only there in
//! builds for fuzzing.

use super::Flow;
use super::stack::{Between, Layers, Stack};

/// What layers made of some bytes.
#[derive(Debug, Default)]
pub struct Received {
    /// The bytes of MQTT.
    pub bytes: Vec<u8>,
    /// How it ended, in words, if it did: by the peer's goodbye, or by what it broke.
    pub end: Option<String>,
}

/// Gives these bytes to a new connection's layers, so many at once, until they end or there are no
/// more.
pub fn receive_in_pieces(layers: &Layers, bytes: &[u8], piece_bytes: usize) -> Received {
    let mut received = Received::default();
    let mut stack = match Stack::new(layers) {
        Ok(stack) => stack,
        Err(fault) => return Received { end: Some(fault.to_string()), ..received },
    };
    let (mut between, mut below) = (Between::default(), Vec::new());
    for piece in bytes.chunks(piece_bytes) {
        let mut piece = piece.to_vec();
        let flow = stack.receive(&mut piece, &mut between, &mut received.bytes, &mut below);
        received.end = match flow {
            Ok(Flow::Going) => None,
            Ok(Flow::Ended) => Some("ended".to_owned()),
            Err(fault) => Some(fault.to_string()),
        };
        if received.end.is_some() {
            break;
        }
        // Layers that cannot answer have failed, and the next piece says so.
        let _ = stack.answer(&mut between, &mut below);
        below.clear();
    }
    stack.finish(&mut below);
    received
}
