//! The `[bridge.NAME]` sections: other brokers that messages go to and come from.

mod read;
mod topic;

use std::path::PathBuf;

use toml::de::DeValue;

use super::reader::Reader;
use super::table::{Row, section};
use super::value::{Allowed, Value, quote, words};
use super::written::Written;

pub(super) use self::read::read;
pub use self::topic::{BridgeTopic, Direction};

section! {
    /// Another broker that messages go to and come from: a `[bridge.NAME]` section.
    Bridge = "bridge";
    /// Where the other broker is, like `mqtt://hub.example:1883` or `mqtts://hub.example`; several are
    /// tried in turn, from the first on. Every bridge has to name one.
    addresses: Vec<Box<str>> = Vec::new(), .., "it is tried again after restart_min_ms and more";
    /// The client identifier at the other broker, and at this one; empty = the name of this machine,
    /// a dot, and the bridge's name.
    client_id: String = String::new(), .., "of two bridges of one client identifier one is refused";
    /// The user name at the other broker; empty = none.
    user: String = String::new(), .., "the other broker says who may connect";
    /// The password at the other broker; empty = none, or that of password_file.
    password: String = String::new(), .., "the other broker says who may connect";
    /// A file whose first line is the password at the other broker, so that this file need not be
    /// secret.
    password_file: Option<PathBuf> = None, .., "the broker does not start without it";
    /// Whose rights the bridge has in this broker, by access.acl_file; empty = it may do everything.
    local_user: String = String::new(), .., "what the list does not allow is denied, and counted";
    /// The version of MQTT at the other broker; auto is 5, and 3.1.1 where that is refused.
    version: BridgeVersion = BridgeVersion::Auto, .., "a broker that refuses it is tried again";
    /// Whether what is waiting at both brokers is forgotten when this broker starts.
    clean_start: bool = false, .., "there is none";
    /// How long both brokers keep what is waiting for the bridge while it is away; 4294967295 =
    /// for ever.
    session_expiry_s: u32 = u32::MAX, 0..=u32::MAX, "what was waiting is lost";
    /// The longest silence towards the other broker; 0 = any.
    keep_alive_s: u16 = 60, 0..=u16::MAX, "a ping is sent";
    /// How long connecting may take.
    connect_timeout_ms: u64 = 10_000, 100..=600_000, "the next address is tried";
    /// The longest pause before the first new try to connect; it doubles from try to try.
    restart_min_ms: u64 = 1_000, 10..=3_600_000, "it is tried again";
    /// The longest pause of all. A connection that has lasted 30 seconds begins anew.
    restart_max_ms: u64 = 60_000, 10..=86_400_000, "it is tried again";
    /// By how much of itself a pause is shortened at random, at most.
    restart_jitter_percent: u16 = 100, 0..=100, "there is none";
    /// How many messages of QoS 1 and 2 are on their way at once, each way.
    in_flight_max: u16 = 100, 1..=1_000, "further ones wait in the session that they come from";
    /// The longest packet that is taken from the other broker.
    packet_bytes_max: u32 = 16_777_216, 1_024..=268_435_455, "the connection is closed with 0x95";
    /// How many messages wait in this broker while the other one is away; 0 = as many as for any
    /// session, limits.queue_messages_max.
    queue_messages_max: usize = 0, 0..=100_000_000, "further ones are dropped and counted";
    /// How many bytes of messages wait in this broker while the other one is away; 0 = as many as for
    /// any session, limits.queue_bytes_max.
    queue_bytes_max: usize = 0, 0..=1_099_511_627_776, "further ones are dropped and counted";
    /// How many bytes of messages wait to be written, each way.
    unwritten_bytes_max: usize = 67_108_864, 1_024..=1_099_511_627_776,
        "messages of QoS 0 are dropped and counted, others come again on a new connection";
    /// Whether neither broker is to send back what came from the bridge: No Local of MQTT 5, the bit
    /// of a bridge before that.
    private: bool = true, .., "without it, two topics that are both may go in circles";
    /// Who is told whether the bridge is connected, by a retained 1 or 0.
    status: BridgeStatus = BridgeStatus::Both, .., "there is none";
    /// The topic for that; empty = $SYS/broker/connection/NAME/state.
    status_topic: String = String::new(), .., "there is none";
    => {
        /// What it is called.
        name: Box<str> = "".into();
        /// TLS towards the other broker.
        tls: BridgeTls = BridgeTls::default();
        /// What goes where, at least one.
        topics: Vec<BridgeTopic> = Vec::new();
        /// Where it was written.
        written: Written = Written::default();
    }
}

section! {
    /// TLS towards another broker: the `[bridge.NAME.tls]` section, for addresses that begin with
    /// mqtts or wss.
    BridgeTls = "bridge.tls";
    /// The file with the authorities that sign the other broker's certificate, in PEM; empty = those
    /// of this machine.
    ca: Option<PathBuf> = None, .., "the other broker is not connected to";
    /// The file with the bridge's own certificate, in PEM; empty = none.
    certificate: Option<PathBuf> = None, .., "the broker does not start without it";
    /// The file with the certificate's private key, in PEM.
    key: Option<PathBuf> = None, .., "the broker does not start without it";
    /// The name that the other broker's certificate has to be for; empty = that of its address.
    server_name: String = String::new(), .., "the other broker is not connected to";
    /// Whether the other broker has to prove who it is. Without it, anybody in between can read and
    /// write everything.
    verify: bool = true, .., "the other broker is not connected to";
}

/// The version of MQTT that a bridge speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BridgeVersion {
    /// MQTT 5.0, and 3.1.1 where that is refused.
    Auto,
    /// MQTT 5.0.
    V5,
    /// MQTT 3.1.1.
    V3_1_1,
    /// MQTT 3.1.
    V3_1,
}

words!(
    BridgeVersion,
    "\"auto\", \"5\", \"3.1.1\" or \"3.1\"",
    BridgeVersion::Auto = "auto",
    BridgeVersion::V5 = "5",
    BridgeVersion::V3_1_1 = "3.1.1",
    BridgeVersion::V3_1 = "3.1"
);

/// Who is told whether a bridge is connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BridgeStatus {
    /// Both brokers.
    Both,
    /// This broker.
    Local,
    /// Nobody.
    None,
}

words!(
    BridgeStatus,
    "\"both\", \"local\" or \"none\"",
    BridgeStatus::Both = "both",
    BridgeStatus::Local = "local",
    BridgeStatus::None = "none"
);

impl Bridge {
    /// The topic of its state.
    #[must_use]
    pub fn state_topic(&self) -> String {
        match self.status_topic.as_str() {
            "" => format!("$SYS/broker/connection/{}/state", self.name),
            topic => topic.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests;
