//! The counters of one shard. Nothing is dropped or refused without one of them.

use std::collections::BTreeMap;

/// Topic prefixes (first levels) that are counted apart; the rest goes under `…`.
const DROP_PREFIXES_MAX: usize = 256;

/// Why a message was not delivered to a session that wanted it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DropReason {
    /// The session's queue was full.
    QueueFull,
    /// QoS 0 for a consumer whose grace is over, or whose outbox is full.
    SlowConsumer,
    /// Its time was over before delivery began.
    Expired,
    /// Larger than the client's Maximum Packet Size [MQTT-3.1.2-25].
    PacketTooLarge,
    /// The session of a shared subscription ended and no other member is left.
    NoMemberLeft,
    /// The memory budget of the broker is used up.
    Memory,
    /// The session may not receive the topic.
    Denied,
}

impl DropReason {
    /// Every reason.
    pub const ALL: [Self; 7] = [
        Self::QueueFull,
        Self::SlowConsumer,
        Self::Expired,
        Self::PacketTooLarge,
        Self::NoMemberLeft,
        Self::Memory,
        Self::Denied,
    ];

    /// The reason in words, for the log and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::QueueFull => "queue full",
            Self::SlowConsumer => "slow consumer",
            Self::Expired => "expired",
            Self::PacketTooLarge => "packet too large",
            Self::NoMemberLeft => "no member left",
            Self::Memory => "memory budget",
            Self::Denied => "denied",
        }
    }

    /// What the reason means, for the documentation.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::QueueFull => "the session's queue was full",
            Self::SlowConsumer => {
                "QoS 0 for a consumer whose grace is over, or whose outbox is full"
            }
            Self::Expired => "its Message Expiry Interval was over before delivery began",
            Self::PacketTooLarge => "larger than the client's Maximum Packet Size",
            Self::NoMemberLeft => "the last session of a shared subscription ended",
            Self::Memory => "the memory budget of the broker is used up",
            Self::Denied => "the session may not receive the topic",
        }
    }
}

macro_rules! counters {
    ($($(#[doc = $doc:literal])+ $name:ident,)+) => {
        /// The counters of one shard, all since its start.
        #[derive(Clone, Debug, Default)]
        pub struct Metrics {
            $($(#[doc = $doc])+ pub $name: u64,)+
            drops: BTreeMap<(DropReason, Box<str>), u64>,
            drop_prefixes: usize,
        }

        impl Metrics {
            /// Every counter with its name.
            pub fn rows(&self) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($name), self.$name),)+]
            }

            /// Every counter's name and what it counts, for the documentation.
            pub fn descriptions() -> Vec<(&'static str, String)> {
                vec![$((stringify!($name), [$($doc),+].map(str::trim).join(" ")),)+]
            }
        }
    };
}

