//! `skein probe`: finds out what a broker has and what its limits are.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::{ArgAction, Args};
use serde::Serialize;
use serde_json::{Map, Value, json};
use skein_client::reactor::Seat;
use skein_client::session::{Outcome, Subscribe, Token};
use skein_client::{Message, Publish, QoS, ReasonCode, SubscriptionOptions, Version, Versions};

use super::conn::{Terms, table};
use super::mqtt::{
    Connection, ConnectionOptions, ConnectionPlan, Exit, Incident, Kind, Manner, UsageError,
};
use super::output;
use super::subscribe::acknowledge;

/// Find out what a broker has, and what its limits are.
#[derive(Clone, Debug, Args)]
#[command(
    disable_help_flag = true,
    after_help = "\
What is tried is published and subscribed to below one topic of its own (--below), which nobody else
should use; nothing is left there. Exit codes: 0 when the broker was reached, whatever it has; otherwise
as `skein pub`.

Examples:
  skein probe -h broker
  skein probe -h broker --json | jq .tried
  skein probe -h broker -u me --password-file pw --below me/probe"
)]
pub(super) struct Probe {
    /// Print JSON
    #[arg(long)]
    json: bool,

    /// The topic below which everything happens [default: skein-probe/ and a random number]
    #[arg(long, value_name = "TOPIC")]
    below: Option<String>,

    /// How many seconds a try may take
    #[arg(long, value_name = "SECONDS", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..))]
    patience: u32,

    /// Give up if the broker is not reached after so many seconds, with exit code 27
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..))]
    timeout: Option<u32>,

    #[command(flatten)]
    connection: ConnectionOptions,

    /// Print help
    #[arg(long, action = ArgAction::HelpLong)]
    help: Option<bool>,
}

/// Everything that was found.
#[derive(Serialize)]
struct Findings {
    versions: Map<String, Value>,
    terms: Terms,
    tried: Map<String, Value>,
}

/// A message that has to come back: published here, subscribed to there.
struct Trial {
    name: &'static str,
    filter: String,
    topic: String,
    qos: QoS,
    retain: bool,
    payload_bytes: usize,
}

impl Probe {
    pub(super) fn run(&self) -> Result<ExitCode, UsageError> {
        let is_quiet = self.plan(None)?.is_quiet;
        let done = self.find_all()?.and_then(|findings| {
            output::print(findings.show(self.json))?;
            Ok(Exit::SUCCESS)
        });
        Ok(done.unwrap_or_else(|exit| exit).end(is_quiet))
    }

    fn plan(&self, version: Option<Version>) -> Result<ConnectionPlan, UsageError> {
        let mut plan = self.connection.plan(Kind::Other, Manner::Skein)?;
        if let Some(version) = version {
            plan.options.versions = Versions::Only(version);
        }
        Ok(plan)
    }

    /// When it is too late to be connected.
    fn deadline(&self) -> Option<Instant> {
        self.timeout.map(|seconds| Instant::now() + Duration::from_secs(seconds.into()))
    }

    fn find_all(&self) -> Result<Result<Findings, Exit>, UsageError> {
        let mut versions = Map::new();
        for version in [Version::V3_1, Version::V3_1_1, Version::V5] {
            let reached = reach(self.plan(Some(version))?, self.deadline());
            let answer = match reached {
                Ok(()) => "accepted".to_owned(),
                Err(exit) => exit.text.unwrap_or_else(|| format!("exit code {}", exit.code)),
            };
            versions.insert(version.to_string(), answer.into());
        }
        Ok(self.find(self.plan(None)?, versions))
    }

    fn find(&self, plan: ConnectionPlan, versions: Map<String, Value>) -> Result<Findings, Exit> {
        let mut connection = Connection::start(plan)?;
        let (server, is_present) = connection.connect(self.deadline())?;
        let mut tried = Map::new();
        for trial in self.trials() {
            let took = self.attempt(&mut connection, &trial)?;
            let found = match took {
                Ok(took) => json!({ "works": true, "ms": took.as_secs_f64() * 1000.0 }),
                Err(why) => json!({ "works": false, "why": why }),
            };
            tried.insert(trial.name.to_owned(), found);
        }
        connection.goodbye(ReasonCode::Success)?;
        Ok(Findings { versions, terms: Terms::new(&server, is_present), tried })
    }

