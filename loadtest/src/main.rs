//! The bundled load test, usable against any MQTT broker.
//!
//! `skein-loadtest flood` measures capacity: publishers send as fast as the window of messages on
//! their way allows, subscribers check every delivery.

mod flood;
mod link;
mod process;
// The engine fills it; until then only its tests use it.
#[allow(dead_code, reason = "until the engine fills it")]
mod report;
mod verify;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "skein-loadtest", version, about = "A load test for any MQTT broker")]
struct Arguments {
    #[command(subcommand)]
    mode: Mode,
}

#[derive(Subcommand)]
enum Mode {
    /// Capacity: as many messages as the broker takes, bounded only by a window of messages on
    /// their way. MQTT 3.1.1, QoS 0, one topic.
    Flood(flood::Flood),
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().mode {
        Mode::Flood(flood) => flood.run(),
    };
    match outcome {
        Ok(report) => {
            println!("{report}");
            if report.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("skein-loadtest: {error}");
            ExitCode::from(2)
        }
    }
}
