//! WebSocket frames (RFC 6455 section 5): the client's are taken apart as their bytes come, ours
//! are put together.
//!
//! A payload is passed on while its frame is still arriving: where a frame ends says nothing to
//! MQTT [MQTT-6.0.0-2], so no frame is ever held, however large it is or however many there are.

use super::Reason;

/// The longest header of a frame: two bytes, a length of eight and a mask of four.
const HEADER_BYTES_MAX: usize = 14;
/// The longest payload of a control frame (5.5).
const CONTROL_BYTES_MAX: usize = 125;

const FINAL: u8 = 0x80;
const RESERVED: u8 = 0x70;
const MASKED: u8 = 0x80;

/// What a frame is (5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Opcode {
    Continuation,
    Binary,
    Close,
    Ping,
    Pong,
}

impl Opcode {
    fn number(self) -> u8 {
        match self {
            Self::Continuation => 0x0,
            Self::Binary => 0x2,
            Self::Close => 0x8,
            Self::Ping => 0x9,
            Self::Pong => 0xA,
        }
    }

    fn is_control(self) -> bool {
        self.number() >= 0x8
    }

    fn new(number: u8) -> Result<Self, Reason> {
        match number {
            0x0 => Ok(Self::Continuation),
            // Text is no MQTT [MQTT-6.0.0-1].
            0x1 => Err(Reason::Unsupported),
            0x2 => Ok(Self::Binary),
            0x8 => Ok(Self::Close),
            0x9 => Ok(Self::Ping),
            0xA => Ok(Self::Pong),
            _ => Err(Reason::ProtocolError),
        }
    }
}

/// A control frame that has come whole.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Control {
    pub(super) opcode: Opcode,
    pub(super) payload: Vec<u8>,
}

/// Takes the client's frames apart.
///
/// ```text
///   header ──whole──▶ payload, unmasked and passed on ──all of it──▶ header
/// ```
#[derive(Debug)]
pub(super) struct Decoder {
    /// The longest payload one frame may have.
    frame_bytes_max: u64,
    /// The beginning of a header.
    header: [u8; HEADER_BYTES_MAX],
    header_length: usize,
    /// The frame whose payload is arriving.
    frame: Option<Frame>,
    /// The payload of a control frame, as far as it has come.
    control: Vec<u8>,
    /// Whether a message has begun that its last fragment has not ended.
    is_fragmented: bool,
}

/// A frame whose header is known.
#[derive(Clone, Copy, Debug)]
struct Frame {
    opcode: Opcode,
    mask: [u8; 4],
    /// Bytes of the payload that have not come yet.
    left: u64,
}

impl Decoder {
    pub(super) fn new(frame_bytes_max: u64) -> Self {
        Self {
            frame_bytes_max,
            header: [0; HEADER_BYTES_MAX],
            header_length: 0,
            frame: None,
            control: Vec::new(),
            is_fragmented: false,
        }
    }

    /// Takes bytes until a control frame is whole or none are left: the payload of data frames is
    /// appended to `above`, `bytes` is left behind what was taken.
    ///
    /// # Errors
    /// The reason to close with.
    pub(super) fn receive(
        &mut self,
        bytes: &mut &[u8],
        above: &mut Vec<u8>,
    ) -> Result<Option<Control>, Reason> {
        loop {
            let mut frame = match self.frame {
                Some(frame) => frame,
                None => match self.take_header(bytes)? {
                    Some(frame) => frame,
                    None => return Ok(None),
                },
            };
            let into = if frame.opcode.is_control() { &mut self.control } else { &mut *above };
            take_payload(&mut frame, bytes, into);
            self.frame = (frame.left > 0).then_some(frame);
            if self.frame.is_some() {
                return Ok(None);
            }
            if frame.opcode.is_control() {
                let payload = std::mem::take(&mut self.control);
                return Ok(Some(Control { opcode: frame.opcode, payload }));
            }
        }
    }

