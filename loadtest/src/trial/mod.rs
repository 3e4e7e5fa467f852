//! A trial: one run of the load test, as a process of its own, against a broker that was started
//! for it. Comparisons and sweeps are made of trials, so that no run inherits anything from the
//! one before.

mod broker;
mod certificate;
mod command;
mod load_test;
mod pin;
mod stop;

pub(crate) use broker::Broker;
pub(crate) use command::BrokerCommand;
pub(crate) use load_test::LoadTest;
pub(crate) use pin::Processors;
pub(crate) use stop::Stop;
