//! The bundled load test, usable against any MQTT broker.
//!
//! `skein-loadtest flood` measures capacity: publishers send as fast as the window of messages on
//! their way allows, subscribers check every delivery.

mod cli;
mod client;
mod compare;
mod crowd;
mod drive;
mod environment;
mod floor;
mod measure;
mod plan;
mod progress;
mod report;
mod statistics;
mod storm;
mod sweep;
mod trial;
mod verify;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    measure::raise_open_files();
    match cli::Arguments::parse().mode.run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("skein-loadtest: {error}");
            ExitCode::from(2)
        }
    }
}
