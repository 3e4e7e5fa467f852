//! The bundled load test, usable against any MQTT broker.
//!
//! `skein-loadtest flood` measures capacity: publishers send as fast as the window of messages on
//! their way allows, subscribers check every delivery.

mod cli;
mod client;
mod compare;
mod drive;
mod environment;
mod floor;
mod measure;
mod plan;
// The engine does not show it yet.
#[allow(dead_code, reason = "the engine calls it next")]
mod progress;
#[allow(dead_code, reason = "the presets come after it")]
mod report;
mod statistics;
mod sweep;
mod trial;
mod verify;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    match cli::Arguments::parse().mode.run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("skein-loadtest: {error}");
            ExitCode::from(2)
        }
    }
}
