//! Options that several storms share.

use clap::Args;

use crate::{
    plan::{Target, at_least_one},
    report::Outputs,
};

/// Options of every storm that is not a load.
#[derive(Args, Clone, Debug)]
pub(super) struct Common {
    /// Exit with 1 if a connection fails, or a message is missing, comes again or out of order where
    /// its QoS forbids that.
    #[arg(long)]
    pub(super) expect: bool,
    #[command(flatten)]
    pub(super) target: Target,
    #[command(flatten)]
    pub(super) outputs: Outputs,
}

/// How many connections there are.
#[derive(Args, Clone, Debug)]
pub(super) struct Many {
    /// Connections.
    #[arg(long, default_value_t = 10_000, value_parser = at_least_one)]
    pub(super) connections: usize,
    /// Connections that may be on their way to being ready at once.
    #[arg(long, default_value_t = 100, value_parser = at_least_one)]
    pub(super) at_once: usize,
}

/// What the broker is to keep.
#[derive(Args, Clone, Debug)]
pub(super) struct Messages {
    /// Messages that the broker is to keep. Brokers bound how many they do.
    #[arg(
        long = "messages",
        value_name = "MESSAGES",
        default_value_t = 10_000,
        value_parser = at_least_one
    )]
    pub(super) count: usize,
    /// Payload, bytes, at least 32.
    #[arg(
        long = "payload",
        value_name = "BYTES",
        default_value_t = 64,
        value_parser = clap::value_parser!(u32).range(32..)
    )]
    pub(super) payload_bytes: u32,
}
