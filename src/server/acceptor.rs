//! The acceptor's thread: accepts connections, deals them out, hears signals and requests.

use std::io::ErrorKind;
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Poll};

use super::dealer::Dealer;
use super::listener::{Listener, concerns_one_connection};
use super::newcomers::Newcomers;
use super::opening::Opening;
use super::refusals::{Refusal, Refusals};
use super::reload::Reloading;
use super::signals::{Signal, Signals};
use super::sys::Speaker;
use super::{SIGNALS, WAKER};
use crate::access::jwt::JwtKeys;
use crate::config::Settings;
use crate::net::{Accepted, Addresses, Command, Door, Seat, ShardReport};
use crate::session::{AcceptOrder, PeerAddress, Time};

/// Connections accepted from one listener before the others have their turn.
const ACCEPTS_PER_TURN: usize = 256;
/// When a shard's lane is full: how long to leave new connections to the kernel.
const FULL_LANE_WAIT: Duration = Duration::from_millis(5);
/// Time beyond the shards' own bound after which they are no longer waited for.
const SHUTDOWN_SLACK: Duration = Duration::from_millis(500);

/// What other threads ask of the acceptor.
#[derive(Debug)]
pub(super) enum Request {
    /// End the broker.
    ShutDown,
    /// Let the shards write their counters to the log.
    ReportMetrics,
    /// A shard has taken over what was kept.
    ShardRecovered,
    /// A shard has ended, as it was told.
    ShardEnded,
    /// A bridge wants a connection to this broker; this is its other end.
    OpenInside {
        /// A socket.
        stream: OwnedFd,
        /// What the log calls it.
        name: Box<str>,
    },
    /// A shard says how it is.
    Reported(Box<ShardReport>),
    /// The bridges have brought over what was on its way.
    BridgesEnded,
    /// The keys of tokens have come from their address, and are new.
    KeysFetched {
        /// From where.
        url: String,
        /// The keys.
        keys: JwtKeys,
    },
}

/// How a broker's run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Every shard has ended.
    Finished,
    /// The time that shutting down may take is over, and a shard has not ended.
    OutOfTime,
    /// A second signal came while the broker was shutting down.
    Forced,
}

/// What a server hands over to its acceptor.
pub(super) struct Parts {
    pub(super) settings: Settings,
    pub(super) poll: Poll,
    pub(super) listeners: Vec<Listener>,
    pub(super) signals: Option<Signals>,
    pub(super) requests: mpsc::Receiver<Request>,
}

/// The acceptor.
pub(super) struct Acceptor {
    pub(super) settings: Settings,
    pub(super) poll: Poll,
    /// By their ids: a removed one keeps its place.
    pub(super) listeners: Vec<Listener>,
    signals: Option<Signals>,
    requests: mpsc::Receiver<Request>,
    pub(super) dealer: Dealer,
    pub(super) reloading: Reloading,
    /// Of a broker with a store.
    opening: Option<Opening>,
    /// The zero of the broker's clock.
    pub(super) start: Instant,
    /// The place of the connection that was accepted last.
    pub(super) order: AcceptOrder,
    shards_ended: usize,
    /// Connections that were closed at once.
    pub(super) refusals: Refusals,
    /// How fast others are let in.
    newcomers: Newcomers,
    /// What it says below `$SYS`.
    pub(super) speaker: Speaker,
    /// The connections of each address.
    addresses: Arc<Addresses>,
    /// A lane was full: until when to wait.
    full_until: Option<Instant>,
    /// Set once the broker is shutting down: when to stop waiting for the shards.
    pub(super) ends_at: Option<Instant>,
    /// Set while the bridges end, before the shards: when to stop waiting for them.
    pub(super) bridges_end_at: Option<Instant>,
    is_forced: bool,
}

impl Acceptor {
    /// The acceptor of this server, whose shards are behind these doors.
    pub(super) fn new(
        server: Parts,
        doors: Vec<Door>,
        reloading: Reloading,
        opening: Option<Opening>,
        start: Instant,
    ) -> Self {
        let Parts { settings, poll, listeners, signals, requests } = server;
        let addresses = Arc::clone(&doors.first().expect("there is a shard").addresses);
        let shards = doors.len();
        Self {
            settings,
            poll,
            listeners,
            signals,
            requests,
            dealer: Dealer::new(doors),
            reloading,
            opening,
            start,
            order: AcceptOrder::default(),
            shards_ended: 0,
            refusals: Refusals::default(),
            newcomers: Newcomers::new(shards, start),
            speaker: Speaker::default(),
            addresses,
            full_until: None,
            ends_at: None,
            bridges_end_at: None,
            is_forced: false,
        }
    }

