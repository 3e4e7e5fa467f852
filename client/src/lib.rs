#![forbid(unsafe_code)]
//! An MQTT client for 3.1, 3.1.1 and 5.0: with a thread of its own, many on one thread, or without
//! any I/O at all.
//!
//! ```no_run
//! use std::time::Duration;
//!
//! use skein_client::{Client, Error, Overflow, Publish, QoS};
//!
//! let client = Client::connect("mqtt://127.0.0.1")?; // MQTT 5.0, or 3.1.1 if that is refused
//! client.publish("home/hall/temp", "21.5").qos(QoS::AtLeastOnce).wait()?; // PUBACK has come
//!
//! // Pull: a bounded queue of its own, acknowledged when it was dealt with.
//! let jobs = client.subscribe("$share/g/jobs/#").qos(QoS::ExactlyOnce);
//! let jobs = jobs.buffer(64, Overflow::Pause).manual_ack().wait()?;
//! for job in jobs.iter_for(Duration::from_secs(60)) {
//!     println!("{}", job.topic());
//!     job.ack();
//! }
//!
//! // Push: callbacks in order, with names for wildcards.
//! let route = client.on("home/{room}/temp", |cx| println!("{}", &cx["room"])).wait()?;
//! route.cancel();
//!
//! // Pipelined: each message has a ticket of its own.
//! let mut tickets = Vec::new();
//! for number in 0..10_000_u32 {
//!     let payload = number.to_be_bytes().to_vec();
//!     tickets.push(client.publish("log", payload).qos(QoS::AtLeastOnce).send()?);
//! }
//! for mut ticket in tickets {
//!     ticket.wait_for(Duration::from_secs(5))?;
//! }
//!
//! // Without ever waiting: the message comes back when there is no room.
//! match client.try_publish(Publish::new("a", "x")) {
//!     Err(Error::QueueFull(publish)) => println!("later: {}", publish.topic()),
//!     Err(error) if error.is_retryable() => println!("{error}"),
//!     other => drop(other?),
//! }
//!
//! let sum = client.request("calc/add", "1 2").timeout(Duration::from_secs(2)).wait()?;
//! println!("{}", String::from_utf8_lossy(sum.payload()));
//! # Ok::<(), Error>(())
//! ```
//!
//! Everything that can be waited for can be awaited instead, on any executor: no runtime is needed,
//! and none is used.
//!
//! ```no_run
//! # async fn example() -> skein_client::Result<()> {
//! use skein_client::{Client, QoS};
//!
//! let client = Client::builder("mqtts://broker.example").start()?;
//! let temperatures = client.subscribe("home/+/temp").qos(QoS::AtLeastOnce).await?;
//! while let Some(message) = temperatures.next().await {
//!     println!("{} {:?}", message.topic(), message.text());
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # What holds whatever happens
//!
//! * **The library owns the thread that reads and writes; your code never runs on it** (but for a
//!   [tap](Builder::tap), where waiting is [an error](Error::OnClientThread)). Callbacks run on
//!   another thread, one after the other. They may publish and wait.
//! * **A [`Ticket`] is the fate of one message**, not of the queue: the reason of its PUBACK or
//!   PUBCOMP, or why there is none. Dropping it changes nothing.
//! * **Everything is bounded, and says what it does when it is full**: the queue of outgoing
//!   messages ([`WhenFull`]), each subscription's ([`Overflow`]). What is dropped is counted.
//! * **Links break.** The client connects again after growing, random delays, which begin anew only
//!   after a stable connection ([`Backoff`]); not at all where that is of no use ([`Verdict`]).
//!   A session that is still there is resumed in order; one that is gone is subscribed to again,
//!   and its messages are sent again or not as [`SessionLoss`] says.
//! * **What the server does not have is not asked for**: its limits are
//!   [typed errors](Error::Unsupported) before anything is sent.
//! * **Errors say what to do**, and [whether trying again may help](Error::is_retryable).
//!
//! # Where to look
//!
//! | | |
//! |---|---|
//! | [`Client`] | one client with a thread of its own |
//! | [`reactor`] | tens of thousands of clients on one thread |
//! | [`session`] | the state machine behind both: no socket, no clock, no randomness |
//! | `format` | payloads by content type, with the features `json`, `cbor`, `messagepack` |
//! | [`router`] | topics to whatever deals with them |
//! | [`transport`] | TCP, TLS, WebSocket, sockets of this machine, proxies, your own |
//! | [`test`](mod@test) | a clock that is moved by hand, links that break at a byte, a server in memory |
//!
//! `examples/` has whole programs: connect, publish, subscribe, a will with delay, a chat, requests
//! and responses, fifty thousand clients, a monitor of pings.

mod client;
mod driver;
mod error;
#[cfg(feature = "serde")]
pub mod format;
mod hooks;
mod message;
mod options;
pub mod reactor;
pub mod router;
mod scram;
pub mod session;
mod store;
pub mod test;
pub mod transport;
mod will;

pub use client::{
    Builder, Client, Context, Group, Handling, Publishing, PublishingFuture, Replying, Requesting,
    Route, Subscribing, Subscription,
};
pub use driver::{ClientStatistics, Overflow, Received, Ticket};
pub use error::{Error, Feature, Operation, Result};
pub use hooks::Hooks;
pub use message::{Delivery, Message, Properties, Publish};
pub use options::{
    Backoff, Farewell, Login, Offline, Options, QueueOptions, SessionLoss, Verdict, Versions,
    WhenFull,
};
pub use scram::Scram;
pub use skein_protocol::{
    PacketId, PayloadFormat, QoS, ReasonCode, RetainHandling, SubscriptionOptions, Version,
};
pub use store::{Contents, FileStore, MemoryStore, Store, Stored, Sync};
pub use will::Will;
