//! skein: an MQTT 3.1, 3.1.1 and 5.0 broker for all the cores of one machine.
//!
//! The modules are layers: [`config`], [`record`], [`session`], [`access`], [`topic`], [`router`],
//! [`shard`], [`net`], [`store`], [`server`] and [`cli`]. Each may use only those before it, and
//! `skein_protocol`; `tests/layering.rs` holds them to it. ARCHITECTURE.md says what lives in each.

pub mod access;
pub mod cli;
pub mod config;
pub mod net;
pub mod record;
pub mod router;
pub mod server;
pub mod session;
pub mod shard;
pub mod store;
pub mod topic;
