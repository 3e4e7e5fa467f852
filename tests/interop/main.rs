//! Other people's clients against skein: paho-mqtt and aiomqtt (Python), MQTT.js (Node), rumqttc
//! (Rust) and Mosquitto's command line.
//!
//! Each script under `python/`, `node/` and `rust/src/bin/` is one test per broker. The broker is
//! started here once per number of shards; see `README.md` beside this file for the environment
//! variables and for how to add a script.

mod broker;
mod client;
mod environment;
mod script;
mod transports;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use libtest_mimic::{Arguments, Trial};

use crate::broker::LazyBroker;

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let brokers = match broker::from_environment() {
        Ok(brokers) => brokers.into_iter().map(Arc::new).collect::<Vec<_>>(),
        Err(reason) => {
            eprintln!("interop: {reason}");
            return ExitCode::FAILURE;
        }
    };
    let trials = brokers.iter().flat_map(trials_against).collect();
    let conclusion = libtest_mimic::run(&arguments, trials);
    let failures: Vec<_> = brokers.iter().filter_map(|broker| broker.stop().err()).collect();
    for failure in &failures {
        eprintln!("interop: {failure}");
    }
    if failures.is_empty() { conclusion.exit_code() } else { ExitCode::FAILURE }
}

fn trials_against(broker: &Arc<LazyBroker>) -> Vec<Trial> {
    scripts_by_name()
        .into_iter()
        .map(|(name, path)| {
            let broker = Arc::clone(broker);
            Trial::ignorable_test(format!("{name}::{}", broker.name()), move || {
                script::run(&name, &path, &broker)
            })
        })
        .collect()
}

/// All scripts by the name of their test, `client::what_it_shows`.
fn scripts_by_name() -> BTreeMap<String, PathBuf> {
    client::CLIENTS.iter().flat_map(client::Client::scripts).collect()
}
