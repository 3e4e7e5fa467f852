//! `skein retained`: what a broker retains, listed, printed, removed, written out and brought back.

use std::collections::BTreeMap;
use std::io::{self, BufRead, Write};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use clap::{ArgAction, Args, Subcommand};
use serde::{Deserialize, Serialize};
use skein_client::session::{Outcome, Subscribe, Token};
use skein_client::{
    Message, PayloadFormat, Properties, Publish, QoS, ReasonCode, SubscriptionOptions,
};

use super::mqtt::{
    Connection, ConnectionOptions, ConnectionPlan, Exit, Incident, Kind, Manner, UsageError,
    check_filter, code, qos,
};
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
    Import(Import),
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
    connection: ConnectionOptions,

    /// Print help
    #[arg(long, action = ArgAction::HelpLong)]
    help: Option<bool>,
}

#[derive(Clone, Debug, Args)]
struct Import {
    #[command(flatten)]
    connection: ConnectionOptions,

    /// Print help
    #[arg(long, action = ArgAction::HelpLong)]
    help: Option<bool>,
}

/// A retained message as JSON.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Record {
    topic: String,
    qos: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload_base64: Option<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    is_text: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    message_expiry_s: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_topic: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    correlation_data_base64: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    user_properties: Vec<(String, String)>,
}

/// How many messages may wait for their acknowledgement at once.
const WINDOW: usize = 100;

impl Retained {
    pub(super) fn run(&self) -> Result<ExitCode, UsageError> {
        let selection = match &self.command {
            RetainedCommand::Import(import) => {
                let plan = import.connection.plan(Kind::Other, Manner::Skein)?;
                let is_quiet = plan.is_quiet;
                return Ok(bring_back(plan).unwrap_or_else(|exit| exit).end(is_quiet));
            }
            RetainedCommand::List(selection)
            | RetainedCommand::Get(selection)
            | RetainedCommand::Clear(selection)
            | RetainedCommand::Export(selection) => selection,
        };
        check_filter("subscription", &selection.filter)?;
        let plan = selection.connection.plan(Kind::Other, Manner::Skein)?;
        let is_quiet = plan.is_quiet;
        Ok(self.select(selection, plan).unwrap_or_else(|exit| exit).end(is_quiet))
    }

    fn select(&self, selection: &Selection, plan: ConnectionPlan) -> Result<Exit, Exit> {
        let mut connection = Connection::start(plan)?;
        connection.connect(None)?;
        let messages = collect(&mut connection, selection)?;
        let exit = match &self.command {
            RetainedCommand::Clear(_) => clear(&mut connection, messages.keys())?,
            command => {
                // Who reads has enough.
                let _ = print(command, messages.values(), &mut io::stdout().lock());
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

/// Everything that is retained, by its topic.
fn collect(
    connection: &mut Connection,
    selection: &Selection,
) -> Result<BTreeMap<String, Message>, Exit> {
    let options = SubscriptionOptions::with_qos(QoS::ExactlyOnce);
    let wish = Subscribe::new(selection.filter.as_str(), options).identifier(None);
    let asked = connection.try_act(|seat| seat.subscribe(wish));
    let token = asked.map_err(|error| Exit::failed(&error, connection.version()))?;
    let idle = Duration::from_secs_f64(selection.idle);
    let (mut messages, mut end) = (BTreeMap::new(), None);
    loop {
        match connection.next(end) {
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
                }
            }
            Incident::Timeout => return Ok(messages),
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
        Incident::Lost(error) => Err(Exit::lost(&error, connection.version(), Manner::Skein)),
        _ => Ok(()),
    }
}

fn print<'a>(
    command: &RetainedCommand,
    messages: impl Iterator<Item = &'a Message>,
    out: &mut impl Write,
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
    out.flush()
}

fn clear<'a>(
    connection: &mut Connection,
    topics: impl Iterator<Item = &'a String>,
) -> Result<Exit, Exit> {
    let clears =
        topics.map(|topic| Ok(Publish::new(topic.as_str(), "").qos(QoS::AtLeastOnce).retain()));
    let count = publish_all(connection, clears)?;
    println!("{count} removed");
    Ok(Exit::SUCCESS)
}

fn bring_back(plan: ConnectionPlan) -> Result<Exit, Exit> {
    let mut connection = Connection::start(plan)?;
    connection.connect(None)?;
    let records = io::stdin().lock().lines().enumerate().map(|(index, line)| {
        let record: Result<Record, String> = line
            .map_err(|error| error.to_string())
            .and_then(|line| serde_json::from_str(&line).map_err(|error| error.to_string()));
        let publish = record.and_then(Record::publish);
        publish.map_err(|why| Exit::with(code::USAGE, format!("Error: line {}: {why}", index + 1)))
    });
    let count = publish_all(&mut connection, records)?;
    connection.goodbye(ReasonCode::Success)?;
    println!("{count} published");
    Ok(Exit::SUCCESS)
}

/// Publishes all of them, so many at once as the window has room for, and waits for the last one.
fn publish_all(
    connection: &mut Connection,
    messages: impl Iterator<Item = Result<Publish, Exit>>,
) -> Result<usize, Exit> {
    let (mut open, mut count): (Vec<Token>, usize) = (Vec::new(), 0);
    for message in messages {
        let message = message?;
        let published = connection.try_act(|seat| seat.publish(message));
        open.push(published.map_err(|error| Exit::failed(&error, connection.version()))?);
        count += 1;
        while open.len() >= WINDOW {
            settle(connection, &mut open)?;
        }
    }
    while !open.is_empty() {
        settle(connection, &mut open)?;
    }
    Ok(count)
}

fn settle(connection: &mut Connection, open: &mut Vec<Token>) -> Result<(), Exit> {
    match connection.next(None) {
        Incident::Completed(token, Ok(_)) => {
            open.retain(|it| *it != token);
            Ok(())
        }
        Incident::Completed(_, Err(error)) => Err(Exit::failed(&error, connection.version())),
        incident => check(connection, incident),
    }
}

impl Record {
    fn new(message: &Message) -> Self {
        let text = message.text().ok().map(str::to_owned);
        let own = message.properties().cloned().unwrap_or_default();
        Self {
            topic: message.topic().to_owned(),
            qos: message.qos() as u8,
            payload_base64: text.is_none().then(|| BASE64.encode(message.payload())),
            payload: text,
            is_text: own.payload_format == Some(PayloadFormat::Utf8),
            message_expiry_s: own.message_expiry_s,
            content_type: own.content_type,
            response_topic: own.response_topic,
            correlation_data_base64: own.correlation_data.map(|data| BASE64.encode(data)),
            user_properties: own.user_properties,
        }
    }