    fn trials(&self) -> Vec<Trial> {
        let number = getrandom::u32().unwrap_or_default();
        let own = || format!("skein-probe/{number:08x}");
        let below = self.below.clone().unwrap_or_else(own);
        let trial = |name: &'static str, topic: &str| Trial {
            name,
            filter: format!("{below}/{topic}"),
            topic: format!("{below}/{topic}"),
            qos: QoS::AtMostOnce,
            retain: false,
            payload_bytes: 1,
        };
        let long = "x".repeat(1000);
        let deep = ["x"; 100].join("/");
        vec![
            trial("qos_0", "0"),
            Trial { qos: QoS::AtLeastOnce, ..trial("qos_1", "1") },
            Trial { qos: QoS::ExactlyOnce, ..trial("qos_2", "2") },
            Trial { retain: true, qos: QoS::AtLeastOnce, ..trial("retained", "retained") },
            Trial { filter: format!("{below}/+/one"), ..trial("wildcard_one_level", "any/one") },
            Trial { filter: format!("{below}/all/#"), ..trial("wildcard_all_levels", "all/a/b") },
            Trial {
                filter: format!("$share/probe/{below}/shared"),
                ..trial("shared_subscription", "shared")
            },
            trial("topic_of_1000_bytes", &long),
            trial("topic_of_100_levels", &deep),
            Trial { payload_bytes: 100_000, ..trial("payload_of_100_kb", "kb") },
            Trial { payload_bytes: 1_000_000, ..trial("payload_of_1_mb", "mb") },
        ]
    }

    /// How long a message took to come back, or why it did not.
    fn attempt(
        &self,
        connection: &mut Connection,
        trial: &Trial,
    ) -> Result<Result<Duration, String>, Exit> {
        let end = Instant::now() + Duration::from_secs(self.patience.into());
        let mut publish = Publish::new(&*trial.topic, vec![b'x'; trial.payload_bytes]);
        publish = publish.qos(trial.qos);
        let options = SubscriptionOptions::with_qos(QoS::ExactlyOnce);
        let wish = Subscribe::new(&*trial.filter, options);
        let took = if trial.retain {
            let clear = Publish::new(&*trial.topic, "").qos(QoS::AtLeastOnce).retain();
            let began = Instant::now();
            let published = ask(connection, end, |seat| seat.publish(publish.retain()))?;
            let found = match published {
                Ok(()) => subscribe_and_wait(connection, wish, None, trial, end)?,
                Err(why) => Err(why),
            };
            let cleared = ask(connection, end, |seat| seat.publish(clear))?;
            cleared.and(found).map(|()| began.elapsed())
        } else {
            let began = Instant::now();
            let found = subscribe_and_wait(connection, wish, Some(publish), trial, end)?;
            found.map(|()| began.elapsed())
        };
        Ok(took)
    }
}

/// Connects and leaves.
fn reach(plan: ConnectionPlan, until: Option<Instant>) -> Result<(), Exit> {
    let mut connection = Connection::start(plan)?;
    connection.connect(until)?;
    connection.goodbye(ReasonCode::Success)
}

/// Subscribes, publishes once that is confirmed, and waits for the message.
fn subscribe_and_wait(
    connection: &mut Connection,
    wish: Subscribe,
    publish: Option<Publish>,
    trial: &Trial,
    end: Instant,
) -> Result<Result<(), String>, Exit> {
    let filter = trial.filter.as_str().into();
    let asked = connection.try_act(|seat| seat.subscribe(wish));
    let subscribing = match asked {
        Ok(token) => token,
        Err(error) => return Ok(Err(error.to_string())),
    };
    let mut publish = publish;
    let found = loop {
        match connection.next(Some(end)) {
            Incident::Completed(token, result) if token == subscribing => {
                if let Err(why) = granted(result) {
                    break Err(why);
                }
                if let Some(publish) = publish.take()
                    && let Err(error) = connection.try_act(|seat| seat.publish(publish))
                {
                    break Err(error.to_string());
                }
            }
            Incident::Completed(_, Err(error)) => break Err(error.to_string()),
            Incident::Message(message) => {
                acknowledge(connection, &message);
                if is_it(&message, trial) {
                    break Ok(());
                }
            }
            Incident::Timeout => break Err("nothing came back in time".to_owned()),
            incident => check(connection, incident)?,
        }
    };
    // The next trial is told nothing of this one.
    let _ = connection.try_act(|seat| seat.unsubscribe(vec![filter]));
    Ok(found)
}

fn is_it(message: &Message, trial: &Trial) -> bool {
    message.topic() == trial.topic && message.payload().len() == trial.payload_bytes
}

fn granted(result: skein_client::Result<Outcome>) -> Result<(), String> {
    match result.map_err(|error| error.to_string())? {
        Outcome::Subscribed(results) => {
            let refused = results.into_iter().find_map(Result::err);
            refused.map_or(Ok(()), |error| Err(error.to_string()))
        }
        _ => Ok(()),
    }
}

/// Does something and waits for its end.
fn ask(
    connection: &mut Connection,
    end: Instant,
    action: impl FnOnce(&mut Seat<'_>) -> skein_client::Result<Token>,
) -> Result<Result<(), String>, Exit> {
    let token = match connection.try_act(action) {
        Ok(token) => token,
        Err(error) => return Ok(Err(error.to_string())),
    };
    loop {
        match connection.next(Some(end)) {
            Incident::Completed(done, result) if done == token => {
                return Ok(result.map(drop).map_err(|error| error.to_string()));
            }
            Incident::Timeout => return Ok(Err("no acknowledgement in time".to_owned())),
            incident => check(connection, incident)?,
        }
    }
}

fn check(connection: &Connection, incident: Incident) -> Result<(), Exit> {
    match incident {
        Incident::Over(exit) => Err(exit),
        Incident::Lost(error) => Err(Exit::lost(&error, connection.version(), Manner::Skein)),
        _ => Ok(()),
    }
}

impl Findings {
    fn show(&self, is_json: bool) -> String {
        let Ok(value) = serde_json::to_value(self) else { return String::new() };
        if is_json {
            return format!("{value}\n");
        }
        let tried = self.tried.iter().map(|(name, found)| {
            let words = match (found["works"] == true, found["why"].as_str()) {
                (true, _) => format!("yes, in {:.1} ms", found["ms"].as_f64().unwrap_or_default()),
                (false, why) => format!("no: {}", why.unwrap_or_default()),
            };
            (name.clone(), Value::from(words))
        });
        let tried = Value::Object(tried.collect());
        let (versions, terms) = (table(&value["versions"]), self.terms.show(false));
        format!("Versions\n{versions}\nWhat it says\n{terms}\nTried\n{}", table(&tried))
    }
}
