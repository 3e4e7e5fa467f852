//! A session and a server that answers by itself.

use std::time::Duration;

use bytes::Bytes;
use skein_protocol::QoS;

use super::{FakeBroker, Harness};
use crate::{Options, Store};

/// A [`Harness`] whose server is a [`FakeBroker`].
#[derive(Debug)]
pub struct World {
    /// The client's side.
    pub client: Harness,
    /// The server's side.
    pub broker: FakeBroker,
    /// How many tries to connect were seen.
    dialed: usize,
    was_open: bool,
}

impl World {
    /// A client that has connected.
    pub fn new(options: Options) -> Self {
        let client = Harness::new(options);
        let mut world = Self { client, broker: FakeBroker::default(), dialed: 0, was_open: false };
        world.run();
        world
    }

    /// As [`new`](Self::new), with messages that outlive the client.
    pub fn with_store(options: Options, store: impl Store + 'static) -> Self {
        let client = Harness::with_store(options, store);
        let mut world = Self { client, broker: FakeBroker::default(), dialed: 0, was_open: false };
        world.run();
        world
    }

    /// The client's process ends, and another one begins, which has not yet connected.
    pub fn replace(&mut self, client: Harness) {
        // What was written still arrives.
        self.broker.on_bytes(&std::mem::take(&mut self.client.link.to_server));
        self.broker.on_closed();
        self.client = client;
        (self.dialed, self.was_open) = (0, false);
    }

    /// Carries bytes both ways, and opens the links that are asked for, until all is quiet.
    pub fn run(&mut self) {
        loop {
            if self.was_open && !self.client.link.is_open() {
                self.was_open = false;
                // What was on its way still arrives; the answer does not.
                self.broker.on_bytes(&std::mem::take(&mut self.client.link.to_server));
                self.broker.on_closed();
            }
            if self.client.dials.len() > self.dialed {
                self.dialed = self.client.dials.len();
                self.was_open = true;
                self.client.open();
            }
            let bytes = std::mem::take(&mut self.client.link.to_server);
            let idle = bytes.is_empty() && self.client.link.to_client.is_empty();
            if idle && self.client.dials.len() == self.dialed {
                return;
            }
            let answer = self.broker.on_bytes(&bytes);
            self.client.link.to_client.extend(answer);
            self.client.arrive();
            if !self.client.link.is_open() {
                self.client.link.to_client.clear();
            }
        }
    }

    /// Lets time pass, and everything happen that it brings.
    pub fn advance(&mut self, by: Duration) {
        self.client.advance(by);
        self.run();
    }

    /// Another client publishes to this one.
    pub fn publish_to_client(&mut self, topic: &str, payload: impl Into<Bytes>, qos: QoS) {
        let bytes = self.broker.publish(topic, payload, qos);
        if self.client.link.is_open() {
            self.client.link.to_client.extend(bytes);
        }
        self.client.arrive();
        self.run();
    }

    /// The link breaks.
    pub fn cut(&mut self) {
        self.client.cut();
        self.run();
    }
}
