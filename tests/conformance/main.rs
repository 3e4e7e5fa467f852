//! Conformance: the real process, spoken to byte by byte. A test reads like a sequence diagram;
//! its name begins with the row of the checklist of attacks it stands for (`a01` to `w16`), with
//! `trap_` and the brokers' issue it is known from, or says a promise of the standard.
//!
//! After each test the process lives and serves a clean client; whenever nobody is connected, no
//! descriptor is held and the memory is back within its bound (see `harness::case`).
//!
//! `SKEIN_BIN` names the binary under test; without it the release build is made once.

mod access;
mod acks;
mod connect;
mod connect_v5;
mod flow;
mod framing;
mod full_disk;
mod harness;
mod process;
mod publish;
mod publish_v5;
mod quiet;
mod resources;
mod restart;
mod retained;
mod sessions;
mod sharing;
mod subscribe;
mod terms;
mod transports;
mod traps;
mod two_party;
mod wills;
