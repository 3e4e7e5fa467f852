//! `skein conn --connections N`: many connections at once, and what became of them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde::Serialize;
use signal_hook::consts::{SIGINT, SIGTERM};
use skein_client::reactor::{Happening, MemberId, Reactor};
use skein_client::session::Event;
use skein_client::{Error, Options, ReasonCode, Version, Versions};

use super::{Conn, table};
use crate::cli::mqtt::{ConnectionPlan, Exit, Manner, Spans, code};
use crate::cli::output;
use crate::cli::progress::{Progress, Unit};
use crate::server::raise_open_files;

/// So many connections are begun before the first of them has come about.
const OPENING_MAX: u32 = 100;
/// Threads that open links.
const DIALERS: usize = 8;
/// How long a signal may go unnoticed.
const PAUSE: Duration = Duration::from_millis(100);

/// Connects so many times, says what became of it, and stays connected.
pub(super) fn hold(conn: &Conn, size: u32, plan: ConnectionPlan) -> Result<Exit, Exit> {
    // Each connection is an open file.
    raise_open_files();
    let mut crowd = Crowd::new(conn, size, plan)?;
    let was_told = crowd.gather(conn.deadline())?;
    let summary = crowd.census.summary(crowd.began.elapsed());
    output::print(summary.show(conn.json))?;
    if !was_told {
        crowd.stay(conn.end())?;
    }
    crowd.leave()?;
    Ok(crowd.census.exit(size))
}

struct Crowd {
    reactor: Reactor,
    options: Options,
    size: u32,
    /// Connections a second, if that is bounded.
    rate: Option<u32>,
    keeps_trying: bool,
    is_tls: bool,
    is_quiet: bool,
    begun: u32,
    began: Instant,
    census: Census,
    /// Told to stop by a signal.
    is_told: Arc<AtomicBool>,
}

impl Crowd {
    fn new(conn: &Conn, size: u32, plan: ConnectionPlan) -> Result<Self, Exit> {
        let failed = |error: String| Exit::with(code::UNKNOWN, format!("Error: {error}"));
        let is_told = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            let caught = signal_hook::flag::register(signal, Arc::clone(&is_told));
            caught.map_err(|error| failed(error.to_string()))?;
        }
        let reactor = Reactor::with_dialer(plan.dial, DIALERS);
        let mut options = plan.options;
        if !plan.keeps_trying {
            options.reconnect = None;
        }
        Ok(Self {
            reactor: reactor.map_err(|error| failed(error.to_string()))?,
            options,
            size,
            rate: conn.rate,
            keeps_trying: plan.keeps_trying,
            is_tls: plan.is_tls,
            is_quiet: plan.is_quiet,
            begun: 0,
            began: Instant::now(),
            census: Census::default(),
            is_told,
        })
    }

    /// Begins all connections and waits until each is there or has failed; whether a signal came
    /// first.
    fn gather(&mut self, until: Option<Instant>) -> Result<bool, Exit> {
        let all = Some(u64::from(self.size));
        let progress = Progress::new("connecting", Unit::Pieces, all, self.is_quiet);
        while self.census.settled() < self.size {
            if self.is_told.load(Ordering::Relaxed) {
                return Ok(true);
            }
            if until.is_some_and(|until| Instant::now() >= until) {
                let (settled, size) = (self.census.settled(), self.size);
                let text = format!("Timed out: {settled} of {size} connections");
                return Err(Exit::with(code::TIMED_OUT, text));
            }
            while self.begun < self.allowed() {
                self.begin()?;
            }
            let before = self.census.settled();
            self.turn(self.pause())?;
            progress.add(u64::from(self.census.settled() - before));
        }
        Ok(false)
    }

    /// How many connections may have been begun by now.
    fn allowed(&self) -> u32 {
        let seconds = self.began.elapsed().as_secs_f64();
        let by_rate = self.rate.map_or(f64::MAX, |rate| seconds * f64::from(rate) + 1.0);
        let by_room = self.census.settled().saturating_add(OPENING_MAX);
        // Fractions of connections are begun later.
        self.size.min(by_room).min(by_rate as u32)
    }

    /// How long nothing may happen before the next connection is begun.
    fn pause(&self) -> Duration {
        self.rate.map_or(PAUSE, |rate| PAUSE.min(Duration::from_secs(1) / rate))
    }

    fn begin(&mut self) -> Result<(), Exit> {
        self.begun += 1;
        let client_id = match self.options.client_id.as_str() {
            "" => String::new(),
            prefix => format!("{prefix}{}", self.begun),
        };
        let added = self.reactor.add(Options { client_id, ..self.options.clone() });
        let id = added.map_err(|error| Exit::with(code::USAGE, format!("Error: {error}")))?;
        self.census.begin(id, Instant::now());
        Ok(())
    }

    /// Keeps the connections, and counts those that are lost.
    fn stay(&mut self, end: Option<Instant>) -> Result<(), Exit> {
        let is_over = || end.is_some_and(|end| Instant::now() >= end);
        while !is_over() && !self.is_told.load(Ordering::Relaxed) && !self.reactor.is_empty() {
            self.turn(PAUSE)?;
        }
        Ok(())
    }

    fn leave(&mut self) -> Result<(), Exit> {
        let ids: Vec<MemberId> = self.reactor.ids().collect();
        for id in ids {
            if let Some(mut seat) = self.reactor.seat(id) {
                seat.disconnect(ReasonCode::Success);
            }
        }
        self.census.is_leaving = true;
        self.turn(PAUSE)?;
        self.reactor.linger();
        Ok(())
    }

    fn turn(&mut self, pause: Duration) -> Result<(), Exit> {
        let (census, is_tls) = (&mut self.census, self.is_tls);
        let version = match self.options.versions {
            Versions::NewestFirst => Version::V5,
            Versions::Only(version) => version,
        };
        let exit = |error: &Error| Exit::not_connected(error, version, Manner::Skein, is_tls);
        let keeps_trying = self.keeps_trying;
        let turned = self.reactor.turn(Some(pause), &mut |seat, happening| {
            let id = seat.id();
            match happening {
                Happening::Event(Event::Connected { .. }) => census.accept(id, Instant::now()),
                Happening::Event(Event::Failed { why, retry_in: None } | Event::GaveUp { why }) => {
                    census.fail(id, exit(&why));
                }
                Happening::Event(Event::Lost { why, .. }) => {
                    census.lose(id, exit(&why), keeps_trying);
                }
                _ => {}
            }
        });
        turned.map_err(|error| Exit::with(code::UNKNOWN, format!("Error: {error}")))
    }
}

