//! skein: an MQTT 3.1, 3.1.1 and 5.0 broker for all the cores of one machine.
//!
//! The modules below are layers: each may use only those above it in this list, and
//! `skein_protocol`. `tests/layering.rs` holds them to it.

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