counters! {
    /// Connections dealt to this shard.
    connections_opened,
    /// Connections that were accepted with CONNACK 0.
    connections_accepted,
    /// Connections refused with a CONNACK reason.
    connections_refused,
    /// Logins refused, with CONNACK or, when a client had to prove again who it is, DISCONNECT.
    logins_refused,
    /// Of these, logins that were not even looked at: banned, or too early after a failure.
    logins_throttled,
    /// Of these, logins for which no worker had time: `logins_waiting_max` was reached.
    logins_overloaded,
    /// Connections closed because nobody vouches for their client any more.
    connections_revoked,
    /// Connections closed because what their client had proved of itself has ended.
    identities_expired,
    /// Connections refused because a newer one with their client id had come before them.
    connections_overtaken,
    /// Connections closed because a peer broke the protocol.
    protocol_errors,
    /// Connections closed because handling what they sent has panicked, which is a bug: please tell
    /// us. The others went on.
    panics_contained,
    /// Connections closed because a peer broke the rules of what lies below MQTT: TLS, WebSocket or
    /// the PROXY protocol.
    transport_errors,
    /// Connections through a proxy refused because their address has too many:
    /// `connections_per_address_max` or `connections_per_address_per_s_max`.
    connections_crowded,
    /// Connections closed because their CONNECT, or the end of their login, did not come within
    /// `connect_timeout_ms`.
    connect_timeouts,
    /// Connections closed because the handshakes of TLS and WebSocket took longer than
    /// `tls_handshake_ms_max`.
    handshake_timeouts,
    /// Connections closed because a packet that was begun was not gone on with for
    /// `packet_stalled_ms_max`.
    packets_stalled,
    /// Connections closed because they were silent for too long.
    keep_alive_timeouts,
    /// Connections handed to another shard.
    connections_handed_over,
    /// Sessions taken over by a newer connection.
    sessions_taken_over,
    /// Sessions resumed.
    sessions_resumed,
    /// Sessions that ended.
    sessions_ended,
    /// Filters refused because of `subscriptions_per_client_max` or `subscription_bytes_max`.
    subscriptions_refused,
    /// PUBLISH packets received.
    publishes_received,
    /// PUBLISH packets that waited until the full home of their topic had answered.
    publishes_waited,
    /// PUBLISH packets refused with a reason, or not routed where the version knows no reason.
    publishes_refused,
    /// PUBLISH packets put into an outbox.
    publishes_sent,
    /// Publishes told to other shards.
    publishes_forwarded,
    /// Wills published.
    wills_published,
    /// Wills not published, as the client may not publish to the topic any more.
    wills_denied,
    /// Messages not delivered to a session that wanted them; see the drops.
    messages_dropped,
    /// Retained messages refused because a limit is reached.
    retained_refused,
    /// Retained messages forgotten or not kept because whoever published them may not any more.
    retained_denied,
    /// Retained messages of QoS 0 that were delivered and not kept, as the store did not work.
    retained_unsafe,
    /// Batches of records that were handed to the store.
    journal_batches,
    /// Bytes of them.
    journal_bytes,
    /// Times that what was written to a connection had to wait until the store had something.
    outboxes_held,
    /// Times that the store has stopped working.
    store_failures,
    /// Connections closed because the store did not work when they waited for an acknowledgement.
    acknowledgements_withheld,
    /// Times that nobody was read because more than 16 MiB waited for the store.
    store_pauses,
    /// Publishers paused for a slow consumer or a full lane.
    publishers_paused,
    /// Publishers paused because they, or all of their listener, published faster than they may.
    publishers_throttled,
    /// Consumers whose grace ended before they kept up.
    consumers_slow,
    /// Parts of long queues that were written to disk.
    chunks_written,
    /// Parts of long queues that were read from disk again.
    chunks_read,
    /// Parts of long queues that could not be written, and stay in memory.
    chunks_not_written,
    /// Parts of long queues that could not be read: the client's connection is closed, if there is
    /// one, and its queue stands still.
    chunks_not_read,
    /// Replies of other shards that came too late for anybody.
    late_replies,
}

impl Metrics {
    /// Counts a message that was not delivered.
    pub(super) fn count_drop(&mut self, reason: DropReason, topic: &str) {
        self.messages_dropped += 1;
        let prefix = topic.split('/').next().unwrap_or(topic);
        if let Some(count) = self.drops.get_mut(&(reason, prefix.into())) {
            *count += 1;
            return;
        }
        let is_known_or_fits = self.drop_prefixes < DROP_PREFIXES_MAX;
        self.drop_prefixes += usize::from(is_known_or_fits);
        let prefix = if is_known_or_fits { prefix } else { "…" };
        *self.drops.entry((reason, prefix.into())).or_default() += 1;
    }

    /// Messages not delivered, by reason and first topic level.
    pub fn drops(&self) -> impl Iterator<Item = (DropReason, &str, u64)> {
        self.drops.iter().map(|((reason, prefix), count)| (*reason, &**prefix, *count))
    }

    /// Messages not delivered for this reason.
    pub fn drops_for(&self, reason: DropReason) -> u64 {
        self.drops().filter(|(r, ..)| *r == reason).map(|(.., count)| count).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drops_are_counted_by_reason_and_prefix_within_a_bound() {
        let mut metrics = Metrics::default();
        for number in 0..2 * DROP_PREFIXES_MAX {
            metrics.count_drop(DropReason::QueueFull, &format!("{number}/a"));
        }
        metrics.count_drop(DropReason::Expired, "0/b");
        assert_eq!(metrics.messages_dropped, 2 * DROP_PREFIXES_MAX as u64 + 1);
        assert!(metrics.drops().count() <= DROP_PREFIXES_MAX + 2);
        assert_eq!(metrics.drops_for(DropReason::QueueFull), 2 * DROP_PREFIXES_MAX as u64);
    }
}