    /// Runs until the broker has ended.
    pub(super) fn run(mut self) -> Ending {
        let mut events = Events::with_capacity(64);
        loop {
            let now = Instant::now();
            if let Some(ending) = self.ending(now) {
                return ending;
            }
            if let Err(error) = self.poll.poll(&mut events, self.timeout(now)) {
                assert!(
                    error.kind() == ErrorKind::Interrupted,
                    "only a signal can disturb the poll of the acceptor: {error}"
                );
            }
            self.turn(&events, Instant::now());
        }
    }

    fn turn(&mut self, events: &Events, now: Instant) {
        for event in events {
            match event.token() {
                WAKER => {}
                SIGNALS => self.take_signals(now),
                token => {
                    if let Some(listener) = self.listeners.get_mut(token.0) {
                        listener.is_ready = true;
                    }
                }
            }
        }
        self.take_requests(now);
        self.look_at_bridges(now);
        self.look_at_files(now);
        self.look_at_speaker(now);
        if self.serves() {
            let per_s = self.settings.limits.newcomers_per_shard_per_s_max;
            self.newcomers.look(self.dealer.work(), per_s, now);
            let count = self.listeners.len();
            let first = self.newcomers.first_door(count);
            for index in (first..count).chain(0..first) {
                self.accept_from(index, now);
            }
        }
        self.refusals.tell_more(now);
        if self.dealer.finish_turn() || (!self.dealer.has_room() && self.ends_at.is_none()) {
            self.full_until = Some(now + FULL_LANE_WAIT);
        }
    }

    /// Whether clients may come: what was kept is known to all shards.
    pub(super) fn serves(&self) -> bool {
        self.opening.as_ref().is_none_or(Opening::is_over)
    }

    fn take_signals(&mut self, now: Instant) {
        let signals = self.signals.as_mut().map(Signals::take).unwrap_or_default();
        for signal in signals {
            match signal {
                Signal::End if self.ends_at.is_some() => {
                    tracing::warn!("a second signal: ending at once");
                    self.is_forced = true;
                }
                Signal::End => self.begin_shutdown(now),
                Signal::ReportMetrics => self.report_metrics(),
                Signal::Reload => self.reload(),
            }
        }
    }

    fn take_requests(&mut self, now: Instant) {
        while let Ok(request) = self.requests.try_recv() {
            match request {
                Request::ShutDown => self.begin_shutdown(now),
                Request::ReportMetrics => self.report_metrics(),
                Request::ShardRecovered => {
                    self.opening.iter_mut().for_each(Opening::note_recovered);
                }
                Request::ShardEnded => self.shards_ended += 1,
                Request::OpenInside { stream, name } => self.admit_inside(stream, &name, now),
                Request::Reported(report) => self.take_report(*report, now),
                Request::BridgesEnded => self.end_shards(),
                Request::KeysFetched { url, keys } => self.renew_keys(&url, keys),
            }
        }
    }

    fn report_metrics(&mut self) {
        let connections: usize = self.listeners.iter().map(|l| self.open_on(l)).sum();
        let rows = self.refusals.rows().chain([self.newcomers.row()]);
        let counters = rows.map(|(name, count)| format!(" {name}={count}"));
        tracing::info!("acceptor: connections={connections}{}", counters.collect::<String>());
        self.opening.iter().for_each(Opening::report_metrics);
        self.dealer.tell_all(|| Command::ReportMetrics);
    }

    /// Stops listening and lets the shards say goodbye. The time they have is theirs to keep;
    /// the acceptor's is a little longer.
    fn begin_shutdown(&mut self, now: Instant) {
        if self.ends_at.is_some() {
            return;
        }
        tracing::info!("shutting down");
        let limit = Duration::from_millis(self.settings.limits.shutdown_ms_max);
        self.listeners.clear();
        let ends_at = self.end_bridges(now) + limit + SHUTDOWN_SLACK;
        self.ends_at = Some(ends_at);
    }

    fn ending(&self, now: Instant) -> Option<Ending> {
        let ends_at = self.ends_at?;
        if self.is_forced {
            Some(Ending::Forced)
        } else if self.shards_ended == self.dealer.shards() {
            Some(Ending::Finished)
        } else {
            (ends_at <= now).then_some(Ending::OutOfTime)
        }
    }