/// What has become of the connections.
#[derive(Default)]
struct Census {
    /// Those that are being opened, and since when.
    opening: BTreeMap<MemberId, Instant>,
    accepted: u32,
    failed: BTreeMap<String, u32>,
    lost: u32,
    took: Spans,
    /// The first that did not come about or was lost.
    first: Option<Exit>,
    is_leaving: bool,
}

impl Census {
    fn begin(&mut self, id: MemberId, now: Instant) {
        self.opening.insert(id, now);
    }

    /// How many are there or have failed.
    fn settled(&self) -> u32 {
        self.accepted + self.failed.values().sum::<u32>()
    }

    fn accept(&mut self, id: MemberId, now: Instant) {
        // Who comes back was counted before.
        if let Some(since) = self.opening.remove(&id) {
            self.accepted += 1;
            self.took.add(now.saturating_duration_since(since));
        }
    }

    fn fail(&mut self, id: MemberId, exit: Exit) {
        if self.opening.remove(&id).is_none() {
            return;
        }
        let why = exit.text.clone().unwrap_or_default();
        let why = why.strip_prefix("Error: ").unwrap_or(&why);
        *self.failed.entry(why.to_owned()).or_default() += 1;
        self.first.get_or_insert(exit);
    }

    fn lose(&mut self, id: MemberId, exit: Exit, is_forgiven: bool) {
        if self.is_leaving || self.opening.contains_key(&id) {
            return;
        }
        self.lost += 1;
        if !is_forgiven {
            self.first.get_or_insert(exit);
        }
    }

    fn summary(&self, took: Duration) -> Summary {
        Summary {
            accepted: self.accepted,
            failed: self.failed.clone(),
            seconds: took.as_secs_f64(),
            connect_ms: self.took.millis(),
        }
    }

    /// How the program ends.
    fn exit(&self, size: u32) -> Exit {
        let Some(first) = &self.first else { return Exit::SUCCESS };
        let failed: u32 = self.failed.values().sum();
        let why = first.text.as_deref().unwrap_or_default();
        let text =
            format!("{why} ({failed} of {size} connections failed, {} were lost)", self.lost);
        Exit::with(first.code, text)
    }
}

/// What is said when all are there or have failed.
#[derive(Debug, Serialize)]
struct Summary {
    accepted: u32,
    failed: BTreeMap<String, u32>,
    seconds: f64,
    /// The shortest, the mean and the longest.
    connect_ms: Option<[f64; 3]>,
}

impl Summary {
    /// A line for each, or an object.
    fn show(&self, is_json: bool) -> String {
        let Ok(mut value) = serde_json::to_value(self) else { return String::new() };
        if is_json {
            return format!("{value}\n");
        }
        let failed = self.failed.iter().map(|(why, count)| format!("{count} times: {why}"));
        let failed = failed.collect::<Vec<_>>().join("; ");
        value["failed"] = if failed.is_empty() { 0.into() } else { failed.into() };
        value["seconds"] = format!("{:.3}", self.seconds).into();
        value["connect_ms"] = match self.connect_ms {
            Some([shortest, mean, longest]) => {
                format!("{shortest:.3} to {longest:.3}, {mean:.3} on average").into()
            }
            None => "-".into(),
        };
        table(&value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_connection_is_counted_once() {
        let mut reactor = Reactor::new().expect("the system has descriptors");
        let mut add = || reactor.add(Options::new(["mqtt://127.0.0.1:1"])).expect("one more");
        let (one, two, three) = (add(), add(), add());
        let (mut census, now) = (Census::default(), Instant::now());
        for id in [one, two, three] {
            census.begin(id, now);
        }
        assert_eq!((census.settled(), census.exit(3)), (0, Exit::SUCCESS));
        census.accept(one, now + Duration::from_millis(2));
        census.accept(two, now + Duration::from_millis(4));
        census.fail(three, Exit::with(5, "Error: no"));
        // Each tells of its end more than once.
        census.fail(three, Exit::with(5, "Error: no"));
        assert_eq!(census.settled(), 3);
        census.lose(two, Exit::with(7, "Error: gone"), false);
        census.accept(two, now);
        let exit = census.exit(3);
        let text = "Error: no (1 of 3 connections failed, 1 were lost)";
        assert_eq!(exit, Exit::with(5, text));
        let text = census.summary(Duration::from_secs(1)).show(false);
        assert!(text.contains("1 times: no\n"), "{text}");
        assert!(text.contains("2.000 to 4.000, 3.000 on average\n"), "{text}");
        let json = census.summary(Duration::from_secs(1)).show(true);
        assert!(
            json.contains("\"failed\":{\"no\":1}") && json.contains("\"accepted\":2"),
            "{json}"
        );
    }
}
