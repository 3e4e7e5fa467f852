//! Options that all modes with messages share.

use std::time::Duration;

use clap::Args;
use skein_protocol::QoS;

use super::{Shape, Target, topology::Audience};
use crate::verify::PAYLOAD_BYTES_MIN;

/// Options that all modes with messages share.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Load")]
pub(crate) struct Load {
    /// Connections that publish.
    #[arg(long, default_value_t = 1, value_parser = at_least_one)]
    publishers: usize,
    /// Connections that subscribe.
    #[arg(long, default_value_t = 1, value_parser = at_least_one)]
    subscribers: usize,
    /// Topics. They are dealt out: with as many publishers and subscribers as topics each pair has
    /// one of its own; with more topics each connection has several and takes them in turn.
    #[arg(long, default_value_t = 1, value_parser = at_least_one)]
    topics: usize,
    /// Who publishes to whom, in one word, instead of the three above: P:S (1:20 is one publisher
    /// and twenty subscribers of one topic), mesh:N (the same N connections publish and subscribe),
    /// pairs:N (N topics with a publisher and a subscriber each), topics:N or topics:N:P:S.
    #[arg(long, conflicts_with_all = ["publishers", "subscribers", "topics"])]
    shape: Option<Shape>,
    /// The topic; with several, what stands in front of their numbers [default: skein/loadtest].
    #[arg(long)]
    pub(crate) topic: Option<String>,
    /// Subscribe with one wildcard, TOPIC/#, instead of each topic by its name.
    #[arg(long)]
    wildcard: bool,
    /// Subscribe as this many shares ($share/…): the subscribers are dealt out to them, and each
    /// share gets every message once.
    #[arg(long, default_value_t = 0)]
    shares: usize,
    /// Subscriptions beside those of the run, on connections of their own, of which none matches:
    /// what does it cost a broker that there are so many?
    #[arg(long, default_value_t = 0)]
    pub(crate) ballast: usize,
    /// QoS of both publishers and subscribers.
    #[arg(long, default_value = "0", value_parser = qos)]
    qos: QoS,
    /// QoS of the PUBLISH packets sent, if not --qos.
    #[arg(long, value_parser = qos)]
    publish_qos: Option<QoS>,
    /// QoS of the subscriptions, if not --qos.
    #[arg(long, value_parser = qos)]
    subscribe_qos: Option<QoS>,
    /// Payload, bytes [default: 64]. 32 hold the whole header that is verified and the times for
    /// latency; 8 to 31 hold publisher and sequence only.
    #[arg(long, value_parser = payload_bytes)]
    pub(crate) payload: Option<usize>,
    /// QoS 1 and 2: messages of one publisher that may be unacknowledged. A broker's smaller
    /// Receive Maximum is respected.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=32_767))]
    pub(crate) inflight: u16,
    /// Session Expiry Interval of every connection, seconds, MQTT 5: above 0 its session outlives it,
    /// and a broker that keeps sessions on disk has to write what comes for them.
    #[arg(long, default_value_t = 0)]
    pub(crate) session_expiry: u32,
    /// Threads of the load test; the connections are dealt out to them.
    #[arg(long, default_value_t = 1, value_parser = at_least_one)]
    pub(crate) threads: usize,
    /// Without a delivery for so long, seconds, what is missing is missing.
    #[arg(long, default_value_t = 5.0)]
    quiet: f64,
    /// Exit with 1 if a connection was lost, or a delivery broke the promise of its QoS: 0 no duplicate and in order; 1 no
    /// loss and in order; 2 exactly once and in order; a share exactly once over its members.
    #[arg(long)]
    pub(crate) expect: bool,
    #[command(flatten)]
    pub(crate) target: Target,
}

impl Load {
    /// Who publishes to whom.
    pub(crate) fn shape(&self) -> Shape {
        let Self { publishers, subscribers, topics, .. } = *self;
        self.shape.unwrap_or(Shape { publishers, subscribers, topics, mesh: false })
    }

    /// The topic; with several, what stands in front of their numbers.
    pub(crate) fn topic(&self) -> &str {
        self.topic.as_deref().unwrap_or("skein/loadtest")
    }

    /// Payload, bytes.
    pub(crate) fn payload(&self) -> usize {
        self.payload.unwrap_or(64)
    }

    /// How the subscribers ask.
    pub(crate) fn audience(&self) -> Audience {
        match () {
            () if self.shares > 0 && self.wildcard => Audience::SharedWildcard(self.shares),
            () if self.shares > 0 => Audience::Shared(self.shares),
            () if self.wildcard => Audience::Wildcard,
            () => Audience::Named,
        }
    }

    /// QoS of the PUBLISH packets sent.
    pub(crate) fn publish_qos(&self) -> QoS {
        self.publish_qos.unwrap_or(self.qos)
    }

    /// QoS of the subscriptions.
    pub(crate) fn subscribe_qos(&self) -> QoS {
        self.subscribe_qos.unwrap_or(self.qos)
    }

    /// The rule for deliveries: a broker never raises a QoS.
    pub(crate) fn delivery_qos(&self) -> QoS {
        self.publish_qos().min(self.subscribe_qos())
    }

    /// Without a delivery for so long, what is missing is missing.
    pub(crate) fn quiet(&self) -> Duration {
        Duration::try_from_secs_f64(self.quiet).unwrap_or(Duration::from_secs(5))
    }
}

/// `0`, `1` or `2`.
pub(crate) fn qos(text: &str) -> Result<QoS, String> {
    let level = text.parse().ok().and_then(|level: u8| QoS::try_from(level).ok());
    level.ok_or_else(|| "a QoS is 0, 1 or 2".to_owned())
}

/// A count that may not be 0.
pub(crate) fn at_least_one(text: &str) -> Result<usize, String> {
    let count = text.parse().map_err(|_| format!("\"{text}\" is no number"))?;
    if count == 0 { Err("at least 1".to_owned()) } else { Ok(count) }
}

fn payload_bytes(text: &str) -> Result<usize, String> {
    let bytes = text.parse().map_err(|_| format!("\"{text}\" is no number"))?;
    match bytes {
        PAYLOAD_BYTES_MIN..=PAYLOAD_BYTES_MAX => Ok(bytes),
        _ => Err(format!("{PAYLOAD_BYTES_MIN} to {PAYLOAD_BYTES_MAX} bytes")),
    }
}

/// What a packet may have, less some room for its topic and properties.
const PAYLOAD_BYTES_MAX: usize = 256 * 1024 * 1024 - 256 * 1024;
