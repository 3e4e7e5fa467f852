//! `skein pub`: publishes, as mosquitto_pub does.

mod job;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use bytes::Bytes;
use clap::{ArgAction, Args};
use skein_client::Publish;

use self::job::Job;
use super::mqtt::{
    ConnectionOptions, Content, ContentEncoding, Kind, Manner, Payload, Properties, Statistics,
    Template, UsageError, check_topic, qos,
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
  skein pub -t t --template 'id={seq} t={now}' --repeat 10 --repeat-delay 0.5
  tail -f log | skein pub -t log -l --template '{{\"at\":{unix_ms},\"line\":\"{line}\"}}'
  skein pub -t t -m 'de ad be ef' --from-hex
  skein pub -t t -l -q 1 --stats < lines          how many, and how fast"
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

    /// Make each payload from this: {seq} counts from 1, {now}, {unix} and {unix_ms} are the time,
    /// {random} is a number, {topic} the topic and {line} with -l the line; {{ and }} are braces
    #[arg(long, value_name = "TEXT", conflicts_with_all = ["message", "file", "stdin_file", "null_message"])]
    template: Option<String>,

    /// Say at the end on standard error how many messages went, and how fast
    #[arg(long)]
    stats: bool,

    #[command(flatten)]
    content: Content,

    #[command(flatten)]
    encoding: ContentEncoding,

    #[command(flatten)]
    connection: ConnectionOptions,

    /// Print help
    #[arg(long, action = ArgAction::HelpLong)]
    help: Option<bool>,
}

/// Where payloads come from.
#[derive(Clone, Debug)]
enum Source {
    /// The same again and again.
    Whole(Bytes),
    /// Made anew each time.
    Template(Template),
    /// A line each, or what a template makes of it.
    Lines(Option<Template>),
}

impl Pub {
    pub(super) fn run(&self, manner: Manner) -> Result<ExitCode, UsageError> {
        let plan = self.connection.plan(Kind::Publish, manner)?;
        let source = self.source()?;
        let topic = self.topic.clone().or_else(|| plan.topic.clone());
        let (Some(topic), Some(source)) = (topic, source) else {
            return Err(UsageError::new("Both topic and message must be supplied."));
        };
        check_topic("publish", &topic)?;
        let timeout = self.timeout.map(|seconds| Duration::from_secs(seconds.into()));
        let mut job = Job {
            source,
            encoding: self.encoding.clone(),
            message: message(&topic, self.qos, self.retain, &plan.properties),
            repeat: self.repeat,
            delay: self.repeat_delay,
            until: timeout.map(|timeout| Instant::now() + timeout),
            manner,
            keeps_trying: plan.keeps_trying,
            statistics: Statistics::new(Instant::now()),
        };
        let is_quiet = plan.is_quiet;
        let exit = job.run(plan).unwrap_or_else(|exit| exit);
        if self.stats {
            eprintln!("{}", job.statistics.show(Instant::now()));
        }
        Ok(exit.end(is_quiet))
    }

    fn source(&self) -> Result<Option<Source>, UsageError> {
        let template = self.template.as_deref().map(Template::parse).transpose()?;
        let has_line = template.as_ref().is_some_and(Template::has_line);
        Ok(match (self.content.read()?, template) {
            (Some(Payload::Lines), Some(_)) if !has_line => {
                let text = "--template with -l needs {line}, where each line is to stand.";
                return Err(UsageError::new(text));
            }
            (Some(Payload::Lines), template) => Some(Source::Lines(template)),
            (_, Some(_)) if has_line => {
                let text = "{line} of --template is a line of standard input: it needs -l.";
                return Err(UsageError::new(text));
            }
            (_, Some(template)) => Some(Source::Template(template)),
            (Some(Payload::Whole(payload)), None) => {
                Some(Source::Whole(self.encoding.decode(payload)?))
            }
            (None, None) => None,
        })
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

/// A number of seconds, perhaps with a fraction.
fn parse_seconds(text: &str) -> Result<Duration, &'static str> {
    let wrong = "this is no number of seconds from 0 on";
    let seconds: f64 = text.parse().map_err(|_| wrong)?;
    Duration::try_from_secs_f64(seconds).map_err(|_| wrong)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        publish: Pub,
    }

    fn source(words: &[&str]) -> Result<Option<Source>, String> {
        let line = Line::try_parse_from([&["pub"], words].concat());
        let line = line.map_err(|error| error.to_string())?;
        line.publish.source().map_err(|error| error.to_string())
    }

    #[test]
    fn payloads_come_from_one_place() {
        assert!(matches!(source(&[]), Ok(None)));
        assert!(matches!(source(&["-m", "x"]), Ok(Some(Source::Whole(it))) if it == "x"));
        let hex = source(&["-m", "00 ff", "--from-hex"]);
        assert!(matches!(hex, Ok(Some(Source::Whole(it))) if it[..] == [0, 255]));
        assert!(matches!(source(&["--template", "{seq}"]), Ok(Some(Source::Template(_)))));
        assert!(matches!(source(&["-l"]), Ok(Some(Source::Lines(None)))));
        let lines = source(&["-l", "--template", "<{line}>"]);
        assert!(matches!(lines, Ok(Some(Source::Lines(Some(_))))));
        for (words, text) in [
            (&["-m", "x", "--template", "y"][..], "cannot be used with"),
            (&["-m", "x", "--from-hex", "--from-base64"], "cannot be used with"),
            (&["-m", "0x", "--from-hex"], "'x' is no hexadecimal digit"),
            (&["-l", "--template", "y"], "needs {line}"),
            (&["--template", "{line}"], "needs -l"),
        ] {
            let error = source(words).expect_err(text);
            assert!(error.contains(text), "{words:?}: {error}");
        }
    }
}
