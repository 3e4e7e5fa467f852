//! What one seed's world is like: drawn once, before anything happens.

use skein::config::{Overflow, Settings};
use skein_protocol::QoS;

use crate::{
    alphabet::{Alphabet, FILTERS, TOPICS, has_wildcard, is_share},
    draw::Draw,
};

macro_rules! features {
    ($($(#[$note:meta])* $name:ident,)+) => {
        /// Things that may happen in a world. Each seed leaves a random part of them out, so that
        /// rare combinations get worlds of their own.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Feature {
            $($(#[$note])* $name,)+
        }

        const FEATURES: &[Feature] = &[$(Feature::$name,)+];
    };
}

features! {
    /// Published with RETAIN.
    Retained,
    /// Retained messages are deleted.
    Deleted,
    Wills,
    Shares,
    NoLocal,
    RetainAsPublished,
    Identifiers,
    /// Topic aliases, from both sides.
    Aliases,
    MessageExpiry,
    SessionExpiry,
    QoS0,
    QoS1,
    QoS2,
    Unsubscribe,
    /// A subscription is replaced.
    Resubscribe,
    DisconnectCleanly,
    DisconnectWithWill,
    /// The network breaks connections.
    Resets,
    /// A client connects while its last connection still stands.
    Takeovers,
    /// Several connections with one client id at once.
    Races,
    /// A client leaves before it has its CONNACK, and returns at once.
    Impatience,
    TimeJumps,
    SlowReaders,
    LateAcknowledgements,
    SmallPackets,
    KeepAlive,
    LargePayloads,
    /// Packets are sent without waiting for CONNACK.
    Pipelining,
    /// A socket dies on its way to another shard.
    LostOnTheWay,
    /// The client lets the broker choose its id.
    NoClientId,
    /// PUBREC and PUBACK with a reason that refuses.
    RefusingAcknowledgements,
    Properties,
    WildcardFilters,
}

/// How much the broker may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scarcity {
    /// Nothing may be dropped but what expires or is too large.
    Ample,
    /// Outboxes and lanes are tiny: publishers are paused, and QoS 0 may be dropped.
    TightOutboxes,
    /// Queues or memory are tiny as well.
    TightQueues,
}

/// One seed's world.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) shards: usize,
    pub(crate) settings: Settings,
    pub(crate) scarcity: Scarcity,
    pub(crate) clients: usize,
    pub(crate) hostiles: usize,
    pub(crate) steps: usize,
    /// About how many steps lie between two rest points.
    pub(crate) rest_every: usize,
    /// Messages that fit into one lane.
    pub(crate) lane_slots: usize,
    /// How often, of four times, a lane is one that stands still for a while.
    pub(crate) lane_lag: usize,
    /// How often a client publishes, subscribes and unsubscribes.
    pub(crate) weights: [usize; 3],
    /// Most bytes in one read.
    pub(crate) read_bytes_max: usize,
    /// Bytes that the network holds towards a client that does not read.
    pub(crate) window_bytes: usize,
    /// Whether clients speak 5.0 only (2), all versions (1) or none 5.0 (0).
    pub(crate) versions: usize,
    pub(crate) placement_seed: [u64; 4],
    /// The topics and filters of this world, by their numbers in the alphabet: the fewer, the more
    /// often everybody meets.
    pub(crate) topics: Vec<usize>,
    pub(crate) filters: Vec<usize>,
    features: [bool; FEATURES.len()],
}

impl Plan {
    pub(crate) fn draw(draw: &mut Draw) -> Self {
        let calm = draw.chance(1, 3);
        let mut features = [false; FEATURES.len()];
        for feature in &mut features {
            *feature = if calm { draw.chance(1, 2) } else { draw.chance(4, 5) };
        }
        let scarcity = match draw.below(8) {
            0..4 => Scarcity::Ample,
            4..6 => Scarcity::TightOutboxes,
            _ => Scarcity::TightQueues,
        };
        let steps = draw.pick(&[150, 300, 600, 1200]);
        let mut plan = Self {
            shards: draw.pick(&[1, 2, 2, 3, 3, 4]),
            settings: Settings::default(),
            scarcity,
            clients: draw.between(2, 7),
            hostiles: if draw.chance(1, 4) { draw.between(1, 2) } else { 0 },
            steps,
            rest_every: draw.pick(&[40, 100, 200, 500]),
            lane_slots: draw.pick(&[1, 2, 4, 64]),
            lane_lag: draw.pick(&[0, 0, 2, 3]),
            weights: [draw.pick(&[4, 11]), draw.pick(&[2, 4, 8]), draw.pick(&[1, 1, 4])],
            read_bytes_max: draw.pick(&[1, 7, 64, 4096, 65536]),
            window_bytes: draw.pick(&[16, 100, 1000, 100_000]),
            versions: draw.pick(&[2, 2, 1, 1, 1, 0]),
            placement_seed: std::array::from_fn(|_| draw.next()),
            topics: Vec::new(),
            filters: Vec::new(),
            features,
        };
        if !plan.has(Feature::QoS0) && !plan.has(Feature::QoS1) {
            plan.features[Feature::QoS2 as usize] = true;
        }
        plan.draw_settings(draw);
        plan.draw_alphabet(draw);
        plan
    }

    fn draw_settings(&mut self, draw: &mut Draw) {
        let scarcity = self.scarcity;
        let limits = &mut self.settings.limits;
        limits.receive_maximum = draw.pick(&[1, 2, 5, 1024]);
        limits.in_flight_max = draw.pick(&[1, 2, 3, 20, 1024]);
        limits.topic_alias_maximum = draw.pick(&[0, 1, 3, 16]);
        limits.topic_alias_outgoing_max = draw.pick(&[0, 1, 2, 16]);
        limits.retained_step_topics = draw.pick(&[1, 2, 3, 256]);
        limits.session_expiry_v3_s = draw.pick(&[3, 60, u32::MAX]);
        limits.session_expiry_s_max = draw.pick(&[2, 60, u32::MAX, u32::MAX]);
        limits.keep_alive_s_max = draw.pick(&[0, 0, 2, 30]);
        limits.connect_timeout_ms = 60_000;
        limits.packet_bytes_max = 100_000;
        if draw.chance(1, 8) {
            limits.maximum_qos = QoS::AtLeastOnce;
        }
        // A lane may be congested in any world: that only pauses.
        limits.lane_waiting_bytes_max = draw.pick(&[1, 300, 2_000, 4_194_304]);
        if scarcity == Scarcity::Ample {
            limits.outbox_high_water_bytes = 1 << 24;
            limits.outbox_bytes_max = 1 << 26;
        } else {
            limits.outbox_high_water_bytes = draw.pick(&[1, 50, 300, 2_000]);
            limits.outbox_low_water_bytes = limits.outbox_high_water_bytes / 2;
            limits.outbox_bytes_max =
                limits.outbox_high_water_bytes + draw.pick(&[1, 100, 1_000, 1_000_000]);
            limits.slow_consumer_grace_ms = draw.pick(&[0, 1, 20, 500]);
        }
        if scarcity == Scarcity::TightQueues {
            limits.queue_messages_max = draw.pick(&[1, 2, 5, 20]);
            limits.queue_bytes_max = draw.pick(&[300, 1_000, 1_000_000]);
            limits.retained_messages_max = draw.pick(&[1, 1, 3, 1_000]);
            limits.memory_bytes_max = draw.pick(&[0, 0, 4_000, 40_000]);
            limits.sessions_max = draw.pick(&[4, 1_000, 1_000]);
        }
        self.settings.access.deny_publish = vec!["denied/#".to_owned()];
        let policies =
            [Overflow::DropNewest, Overflow::DropOldest, Overflow::Disconnect, Overflow::Refuse];
        self.settings.listeners[0].overflow = draw.pick(&policies);
    }

    fn draw_alphabet(&mut self, draw: &mut Draw) {
        let most = draw.pick(&[1, 2, 4, 6]);
        for _ in 0..most {
            let topic = draw.below(TOPICS.len());
            if !self.topics.contains(&topic) {
                self.topics.push(topic);
            }
        }
        let alphabet = Alphabet::new();
        let may_be = |filter: &usize| {
            let matches = self.topics.iter().any(|topic| alphabet.matches(*filter, *topic));
            matches
                && (self.has(Feature::Shares) || !is_share(*filter))
                && (self.has(Feature::WildcardFilters) || !has_wildcard(*filter))
        };
        let matching: Vec<usize> = (0..FILTERS.len()).filter(may_be).collect();
        let most = draw.pick(&[1, 3, 8, 20]);
        while self.filters.len() < most.min(matching.len()) {
            let filter = draw.pick(&matching);
            if !self.filters.contains(&filter) {
                self.filters.push(filter);
            }
        }
        // A topic alone is a filter, but not every topic of the alphabet is one of its filters.
        if self.filters.is_empty() || draw.chance(1, 4) {
            self.filters.push(draw.below(FILTERS.len()));
        }
    }

    pub(crate) fn has(&self, feature: Feature) -> bool {
        self.features[feature as usize]
    }

    /// Whether this happens now: the world has it, and the dice say so.
    pub(crate) fn does(&self, feature: Feature, draw: &mut Draw, times: usize, of: usize) -> bool {
        self.has(feature) && draw.chance(times, of)
    }

    /// The highest QoS that clients may use.
    pub(crate) fn maximum_qos(&self) -> u8 {
        self.settings.limits.maximum_qos as u8
    }

    /// A QoS that this world has.
    pub(crate) fn draw_qos(&self, draw: &mut Draw) -> u8 {
        loop {
            let qos = draw.below(3) as u8;
            let feature = [Feature::QoS0, Feature::QoS1, Feature::QoS2][usize::from(qos)];
            if self.has(feature) {
                return qos.min(self.maximum_qos());
            }
        }
    }
}

impl std::fmt::Display for Plan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let limits = &self.settings.limits;
        writeln!(
            f,
            "  {} shards, {} clients, {} hostile, {} steps, rest every {}, {:?}, {:?}",
            self.shards,
            self.clients,
            self.hostiles,
            self.steps,
            self.rest_every,
            self.scarcity,
            self.settings.listeners[0].overflow
        )?;
        writeln!(
            f,
            "  lane slots {}, lag {}/4, reads up to {} bytes, window {} bytes, versions {}, weights {:?}",
            self.lane_slots,
            self.lane_lag,
            self.read_bytes_max,
            self.window_bytes,
            self.versions,
            self.weights
        )?;
        writeln!(
            f,
            "  receive maximum {}, in flight {}, aliases {}/{}, retained step {}, expiry v3 {} \
             max {}, keep alive max {}",
            limits.receive_maximum,
            limits.in_flight_max,
            limits.topic_alias_maximum,
            limits.topic_alias_outgoing_max,
            limits.retained_step_topics,
            limits.session_expiry_v3_s,
            limits.session_expiry_s_max,
            limits.keep_alive_s_max
        )?;
        writeln!(
            f,
            "  outbox {}/{}/{}, grace {} ms, lane {} bytes, queue {} messages {} bytes ({} in memory), \
             retained {}, memory {}, sessions {}",
            limits.outbox_low_water_bytes,
            limits.outbox_high_water_bytes,
            limits.outbox_bytes_max,
            limits.slow_consumer_grace_ms,
            limits.lane_waiting_bytes_max,
            limits.queue_messages_max,
            limits.queue_bytes_max,
            limits.queue_memory_bytes,
            limits.retained_messages_max,
            limits.memory_bytes_max,
            limits.sessions_max
        )?;
        let topics: Vec<&str> = self.topics.iter().map(|topic| TOPICS[*topic]).collect();
        let filters: Vec<&str> = self.filters.iter().map(|filter| FILTERS[*filter]).collect();
        writeln!(f, "  topics {topics:?}, filters {filters:?}")?;
        let left_out: Vec<String> = FEATURES
            .iter()
            .filter(|feature| !self.has(**feature))
            .map(|feature| format!("{feature:?}"))
            .collect();
        write!(f, "  without {}", left_out.join(", "))
    }
}
