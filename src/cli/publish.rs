//! `skein pub`: publishes, as mosquitto_pub does.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use bytes::Bytes;
use clap::{ArgAction, Args};
use skein_client::session::{Outcome, Token};
use skein_client::{Error, Publish, ReasonCode};

use super::mqtt::{
    Connection, ConnectionOptions, ConnectionPlan, Content, Exit, Incident, Kind, Manner, Payload,
    Properties, UsageError, check_topic, code, qos,
};

/// Publish messages, with the options of mosquitto_pub.
#[derive(Clone, Debug, Args)]
#[command(
    disable_help_flag = true,
    after_help = "\
Exit codes: 0 when the broker has what was to be published; the broker's own code when it refuses the
connection (1 to 5 before MQTT 5.0, 128 and above with it) or a message (128 and above); 1 when the
options make no sense or there is no broker; 7 when the connection was lost; 8 when TLS failed.

Examples:
  skein pub -t home/hall/temp -m 21.5 -q 1        and wait for the acknowledgement
  skein pub -t home/state -m on -r                retained: for those who subscribe later
  skein pub -t home/state -n -r                   remove what is retained
  tail -f log | skein pub -t log -l -q 1          a message for each line
  skein pub -h broker -u me --password-file pw --cafile ca.pem -t t -f picture.jpg
  skein pub -t t -m x -D publish content-type text/plain -D publish user-property key value
  skein pub -t t -m tick --repeat 10 --repeat-delay 0.5"
)]
pub(super) struct Pub {
    /// The topic
    #[arg(short = 't', long)]
    topic: Option<String>,

    /// The QoS: 0, 1 or 2
    #[arg(short = 'q', long, default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=2))]
    qos: u8,

    /// Have the broker keep the message for those who subscribe later
    #[arg(short = 'r', long)]
    retain: bool,

    /// Publish the same so many times
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    repeat: u32,

    /// Wait so many seconds in between
    #[arg(long, value_name = "SECONDS", default_value = "0", value_parser = parse_seconds)]
    repeat_delay: Duration,

    /// Give up after so many seconds
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..))]
    timeout: Option<u32>,

    #[command(flatten)]
    content: Content,

    #[command(flatten)]
    connection: ConnectionOptions,

    /// Print help
    #[arg(long, action = ArgAction::HelpLong)]
    help: Option<bool>,
}

/// What is to be published.
struct Job {
    payload: Payload,
    message: Publish,
    repeat: u32,
    delay: Duration,
    until: Option<Instant>,
    manner: Manner,
    keeps_trying: bool,
}

impl Pub {
    pub(super) fn run(&self, manner: Manner) -> Result<ExitCode, UsageError> {
        let plan = self.connection.plan(Kind::Publish, manner)?;
        let payload = self.content.read()?;
        let topic = self.topic.clone().or_else(|| plan.topic.clone());
        let (Some(topic), Some(payload)) = (topic, payload) else {
            return Err(UsageError::new("Both topic and message must be supplied."));
        };
        check_topic("publish", &topic)?;
        let timeout = self.timeout.map(|seconds| Duration::from_secs(seconds.into()));
        let job = Job {
            payload,
            message: message(&topic, self.qos, self.retain, &plan.properties),
            repeat: self.repeat,
            delay: self.repeat_delay,
            until: timeout.map(|timeout| Instant::now() + timeout),
            manner,
            keeps_trying: plan.keeps_trying,
        };
        let is_quiet = plan.is_quiet;
        Ok(job.run(plan).unwrap_or_else(|exit| exit).end(is_quiet))
    }
}

/// A message without its payload.
pub(super) fn message(topic: &str, level: u8, retain: bool, properties: &Properties) -> Publish {
    let mut message = Publish::new(topic, Bytes::new()).qos(qos(level));
    if retain {
        message = message.retain();
    }
    if properties.publish != skein_client::Properties::default() {
        *message.properties_mut() = properties.publish.clone();
    }
    message
}

/// The same message with this payload.
pub(super) fn with_payload(message: &Publish, payload: Bytes) -> Publish {
    let mut whole = Publish::new(message.topic(), payload).qos(message.level());
    if message.is_retained() {
        whole = whole.retain();
    }
    if let Some(properties) = message.properties() {
        *whole.properties_mut() = properties.clone();
    }
    whole
}

