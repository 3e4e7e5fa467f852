//! `skein top`: how a broker is, as it says itself below `$SYS`.

mod sample;
mod screen;
mod terminal;

use std::io::{self, IsTerminal};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::{ArgAction, Args};
use skein_client::session::{Outcome, Subscribe};
use skein_client::{Message, QoS, ReasonCode, SubscriptionOptions};

use self::sample::{Board, Sample};
use self::screen::{Look, show};
use self::terminal::Terminal;
use super::mqtt::{
    Connection, ConnectionOptions, ConnectionPlan, Exit, Incident, Kind, Manner, UsageError, code,
};
use super::output::{self, OutputError, Reader};

/// What is said together comes within this time.
const PAUSE: Duration = Duration::from_millis(150);
/// Whoever goes on speaking is not waited for longer than this.
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// Show how a broker is: messages and bytes a second, the slowest clients, what is dropped.
#[derive(Clone, Debug, Args)]
#[command(
    disable_help_flag = true,
    after_help = "\
All of it is what the broker says of itself below $SYS, as often as it says it: skein every
sys_interval_s seconds, Mosquitto every sys_interval seconds. Who may not read $SYS by the access list
sees nothing. The slowest clients and what was dropped are told by skein only. Rates are known from the
second sample on.

On a terminal the page is drawn anew with each sample, and q ends it; elsewhere, and with --once,
--count and --json, samples follow one another.

Exit codes: 0 when told to stop, and after --count samples; 27 when the broker has said nothing for
--timeout seconds; otherwise as `skein sub`.

Examples:
  skein top -h broker -u me --password-file pw
  skein top --once                                      one look
  skein top --json | jq .per_second.messages_dropped    what gets lost, as it happens
  skein top --json --count 1 | jq '.slowest[0].client'  who is the slowest"
)]
pub(super) struct Top {
    /// Print one sample and end; the same as --count 1
    #[arg(long, conflicts_with = "count")]
    once: bool,

    /// End after so many samples
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    count: Option<u32>,

    /// Print each sample as an object of JSON, one a line
    #[arg(long)]
    json: bool,

    /// Print no colors; there are none either where NO_COLOR is set, or where nobody looks
    #[arg(long)]
    no_color: bool,

    /// Give up when the broker has said nothing for so many seconds
    #[arg(short = 'W', long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..))]
    timeout: u32,

    #[command(flatten)]
    connection: ConnectionOptions,

    /// Print help
    #[arg(long, action = ArgAction::HelpLong)]
    help: Option<bool>,
}

/// A look at work.
struct Task<'a> {
    top: &'a Top,
    host: String,
    board: Board,
    last: Option<Sample>,
    terminal: Option<Terminal>,
    has_colors: bool,
    shown: u32,
}

impl Top {
    pub(super) fn run(&self) -> Result<ExitCode, UsageError> {
        let plan = self.connection.plan(Kind::Other, Manner::Skein)?;
        let is_quiet = plan.is_quiet;
        let has_colors =
            !self.no_color && std::env::var_os("NO_COLOR").is_none_or(|it| it.is_empty());
        let task = Task {
            top: self,
            host: plan.host.clone(),
            board: Board::default(),
            last: None,
            terminal: None,
            has_colors: has_colors && io::stdout().is_terminal(),
            shown: 0,
        };
        Ok(task.run(plan).unwrap_or_else(|exit| exit).end(is_quiet))
    }

    fn count_max(&self) -> Option<u32> {
        if self.once { Some(1) } else { self.count }
    }

    fn wants_screen(&self) -> bool {
        !self.json && self.count_max().is_none()
    }
}

