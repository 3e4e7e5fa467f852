//! `skein retained`: what a broker retains, listed, printed, removed, written out and brought back.

mod record;

use std::collections::BTreeMap;
use std::io::{self, BufRead, Write};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::{ArgAction, Args, Subcommand};
use skein_client::session::{Outcome, Subscribe, Token};
use skein_client::{Message, Publish, QoS, ReasonCode, SubscriptionOptions};

use self::record::Record;
use super::mqtt::{
    Connection, ConnectionOptions, ConnectionPlan, Exit, Incident, Kind, Manner, UsageError,
    check_filter, code,
};
use super::output;
use super::progress::{Progress, Unit, input_bytes};
use super::subscribe::acknowledge;

/// List, print, remove, write out and bring back what a broker retains.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
A broker does not say when it has sent everything that it retains: this waits until nothing has come
for --idle seconds. Exit codes are those of `skein sub`; `get` ends with 1 when there is nothing.

Examples:
  skein retained list                             every topic, its QoS and its bytes
  skein retained list 'home/#'
  skein retained get home/hall/temp               the payload, as it is
  skein retained clear 'home/old/#'
  skein retained export > retained.jsonl          one message of JSON a line
  skein retained import -h other < retained.jsonl")]
pub(super) struct Retained {
    #[command(subcommand)]
    command: RetainedCommand,
}

#[derive(Clone, Debug, Subcommand)]
enum RetainedCommand {
    /// Print each topic with its QoS and the bytes of its payload
    #[command(disable_help_flag = true)]
    List(Selection),
    /// Print payloads as they are
    #[command(disable_help_flag = true)]
    Get(Selection),
    /// Remove what is retained
    #[command(disable_help_flag = true)]
    Clear(Selection),
    /// Write everything to standard output, one message of JSON a line
    #[command(disable_help_flag = true)]
    Export(Selection),
    /// Publish what `export` wrote from standard input
    #[command(disable_help_flag = true)]
    Import(Reach),
}

#[derive(Clone, Debug, Args)]
struct Selection {
    /// The topic or filter
    #[arg(default_value = "#")]
    filter: String,

    /// How many seconds of silence are the end
    #[arg(long, value_name = "SECONDS", default_value_t = 1.0, value_parser = parse_seconds)]
    idle: f64,

    #[command(flatten)]
    reach: Reach,
}

/// The broker, and how long it may take.
#[derive(Clone, Debug, Args)]
struct Reach {
    /// Give up after so many seconds, with exit code 27
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..))]
    timeout: Option<u32>,

    #[command(flatten)]
    connection: ConnectionOptions,

    /// Print help
    #[arg(long, action = ArgAction::HelpLong)]
    help: Option<bool>,
}

/// How many messages may wait for their acknowledgement at once.
const WINDOW: usize = 100;

impl Retained {
    pub(super) fn run(&self) -> Result<ExitCode, UsageError> {
        let selection = match &self.command {
            RetainedCommand::Import(reach) => {
                let plan = reach.connection.plan(Kind::Other, Manner::Skein)?;
                let is_quiet = plan.is_quiet;
                let done = bring_back(plan, deadline(reach.timeout));
                return Ok(done.unwrap_or_else(|exit| exit).end(is_quiet));
            }
            RetainedCommand::List(selection)
            | RetainedCommand::Get(selection)
            | RetainedCommand::Clear(selection)
            | RetainedCommand::Export(selection) => selection,
        };
        check_filter("subscription", &selection.filter)?;
        let plan = selection.reach.connection.plan(Kind::Other, Manner::Skein)?;
        let is_quiet = plan.is_quiet;
        Ok(self.select(selection, plan).unwrap_or_else(|exit| exit).end(is_quiet))
    }

    fn select(&self, selection: &Selection, plan: ConnectionPlan) -> Result<Exit, Exit> {
        let (is_quiet, until) = (plan.is_quiet, deadline(selection.reach.timeout));
        let mut connection = Connection::start(plan)?;
        connection.connect(until)?;
        let messages = collect(&mut connection, selection, until, is_quiet)?;
        let exit = match &self.command {
            RetainedCommand::Clear(_) => {
                let all = Some(messages.len() as u64);
                let progress = Progress::new("removing", Unit::Pieces, all, is_quiet);
                clear(&mut connection, messages.keys(), &progress, until)?
            }
            command => {
                output::write(|out| print(command, messages.values(), out))?;
                Exit::SUCCESS
            }
        };
        connection.goodbye(ReasonCode::Success)?;
        let is_missing = matches!(self.command, RetainedCommand::Get(_)) && messages.is_empty();
        Ok(match is_missing {
            true => Exit::with(code::USAGE, format!("{}: nothing is retained", selection.filter)),
            false => exit,
        })
    }
}

fn deadline(timeout_s: Option<u32>) -> Option<Instant> {
    timeout_s.map(|seconds| Instant::now() + Duration::from_secs(seconds.into()))
}

/// Everything that is retained, by its topic.
fn collect(
    connection: &mut Connection,
    selection: &Selection,
    until: Option<Instant>,
    is_quiet: bool,
) -> Result<BTreeMap<String, Message>, Exit> {
    let progress = Progress::new("retained messages", Unit::Pieces, None, is_quiet);
    let options = SubscriptionOptions::with_qos(QoS::ExactlyOnce);
    let wish = Subscribe::new(selection.filter.as_str(), options).identifier(None);
    let asked = connection.try_act(|seat| seat.subscribe(wish));
    let token = asked.map_err(|error| Exit::failed(&error, connection.version()))?;
    let idle = Duration::from_secs_f64(selection.idle);
    let (mut messages, mut end) = (BTreeMap::new(), None);
    loop {
        match connection.next(end.into_iter().chain(until).min()) {
            Incident::Completed(done, result) if done == token => {
                check_granted(connection, result)?;
                end = Some(Instant::now() + idle);
            }
            Incident::Message(message) => {
                acknowledge(connection, &message);
                // What is published meanwhile does not lengthen the wait.
                if message.is_retained() {
                    messages.insert(message.topic().to_owned(), message);
                    end = end.map(|_| Instant::now() + idle);
                    progress.add(1);
                }
            }
            Incident::Timeout if end.is_some_and(|end| Instant::now() >= end) => {
                return Ok(messages);
            }
            incident => check(connection, incident)?,
        }
    }
}