    /// The header of the next frame, once it is whole and allowed.
    fn take_header(&mut self, bytes: &mut &[u8]) -> Result<Option<Frame>, Reason> {
        while let Some((&byte, rest)) = bytes.split_first() {
            *bytes = rest;
            self.header[self.header_length] = byte;
            self.header_length += 1;
            let known = &self.header[..self.header_length];
            // Looked at from the first byte on: what is wrong is refused before more is awaited.
            let opcode = self.opcode(known)?;
            let Some(&second) = known.get(1) else { continue };
            let length_bytes = length_bytes(second)?;
            if opcode.is_control() && usize::from(second & !MASKED) > CONTROL_BYTES_MAX {
                return Err(Reason::ProtocolError);
            }
            if known.len() < 2 + length_bytes + 4 {
                continue;
            }
            let left = self.length(second, &known[2..2 + length_bytes])?;
            let mut mask = [0; 4];
            mask.copy_from_slice(&known[2 + length_bytes..]);
            self.note_fragment(opcode);
            self.header_length = 0;
            return Ok(Some(Frame { opcode, mask, left }));
        }
        Ok(None)
    }

    /// What the frame is, from the first byte of its header.
    fn opcode(&self, header: &[u8]) -> Result<Opcode, Reason> {
        let first = header.first().copied().unwrap_or(0);
        if first & RESERVED != 0 {
            // Extensions would use these bits, and none was agreed on.
            return Err(Reason::ProtocolError);
        }
        let opcode = Opcode::new(first & 0x0F)?;
        let is_allowed = match opcode {
            Opcode::Continuation => self.is_fragmented,
            Opcode::Binary => !self.is_fragmented,
            Opcode::Close | Opcode::Ping | Opcode::Pong => first & FINAL != 0,
        };
        if is_allowed { Ok(opcode) } else { Err(Reason::ProtocolError) }
    }

    fn length(&self, second: u8, extended: &[u8]) -> Result<u64, Reason> {
        let extended_value =
            extended.iter().fold(0_u64, |value, &byte| (value << 8) | u64::from(byte));
        let (value, least) = match extended.len() {
            0 => (u64::from(second & !MASKED), 0),
            2 => (extended_value, 126),
            _ => (extended_value, 1 << 16),
        };
        // The shortest form is the only one, and the top bit is zero (5.2).
        if value < least || value >> 63 != 0 {
            return Err(Reason::ProtocolError);
        }
        if value > self.frame_bytes_max {
            return Err(Reason::TooBig);
        }
        Ok(value)
    }

    fn note_fragment(&mut self, opcode: Opcode) {
        if !opcode.is_control() {
            self.is_fragmented = self.header[0] & FINAL == 0;
        }
    }
}

/// How many bytes hold the length, from the second byte of the header. The client's frames are
/// masked (5.1).
fn length_bytes(second: u8) -> Result<usize, Reason> {
    match second & !MASKED {
        _ if second & MASKED == 0 => Err(Reason::ProtocolError),
        126 => Ok(2),
        127 => Ok(8),
        _ => Ok(0),
    }
}

/// Moves what has come of the frame's payload, unmasked (5.3).
fn take_payload(frame: &mut Frame, bytes: &mut &[u8], into: &mut Vec<u8>) {
    let count = usize::try_from(frame.left).unwrap_or(usize::MAX).min(bytes.len());
    let (payload, rest) = bytes.split_at(count);
    *bytes = rest;
    let start = into.len();
    into.extend_from_slice(payload);
    unmask(&mut into[start..], frame.mask);
    frame.left -= count as u64;
    frame.mask.rotate_left(count % 4);
}

fn unmask(payload: &mut [u8], mask: [u8; 4]) {
    let [a, b, c, d] = mask;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let mut chunks = payload.chunks_exact_mut(8);
    for chunk in &mut chunks {
        let mut word = [0; 8];
        word.copy_from_slice(chunk);
        chunk.copy_from_slice(&(u64::from_ne_bytes(word) ^ wide).to_ne_bytes());
    }
    for (byte, key) in chunks.into_remainder().iter_mut().zip(mask.iter().cycle()) {
        *byte ^= key;
    }
}

