//! What one run showed: the schema of the JSON report, which every other output is made from.
//!
//! The schema is stable. A field may be added without a new [`SCHEMA`] number, since a reader fills
//! what it does not find with nothing; a field that changes its meaning or goes away needs one.
//! Units stand last in the names; latencies are in microseconds, megabytes are 10⁶ bytes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::latency::Latency;

/// The version of this schema.
pub(crate) const SCHEMA: u32 = 1;

/// One run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Report {
    /// [`SCHEMA`] of the program that wrote it.
    pub(crate) schema: u32,
    /// Distinguishes this run's messages from those of every other run.
    pub(crate) run: String,
    /// When the measured window began, milliseconds since 1970-01-01 UTC.
    pub(crate) started_unix_ms: u64,
    /// The command line, word by word.
    pub(crate) command: Vec<String>,
    /// Where it ran.
    pub(crate) environment: Environment,
    /// What was asked for.
    pub(crate) scenario: Scenario,
    /// What went through the broker in the measured window.
    pub(crate) traffic: Traffic,
    /// What came of the promises, a rule for each QoS that was subscribed with.
    pub(crate) verification: Vec<Verification>,
    /// What was timed, each clock at most once.
    pub(crate) latencies: Vec<Latency>,
    /// The measured window, second by second.
    pub(crate) series: Vec<Second>,
    /// The broker's process, seen from outside, if its process id was given.
    pub(crate) broker: Option<BrokerProcess>,
    /// What the load test itself needed.
    pub(crate) generator: Generator,
    /// What set the limit.
    pub(crate) verdict: Verdict,
    /// The null broker's figures for the same scenario, if they were given.
    pub(crate) floor: Option<Floor>,
    /// The lines of the `surge` preset, with denominators of their own.
    pub(crate) surge: Option<Surge>,
    /// Connections opened and closed in masses.
    pub(crate) storms: Vec<Storm>,
    /// Memory of masses of connections that do nothing.
    pub(crate) idle: Vec<Idle>,
    /// Figures that only this scenario has.
    pub(crate) figures: Vec<Figure>,
    /// What a reader must know before quoting a figure. Sentences.
    pub(crate) notes: Vec<String>,
}

/// The machine and the programs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Environment {
    /// Version of the load test.
    pub(crate) program: String,
    /// Commit that the load test was built from, if known.
    pub(crate) commit: Option<String>,
    /// The broker's name and version, as given.
    pub(crate) broker: Option<String>,
    /// The processor's name.
    pub(crate) cpu: String,
    /// Processors that are online.
    pub(crate) cores: u32,
    /// Processors that the load test may run on.
    pub(crate) affinity: Vec<u32>,
    /// Processors that the broker may run on, if its process id was given.
    pub(crate) broker_affinity: Vec<u32>,
    /// How the processor's clock is governed, if the kernel says so.
    pub(crate) governor: Option<String>,
    /// The machine's memory.
    pub(crate) memory_bytes: u64,
    /// The operating system and its version.
    pub(crate) system: String,
    /// The kernel's version.
    pub(crate) kernel: String,
    /// Settings of the kernel that bound a load test, by name.
    pub(crate) sysctls: BTreeMap<String, String>,
    /// Files that the load test may have open; nothing if unlimited.
    pub(crate) open_files_max: Option<u64>,
    /// Processes that wanted to run in the last 1, 5 and 15 minutes, before the run.
    pub(crate) load_average: [f64; 3],
}

