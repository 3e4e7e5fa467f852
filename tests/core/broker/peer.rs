//! The client's side of one network connection.

use std::io::IoSlice;

use skein::shard::{ConnectionId, Outbox};
use skein_protocol::{Frame, Packet, Version};

use crate::packets::line;

#[derive(Debug)]
pub(super) struct State {
    pub(super) shard: usize,
    pub(super) connection: ConnectionId,
    pub(super) version: Version,
    /// What the client has sent and the core has not taken.
    pub(super) unread: Vec<u8>,
    /// What the client has received and not parsed.
    received: Vec<u8>,
    /// What it has received, a line for each packet.
    pub(super) heard: Vec<String>,
    pub(super) is_stalled: bool,
    pub(super) is_closed: bool,
}

impl State {
    pub(super) fn new(shard: usize, connection: ConnectionId) -> Self {
        Self {
            shard,
            connection,
            version: Version::V5,
            unread: Vec::new(),
            received: Vec::new(),
            heard: Vec::new(),
            is_stalled: false,
            is_closed: false,
        }
    }

    /// Takes bytes out of the outbox; returns how many.
    pub(super) fn take(&mut self, outbox: &mut Outbox, bytes_max: usize) -> usize {
        let mut taken = 0;
        while outbox.released() > 0 && taken < bytes_max {
            let mut slices = [IoSlice::new(&[])];
            outbox.slices(&mut slices);
            let count = slices[0].len().min(bytes_max - taken);
            self.received.extend_from_slice(&slices[0][..count]);
            outbox.advance(count);
            taken += count;
        }
        self.parse();
        taken
    }

    fn parse(&mut self) {
        let mut at = 0;
        while let Some((frame, used)) =
            Frame::decode(&self.received[at..], usize::MAX).expect("the broker sends packets")
        {
            let packet = Packet::decode(frame, self.version).expect("the broker sends valid ones");
            self.heard.push(line(&packet));
            at += used;
        }
        self.received.drain(..at);
    }
}