/// Appends the header of a whole, unmasked frame with a payload of this length: the server's are
/// not masked (5.1).
pub(super) fn put_header(opcode: Opcode, length: usize, below: &mut Vec<u8>) {
    below.push(FINAL | opcode.number());
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(short @ 0..=125), _) => below.push(short),
        (_, Ok(medium)) => {
            below.push(126);
            below.extend_from_slice(&medium.to_be_bytes());
        }
        _ => {
            below.push(127);
            below.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A frame as a client sends it.
    fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
        let mut frame = Vec::new();
        put_header(Opcode::Binary, payload.len(), &mut frame);
        frame[0] = first;
        frame[1] |= MASKED;
        let mask = [0x11, 0x22, 0x33, 0x44];
        frame.extend_from_slice(&mask);
        frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, key)| byte ^ key));
        frame
    }

    /// Feeds `bytes` in pieces of `step`; what came through, and the control frames.
    fn feed(bytes: &[u8], step: usize) -> Result<(Vec<u8>, Vec<Control>), Reason> {
        let mut decoder = Decoder::new(1 << 20);
        let (mut above, mut controls) = (Vec::new(), Vec::new());
        for mut piece in bytes.chunks(step) {
            while let Some(control) = decoder.receive(&mut piece, &mut above)? {
                controls.push(control);
            }
        }
        Ok((above, controls))
    }

    #[test]
    fn payloads_come_through_however_the_bytes_are_cut() {
        for length in [0, 1, 7, 8, 125, 126, 127, 65_535, 65_536, 70_001] {
            let payload: Vec<u8> = (0..length).map(|n| (n % 251) as u8).collect();
            let frame = masked(0x82, &payload);
            for step in [1, 3, 8, 1_000, usize::MAX] {
                assert_eq!(feed(&frame, step), Ok((payload.clone(), vec![])), "{length}, {step}");
            }
        }
    }

    #[test]
    fn fragments_and_control_frames_between_them() {
        let stream = [
            masked(0x02, b"ab"),
            masked(0x89, b"ping"),
            masked(0x00, b""),
            masked(0x8A, b""),
            masked(0x80, b"cd"),
            masked(0x82, b"ef"),
        ]
        .concat();
        let controls = || {
            let ping = Control { opcode: Opcode::Ping, payload: b"ping".to_vec() };
            vec![ping, Control { opcode: Opcode::Pong, payload: vec![] }]
        };
        for step in [1, 2, 5, 100] {
            assert_eq!(feed(&stream, step), Ok((b"abcdef".to_vec(), controls())));
        }
    }

    #[test]
    fn what_breaks_the_protocol_is_refused_at_the_byte_that_breaks_it() {
        let wrong: [(&[u8], Reason); 13] = [
            (&[0x81], Reason::Unsupported),
            (&[0x83], Reason::ProtocolError),
            (&[0x8B], Reason::ProtocolError),
            (&[0xC2], Reason::ProtocolError),
            (&[0x80], Reason::ProtocolError),
            (&[0x09], Reason::ProtocolError),
            (&[0x82, 0x01], Reason::ProtocolError),
            (&[0x89, 0xFE], Reason::ProtocolError),
            (&[0x82, 0xFE, 0, 125, 0, 0, 0, 0], Reason::ProtocolError),
            (&[0x82, 0xFF, 0, 0, 0, 0, 0, 0, 255, 255, 0, 0, 0, 0], Reason::ProtocolError),
            (&[0x82, 0xFF, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], Reason::ProtocolError),
            (&[0x82, 0xFF, 0, 0, 0, 0, 0, 0x10, 0, 1, 0, 0, 0, 0], Reason::TooBig),
            (&[0x82, 0xFF, 0x7F, 255, 255, 255, 255, 255, 255, 255, 0, 0, 0, 0], Reason::TooBig),
        ];
        for (bytes, reason) in wrong {
            for step in [1, 100] {
                assert_eq!(feed(bytes, step), Err(reason), "{bytes:02X?}");
            }
            assert!(feed(&bytes[..bytes.len() - 1], 1).is_ok(), "{bytes:02X?}");
        }
        let twice = [masked(0x02, b"a"), masked(0x82, b"b")].concat();
        assert_eq!(feed(&twice, 1), Err(Reason::ProtocolError));
    }

    #[test]
    fn a_hundred_thousand_fragments_of_a_byte_hold_nothing() {
        let mut decoder = Decoder::new(1 << 20);
        let mut above = Vec::new();
        for index in 0..100_000 {
            let frame = masked(if index == 0 { 0x02 } else { 0x00 }, b"x");
            assert_eq!(decoder.receive(&mut frame.as_slice(), &mut above), Ok(None));
        }
        assert_eq!(above, vec![b'x'; 100_000]);
        assert_eq!(decoder.control.capacity(), 0);
    }
}
