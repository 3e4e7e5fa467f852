//! Messages between connections of a crowd.

use std::{
    io,
    time::{Duration, Instant},
};

use skein_protocol::{Frame, Packet, PacketType, Version};

use crate::{
    client::{Publisher, Subscriber},
    crowd::{Crowd, See},
    plan::Topology,
    verify::{Payloads, Unit},
};

/// Bytes that a publisher has on their way into its socket.
const UNSENT_BYTES_MAX: usize = 64 * 1024;
/// Without any progress for so long, nothing more comes.
pub(super) const QUIET_AFTER: Duration = Duration::from_secs(5);

/// Publishes everything, and waits until all is acknowledged. How long that took.
///
/// # Errors
/// The broker closes the connection, or acknowledges nothing any more.
pub(super) fn publish_all(
    crowd: &mut Crowd<'_>,
    seat: usize,
    publisher: &mut Publisher,
    (topology, payloads): (&Topology, &Payloads),
    version: Version,
) -> io::Result<Duration> {
    let begin = Instant::now();
    let mut progress = begin;
    while !publisher.is_settled() {
        let lost = || io::Error::other("the broker closed the publisher's connection");
        let connection = crowd.connection(seat).ok_or_else(lost)?;
        while publisher.may_send() && connection.unsent_len() < UNSENT_BYTES_MAX {
            publisher.publish(topology, payloads, (0, 0), connection.outgoing());
            progress = Instant::now();
        }
        crowd.flush(seat)?;
        let mut on_packet = |_, frame: Frame<'_>, out: &mut Vec<u8>| {
            progress = Instant::now();
            on_acknowledgement(publisher, frame, version, out)
        };
        crowd.serve(&mut on_packet, &mut |_| {})?;
        if progress.elapsed() > QUIET_AFTER {
            return Err(io::Error::other("the broker does not acknowledge all messages"));
        }
    }
    while crowd.connection(seat).is_some_and(|connection| connection.has_unsent()) {
        crowd.serve(&mut |_, _, _| Ok(()), &mut |_| {})?;
    }
    Ok(begin.elapsed())
}

fn on_acknowledgement(
    publisher: &mut Publisher,
    frame: Frame<'_>,
    version: Version,
    out: &mut Vec<u8>,
) -> io::Result<()> {
    match Packet::decode(frame, version).map_err(io::Error::other)? {
        Packet::PubAck(ack) => {
            publisher.on_puback(ack.packet_id, ack.reason.is_error());
        }
        Packet::PubRec(ack) => publisher.on_pubrec(ack.packet_id, ack.reason.is_error(), out),
        Packet::PubComp(ack) => {
            publisher.on_pubcomp(ack.packet_id);
        }
        _ => {}
    }
    Ok(())
}

/// Subscribers of a crowd, and what came to each.
pub(super) struct Inboxes<'a> {
    payloads: &'a Payloads,
    version: Version,
    /// The seat of the first; the others sit beside it.
    first: usize,
    inboxes: Vec<(Subscriber, Unit)>,
    /// Messages that came.
    pub(super) delivered: u64,
    last: Instant,
}

impl<'a> Inboxes<'a> {
    /// Those of `count` seats from `first` on.
    pub(super) fn new(
        topology: &Topology,
        payloads: &'a Payloads,
        version: Version,
        first: usize,
        count: usize,
    ) -> Self {
        let streams = topology.groups[0].streams.clone();
        let inbox = |number| (Subscriber::new(version, number), Unit::new(0, streams.clone()));
        let inboxes = (0..count).map(inbox).collect();
        Self { payloads, version, first, inboxes, delivered: 0, last: Instant::now() }
    }

    /// When the last message came.
    pub(super) fn last(&self) -> Instant {
        self.last
    }

    /// All that came to each.
    pub(super) fn units(&self) -> impl Iterator<Item = &Unit> {
        self.inboxes.iter().map(|(_, unit)| unit)
    }

    /// What looks at the packets of a crowd.
    pub(super) fn see(&mut self) -> impl See {
        |seat: usize, frame: Frame<'_>, out: &mut Vec<u8>| self.on_packet(seat, frame, out)
    }

    /// Serves a crowd until so many messages came, or no more come.
    pub(super) fn wait(&mut self, crowd: &mut Crowd<'_>, wanted: u64) -> io::Result<()> {
        self.last = Instant::now();
        while self.delivered < wanted && self.last.elapsed() < QUIET_AFTER {
            crowd.serve(&mut self.see(), &mut |_| {})?;
        }
        Ok(())
    }

    fn on_packet(&mut self, seat: usize, frame: Frame<'_>, out: &mut Vec<u8>) -> io::Result<()> {
        let number = seat.wrapping_sub(self.first);
        let Some((subscriber, unit)) = self.inboxes.get_mut(number) else { return Ok(()) };
        match frame.packet_type() {
            PacketType::Publish => {
                let delivery = subscriber.on_publish(frame, out).map_err(io::Error::other)?;
                if let Some(delivery) = delivery {
                    unit.check(self.payloads, delivery.payload, delivery.dup);
                    self.delivered += 1;
                    self.last = Instant::now();
                }
            }
            PacketType::PubRel => {
                let packet = Packet::decode(frame, self.version).map_err(io::Error::other)?;
                if let Packet::PubRel(ack) = packet {
                    subscriber.on_pubrel(ack.packet_id, out);
                }
            }
            _ => {}
        }
        Ok(())
    }
}
