//! WebSocket (RFC 6455) as MQTT asks for it (section 6): binary frames under the sub-protocol
//! `mqtt`, whose bytes are one stream whatever frames they come in.
//!
//! ```text
//!   Opening ──request agreed to──▶ Open ──Close came or was sent──▶ Closed
//!      └─────────── refused ─────────┴─────── protocol broken ────────▲
//! ```

mod frame;
mod handshake;

use self::frame::{Control, Decoder, Opcode, put_header};
use self::handshake::Handshake;
use super::Flow;

pub(super) use self::handshake::Refusal;

/// What a listener asks of its WebSocket clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebSocketTerms {
    /// The path they must ask for, like `/mqtt`.
    pub path: Box<str>,
    /// The origins whose pages may connect, like `https://example.org`; all if there are none.
    /// Only browsers say an origin: whoever says none is admitted.
    pub origins: Box<[Box<str>]>,
    /// The longest payload of one frame, in bytes; a longer one is refused with 1009.
    pub frame_bytes_max: u64,
}

impl WebSocketTerms {
    /// Whether a request with these `Origin` fields may connect.
    fn allows_origin(&self, origins: &mut dyn Iterator<Item = &[u8]>) -> bool {
        let Some(origin) = origins.next().filter(|_| !self.origins.is_empty()) else { return true };
        let mut allowed = self.origins.iter();
        origins.next().is_none()
            && allowed.any(|allowed| origin.eq_ignore_ascii_case(allowed.as_bytes()))
    }
}

/// Why the broker closes a WebSocket (RFC 6455 section 7.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    /// All is said.
    Normal,
    /// A rule of WebSocket was broken.
    ProtocolError,
    /// A text frame [MQTT-6.0.0-1].
    Unsupported,
    /// A frame above the limit.
    TooBig,
}

impl Reason {
    fn code(self) -> u16 {
        match self {
            Self::Normal => 1000,
            Self::ProtocolError => 1002,
            Self::Unsupported => 1003,
            Self::TooBig => 1009,
        }
    }
}

/// What a peer did wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum WebSocketError {
    #[error("WebSocket refused: {0}")]
    Refused(#[from] Refusal),
    #[error("a frame breaks the WebSocket protocol")]
    ProtocolError,
    #[error("[MQTT-6.0.0-1] a text frame")]
    TextFrame,
    #[error("a frame is longer than the limit")]
    TooBig,
}

impl From<Reason> for WebSocketError {
    fn from(reason: Reason) -> Self {
        match reason {
            Reason::Unsupported => Self::TextFrame,
            Reason::TooBig => Self::TooBig,
            Reason::Normal | Reason::ProtocolError => Self::ProtocolError,
        }
    }
}

/// The server's end of one WebSocket.
#[derive(Debug)]
pub(super) struct WebSocket {
    terms: std::sync::Arc<WebSocketTerms>,
    stage: Stage,
    /// The last ping that was not answered yet. One answer serves all that came before it
    /// (5.5.3), so a flood of pings is answered once in a while.
    pong: Option<Vec<u8>>,
}

#[derive(Debug)]
enum Stage {
    Opening(Handshake),
    Open(Decoder),
    Closed,
}

impl WebSocket {
    pub(super) fn new(terms: std::sync::Arc<WebSocketTerms>) -> Self {
        Self { terms, stage: Stage::Opening(Handshake::default()), pong: None }
    }

    /// Bytes have come from below: those of MQTT are appended to `above`, answers to `below`.
    ///
    /// # Errors
    /// What the client did wrong; what is to be said of that is appended to `below`.
    pub(super) fn receive(
        &mut self,
        mut bytes: &[u8],
        above: &mut Vec<u8>,
        below: &mut Vec<u8>,
    ) -> Result<Flow, WebSocketError> {
        if let Stage::Opening(handshake) = &mut self.stage {
            match handshake.receive(&mut bytes, &self.terms, below) {
                Ok(true) => self.stage = Stage::Open(Decoder::new(self.terms.frame_bytes_max)),
                Ok(false) => return Ok(Flow::Going),
                Err(refusal) => {
                    self.stage = Stage::Closed;
                    refusal.put(below);
                    return Err(refusal.into());
                }
            }
        }
        loop {
            let Stage::Open(decoder) = &mut self.stage else { return Ok(Flow::Ended) };
            match decoder.receive(&mut bytes, above) {
                Ok(Some(control)) => self.on_control(control, below)?,
                Ok(None) => return Ok(Flow::Going),
                Err(reason) => return Err(self.fail(reason, below)),
            }
        }
    }

    /// Frames these bytes.
    pub(super) fn send(&mut self, bytes: &[u8], below: &mut Vec<u8>) {
        if matches!(self.stage, Stage::Open(_)) && !bytes.is_empty() {
            put_header(Opcode::Binary, bytes.len(), below);
            below.extend_from_slice(bytes);
        }
    }

    /// Answers the last ping. To be called when the answers before have gone.
    pub(super) fn answer_ping(&mut self, below: &mut Vec<u8>) {
        if let (Some(payload), Stage::Open(_)) = (self.pong.take(), &self.stage) {
            put_header(Opcode::Pong, payload.len(), below);
            below.extend_from_slice(&payload);
        }
    }

    /// Says that no more will come.
    pub(super) fn finish(&mut self, below: &mut Vec<u8>) {
        if matches!(self.stage, Stage::Open(_)) {
            self.close(Reason::Normal.code(), below);
        }
    }

    /// Whether the handshake is over and MQTT may be spoken.
    pub(super) fn is_open(&self) -> bool {
        matches!(self.stage, Stage::Open(_))
    }

    fn on_control(&mut self, control: Control, below: &mut Vec<u8>) -> Result<(), WebSocketError> {
        match control.opcode {
            Opcode::Ping => self.pong = Some(control.payload),
            Opcode::Close => match close_code(&control.payload) {
                Ok(code) => self.close(code, below),
                Err(reason) => return Err(self.fail(reason, below)),
            },
            Opcode::Pong | Opcode::Continuation | Opcode::Binary => {}
        }
        Ok(())
    }

    fn fail(&mut self, reason: Reason, below: &mut Vec<u8>) -> WebSocketError {
        self.close(reason.code(), below);
        reason.into()
    }

    fn close(&mut self, code: u16, below: &mut Vec<u8>) {
        self.stage = Stage::Closed;
        self.pong = None;
        put_header(Opcode::Close, 2, below);
        below.extend_from_slice(&code.to_be_bytes());
    }
}

/// The code to answer a Close with: its own, or 1000 if it names none (5.5.1).
fn close_code(payload: &[u8]) -> Result<u16, Reason> {
    let (code, text) = match payload {
        [] => return Ok(Reason::Normal.code()),
        [_] => return Err(Reason::ProtocolError),
        [high, low, text @ ..] => (u16::from_be_bytes([*high, *low]), text),
    };
    // 7.4: those that may stand in a frame.
    let is_allowed = matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999);
    if is_allowed && std::str::from_utf8(text).is_ok() {
        Ok(code)
    } else {
        Err(Reason::ProtocolError)
    }
}

#[cfg(test)]
mod tests;
