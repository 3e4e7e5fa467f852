//! The bundled load test, usable against any MQTT broker.
//!
//! `skein-loadtest flood` measures capacity: publishers send as fast as the window of messages on
//! their way allows, subscribers check every delivery.

mod cli;
mod client;
mod drive;
mod floor;
mod measure;
mod plan;
// Not all of its outputs are used yet.
#[allow(dead_code, reason = "the outputs come after the engine")]
mod report;
mod verify;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let mode = cli::Arguments::parse().mode;
    let expects = mode.expects();
    let outcome = match mode {
        cli::Mode::Flood(flood) => flood.run().map(Some),
        cli::Mode::Floor(floor) => floor.run().map(|()| None),
    };
    match outcome {
        Ok(None) => ExitCode::SUCCESS,
        Ok(Some(report)) => {
            println!("{}", cli::line(&report));
            let is_broken = expects && !report.is_clean();
            if is_broken { ExitCode::FAILURE } else { ExitCode::SUCCESS }
        }
        Err(error) => {
            eprintln!("skein-loadtest: {error}");
            ExitCode::from(2)
        }
    }
}
