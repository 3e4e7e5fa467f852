//! `skein sub`: subscribes and prints what comes, as mosquitto_sub does.

mod commands;
mod folder;
mod sink;
mod task;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::{ArgAction, Args, ValueEnum};
use skein_client::{RetainHandling, SubscriptionOptions};

use self::sink::Sink;
use self::task::Task;
use super::mqtt::{
    ConnectionOptions, Exit, Kind, Manner, OutputOptions, Statistics, UsageError, check_filter, qos,
};
use super::output::{self, Reader};

pub(super) use self::task::acknowledge;

/// Subscribe and print what comes, with the options of mosquitto_sub.
#[derive(Clone, Debug, Args)]
#[command(
    disable_help_flag = true,
    after_help = "\
Exit codes: 0 after -C messages, after -E, and when told to stop; 27 when -W is over; the broker's own
code when it refuses the connection (1 to 5 before MQTT 5.0, 128 and above with it) or every
subscription; 1 when the options make no sense, there is no broker or a command of --exec has failed;
14 when what came cannot be written. A connection that is lost later is looked for again.

Examples:
  skein sub -t 'home/#' -v                        each payload with its topic
  skein sub -t home/hall/temp -C 1 -W 5           one message, but not for longer than 5 s
  skein sub -t 'home/+/state' --retained-only     what is retained, then the end
  skein sub -t '#' -F '@H:@M:@S %t %q %x'         the time, the topic, the QoS, hexadecimal
  skein sub -t 'sensor/#' --json | jq .payload
  skein sub -t 'jobs/#' -q 1 -c -i worker         a session that is kept while this is away
  skein sub -t 'jobs/#' -q 1 -c -i worker --exec './work \"$MQTT_TOPIC\"'
  skein sub -t 'sensor/#' --csv --out sensors.csv
  skein sub -t 'camera/#' --out-dir pictures      each message into a file of its own
  skein sub -t 'a/#' --qos-per-topic 'a/alarm=2'  the rest with -q
  skein sub -t '#' --stats -W 60 > /dev/null      how much is going on?"
)]
pub(super) struct Sub {
    /// The topic or filter; repeat for more
    #[arg(short = 't', long)]
    topic: Vec<String>,

    /// Leave out messages whose topic matches this; repeat for more
    #[arg(short = 'T', long, value_name = "FILTER")]
    filter_out: Vec<String>,

    /// End this subscription of an earlier connection; repeat for more
    #[arg(short = 'U', long, value_name = "FILTER")]
    unsubscribe: Vec<String>,

    /// The highest QoS of what comes: 0, 1 or 2
    #[arg(short = 'q', long, default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=2))]
    qos: u8,

    /// Stop after so many messages
    #[arg(short = 'C', long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    count: Option<u32>,

    /// Stop after so many seconds, with exit code 27
    #[arg(short = 'W', long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..))]
    timeout: Option<u32>,

    /// Stop when the broker has confirmed the subscriptions
    #[arg(short = 'E', long)]
    exit_after_subscribe: bool,

    /// Leave out what was retained
    #[arg(short = 'R', long)]
    no_retained: bool,

    /// Only what is retained; stop at the first message that is not
    #[arg(long)]
    retained_only: bool,

    /// Remove what is retained from the broker, once it has come
    #[arg(long)]
    remove_retained: bool,

    /// Let messages have the RETAIN flag they were published with; MQTT 5.0
    #[arg(long)]
    retain_as_published: bool,

    /// When the broker sends what is retained; MQTT 5.0
    #[arg(long, value_name = "WHEN")]
    retain_handling: Option<Handling>,

    /// Subscribe to this with a QoS of its own, whatever -q says; repeat for more
    #[arg(long, value_name = "FILTER=QOS", value_parser = parse_level)]
    qos_per_topic: Vec<(String, u8)>,

    /// Print only this part of the messages, drawn at random: 0.1 to 100
    #[arg(long, value_name = "PERCENT", default_value = "100", value_parser = parse_percent)]
    random_filter: f64,

    /// Print each topic on a line of the screen of its own
    #[arg(short = 'w', long, conflicts_with = "out")]
    watch: bool,

    /// Print how many messages come each second, and not the messages
    #[arg(long)]
    message_rate: bool,