    /// Accepts what one listener has, up to a bound.
    fn accept_from(&mut self, index: usize, now: Instant) {
        for _ in 0..ACCEPTS_PER_TURN {
            let listener = &mut self.listeners[index];
            let is_ready = listener.is_ready && listener.backoff.wait_until(now).is_none();
            if !is_ready || !self.dealer.has_room() {
                return;
            }
            if self.newcomers.must_wait(now) {
                return;
            }
            match listener.accept() {
                Ok((stream, peer, address)) => {
                    listener.backoff.succeed();
                    match self.examine(index, address, now) {
                        Ok(seat) => {
                            self.newcomers.note_accepted(now);
                            self.admit(index, stream, peer, seat, now);
                        }
                        Err(refusal) => {
                            let listener = &self.listeners[index].name;
                            self.refusals.note(refusal, listener, address, now);
                        }
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => listener.is_ready = false,
                Err(error) if concerns_one_connection(&error) => {}
                Err(error) => {
                    let wait = listener.backoff.fail(now);
                    tracing::error!(
                        "cannot accept on {}: {error}; trying again in {} ms (is the limit of open \
                         files too low?)",
                        listener.address(),
                        wait.as_millis()
                    );
                }
            }
        }
    }

    /// Whether a connection may come in here, and its place in the count of its address.
    fn examine(
        &self,
        index: usize,
        address: Option<IpAddr>,
        now: Instant,
    ) -> Result<Option<Seat>, Refusal> {
        let listener = &self.listeners[index];
        if !listener.trusts(address) {
            return Err(Refusal::Stranger);
        }
        if self.has_reached_limit(index) {
            return Err(Refusal::Full);
        }
        // Behind a proxy, the address that counts is not known yet.
        let Some(address) = address.filter(|_| !listener.is_behind_proxies()) else {
            return Ok(None);
        };
        let now_ms = now.saturating_duration_since(self.start).as_millis();
        let now = Time::from_millis(u64::try_from(now_ms).unwrap_or(u64::MAX));
        self.addresses.admit(address, now).map_err(Refusal::Crowded)
    }

    /// Deals a connection out.
    fn admit(
        &mut self,
        index: usize,
        stream: TcpStream,
        peer: PeerAddress,
        seat: Option<Seat>,
        now: Instant,
    ) {
        let now_us = now.saturating_duration_since(self.start).as_micros();
        self.order = self.order.next(u64::try_from(now_us).unwrap_or(u64::MAX));
        let listener = &mut self.listeners[index];
        let (layers, order) = (listener.layers.clone(), self.order);
        let accepted = Accepted { stream, layers, peer, listener: listener.id, order, seat };
        if self.dealer.deal(accepted).is_ok() {
            listener.dealt += 1;
        }
    }

    /// Connections that came through this listener and are open.
    pub(super) fn open_on(&self, listener: &Listener) -> usize {
        // Tallies lag behind, so a difference is never below zero.
        listener.dealt.saturating_sub(self.dealer.closed_on(listener.id))
    }

    fn has_reached_limit(&self, index: usize) -> bool {
        let reached = |limit: usize, count: usize| limit > 0 && count >= limit;
        let listener = &self.listeners[index];
        let limit = self.settings.limits.connections_max;
        reached(listener.connections_max, self.open_on(listener))
            || (limit > 0 && reached(limit, self.listeners.iter().map(|l| self.open_on(l)).sum()))
    }

    /// How long the poll may sleep; `None` is for ever.
    fn timeout(&self, now: Instant) -> Option<Duration> {
        let mut deadlines = vec![];
        deadlines.extend(self.ends_at);
        deadlines.extend(self.bridges_end_at);
        deadlines.extend(self.refusals.next_deadline());
        deadlines.extend(self.reloading.watch.next_deadline());
        deadlines.extend(self.speaker.next_deadline().filter(|_| self.ends_at.is_none()));
        let full_until = self.full_until.filter(|until| *until > now);
        deadlines.extend(full_until);
        let waiting = self.listeners.iter().filter(|listener| listener.is_ready && self.serves());
        let all_until = full_until.max(self.newcomers.wait_until(now));
        for listener in waiting {
            // A ready listener is looked at when its wait is over, at once if it has none.
            deadlines.push(listener.backoff.wait_until(now).or(all_until).unwrap_or(now));
        }
        deadlines.into_iter().min().map(|deadline| deadline.saturating_duration_since(now))
    }
}
