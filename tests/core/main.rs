//! The promises of the pure core, one short test each, with every interleaving chosen by the test:
//! one to three shards, their lanes, a clock and a few clients in one thread.
//!
//! A test reads like a sequence diagram: `broker.send(publisher, …)`, `broker.hear(subscriber)`.
//! Lanes deliver until all is quiet unless a test holds one; see [`broker::Broker`].

mod acknowledge;
mod announce;
mod authenticate;
mod broker;
mod connect;
mod deliver;
mod establish;
mod interest;
mod journal;
mod leave;
mod memory;
mod pace;
mod packets;
mod place;
mod pressure;
mod promise;
mod publish;
mod reauthenticate;
mod recover;
mod refill;
mod reload;
mod replay;
mod retain;
mod rights;
mod scram;
mod share;
mod spill;
mod subscribe;
mod trouble;
mod wills;
