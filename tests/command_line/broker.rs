//! skein's broker, and a client of the test's own.

use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use skein_client::{Client, Publish, QoS, ReasonCode, Subscription};

use crate::program::{PATIENCE, skein};

/// A broker of the test's own.
pub(crate) struct Broker {
    child: Child,
    pub(crate) port: u16,
}

impl Broker {
    pub(crate) fn start() -> Self {
        Self::start_on(free_port())
    }

    /// Starts it on this port.
    pub(crate) fn start_on(port: u16) -> Self {
        let mut command = Command::new(skein());
        command.args(["--anonymous", "--shards", "1", "--listen", &format!("127.0.0.1:{port}")]);
        Self::spawn(&mut command, port)
    }

    /// Starts it with a configuration, one of whose listeners is on this port.
    pub(crate) fn start_with(file: &Path, port: u16) -> Self {
        Self::spawn(Command::new(skein()).arg("--config").arg(file), port)
    }

    fn spawn(command: &mut Command, port: u16) -> Self {
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().expect("the binary is built");
        let broker = Self { child, port };
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < deadline, "the broker does not listen");
            thread::sleep(Duration::from_millis(20));
        }
        broker
    }

    pub(crate) fn client(&self) -> Client {
        Client::connect(&format!("mqtt://127.0.0.1:{}", self.port)).expect("it listens")
    }

    /// Publishes some messages, and waits until the broker has them.
    pub(crate) fn publish(&self, messages: impl IntoIterator<Item = Publish>) {
        let client = self.client();
        for message in messages {
            client.publish_message(message).wait().expect("it acknowledges");
        }
    }

    /// Publishes a message again and again until somebody has subscribed to it, who then gets it
    /// once.
    pub(crate) fn publish_to_somebody(&self, topic: &str, payload: &'static str) {
        let client = self.client();
        let deadline = Instant::now() + PATIENCE;
        let publish = || client.publish(topic, payload).qos(QoS::AtLeastOnce).wait();
        while publish().expect("it acknowledges") == ReasonCode::NoMatchingSubscribers {
            assert!(Instant::now() < deadline, "nobody subscribes to {topic}");
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Everything that is published from now on.
    pub(crate) fn observe(&self) -> (Client, Subscription) {
        let client = self.client();
        let all = client.subscribe("#").qos(QoS::ExactlyOnce);
        let subscription = all.wait().expect("everybody may");
        (client, subscription)
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port that nobody listens on.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    listener.local_addr().expect("it is bound").port()
}