impl Job {
    fn run(self, plan: ConnectionPlan) -> Result<Exit, Exit> {
        let mut connection = Connection::start(plan)?;
        connection.connect(self.until)?;
        let exit = match &self.payload {
            Payload::Whole(payload) => self.publish_whole(&mut connection, payload)?,
            Payload::Lines => self.publish_lines(&mut connection)?,
        };
        connection.goodbye(ReasonCode::Success)?;
        Ok(exit)
    }

    fn publish_whole(&self, connection: &mut Connection, payload: &Bytes) -> Result<Exit, Exit> {
        let mut exit = Exit::SUCCESS;
        for number in 1..=self.repeat {
            let message = with_payload(&self.message, payload.clone());
            let published = connection.try_act(|seat| seat.publish(message));
            let token = published.map_err(|error| self.failed(&error, connection))?;
            loop {
                match connection.next(self.until) {
                    Incident::Completed(done, result) if done == token => {
                        exit = self.judge(connection, number, result)?;
                        break;
                    }
                    incident => self.check(connection, incident)?,
                }
            }
            if number < self.repeat {
                self.pause(connection)?;
            }
        }
        Ok(exit)
    }

    fn pause(&self, connection: &mut Connection) -> Result<(), Exit> {
        let end = Instant::now() + self.delay;
        while Instant::now() < end {
            match connection.next(Some(end)) {
                Incident::Timeout => {}
                incident => self.check(connection, incident)?,
            }
        }
        Ok(())
    }

    /// Reads no further than the broker follows: while it is away, lines stay where they are.
    fn publish_lines(&self, connection: &mut Connection) -> Result<Exit, Exit> {
        let mut exit = Exit::SUCCESS;
        connection.read_lines().map_err(|error| Exit::with(code::UNKNOWN, error.to_string()))?;
        let (mut open, mut number, mut has_more) = (Vec::new(), 0, true);
        while has_more || !open.is_empty() {
            match connection.next(self.until) {
                Incident::Line(line) => {
                    number += 1;
                    let message = with_payload(&self.message, line);
                    let published = connection.try_act(|seat| seat.publish(message));
                    let token = published.map_err(|error| self.failed(&error, connection))?;
                    open.push((token, number));
                }
                Incident::EndOfLines => has_more = false,
                Incident::Completed(token, result) => {
                    if let Some(number) = take(&mut open, token) {
                        let ended = self.judge(connection, number, result)?;
                        exit = if ended.code == 0 { exit } else { ended };
                    }
                }
                // It is looked for again, and nothing is lost.
                Incident::Lost(_) => {}
                incident => self.check(connection, incident)?,
            }
        }
        Ok(exit)
    }

    /// How a message has ended. One that the broker does not take is an error; to mosquitto_pub it
    /// is worth a warning.
    fn judge(
        &self,
        connection: &Connection,
        number: u32,
        result: skein_client::Result<Outcome>,
    ) -> Result<Exit, Exit> {
        match result {
            Ok(_) => Ok(Exit::SUCCESS),
            Err(Error::Rejected { reason, text, .. }) => {
                let name = reason.name();
                connection.warn(&format!("Warning: Publish {number} failed: {name}."));
                if let Some(text) = text {
                    connection.warn(&text);
                }
                match self.manner {
                    Manner::Mosquitto => Ok(Exit::SUCCESS),
                    Manner::Skein => Ok(Exit { code: reason as u8, text: None }),
                }
            }
            Err(error) => Err(self.failed(&error, connection)),
        }
    }

    fn check(&self, connection: &Connection, incident: Incident) -> Result<(), Exit> {
        match incident {
            Incident::Over(exit) => Err(exit),
            Incident::Timeout => Err(Exit::timed_out()),
            Incident::Lost(error) if !self.keeps_trying => {
                Err(Exit::lost(&error, connection.version(), self.manner))
            }
            _ => Ok(()),
        }
    }

    fn failed(&self, error: &Error, connection: &Connection) -> Exit {
        Exit::failed(error, connection.version())
    }
}

fn take(open: &mut Vec<(Token, u32)>, token: Token) -> Option<u32> {
    let place = open.iter().position(|(open, _)| *open == token)?;
    Some(open.remove(place).1)
}

/// A number of seconds, perhaps with a fraction.
fn parse_seconds(text: &str) -> Result<Duration, &'static str> {
    let wrong = "this is no number of seconds from 0 on";
    let seconds: f64 = text.parse().map_err(|_| wrong)?;
    Duration::try_from_secs_f64(seconds).map_err(|_| wrong)
}
