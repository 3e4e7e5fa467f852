//! `skein sub`: subscribes and prints what comes, as mosquitto_sub does.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::{ArgAction, Args, ValueEnum};
use skein_client::session::{Outcome, Subscribe, Token};
use skein_client::{Error, Message, Publish, QoS, ReasonCode, RetainHandling, SubscriptionOptions};
use skein_protocol::{TopicFilter, TopicName};

use super::mqtt::{
    Connection, ConnectionOptions, ConnectionPlan, Exit, Incident, Kind, Manner, OutputOptions,
    Printer, Properties, UsageError, check_filter, code, qos,
};

/// Subscribe and print what comes, with the options of mosquitto_sub.
#[derive(Clone, Debug, Args)]
#[command(
    disable_help_flag = true,
    after_help = "\
Exit codes: 0 after -C messages, after -E, and when told to stop; 27 when -W is over; the broker's own
code when it refuses the connection (1 to 5 before MQTT 5.0, 128 and above with it) or every
subscription; 1 when the options make no sense or there is no broker. A connection that is lost later
is looked for again.

Examples:
  skein sub -t 'home/#' -v                        each payload with its topic
  skein sub -t home/hall/temp -C 1 -W 5           one message, but not for longer than 5 s
  skein sub -t 'home/+/state' --retained-only     what is retained, then the end
  skein sub -t '#' -F '@H:@M:@S %t %q %x'         the time, the topic, the QoS, hexadecimal
  skein sub -t 'sensor/#' --json | jq .payload
  skein sub -t 'jobs/#' -q 1 -c -i worker         a session that is kept while this is away"
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

    /// Print only this part of the messages, drawn at random: 0.1 to 100
    #[arg(long, value_name = "PERCENT", default_value = "100", value_parser = parse_percent)]
    random_filter: f64,

    /// Print each topic on a line of the screen of its own
    #[arg(short = 'w', long)]
    watch: bool,

    /// Print how many messages come each second, and not the messages
    #[arg(long)]
    message_rate: bool,

    #[command(flatten)]
    output: OutputOptions,

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
        let mut printer = self.output.printer(plan.is_quiet)?;
        let topics: Vec<_> = self.topic.iter().cloned().chain(plan.topic.clone()).collect();
        self.check(&topics)?;
        if let Some(count) = self.count.and_then(|count| u16::try_from(count).ok()) {
            // What is not printed is not to be taken from the broker either.
            plan.options.receive_maximum = plan.options.receive_maximum.min(count);
        }
        let is_quiet = plan.is_quiet;
        if self.watch && !self.message_rate && printer.watch(&plan.host).is_err() {
            return Ok(ExitCode::SUCCESS);
        }
        let task = Task {
            sub: self,
            topics,
            properties: plan.properties.clone(),
            manner,
            is_debug: plan.is_debug,
            printer,
            printed: 0,
            clearing: Vec::new(),
            until: self.timeout.map(|seconds| Instant::now() + Duration::from_secs(seconds.into())),
        };
        Ok(task.run(plan).unwrap_or_else(|exit| exit).end(is_quiet))
    }

    fn check(&self, topics: &[String]) -> Result<(), UsageError> {
        if topics.is_empty() && self.unsubscribe.is_empty() {
            return Err(UsageError::new(
                "You must specify a topic to subscribe to (-t) or unsubscribe from (-U).",
            ));
        }
        topics.iter().try_for_each(|topic| check_filter("subscription", topic))?;
        self.filter_out.iter().try_for_each(|filter| check_filter("filter", filter))?;
        self.unsubscribe.iter().try_for_each(|filter| check_filter("unsubscribe", filter))?;
        if self.no_retained && self.retained_only {
            let text = "Combining '-R' and '--retained-only' makes no sense.";
            return Err(UsageError::new(text));
        }
        Ok(())
    }

    fn subscription_options(&self) -> SubscriptionOptions {
        SubscriptionOptions {
            retain_as_published: self.retain_as_published,
            retain_handling: match self.retain_handling {
                Some(Handling::Never) => RetainHandling::DoNotSend,
                None if self.no_retained => RetainHandling::DoNotSend,
                Some(Handling::New) => RetainHandling::SendIfNew,
                Some(Handling::Always) | None => RetainHandling::SendAtSubscribe,
            },
            ..SubscriptionOptions::with_qos(qos(self.qos))
        }
    }
}