    /// The message; what is wrong with it otherwise.
    fn publish(self) -> Result<Publish, String> {
        let decode = |text: String| BASE64.decode(text).map_err(|error| error.to_string());
        let payload = match (self.payload, self.payload_base64) {
            (Some(text), None) => text.into_bytes(),
            (None, Some(text)) => decode(text)?,
            _ => return Err("one of payload and payload_base64 is needed".to_owned()),
        };
        if self.qos > 2 {
            return Err(format!("{} is no QoS", self.qos));
        }
        let properties = Properties {
            payload_format: self.is_text.then_some(PayloadFormat::Utf8),
            message_expiry_s: self.message_expiry_s,
            content_type: self.content_type,
            response_topic: self.response_topic,
            correlation_data: self.correlation_data_base64.map(decode).transpose()?.map(Into::into),
            user_properties: self.user_properties,
        };
        let mut publish = Publish::new(self.topic, payload).qos(qos(self.qos)).retain();
        if properties != Properties::default() {
            *publish.properties_mut() = properties;
        }
        Ok(publish)
    }
}

/// A number of seconds, perhaps with a fraction.
fn parse_seconds(text: &str) -> Result<f64, &'static str> {
    let wrong = "this is no number of seconds from 0.01 to 3600";
    let seconds: f64 = text.parse().map_err(|_| wrong)?;
    if (0.01..=3600.0).contains(&seconds) { Ok(seconds) } else { Err(wrong) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_a_message_or_says_why_not() {
        let parse =
            |text: &str| serde_json::from_str::<Record>(text).map_err(|error| error.to_string());
        let publish = |text: &str| parse(text).and_then(Record::publish);
        let message = publish(
            "{\"topic\":\"t\",\"qos\":2,\"payload_base64\":\"AP8=\",\"content_type\":\"c\",\
             \"user_properties\":[[\"k\",\"v\"]]}",
        );
        let message = message.expect("a message");
        assert_eq!((message.topic(), &message.payload()[..]), ("t", &[0, 255][..]));
        assert!(message.is_retained() && message.level() == QoS::ExactlyOnce);
        let properties = message.properties().expect("it has some");
        assert_eq!(properties.user_properties, [("k".to_owned(), "v".to_owned())]);
        for (text, words) in [
            ("{", "EOF"),
            ("{\"topic\":\"t\"}", "one of payload"),
            ("{\"topic\":\"t\",\"payload\":\"\",\"qos\":3}", "3 is no QoS"),
            ("{\"topic\":\"t\",\"payload_base64\":\"!\"}", "Invalid"),
            ("{\"topic\":\"t\",\"nonsense\":1}", "unknown field"),
        ] {
            let error = publish(text).expect_err(text);
            assert!(error.contains(words), "{text}: {error}");
        }
    }
}
