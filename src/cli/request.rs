//! `skein rr`: publishes a request and waits for the response, as mosquitto_rr does.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::{ArgAction, Args};
use skein_client::session::{Outcome, Subscribe, Token};
use skein_client::{Publish, ReasonCode, RetainHandling, SubscriptionOptions};

use super::mqtt::{
    Connection, ConnectionOptions, ConnectionPlan, Content, ContentEncoding, Exit, Incident, Kind,
    Manner, OutputOptions, Payload, Printer, UsageError, check_topic, qos,
};
use super::output;
use super::publish::{message, with_payload};
use super::subscribe::acknowledge;

/// Publish a request and print the response, with the options of mosquitto_rr.
#[derive(Clone, Debug, Args)]
#[command(
    disable_help_flag = true,
    after_help = "\
Exit codes: 0 when the response has come; 27 when -W is over; otherwise as `skein pub`.

Examples:
  skein rr -t calc/add -e calc/answers -m '1 2' -W 5
  skein rr -t calc/add -e calc/answers -m '1 2' --latency
  skein rr -V 311 -t ask -e answers/me -m x       the broker need not know MQTT 5.0"
)]
pub(super) struct Rr {
    /// The topic of the request
    #[arg(short = 't', long)]
    topic: Option<String>,

    /// The topic of the response
    #[arg(short = 'e', long, value_name = "TOPIC")]
    response_topic: Option<String>,

    /// The QoS: 0, 1 or 2
    #[arg(short = 'q', long, default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=2))]
    qos: u8,

    /// Leave out what was retained
    #[arg(short = 'R', long)]
    no_retained: bool,

    /// Let the response have the RETAIN flag it was published with; MQTT 5.0
    #[arg(long)]
    retain_as_published: bool,

    /// Give up after so many seconds, with exit code 27
    #[arg(short = 'W', long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..))]
    timeout: Option<u32>,

    /// Print how long the response took
    #[arg(long)]
    latency: bool,

    #[command(flatten)]
    content: Content,

    #[command(flatten)]
    encoding: ContentEncoding,

    #[command(flatten)]
    output: OutputOptions,

    #[command(flatten)]
    connection: ConnectionOptions,

    /// Print help
    #[arg(long, action = ArgAction::HelpLong)]
    help: Option<bool>,
}

impl Rr {
    pub(super) fn run(&self, manner: Manner) -> Result<ExitCode, UsageError> {
        let plan = self.connection.plan(Kind::Request, manner)?;
        let topic = self.topic.clone().or_else(|| plan.topic.clone());
        let (Some(topic), Some(payload), Some(response_topic)) =
            (topic, self.content.read()?, self.response_topic.clone())
        else {
            let text = "All of topic, message, and response topic must be supplied.";
            return Err(UsageError::new(text));
        };
        check_topic("publish", &topic)?;
        check_topic("response", &response_topic)?;
        let Payload::Whole(payload) = payload else {
            return Err(UsageError::new("rr takes one request: use -m, -f, -s or -n, not -l."));
        };
        if plan.properties.publish.response_topic.is_some() {
            return Err(UsageError::new("Error in PUBLISH properties: Duplicate response topic."));
        }
        let request = message(&topic, self.qos, false, &plan.properties);
        let task = Task {
            rr: self,
            request: with_payload(&request, self.encoding.decode(payload)?)
                .response_topic(&response_topic),
            response_topic,
            printer: self.output.printer(plan.is_quiet)?,
            until: self.timeout.map(|seconds| Instant::now() + Duration::from_secs(seconds.into())),
            manner,
            asked: None,
        };
        let is_quiet = plan.is_quiet;
        Ok(task.run(plan).unwrap_or_else(|exit| exit).end(is_quiet))
    }
}

/// A request on its way.
struct Task<'a> {
    rr: &'a Rr,
    request: Publish,
    response_topic: String,
    printer: Printer,
    until: Option<Instant>,
    manner: Manner,
    /// When it was published.
    asked: Option<Instant>,
}

