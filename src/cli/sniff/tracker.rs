//! The connections of a recording: which segments belong together, and which of them speak MQTT.

use std::collections::HashMap;
use std::net::SocketAddr;

use jiff::Timestamp;

use super::connection::{Connection, Ends, Heard};
use super::filter::Filter;
use super::packet::Detail;
use super::recording::Recorded;
use super::seen::Seen;

/// Connections that are known at once. Beyond it, those on which nothing was recorded for the longest time
/// are given up: first what is not MQTT.
const CONNECTIONS_MAX: usize = 65_536;
/// So many are given up together, as looking for them takes its time.
const CONNECTIONS_GIVEN_UP: usize = CONNECTIONS_MAX / 8;

/// Something that was seen in a recording.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) at: Timestamp,
    /// Counts the connections that speak MQTT.
    pub(super) number: u64,
    pub(super) client: SocketAddr,
    pub(super) broker: SocketAddr,
    /// Whether it is the first that is found on its connection.
    pub(super) is_first: bool,
    pub(super) seen: Seen,
}

/// All connections.
pub(super) struct Tracker {
    filter: Filter,
    /// Brokers listen on these.
    ports: Vec<u16>,
    detail: Detail,
    /// Each for itself in memory: the table is moved as it grows, and has room for more than there are.
    connections: HashMap<Ends, Box<Tracked>>,
    numbers: Numbers,
    /// Segments so far.
    segments: u64,
    given_up: u64,
}

/// A connection, and its number once MQTT was seen on it.
struct Tracked {
    connection: Connection,
    number: Option<u64>,
    /// Whether any of it was asked for.
    was_found: bool,
    /// Which segment was the last of it.
    last_segment: u64,
}

/// How many connections have a number.
#[derive(Default)]
struct Numbers(u64);

impl Tracker {
    /// Brokers listen on these ports; what the filter does not ask for is not found.
    pub(super) fn new(ports: Vec<u16>, filter: Filter, detail: Detail) -> Self {
        let (connections, numbers) = (HashMap::new(), Numbers::default());
        Self { filter, ports, detail, connections, numbers, segments: 0, given_up: 0 }
    }

    /// How many connections that speak MQTT were found.
    pub(super) fn count(&self) -> u64 {
        self.numbers.0
    }

    /// How many of those were given up, as there were too many: what came later on them counts as another
    /// connection.
    pub(super) fn given_up(&self) -> u64 {
        self.given_up
    }

    /// A segment was recorded.
    pub(super) fn take(&mut self, recorded: &Recorded<'_>, found: &mut Vec<Found>) {
        let Recorded { from, to, .. } = *recorded;
        let ends = Ends::of(from, to);
        if self.connections.len() >= CONNECTIONS_MAX && !self.connections.contains_key(&ends) {
            self.give_up(found);
        }
        self.segments += 1;
        let begin = || Tracked {
            connection: Connection::new(from, to, &self.ports, self.detail),
            number: None,
            was_found: false,
            last_segment: 0,
        };
        let tracked = self.connections.entry(ends).or_insert_with(|| Box::new(begin()));
        if tracked.connection.is_replaced_by(recorded) {
            std::mem::replace(&mut **tracked, begin()).finish(
                &self.filter,
                &mut self.numbers,
                found,
            );
        }
        tracked.last_segment = self.segments;
        let mut heard = Vec::new();
        tracked.connection.take(recorded, &mut heard);
        tracked.tell(heard, &self.filter, &mut self.numbers, found);
    }

    /// The recording is over.
    pub(super) fn finish(&mut self, found: &mut Vec<Found>) {
        let mut ends: Vec<Ends> = self.connections.keys().copied().collect();
        ends.sort_unstable();
        self.finish_these(ends, found);
    }

    fn give_up(&mut self, found: &mut Vec<Found>) {
        let ranked = self
            .connections
            .iter()
            .map(|(ends, tracked)| (tracked.number.is_some(), tracked.last_segment, *ends));
        let mut ranks: Vec<_> = ranked.collect();
        ranks.sort_unstable();
        ranks.truncate(CONNECTIONS_GIVEN_UP);
        self.given_up += ranks.iter().filter(|(is_mqtt, ..)| *is_mqtt).count() as u64;
        self.finish_these(ranks.into_iter().map(|(.., ends)| ends), found);
    }

    fn finish_these(&mut self, ends: impl IntoIterator<Item = Ends>, found: &mut Vec<Found>) {
        for ends in ends {
            if let Some(tracked) = self.connections.remove(&ends) {
                tracked.finish(&self.filter, &mut self.numbers, found);
            }
        }
    }
}

impl Tracked {
    fn finish(mut self, filter: &Filter, numbers: &mut Numbers, found: &mut Vec<Found>) {
        let mut heard = Vec::new();
        self.connection.finish(&mut heard);
        self.tell(heard, filter, numbers, found);
    }

    fn tell(
        &mut self,
        heard: Vec<Heard>,
        filter: &Filter,
        numbers: &mut Numbers,
        found: &mut Vec<Found>,
    ) {
        let Some((client, broker)) = self.connection.client_and_broker() else { return };
        for Heard { at, seen } in heard {
            let number = *self.number.get_or_insert_with(|| numbers.next());
            if !filter.takes(&seen) {
                continue;
            }
            let is_first = !std::mem::replace(&mut self.was_found, true);
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