/// What was asked for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Scenario {
    /// The preset or the name in the scenario file.
    pub(crate) name: Option<String>,
    /// Hash of the scenario file, if it came from one.
    pub(crate) hash: Option<String>,
    /// What bounds the load.
    pub(crate) mode: Mode,
    /// Who publishes to whom: `1:20`, `mesh:20`.
    pub(crate) shape: String,
    /// Connections that publish.
    pub(crate) publishers: u64,
    /// Connections that subscribe.
    pub(crate) subscribers: u64,
    /// Topics that are published to.
    pub(crate) topics: u64,
    /// QoS of the PUBLISH packets sent.
    pub(crate) publish_qos: u8,
    /// QoS of the subscriptions.
    pub(crate) subscribe_qos: u8,
    /// Session Expiry Interval of every connection, seconds.
    #[serde(default)]
    pub(crate) session_expiry_s: u32,
    /// Version of MQTT: `3.1`, `3.1.1`, `5`.
    pub(crate) version: String,
    /// What carries the bytes: `tcp`, `tls`, `websocket`, `unix`.
    pub(crate) transport: String,
    /// Bytes of payload in each message.
    pub(crate) payload_bytes: u64,
    /// Messages of all publishers together, if their number was fixed.
    pub(crate) messages: Option<u64>,
    /// Flood: messages that may be on their way to the slowest subscriber.
    pub(crate) window: Option<u64>,
    /// QoS 1 and 2: messages of one publisher that may be unacknowledged.
    pub(crate) inflight: Option<u64>,
    /// Rate: messages that all publishers together are to publish each second.
    pub(crate) offered_per_s: Option<f64>,
    /// Rate: how the intended times lie, `fixed` or `poisson`.
    pub(crate) arrivals: Option<String>,
    /// Seconds before the measured window whose messages do not count.
    pub(crate) warm_up_s: f64,
    /// Connections opened each second, if bounded.
    pub(crate) connect_per_s: Option<f64>,
}

/// What bounds the load. The two never mix: one is for capacity, the other for latency.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Mode {
    /// Flow control only: capacity. A latency under it is queueing, not service time.
    #[default]
    Flood,
    /// A schedule that does not wait for the broker: latency.
    Rate,
    /// Connections come and go, or are idle.
    Storm,
}

/// What went through the broker in the measured window. See [`Traffic::new`] for the rates.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Traffic {
    /// PUBLISH packets sent.
    pub(crate) published: u64,
    /// PUBLISH packets received, by all subscribers together.
    pub(crate) delivered: u64,
    /// Publishes whose PUBACK or PUBCOMP came.
    pub(crate) acknowledged: u64,
    /// Connections that the broker closed or that failed.
    pub(crate) connections_lost: u64,
    /// The measured window: from the first publish to the last receipt, on one clock.
    pub(crate) seconds: f64,
    /// `published` ÷ `seconds`.
    pub(crate) published_per_s: f64,
    /// `delivered` ÷ `seconds`.
    pub(crate) delivered_per_s: f64,
    /// Payload delivered, 10⁶ bytes each second.
    pub(crate) megabytes_out_per_s: f64,
}

/// What came of the promises of one QoS.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Verification {
    /// The rule: QoS that deliveries have here.
    pub(crate) qos: u8,
    /// Whether the rule is that of a shared subscription, for the group as a whole.
    pub(crate) shared: bool,
    /// Deliveries that were checked.
    pub(crate) checked: u64,
    /// Messages that never came.
    pub(crate) missing: u64,
    /// Came again, with DUP.
    pub(crate) duplicate_with_dup: u64,
    /// Came again, without DUP.
    pub(crate) duplicate_without_dup: u64,
    /// Came for the first time after a later one of the same publisher.
    pub(crate) reordered: u64,
    /// The checksum is wrong.
    pub(crate) corrupt: u64,
    /// Of another topic, publisher or run.
    pub(crate) unexpected: u64,
    /// How many of all these the rule forbids.
    pub(crate) violations: u64,
}

/// One second of the measured window.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Second {
    /// Its number; 0 is the first.
    pub(crate) second: u32,
    /// PUBLISH packets sent in it.
    pub(crate) published: u64,
    /// PUBLISH packets received in it.
    pub(crate) delivered: u64,
    /// Median latency of what was received in it (mode rate: corrected).
    pub(crate) p50_us: Option<f64>,
    /// 99th percentile of the same.
    pub(crate) p99_us: Option<f64>,
    /// Maximum of the same.
    pub(crate) max_us: Option<f64>,
    /// The latencies themselves, as [`Latency::histogram`].
    pub(crate) histogram: Option<String>,
    /// CPU time of the broker in it, if known.
    pub(crate) broker_cpu_s: Option<f64>,
    /// Resident memory of the broker at its end, if known.
    pub(crate) broker_rss_bytes: Option<u64>,
}

