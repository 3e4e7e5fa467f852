//! The acceptor's side of the bridges: their way in, and their end before that of the shards.

use std::os::fd::OwnedFd;
use std::time::Instant;

use mio::net::TcpStream;

use super::DRAIN;
use crate::net::{Accepted, Command};
use crate::server::acceptor::Acceptor;
use crate::session::{ListenerId, PeerAddress};

impl Acceptor {
    /// Deals out the other end of a connection that this process has made to itself.
    pub(in crate::server) fn admit_inside(&mut self, stream: OwnedFd, name: &str, now: Instant) {
        // Until all shards know what was kept, nobody comes in.
        if !self.serves() {
            return;
        }
        let now_us = now.saturating_duration_since(self.start).as_micros();
        self.order = self.order.next(u64::try_from(now_us).unwrap_or(u64::MAX));
        let accepted = Accepted {
            stream: TcpStream::from(stream),
            layers: None,
            peer: PeerAddress::new(name.to_owned()),
            listener: ListenerId::INSIDE,
            order: self.order,
            seat: None,
        };
        // Where no lane has room, the bridge finds its connection closed, and tries again.
        drop(self.dealer.deal(accepted));
    }

    /// Lets the bridges end, and the shards behind them: what a bridge has brought over is acknowledged
    /// to these. Gives the time at which the shards are told at the latest.
    pub(in crate::server) fn end_bridges(&mut self, now: Instant) -> Instant {
        // Each of the two steps of a bridge's end has this long.
        let end = if self.reloading.bridges.drain() { now + 2 * DRAIN } else { now };
        self.bridges_end_at = Some(end);
        self.look_at_bridges(now);
        end
    }

    /// The bridges that end have had time enough.
    pub(in crate::server) fn look_at_bridges(&mut self, now: Instant) {
        if self.bridges_end_at.is_some_and(|end| end <= now) {
            self.end_shards();
        }
    }

    /// The bridges have ended.
    pub(in crate::server) fn end_shards(&mut self) {
        if self.bridges_end_at.take().is_some() {
            self.dealer.tell_all(|| Command::ShutDown);
        }
    }
}
