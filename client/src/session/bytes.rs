//! Bytes in, bytes out.

use std::time::Duration;

use skein_protocol::{Frame, Packet};

use super::{Direction, Effect, Session};

impl Session {
    /// The bytes to write to the link, in order.
    pub fn output(&self) -> &[u8] {
        &self.output
    }

    /// So many bytes of the output were written.
    pub fn wrote(&mut self, bytes: usize, now: Duration) {
        self.output.drain(..bytes);
        self.pump(now);
    }

    /// Takes the whole output, in exchange for an empty buffer.
    pub fn swap_output(&mut self, buffer: &mut Vec<u8>, now: Duration) {
        debug_assert!(buffer.is_empty(), "what is in it would be lost");
        std::mem::swap(&mut self.output, buffer);
        self.pump(now);
    }

    /// Bytes have arrived.
    pub fn on_bytes(&mut self, bytes: &[u8], now: Duration) {
        self.statistics.bytes_received += bytes.len() as u64;
        if self.input.is_empty() {
            let taken = self.take_frames(bytes, now);
            self.input.extend_from_slice(&bytes[taken..]);
        } else {
            let mut input = std::mem::take(&mut self.input);
            input.extend_from_slice(bytes);
            let taken = self.take_frames(&input, now);
            input.drain(..taken);
            self.input = input;
        }
        if !self.is_linked() {
            self.input.clear();
        }
        self.pump(now);
    }

    /// Parses whole packets off the front and says how many bytes they took.
    fn take_frames(&mut self, input: &[u8], now: Duration) -> usize {
        let mut taken = 0;
        let bytes_max = usize::try_from(self.options.packet_bytes_max).unwrap_or(usize::MAX);
        while self.is_linked() {
            match Frame::decode(&input[taken..], bytes_max) {
                Ok(None) => break,
                Ok(Some((frame, size))) => {
                    self.tap(Direction::Received, &input[taken..taken + size]);
                    taken += size;
                    self.link.keep_alive.on_received(now);
                    if let Err(error) = self.on_frame(frame, now) {
                        self.fail(error, now);
                    }
                }
                Err(error) => {
                    self.fail(error, now);
                }
            }
        }
        taken
    }

    pub(super) fn write(&mut self, packet: &Packet<'_>, now: Duration) {
        let start = self.output.len();
        packet.encode(self.link.version, &mut self.output);
        self.on_written(start, now);
    }

    /// A packet was appended to the output, from this byte on.
    pub(super) fn on_written(&mut self, start: usize, now: Duration) {
        self.link.keep_alive.on_sent(now);
        self.statistics.bytes_sent += (self.output.len() - start) as u64;
        if self.options.tap {
            let packet = self.output[start..].to_vec();
            self.tap(Direction::Sent, &packet);
        }
    }

    fn tap(&mut self, direction: Direction, packet: &[u8]) {
        if self.options.tap {
            let version = self.link.version;
            self.effects.push_back(Effect::Packet(direction, version, packet.to_vec()));
        }
    }
}