/// A subscriber at work.
struct Task<'a> {
    sub: &'a Sub,
    topics: Vec<String>,
    properties: Properties,
    manner: Manner,
    is_debug: bool,
    printer: Printer,
    /// How many messages count for `-C`.
    printed: u32,
    /// Retained messages that are being removed.
    clearing: Vec<Token>,
    until: Option<Instant>,
}

/// What a message has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Goes,
    /// No further message is wanted.
    Ends,
}

impl Task<'_> {
    fn run(mut self, plan: ConnectionPlan) -> Result<Exit, Exit> {
        let mut connection = Connection::start(plan)?;
        let caught = connection.catch_signals();
        caught.map_err(|error| Exit::with(code::UNKNOWN, format!("Error: {error}")))?;
        match connection.connect(self.until) {
            // As mosquitto_sub: who never got through is not told that time is over.
            Err(exit) if exit.code == code::TIMED_OUT && self.manner == Manner::Mosquitto => {
                return Err(Exit { code: code::INTERRUPTED, text: None });
            }
            connected => connected.map(drop)?,
        }
        let token = self.subscribe(&mut connection)?;
        let exit = match self.sub.message_rate {
            true => self.count_messages(&mut connection)?,
            false => self.take_messages(&mut connection, token)?,
        };
        let is_told_to = exit.code == code::TIMED_OUT || exit == STOPPED;
        let reason = if is_told_to { ReasonCode::DisconnectWithWill } else { ReasonCode::Success };
        // What was wanted is there: that the link breaks now changes nothing.
        let _ = connection.goodbye(reason);
        Ok(if exit == STOPPED { Exit::SUCCESS } else { exit })
    }

    fn subscribe(&self, connection: &mut Connection) -> Result<Option<Token>, Exit> {
        let mut wish = Subscribe::default().identifier(self.properties.subscription_identifier);
        for topic in &self.topics {
            wish = wish.filter(topic.as_str(), self.sub.subscription_options());
        }
        for (key, value) in &self.properties.subscribe {
            wish = wish.user_property(key, value);
        }
        let version = connection.version();
        let failed = |error: Error| Exit::failed(&error, version);
        let token = match self.topics.is_empty() {
            true => None,
            false => Some(connection.try_act(|seat| seat.subscribe(wish)).map_err(failed)?),
        };
        for filter in &self.sub.unsubscribe {
            let (filters, pairs) = (vec![Arc::from(filter.as_str())], &self.properties.unsubscribe);
            let asked = connection.try_act(|seat| seat.unsubscribe_with(filters, pairs.clone()));
            asked.map_err(failed)?;
        }
        Ok(token)
    }

    fn take_messages(
        &mut self,
        connection: &mut Connection,
        mut subscribing: Option<Token>,
    ) -> Result<Exit, Exit> {
        let mut next = Next::Goes;
        while next == Next::Goes || !self.clearing.is_empty() {
            match connection.next(self.until) {
                Incident::Message(message) if next == Next::Goes => {
                    next = self.on_message(connection, &message);
                }
                Incident::Completed(token, result) if Some(token) == subscribing => {
                    subscribing = None;
                    if let Some(exit) = self.on_subscribed(connection, result) {
                        return Ok(exit);
                    }
                }
                Incident::Completed(token, Ok(Outcome::Unsubscribed(_)))
                    if self.topics.is_empty() && self.sub.exit_after_subscribe =>
                {
                    let _ = token;
                    return Ok(Exit::SUCCESS);
                }
                Incident::Completed(token, _) => self.clearing.retain(|open| *open != token),
                Incident::Lost(error) => self.on_lost(connection, &error),
                Incident::Timeout => return Ok(Exit::timed_out()),
                Incident::Signal => return Ok(STOPPED),
                Incident::Over(exit) => return Err(exit),
                _ => {}
            }
        }
        Ok(Exit::SUCCESS)
    }

    /// Prints how many messages came, every second.
    fn count_messages(&mut self, connection: &mut Connection) -> Result<Exit, Exit> {
        let (mut count, mut tick) = (0, Instant::now() + Duration::from_secs(1));
        loop {
            let until = self.until.map_or(tick, |until| until.min(tick));
            match connection.next(Some(until)) {
                Incident::Message(message) => {
                    count += 1;
                    acknowledge(connection, &message);
                }
                Incident::Timeout if self.until.is_some_and(|until| Instant::now() >= until) => {
                    return Ok(Exit::timed_out());
                }
                Incident::Timeout => {
                    if self.printer.say(&format!("{count} msgs/s\n")).is_err() {
                        return Ok(Exit::SUCCESS);
                    }
                    (count, tick) = (0, tick + Duration::from_secs(1));
                }
                Incident::Signal => return Ok(STOPPED),
                Incident::Over(exit) => return Err(exit),
                _ => {}
            }
        }
    }

    /// The broker has answered; how the program ends, if it does.
    fn on_subscribed(
        &self,
        connection: &Connection,
        result: skein_client::Result<Outcome>,
    ) -> Option<Exit> {
        let results = match result {
            Ok(Outcome::Subscribed(results)) => results,
            Ok(_) => return None,
            Err(error) => return Some(Exit::failed(&error, connection.version())),
        };
        let codes: Vec<u8> = results.iter().map(code_of).collect();
        if self.is_debug {
            let codes = codes.iter().map(u8::to_string).collect::<Vec<_>>().join(", ");
            println!("Subscribed (mid: 1): {codes}");
        }
        let are_all_denied = codes.iter().all(|code| *code >= 0x80);
        if are_all_denied {
            let text = "All subscription requests were denied.";
            let code = if self.manner == Manner::Mosquitto { 0 } else { codes[0] };
            return Some(Exit::with(code, text));
        }
        self.sub.exit_after_subscribe.then_some(Exit::SUCCESS)
    }

    fn on_message(&mut self, connection: &mut Connection, message: &Message) -> Next {
        if self.sub.retained_only && !message.is_retained() {
            return Next::Ends;
        }
        let is_left_out =
            (message.is_retained() && self.sub.no_retained) || self.is_filtered_out(message);
        if is_left_out {
            acknowledge(connection, message);
            return Next::Goes;
        }
        if self.sub.remove_retained && message.is_retained() {
            let clear = Publish::new(message.topic(), "").qos(QoS::AtLeastOnce).retain();
            // Without a connection there is nothing to be removed from; the message comes again.
            self.clearing.extend(connection.try_act(|seat| seat.publish(clear)));
        }
        if self.is_drawn() && self.printer.print(message).is_err() {
            // Nobody reads.
            return Next::Ends;
        }
        acknowledge(connection, message);
        self.printed += 1;
        if self.sub.count == Some(self.printed) { Next::Ends } else { Next::Goes }
    }

    fn is_filtered_out(&self, message: &Message) -> bool {
        let topic = TopicName::assume_valid(message.topic());
        let mut filters = self.sub.filter_out.iter();
        filters.any(|filter| TopicFilter::assume_valid(filter).matches(topic))
    }

    fn is_drawn(&self) -> bool {
        let draw = getrandom::u32().unwrap_or_default();
        self.sub.random_filter >= 100.0
            || f64::from(draw) / f64::from(u32::MAX) * 100.0 < self.sub.random_filter
    }

    fn on_lost(&self, connection: &Connection, error: &Error) {
        if self.manner == Manner::Skein {
            connection.warn(&format!("{error}; trying again"));
        }
    }
}

/// Told to stop by a signal.
const STOPPED: Exit = Exit { code: code::INTERRUPTED, text: None };

/// Acknowledges a message, where it wants that.
pub(super) fn acknowledge(connection: &mut Connection, message: &Message) {
    if let Some(delivery) = message.delivery() {
        connection.act(|seat| seat.acknowledge(delivery, ReasonCode::Success));
    }
}

/// What SUBACK says of one filter, as a number.
fn code_of(result: &skein_client::Result<QoS>) -> u8 {
    match result {
        Ok(granted) => *granted as u8,
        Err(error) => error.reason().unwrap_or(ReasonCode::UnspecifiedError) as u8,
    }
}

fn parse_percent(text: &str) -> Result<f64, &'static str> {
    let wrong = "the chance must be between 0.1 and 100.0";
    let percent: f64 = text.parse().map_err(|_| wrong)?;
    if (0.1..=100.0).contains(&percent) { Ok(percent) } else { Err(wrong) }
}
