//! The connections of a recording: which segments belong together, and which of them speak MQTT.

use std::collections::HashMap;
use std::net::SocketAddr;

use jiff::Timestamp;

use super::connection::{Connection, Ends, Heard};
use super::conversation::Seen;
use super::packet::Detail;
use super::recording::Recorded;

/// Something that was seen in a recording.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) at: Timestamp,
    /// Counts the connections that speak MQTT.
    pub(super) number: u64,
    pub(super) client: SocketAddr,
    pub(super) broker: SocketAddr,
    /// Whether it is the first on its connection.
    pub(super) is_first: bool,
    pub(super) seen: Seen,
}

/// All connections.
pub(super) struct Tracker {
    /// Brokers listen on these.
    ports: Vec<u16>,
    detail: Detail,
    connections: HashMap<Ends, Tracked>,
    numbers: Numbers,
}

/// A connection, and its number once MQTT was seen on it.
struct Tracked {
    connection: Connection,
    number: Option<u64>,
}

/// How many connections have a number.
#[derive(Default)]
struct Numbers(u64);

impl Tracker {
    pub(super) fn new(ports: Vec<u16>, detail: Detail) -> Self {
        Self { ports, detail, connections: HashMap::new(), numbers: Numbers::default() }
    }

    /// How many connections that speak MQTT were found.
    pub(super) fn count(&self) -> u64 {
        self.numbers.0
    }

    /// A segment was recorded.
    pub(super) fn take(&mut self, recorded: &Recorded<'_>, found: &mut Vec<Found>) {
        let Recorded { from, to, .. } = *recorded;
        let begin = || Tracked {
            connection: Connection::new(from, to, &self.ports, self.detail),
            number: None,
        };
        let tracked = self.connections.entry(Ends::of(from, to)).or_insert_with(begin);
        if tracked.connection.is_replaced_by(recorded) {
            std::mem::replace(tracked, begin()).finish(&mut self.numbers, found);
        }
        let mut heard = Vec::new();
        tracked.connection.take(recorded, &mut heard);
        tracked.tell(heard, &mut self.numbers, found);
    }

    /// The recording is over.
    pub(super) fn finish(&mut self, found: &mut Vec<Found>) {
        let mut ends: Vec<Ends> = self.connections.keys().copied().collect();
        ends.sort_unstable();
        for ends in ends {
            if let Some(tracked) = self.connections.remove(&ends) {
                tracked.finish(&mut self.numbers, found);
            }
        }
    }
}

impl Tracked {
    fn finish(mut self, numbers: &mut Numbers, found: &mut Vec<Found>) {
        let mut heard = Vec::new();
        self.connection.finish(&mut heard);
        self.tell(heard, numbers, found);
    }

    fn tell(&mut self, heard: Vec<Heard>, numbers: &mut Numbers, found: &mut Vec<Found>) {
        let Some((client, broker)) = self.connection.client_and_broker() else { return };
        for Heard { at, seen } in heard {
            let is_first = self.number.is_none();
            let number = *self.number.get_or_insert_with(|| numbers.next());
            found.push(Found { at, number, client, broker, is_first, seen });
        }
    }
}

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 += 1;
        self.0
    }
}

#[cfg(test)]
#[path = "tracker_tests.rs"]
mod tests;