    /// Say at the end on standard error how many messages came, and how fast
    #[arg(long)]
    stats: bool,

    #[command(flatten)]
    output: OutputOptions,

    /// Write each message into a file of its own in this folder: only the payload, or what would be
    /// printed where something is said about that
    #[arg(long, value_name = "FOLDER", help_heading = "Output", conflicts_with_all = ["out", "watch", "message_rate"])]
    out_dir: Option<PathBuf>,

    /// Run this with sh for each message, one after the other: the payload is its standard input,
    /// MQTT_TOPIC, MQTT_QOS and MQTT_RETAIN are in its environment; acknowledged when it has ended
    #[arg(long, value_name = "COMMAND", help_heading = "Output", conflicts_with_all = ["out", "out_dir", "watch", "message_rate"])]
    exec: Option<String>,

    #[command(flatten)]
    connection: ConnectionOptions,

    /// Print help
    #[arg(long, action = ArgAction::HelpLong)]
    help: Option<bool>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Handling {
    /// With each subscription
    Always,
    /// With those that are new
    New,
    /// Never
    Never,
}

impl Sub {
    pub(super) fn run(&self, manner: Manner) -> Result<ExitCode, UsageError> {
        let mut plan = self.connection.plan(Kind::Subscribe, manner)?;
        let mut sink = self.sink(plan.is_quiet)?;
        let filters = self.filters(plan.topic.as_deref());
        self.check(&filters)?;
        if let Some(maximum) = self.receive_maximum() {
            plan.options.receive_maximum = plan.options.receive_maximum.min(maximum);
        }
        let is_quiet = plan.is_quiet;
        if let (true, Sink::Printer(printer)) = (self.watch && !self.message_rate, &mut sink) {
            match output::judge(printer.watch(&plan.host)) {
                Ok(Reader::Reads) => {}
                Ok(Reader::HasLeft) => return Ok(ExitCode::SUCCESS),
                Err(error) => return Ok(Exit::from(error).end(is_quiet)),
            }
        }
        let mut task = Task {
            sub: self,
            filters,
            properties: plan.properties.clone(),
            manner,
            is_debug: plan.is_debug,
            sink,
            printed: 0,
            clearing: Vec::new(),
            until: self.timeout.map(|seconds| Instant::now() + Duration::from_secs(seconds.into())),
            statistics: Statistics::new(Instant::now()),
        };
        let exit = task.run(plan).unwrap_or_else(|exit| exit);
        if self.stats {
            eprintln!("{}", task.statistics.show(Instant::now()));
        }
        Ok(exit.end(is_quiet))
    }

    fn sink(&self, is_quiet: bool) -> Result<Sink, UsageError> {
        match (&self.exec, &self.out_dir) {
            (Some(command), _) => Ok(Sink::commands(command, self.output.style()?, is_quiet)),
            (None, Some(path)) => Sink::folder(path, self.output.style()?),
            (None, None) => Ok(Sink::Printer(self.output.printer(is_quiet)?)),
        }
    }

    /// Each filter, with the highest QoS of what comes.
    fn filters(&self, topic_of_url: Option<&str>) -> Vec<(String, u8)> {
        let own = |topic: &str| self.qos_per_topic.iter().rev().find(|(filter, _)| filter == topic);
        let named = self.topic.iter().map(String::as_str).chain(topic_of_url);
        let mut filters: Vec<(String, u8)> = named
            .map(|topic| (topic.to_owned(), own(topic).map_or(self.qos, |(_, level)| *level)))
            .collect();
        for (filter, level) in &self.qos_per_topic {
            if !filters.iter().any(|(known, _)| known == filter) {
                filters.push((filter.clone(), *level));
            }
        }
        filters
    }

    /// How many messages the broker may send ahead, where that matters.
    fn receive_maximum(&self) -> Option<u16> {
        /// So many may wait for a command.
        const WAITING_MAX: u16 = 20;
        // What is not printed is not to be taken from the broker either.
        let wanted = self.count.and_then(|count| u16::try_from(count).ok());
        let waiting = self.exec.as_ref().map(|_| WAITING_MAX);
        wanted.into_iter().chain(waiting).min()
    }