impl Task<'_> {
    /// The terminal is given back before anything is said of the end.
    fn run(mut self, plan: ConnectionPlan) -> Result<Exit, Exit> {
        let mut connection = Connection::start(plan)?;
        let caught = connection.catch_signals();
        caught.map_err(|error| Exit::with(code::UNKNOWN, format!("Error: {error}")))?;
        let patience = Duration::from_secs(self.top.timeout.into());
        connection.connect(Some(Instant::now() + patience))?;
        let wish = Subscribe::new("$SYS/broker/#", SubscriptionOptions::with_qos(QoS::AtMostOnce));
        let version = connection.version();
        connection
            .try_act(|seat| seat.subscribe(wish))
            .map_err(|error| Exit::failed(&error, version))?;
        self.terminal = self.top.wants_screen().then(|| Terminal::take(self.has_colors)).flatten();
        if self.terminal.is_some() {
            connection
                .catch_keys(b"qQ")
                .map_err(|error| Exit::with(code::UNKNOWN, format!("Error: {error}")))?;
        }
        self.watch(&mut connection, patience)?;
        // What was wanted is there: that the link breaks now changes nothing.
        let _ = connection.goodbye(ReasonCode::Success);
        Ok(Exit::SUCCESS)
    }

    /// Shows samples until it is time to end.
    fn watch(&mut self, connection: &mut Connection, patience: Duration) -> Result<(), Exit> {
        let mut heard_at = Instant::now();
        // When what is said together has all come, once it has begun.
        let mut whole_at: Option<Instant> = None;
        loop {
            match connection.next(Some(whole_at.unwrap_or(heard_at + patience))) {
                Incident::Message(message) => {
                    let begins = self.note(&message);
                    let now = Instant::now();
                    if begins && whole_at.is_none() {
                        heard_at = now;
                    }
                    if begins || whole_at.is_some() {
                        whole_at = Some((now + PAUSE).min(heard_at + PAUSE_MAX));
                    }
                }
                Incident::Timeout if whole_at.is_some() => {
                    whole_at = None;
                    if self.show(heard_at)? == Reader::HasLeft || self.is_over() {
                        return Ok(());
                    }
                }
                Incident::Timeout => return Err(self.nothing_heard()),
                Incident::Signal => return Ok(()),
                Incident::Completed(_, result) => check(connection, &result)?,
                Incident::Over(exit) => return Err(exit),
                Incident::Lost(error) => {
                    let text = format!("The connection is lost: {error}; trying again");
                    match &self.terminal {
                        // A terminal that is gone is found out with the next sample.
                        Some(terminal) => drop(terminal.draw(&format!("{text}\n"))),
                        None => connection.warn(&text),
                    }
                }
                _ => {}
            }
        }
    }

    fn note(&mut self, message: &Message) -> bool {
        self.board.note(message.topic(), message.payload(), message.is_retained())
    }

    /// # Errors
    /// Standard output does not take it.
    fn show(&mut self, at: Instant) -> Result<Reader, OutputError> {
        let sample = self.board.sample(at, self.last.as_ref());
        let printed = if let Some(terminal) = &self.terminal {
            // A terminal that is gone has nobody in front of it.
            if terminal.draw(&show(&sample, &self.host, terminal.look())).is_err() {
                return Ok(Reader::HasLeft);
            }
            Ok(Reader::Reads)
        } else if self.top.json {
            output::write(|out| {
                serde_json::to_writer(&mut *out, &sample)?;
                out.write_all(b"\n")
            })
        } else {
            let look = Look { has_colors: self.has_colors, ..Look::PLAIN };
            let gap = if self.shown > 0 { "\n" } else { "" };
            output::print(format!("{gap}{}", show(&sample, &self.host, look)))
        };
        self.shown += 1;
        self.last = Some(sample);
        printed
    }

    fn is_over(&self) -> bool {
        self.top.count_max().is_some_and(|count| self.shown >= count)
    }

    fn nothing_heard(&self) -> Exit {
        let what = if self.board.is_empty() { "nothing" } else { "nothing more" };
        Exit::with(
            code::TIMED_OUT,
            format!(
                "The broker has said {what} of how it is below $SYS for {} s. Either its access list \
                 keeps this client from reading there (try another user: -u), or it is told not to \
                 speak of itself (sys_interval_s of skein, sys_interval of Mosquitto).",
                self.top.timeout
            ),
        )
    }
}

/// Ends where the broker does not let this client read.
fn check(connection: &Connection, result: &skein_client::Result<Outcome>) -> Result<(), Exit> {
    let failed = |error| Exit::failed(error, connection.version());
    match result {
        Ok(Outcome::Subscribed(granted)) => match granted.first() {
            Some(Err(error)) => Err(Exit::with(
                failed(error).code,
                format!("The broker does not let this client read below $SYS: {error}"),
            )),
            _ => Ok(()),
        },
        Ok(_) => Ok(()),
        Err(error) => Err(failed(error)),
    }
}