fn check_granted(
    connection: &Connection,
    result: skein_client::Result<Outcome>,
) -> Result<(), Exit> {
    let failed = |error| Exit::failed(&error, connection.version());
    match result.map_err(failed)? {
        Outcome::Subscribed(results) => {
            results.into_iter().try_for_each(|result| result.map(drop)).map_err(failed)
        }
        _ => Ok(()),
    }
}

fn check(connection: &Connection, incident: Incident) -> Result<(), Exit> {
    match incident {
        Incident::Over(exit) => Err(exit),
        Incident::Timeout => Err(Exit::timed_out()),
        Incident::Lost(error) => Err(Exit::lost(&error, connection.version(), Manner::Skein)),
        _ => Ok(()),
    }
}

fn print<'a>(
    command: &RetainedCommand,
    messages: impl Iterator<Item = &'a Message>,
    out: &mut dyn Write,
) -> io::Result<()> {
    for message in messages {
        match command {
            RetainedCommand::Get(_) => out.write_all(message.payload())?,
            RetainedCommand::Export(_) => {
                serde_json::to_writer(&mut *out, &Record::new(message))?;
                writeln!(out)?;
            }
            _ => {
                let bytes = message.payload().len();
                writeln!(out, "{}\t{}\t{bytes}", message.topic(), message.qos())?;
            }
        }
    }
    Ok(())
}

fn clear<'a>(
    connection: &mut Connection,
    topics: impl Iterator<Item = &'a String>,
    progress: &Progress,
    until: Option<Instant>,
) -> Result<Exit, Exit> {
    let clears = topics.map(|topic| {
        progress.add(1);
        Ok(Publish::new(topic.as_str(), "").qos(QoS::AtLeastOnce).retain())
    });
    let mut count = 0;
    publish_all(connection, clears, until, &mut count)?;
    output::print(format!("{count} removed\n"))?;
    Ok(Exit::SUCCESS)
}

fn bring_back(plan: ConnectionPlan, until: Option<Instant>) -> Result<Exit, Exit> {
    let progress = Progress::new("publishing", Unit::Bytes, input_bytes(), plan.is_quiet);
    let mut connection = Connection::start(plan)?;
    connection.connect(until)?;
    let records = io::stdin().lock().lines().enumerate().map(|(index, line)| {
        let record: Result<Record, String> =
            line.map_err(|error| error.to_string()).and_then(|line| {
                progress.add(line.len() as u64 + 1);
                serde_json::from_str(&line).map_err(|error| error.to_string())
            });
        let publish = record.and_then(Record::publish);
        publish.map_err(|why| Exit::with(code::USAGE, format!("Error: line {}: {why}", index + 1)))
    });
    let mut count = 0;
    let published = publish_all(&mut connection, records, until, &mut count);
    published.map_err(|exit| exit.and(&format!("{count} published before")))?;
    connection.goodbye(ReasonCode::Success)?;
    drop(progress);
    output::print(format!("{count} published\n"))?;
    Ok(Exit::SUCCESS)
}

/// Publishes all of them, so many at once as the window has room for, and waits for the last one.
/// `count` grows with each that is acknowledged.
///
/// # Errors
/// Why there is no further message, when those before it are acknowledged; or why one of them is not.
fn publish_all(
    connection: &mut Connection,
    messages: impl Iterator<Item = Result<Publish, Exit>>,
    until: Option<Instant>,
    count: &mut usize,
) -> Result<(), Exit> {
    let (mut open, mut end): (Vec<Token>, _) = (Vec::new(), Ok(()));
    for message in messages {
        let version = connection.version();
        let published = message.and_then(|message| {
            let published = connection.try_act(|seat| seat.publish(message));
            published.map_err(|error| Exit::failed(&error, version))
        });
        match published {
            Ok(token) => open.push(token),
            Err(exit) => {
                end = Err(exit);
                break;
            }
        }
        while open.len() >= WINDOW {
            settle(connection, &mut open, until, count)?;
        }
    }
    while !open.is_empty() {
        settle(connection, &mut open, until, count)?;
    }
    end
}

fn settle(
    connection: &mut Connection,
    open: &mut Vec<Token>,
    until: Option<Instant>,
    count: &mut usize,
) -> Result<(), Exit> {
    match connection.next(until) {
        Incident::Completed(token, Ok(_)) => {
            let before = open.len();
            open.retain(|it| *it != token);
            *count += before - open.len();
            Ok(())
        }
        Incident::Completed(_, Err(error)) => Err(Exit::failed(&error, connection.version())),
        incident => check(connection, incident),
    }
}

/// A number of seconds, perhaps with a fraction.
fn parse_seconds(text: &str) -> Result<f64, &'static str> {
    let wrong = "this is no number of seconds from 0.01 to 3600";
    let seconds: f64 = text.parse().map_err(|_| wrong)?;
    if (0.01..=3600.0).contains(&seconds) { Ok(seconds) } else { Err(wrong) }
}