    fn check(&self, filters: &[(String, u8)]) -> Result<(), UsageError> {
        if filters.is_empty() && self.unsubscribe.is_empty() {
            return Err(UsageError::new(
                "You must specify a topic to subscribe to (-t) or unsubscribe from (-U).",
            ));
        }
        filters.iter().try_for_each(|(filter, _)| check_filter("subscription", filter))?;
        self.filter_out.iter().try_for_each(|filter| check_filter("filter", filter))?;
        self.unsubscribe.iter().try_for_each(|filter| check_filter("unsubscribe", filter))?;
        if self.no_retained && self.retained_only {
            let text = "Combining '-R' and '--retained-only' makes no sense.";
            return Err(UsageError::new(text));
        }
        Ok(())
    }

    fn subscription_options(&self, level: u8) -> SubscriptionOptions {
        SubscriptionOptions {
            retain_as_published: self.retain_as_published,
            retain_handling: match self.retain_handling {
                Some(Handling::Never) => RetainHandling::DoNotSend,
                None if self.no_retained => RetainHandling::DoNotSend,
                Some(Handling::New) => RetainHandling::SendIfNew,
                Some(Handling::Always) | None => RetainHandling::SendAtSubscribe,
            },
            ..SubscriptionOptions::with_qos(qos(level))
        }
    }
}

fn parse_percent(text: &str) -> Result<f64, &'static str> {
    let wrong = "the chance must be between 0.1 and 100.0";
    let percent: f64 = text.parse().map_err(|_| wrong)?;
    if (0.1..=100.0).contains(&percent) { Ok(percent) } else { Err(wrong) }
}

/// A filter and a QoS, with `=` in between.
fn parse_level(text: &str) -> Result<(String, u8), &'static str> {
    let wrong = "it is to be FILTER=QOS, where QOS is 0, 1 or 2";
    let (filter, level) = text.rsplit_once('=').ok_or(wrong)?;
    let level = level.parse().ok().filter(|level| *level <= 2).ok_or(wrong)?;
    Ok((filter.to_owned(), level))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        sub: Sub,
    }

    fn parse(words: &[&str]) -> Result<Sub, String> {
        let line = Line::try_parse_from([&["sub"], words].concat());
        line.map(|line| line.sub).map_err(|error| error.to_string())
    }

    #[test]
    fn a_filter_may_have_a_qos_of_its_own() {
        let words = ["-t", "a/#", "-t", "b", "-q", "1", "--qos-per-topic", "b=2"];
        let words = [&words[..], &["--qos-per-topic", "c=d=0", "--qos-per-topic", "b=0"]].concat();
        let filters = parse(&words).expect("it parses").filters(Some("u"));
        let expected = [("a/#", 1), ("b", 0), ("u", 1), ("c=d", 0)];
        assert_eq!(filters, expected.map(|(filter, level)| (filter.to_owned(), level)));
        for wrong in ["b", "b=3", "b="] {
            let error = parse(&["--qos-per-topic", wrong]).expect_err(wrong);
            assert!(error.contains("FILTER=QOS"), "{error}");
        }
    }

    #[test]
    fn what_is_not_wanted_is_not_asked_for() {
        let maximum = |words: &[&str]| parse(words).expect("it parses").receive_maximum();
        assert_eq!(maximum(&[]), None);
        assert_eq!(maximum(&["-C", "3"]), Some(3));
        assert_eq!(maximum(&["-C", "70000"]), None);
        assert_eq!(maximum(&["--exec", "true", "-C", "70000"]), Some(20));
        assert_eq!(maximum(&["--exec", "true", "-C", "3"]), Some(3));
    }

    #[test]
    fn messages_go_to_one_place() {
        for words in [
            &["--out", "a", "--out-dir", "b"][..],
            &["--out", "a", "--exec", "b"],
            &["--out-dir", "a", "--exec", "b"],
            &["--exec", "a", "-w"],
            &["--out", "a", "-w"],
            &["--csv", "--json"],
            &["--timestamps", "--json"],
            &["--hex", "--base64"],
        ] {
            let error = parse(words).expect_err("one of them only");
            assert!(error.contains("cannot be used with"), "{error}");
        }
        assert!(matches!(parse(&[]).expect("it parses").sink(false), Ok(Sink::Printer(_))));
        let exec = parse(&["--exec", "a", "-v", "--hex"]).expect("it parses");
        assert!(matches!(exec.sink(false), Ok(Sink::Commands { .. })));
    }
}