/// The broker's process, seen from outside.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct BrokerProcess {
    /// Its process id.
    pub(crate) pid: u32,
    /// CPU time in the measured window, outside the kernel.
    pub(crate) cpu_user_s: f64,
    /// CPU time in the measured window, in the kernel.
    pub(crate) cpu_system_s: f64,
    /// CPU time of both kinds for each delivered message, nanoseconds.
    pub(crate) ns_per_delivery: Option<f64>,
    /// Resident memory before the first connection.
    pub(crate) rss_start_bytes: u64,
    /// The most resident memory seen.
    pub(crate) rss_peak_bytes: u64,
    /// Resident memory when all was over.
    pub(crate) rss_end_bytes: u64,
    /// Times that it waited for something, in the measured window.
    pub(crate) switches_voluntary: u64,
    /// Times that it was interrupted, in the measured window.
    pub(crate) switches_involuntary: u64,
    /// Its threads, at the end of the window.
    pub(crate) threads: u64,
    /// Its open files, at the end of the window.
    pub(crate) files: u64,
}

/// What the load test itself needed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Generator {
    /// CPU time in the measured window, outside the kernel.
    pub(crate) cpu_user_s: f64,
    /// CPU time in the measured window, in the kernel.
    pub(crate) cpu_system_s: f64,
    /// CPU time of both kinds for each message published or delivered, nanoseconds.
    pub(crate) ns_per_message: f64,
    /// Its threads.
    pub(crate) threads: Vec<GeneratorThread>,
}

/// One thread of the load test, in the measured window.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct GeneratorThread {
    /// Its name.
    pub(crate) name: String,
    /// CPU time it used.
    pub(crate) cpu_s: f64,
    /// The longest turn of its loop.
    pub(crate) turn_max_us: f64,
    /// How long a socket that it wanted to write to took nothing.
    pub(crate) blocked_s: f64,
}

/// What set the limit, and why this is believed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Verdict {
    /// What set the limit.
    pub(crate) bound: Bound,
    /// The figures that say so. A sentence.
    pub(crate) reason: String,
}

/// What set the limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Bound {
    /// The broker worked as much as it can.
    Broker,
    /// The load test worked as much as it can: the figures say nothing about the broker.
    Generator,
    /// Both waited for what lies between them.
    Link,
    /// Nobody was at a limit.
    Idle,
    /// Not enough is known, for instance because the broker's process id was not given.
    #[default]
    Unknown,
}

/// The null broker's figures for the same scenario on the same machine.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Floor {
    /// CPU time for each delivered message, nanoseconds.
    pub(crate) ns_per_delivery: Option<f64>,
    /// Deliveries each second.
    pub(crate) delivered_per_s: Option<f64>,
}

/// The lines of the `surge` preset.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Surge {
    /// What was sent.
    pub(crate) sent: SurgeLine,
    /// What was received.
    pub(crate) received: SurgeLine,
    /// Why the run ended before everything was received, if it did.
    pub(crate) cut_off: Option<String>,
}

/// One line of the `surge` preset.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct SurgeLine {
    /// Messages.
    pub(crate) messages: u64,
    /// The denominator of the preset for this line.
    pub(crate) nanoseconds: u64,
    /// The quotient.
    pub(crate) per_s: f64,
}

/// Connections opened and closed in masses.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Storm {
    /// Which storm: `connect`, `reconnect`, `takeover`.
    pub(crate) kind: String,
    /// Connections that were accepted.
    pub(crate) connections: u64,
    /// Connections that were refused or failed.
    pub(crate) failed: u64,
    /// How long it took.
    pub(crate) seconds: f64,
    /// `connections` ÷ `seconds`.
    pub(crate) connections_per_s: f64,
    /// CPU time of the broker for each connection, microseconds, if known.
    pub(crate) broker_cpu_us_per_connection: Option<f64>,
}

/// Memory of connections that do nothing.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Idle {
    /// Connections that were open.
    pub(crate) connections: u64,
    /// Subscriptions that each of them had.
    pub(crate) subscriptions: u64,
    /// Resident memory of the broker with them.
    pub(crate) rss_bytes: u64,
    /// Resident memory that they added, divided by their number.
    pub(crate) bytes_per_connection: f64,
}

/// A figure that only one scenario has.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Figure {
    /// What it is: `fast subscribers, before`.
    pub(crate) name: String,
    /// How much.
    pub(crate) value: f64,
    /// Of what: `delivered/s`.
    pub(crate) unit: String,
}
