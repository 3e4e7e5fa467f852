//! Who has how many connections, and how fast they come: a count and a pace for each address.
//!
//! The acceptor asks for connections that come straight, a shard for those that come through a
//! proxy, once its header has named their source. Who is let in holds a [`Seat`] for as long as the
//! socket is open; that is all the counting there is. The lock is taken when a connection begins,
//! never for a packet and never when it ends.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use crate::config::{Limits, Network};
use crate::session::Time;

/// So many addresses are remembered before those that need not be are looked for.
const SWEEP_LEN_MIN: usize = 1_024;
/// A second's worth of connections may come at once.
const BURST_US: u64 = 1_000_000;

/// The connections of all addresses.
#[derive(Debug)]
pub struct Addresses {
    connections_max: usize,
    /// Microseconds from one connection of an address to the next; 0 for any pace.
    interval_us: u64,
    unlimited: Vec<Network>,
    book: Mutex<Book>,
}

/// One connection in the count of its address.
#[derive(Debug)]
pub struct Seat {
    /// As many as there are, less the book's own, are open.
    _count: Arc<()>,
}

/// Why an address may not have a further connection now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crowd {
    /// `connections_per_address_max` is reached.
    Full,
    /// `connections_per_address_per_s_max` is exceeded.
    TooFast,
}

impl fmt::Display for Crowd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full => "connections_per_address_max is reached",
            Self::TooFast => "connections_per_address_per_s_max is exceeded",
        })
    }
}

impl Addresses {
    /// Nobody has come yet.
    pub fn new(limits: &Limits) -> Self {
        let per_s = u64::from(limits.connections_per_address_per_s_max);
        Self {
            connections_max: limits.connections_per_address_max,
            interval_us: BURST_US.checked_div(per_s).unwrap_or(0),
            unlimited: limits.addresses_unlimited.clone(),
            book: Mutex::default(),
        }
    }

    /// Lets a connection from this address in, or not. `None` if the address is not counted.
    ///
    /// # Errors
    /// What it has too much of.
    pub fn admit(&self, address: IpAddr, now: Time) -> Result<Option<Seat>, Crowd> {
        let is_free = self.connections_max == 0 && self.interval_us == 0;
        if is_free || self.unlimited.iter().any(|network| network.contains(address)) {
            return Ok(None);
        }
        let now_us = now.as_millis().saturating_mul(1_000);
        // Whoever panicked with it has left a count or a pace, both whole.
        let mut book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
        book.sweep(now_us);
        let entry = book.entries.entry(Source::of(address)).or_default();
        if self.connections_max > 0 && entry.open() >= self.connections_max {
            return Err(Crowd::Full);
        }
        if self.interval_us > 0 {
            let paid_until_us = entry.paid_until_us.max(now_us) + self.interval_us;
            if paid_until_us > now_us + BURST_US.max(self.interval_us) {
                return Err(Crowd::TooFast);
            }
            entry.paid_until_us = paid_until_us;
        }
        Ok(Some(Seat { _count: Arc::clone(&entry.count) }))
    }
}

/// What counts as one address: of IPv6, the network that one customer is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Source {
    V4(u32),
    /// The first 64 bits.
    V6(u64),
}

impl Source {
    fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self::V4(address.into()),
            IpAddr::V6(address) => Self::V6((u128::from(address) >> 64) as u64),
        }
    }
}

#[derive(Debug, Default)]
struct Book {
    entries: HashMap<Source, Entry>,
    /// When this many are remembered, the next look for those that need not be.
    sweep_len: usize,
}

#[derive(Debug, Default)]
struct Entry {
    count: Arc<()>,
    /// The connections so far are spread evenly up to this time.
    paid_until_us: u64,
}

impl Entry {
    fn open(&self) -> usize {
        Arc::strong_count(&self.count) - 1
    }
}

impl Book {
    /// Forgets whoever has no connection and may have all again, each time as many more as are
    /// needed have come: the cost of a look is shared by those who caused it.
    fn sweep(&mut self, now_us: u64) {
        if self.entries.len() < self.sweep_len.max(SWEEP_LEN_MIN) {
            return;
        }
        self.entries.retain(|_, entry| entry.open() > 0 || entry.paid_until_us > now_us);
        self.entries.shrink_to(2 * self.entries.len());
        self.sweep_len = 2 * self.entries.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(connections_max: usize, per_s: u32) -> Addresses {
        let limits = Limits {
            connections_per_address_max: connections_max,
            connections_per_address_per_s_max: per_s,
            ..Limits::default()
        };
        Addresses::new(&limits)
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    const NOW: Time = Time::from_millis(5_000);

    #[test]
    fn an_address_has_so_many_connections_and_room_again_when_one_ends() {
        let addresses = addresses(2, 0);
        let admit = |text| addresses.admit(ip(text), NOW);
        let first = admit("192.0.2.1").expect("room");
        let second = admit("::ffff:192.0.2.1").expect("room for another").expect("it is counted");
        assert_eq!(admit("192.0.2.1").err(), Some(Crowd::Full));
        assert!(admit("192.0.2.2").is_ok());
        drop(second);
        assert!(admit("192.0.2.1").is_ok());
        drop(first);
    }

    #[test]
    fn an_ipv6_network_of_64_bits_is_one_address() {
        let addresses = addresses(1, 0);
        let _seat = addresses.admit(ip("2001:db8::1"), NOW).expect("room");
        assert!(addresses.admit(ip("2001:db8::ffff:1"), NOW).is_err());
        assert!(addresses.admit(ip("2001:db8:0:1::1"), NOW).is_ok());
    }

    #[test]
    fn a_second_of_connections_may_come_at_once_and_then_at_the_pace() {
        let addresses = addresses(0, 10);
        let admitted = |ms| addresses.admit(ip("192.0.2.1"), NOW.plus(ms)).is_ok();
        assert_eq!((0..20).filter(|_| admitted(0)).count(), 10);
        assert!(!admitted(99));
        assert!(admitted(100) && !admitted(100));
        assert_eq!((0..20).filter(|_| admitted(60_000)).count(), 10);
    }

    #[test]
    fn this_machine_is_not_counted_unless_it_is_asked_for() {
        let addresses = addresses(1, 1);
        for _ in 0..10 {
            assert!(matches!(addresses.admit(ip("127.0.0.9"), NOW), Ok(None)));
            assert!(matches!(addresses.admit(ip("::1"), NOW), Ok(None)));
        }
    }

    #[test]
    fn those_who_have_gone_are_forgotten() {
        let addresses = addresses(10, 10);
        let mut seats = Vec::new();
        for number in 0..10 * SWEEP_LEN_MIN as u32 {
            let now = NOW.plus(u64::from(number));
            let address = IpAddr::from((0x0A00_0000 + number).to_be_bytes());
            let seat = addresses.admit(address, now).expect("each has room");
            if number < 10 {
                seats.push(seat);
            }
        }
        let book = addresses.book.lock().expect("nobody panics with it");
        assert!(book.entries.len() < 4 * SWEEP_LEN_MIN, "{}", book.entries.len());
        assert!(seats.len() == 10 && book.entries.contains_key(&Source::V4(0x0A00_0000)));
    }
}
