//! `cargo xtask`: the project's own commands, so that Cargo alone is needed to run them.

mod broker;
mod durability;
mod growth;
mod job;
mod mutants;
mod pages;
mod paho;
mod process;
mod runner;
mod stages;
mod tally;
mod tools;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

/// The project's own commands.
#[derive(Parser)]
#[command(name = "cargo xtask")]
enum Command {
    /// Installs what the tests need, or says what to install, and runs them all.
    Test {
        /// Runs only this stage; may be given several times.
        #[arg(long, value_name = "STAGE")]
        only: Vec<String>,
        /// Shows everything the stages print.
        #[arg(long)]
        verbose: bool,
    },
    /// Lists the stages of `test`.
    List,
    /// Makes the pages anew that are made from the code and its tests, and says which have changed.
    Pages,
    /// Plants bugs in a copy of the core, one at a time; the simulator must catch each.
    Mutants {
        /// Plants only this one; may be given several times.
        #[arg(long, value_name = "NAME")]
        only: Vec<String>,
        /// Plants only so many, others each day.
        #[arg(long, value_name = "COUNT")]
        sample: Option<usize>,
        /// Picks the sample by this number instead of the day.
        #[arg(long, value_name = "NUMBER")]
        seed: Option<u64>,
        /// Seeds of the simulator within which each must be caught.
        #[arg(long, value_name = "COUNT", default_value_t = 1000)]
        seeds: u64,
    },
    /// Kills the release binary at random points and on disks that fail, and checks what clients saw.
    Durability(durability::Choice),
    /// Measures what a delivery costs as subscriptions grow in number, and draws docs/growth.svg.
    Growth,
    /// Runs the Paho interoperability suites against the release binary with 1, 2 and 4 shards.
    Paho {
        /// A checkout of the Paho interoperability tests.
        directory: PathBuf,
        /// Runs only the tests whose name contains this.
        #[arg(long, value_name = "NAME")]
        only: Option<String>,
        /// Runs against a broker that is up already, skein or another.
        #[arg(long, value_name = "HOST:PORT")]
        address: Option<String>,
    },
}

fn main() -> ExitCode {
    let passed = match Command::parse() {
        Command::Test { only, verbose } => runner::test(&only, verbose),
        Command::List => {
            runner::list();
            Ok(true)
        }
        Command::Pages => pages::run(),
        Command::Mutants { only, sample, seed, seeds } => {
            mutants::run(&mutants::Choice { only, sample, seed, seeds })
        }
        Command::Durability(choice) => durability::run(&choice),
        Command::Growth => growth::run(),
        Command::Paho { directory, only, address } => {
            paho::run(&directory, only.as_deref(), address.as_deref())
        }
    };
    match passed {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("xtask: {error}");
            ExitCode::from(2)
        }
    }
}
