//! The shell around the pure core: sockets, buffers, lanes and the turn of each event loop.
//!
//! [`mesh()`] joins the threads of a broker; an [`EventLoop`] runs one shard. What the shell knows
//! of MQTT is where a packet ends.

mod addresses;
mod backlog;
mod close;
mod connection;
mod contain;
mod core;
mod event_loop;
mod inbound;
mod keeper;
mod lane;
mod lanes;
mod logins;
mod mesh;
mod neighbour;
mod notice;
mod outbound;
mod patience;
mod reporting;
mod spilling;
mod transport;
mod unread;

pub use addresses::{Addresses, Crowd, Seat};
pub use event_loop::{Beginning, EventLoop};
pub use keeper::{Keeper, KeeperAnswer, KeeperDesk, Recovery};
pub use lane::{Consumer, Doorbell, Producer, Tally, lane};
pub use logins::{LoginAnswer, LoginDesk, LoginRequest};
pub use mesh::{Accepted, Command, Desks, Door, Place, Tallies, listeners_max, mesh};
pub use reporting::{ReportDesk, ShardReport, Traffic};
pub use spilling::{SpillAnswer, SpillDesk};
pub use transport::{Layers, WebSocketTerms};
#[cfg(fuzzing)]
pub use transport::{Received, receive_in_pieces};
