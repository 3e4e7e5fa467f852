//! For tests of what uses this library: a session on a link that is not there, with a clock that
//! moves when it is told to. No sockets, no threads, no waiting.
//!
//! In a [`Harness`] the test itself plays the server, word by word; a [`World`] has a
//! [`FakeBroker`] that answers as a server does. What needs sockets all the same, as a reactor does,
//! has a [`PairDialer`].
//!
//! ```
//! use std::time::Duration;
//!
//! use skein_client::test::Harness;
//! use skein_client::{Options, Publish, QoS};
//!
//! let mut harness = Harness::connected(Options::new(["mqtt://fake"]));
//! harness.publish(Publish::new("a", "hi").qos(QoS::AtLeastOnce)).unwrap();
//! assert_eq!(harness.hear(), ["PUBLISH topic=\"a\" qos=1 id=1 payload=2 bytes"]);
//! harness.advance(Duration::from_secs(60));
//! assert_eq!(harness.hear(), ["PINGREQ"]);
//! ```

mod broker;
mod harness;
mod link;
mod pair;
mod world;

use std::time::Duration;

pub use broker::FakeBroker;
pub use harness::Harness;
pub use link::Link;
pub use pair::PairDialer;
pub use world::World;

/// A clock that stands still until it is moved.
#[derive(Clone, Copy, Debug, Default)]
pub struct Clock {
    now: Duration,
}

impl Clock {
    /// The time.
    pub fn now(&self) -> Duration {
        self.now
    }

    /// Moves it on.
    pub fn advance(&mut self, by: Duration) {
        self.now += by;
    }

    /// Moves it to this time, never back.
    pub fn advance_to(&mut self, time: Duration) {
        self.now = self.now.max(time);
    }
}