impl Task<'_> {
    fn run(mut self, plan: ConnectionPlan) -> Result<Exit, Exit> {
        let properties = plan.properties.clone();
        let mut connection = Connection::start(plan)?;
        connection.connect(self.until)?;
        let options = SubscriptionOptions {
            retain_as_published: self.rr.retain_as_published,
            retain_handling: match self.rr.no_retained {
                true => RetainHandling::DoNotSend,
                false => RetainHandling::SendAtSubscribe,
            },
            ..SubscriptionOptions::with_qos(qos(self.rr.qos))
        };
        let mut wish = Subscribe::new(self.response_topic.as_str(), options)
            .identifier(properties.subscription_identifier);
        for (key, value) in &properties.subscribe {
            wish = wish.user_property(key, value);
        }
        let asked = connection.try_act(|seat| seat.subscribe(wish));
        let token = asked.map_err(|error| Exit::failed(&error, connection.version()))?;
        let exit = self.ask(&mut connection, token)?;
        let is_late = exit.code != 0;
        let reason = if is_late { ReasonCode::DisconnectWithWill } else { ReasonCode::Success };
        // The response is here: that the link breaks now changes nothing.
        let _ = connection.goodbye(reason);
        self.report()?;
        Ok(exit)
    }

    fn ask(&mut self, connection: &mut Connection, subscribing: Token) -> Result<Exit, Exit> {
        loop {
            match connection.next(self.until) {
                Incident::Completed(token, result) if token == subscribing => {
                    if let Some(exit) = self.on_subscribed(connection, result)? {
                        return Ok(exit);
                    }
                }
                Incident::Completed(_, Err(error)) => {
                    return Err(Exit::failed(&error, connection.version()));
                }
                Incident::Message(message) => {
                    acknowledge(connection, &message);
                    if !(message.is_retained() && self.rr.no_retained) {
                        // Whether anybody reads it or not, this was the response.
                        output::judge(self.printer.print(&message))?;
                        return Ok(Exit::SUCCESS);
                    }
                }
                Incident::Over(exit) => return Err(exit),
                Incident::Timeout => return Ok(Exit::timed_out()),
                Incident::Lost(error) => {
                    return Err(Exit::lost(&error, connection.version(), self.manner));
                }
                _ => {}
            }
        }
    }

    fn on_subscribed(
        &mut self,
        connection: &mut Connection,
        result: skein_client::Result<Outcome>,
    ) -> Result<Option<Exit>, Exit> {
        let denied = match result {
            Ok(Outcome::Subscribed(results)) => results.into_iter().find_map(Result::err),
            Ok(_) => None,
            Err(error) => return Err(Exit::failed(&error, connection.version())),
        };
        if let Some(error) = denied {
            let reason = error.reason().unwrap_or(ReasonCode::UnspecifiedError);
            let code = if self.manner == Manner::Mosquitto { 0 } else { reason as u8 };
            return Ok(Some(Exit::with(code, reason.name())));
        }
        let request = self.request.clone();
        self.asked = Some(Instant::now());
        let published = connection.try_act(|seat| seat.publish(request));
        published.map_err(|error| Exit::failed(&error, connection.version()))?;
        Ok(None)
    }

    fn report(&mut self) -> Result<(), Exit> {
        if let (true, Some(asked)) = (self.rr.latency, self.asked) {
            output::judge(self.printer.say(&format!("Latency: {}\n", show(asked.elapsed()))))?;
        }
        Ok(())
    }
}

/// A span of time as mosquitto_rr has it.
fn show(latency: Duration) -> String {
    match latency.as_nanos() {
        nanos @ 0..1_000 => format!("{nanos}ns"),
        nanos @ 1_000..1_000_000 => format!("{:.6}µs", nanos as f64 / 1e3),
        nanos @ 1_000_000..1_000_000_000 => format!("{:.6}ms", nanos as f64 / 1e6),
        _ => format!("{}.{:09}", latency.as_secs(), latency.subsec_nanos()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_of_time_have_a_fitting_unit() {
        for (nanos, text) in [
            (999, "999ns"),
            (1_500, "1.500000µs"),
            (2_250_000, "2.250000ms"),
            (1_000_000_001, "1.000000001"),
        ] {
            assert_eq!(show(Duration::from_nanos(nanos)), text);
        }
    }
}
