//! The topics below `$SYS` and what stands there. Names that Mosquitto has mean what they mean there.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::load::{Loads, SPANS};
use crate::net::ShardReport;
use crate::shard::{Announcement, DropReason, SLOWEST_MAX};

/// What is said, below `$SYS/broker/`, and what stands there. Averages are of `load/…`.
pub const SYS_TOPICS: [(&str, &str); 23] = [
    ("uptime", "`N seconds` since the start"),
    ("version", "`skein version …`"),
    ("clients/connected", "Sessions whose client is connected"),
    ("clients/disconnected", "Sessions whose client is away"),
    ("clients/total", "Sessions"),
    ("clients/maximum", "The most clients that were found connected at once"),
    ("publish/messages/received", "PUBLISH packets received since the start"),
    ("publish/messages/sent", "PUBLISH packets sent since the start"),
    ("publish/messages/dropped", "Messages not delivered to a session that wanted them"),
    ("bytes/received", "Bytes read from sockets since the start"),
    ("bytes/sent", "Bytes written to sockets since the start"),
    ("subscriptions/count", "Subscriptions of all sessions"),
    ("shared_subscriptions/count", "Of these, shared ones"),
    ("retained messages/count", "Retained messages"),
    ("store/messages/count", "Messages in queues, and retained ones"),
    ("queues/messages", "Messages that wait in the queues of sessions"),
    ("queues/bytes", "Bytes of them, in memory and in files"),
    ("memory/bytes", "Bytes that clients make the broker hold, as `memory_bytes_max` counts them"),
    ("connections/refused", "Connections refused since the start"),
    (
        "clients/slowest",
        "JSON: up to ten sessions that do not keep up or have lost messages, the worst first",
    ),
    ("drops", "JSON: what was dropped, by reason and first topic level, twenty rows at most"),
    ("shards", "JSON: connections, sessions, messages and bytes of each shard"),
    ("counters", "JSON: the counters of all shards together"),
];

/// Of what was dropped so many kinds are told, those of which most was.
const DROPS_MAX: usize = 20;

/// What the shards have found, together.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Sums {
    pub(super) clients_connected: usize,
    sessions: usize,
    subscriptions: usize,
    shared_subscriptions: usize,
    queued_messages: usize,
    queued_bytes: usize,
    retained_messages: usize,
    memory_bytes: usize,
    bytes_received: u64,
    bytes_sent: u64,
    counters: BTreeMap<&'static str, u64>,
}

impl Sums {
    /// Adds up; `refused` connections never came to a shard.
    pub(super) fn of(reports: &[ShardReport], refused: u64) -> Self {
        let mut sums = Self::default();
        for ShardReport { report, traffic, .. } in reports {
            sums.clients_connected += report.sessions_connected;
            sums.sessions += report.sessions;
            sums.subscriptions += report.subscriptions;
            sums.shared_subscriptions += report.shared_subscriptions;
            sums.queued_messages += report.queued_messages;
            sums.queued_bytes += report.queued_bytes;
            sums.retained_messages += report.retained_messages;
            sums.memory_bytes += report.memory_bytes;
            sums.bytes_received += traffic.received;
            sums.bytes_sent += traffic.sent;
            for (name, count) in report.metrics.rows() {
                *sums.counters.entry(name).or_default() += count;
            }
        }
        *sums.counters.entry("connections_refused").or_default() += refused;
        sums
    }

    fn counter(&self, name: &str) -> u64 {
        self.counters.get(name).copied().unwrap_or_default()
    }

    /// What averages are made of.
    pub(super) fn loads(&self) -> [(&'static str, u64); 7] {
        [
            ("publish/received", self.counter("publishes_received")),
            ("publish/sent", self.counter("publishes_sent")),
            ("publish/dropped", self.counter("messages_dropped")),
            ("bytes/received", self.bytes_received),
            ("bytes/sent", self.bytes_sent),
            ("sockets", self.counter("connections_opened")),
            ("connections", self.counter("connections_accepted")),
        ]
    }
}

/// Everything that is said.
pub(super) fn announcements(
    reports: &[ShardReport],
    sums: &Sums,
    loads: &Loads,
    clients_max: usize,
    uptime: Duration,
) -> Arc<[Announcement]> {
    let mut all = Vec::new();
    let mut say = |topic: &str, payload: String| {
        let topic = format!("$SYS/broker/{topic}").into();
        all.push(Announcement { topic, payload: payload.into() });
    };
    // First of all, so that whoever reads along knows that the others are new.
    say("uptime", format!("{} seconds", uptime.as_secs()));
    say("version", format!("skein version {}", env!("CARGO_PKG_VERSION")));
    for (topic, number) in numbers(sums, clients_max) {
        say(topic, number.to_string());
    }
    for load in loads.rows() {
        for ((span, _), average) in SPANS.iter().zip(load.per_minute) {
            say(&format!("load/{}/{span}", load.name), format!("{average:.2}"));
        }
    }
    say("clients/slowest", slowest(reports).to_string());
    say("drops", drops(reports).to_string());
    say("shards", shards(reports).to_string());
    say("counters", json!(sums.counters).to_string());
    all.into()
}

fn numbers(sums: &Sums, clients_max: usize) -> [(&'static str, u64); 17] {
    let wide = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
    let disconnected = sums.sessions.saturating_sub(sums.clients_connected);
    [
        ("clients/connected", wide(sums.clients_connected)),
        ("clients/disconnected", wide(disconnected)),
        ("clients/total", wide(sums.sessions)),
        ("clients/maximum", wide(clients_max)),
        ("publish/messages/received", sums.counter("publishes_received")),
        ("publish/messages/sent", sums.counter("publishes_sent")),
        ("publish/messages/dropped", sums.counter("messages_dropped")),
        ("bytes/received", sums.bytes_received),
        ("bytes/sent", sums.bytes_sent),
        ("subscriptions/count", wide(sums.subscriptions)),
        ("shared_subscriptions/count", wide(sums.shared_subscriptions)),
        ("retained messages/count", wide(sums.retained_messages)),
        ("store/messages/count", wide(sums.queued_messages + sums.retained_messages)),
        ("queues/messages", wide(sums.queued_messages)),
        ("queues/bytes", wide(sums.queued_bytes)),
        ("memory/bytes", wide(sums.memory_bytes)),
        ("connections/refused", sums.counter("connections_refused")),
    ]
}

/// The sessions of all shards that do not keep up, the worst first.
fn slowest(reports: &[ShardReport]) -> Value {
    let of_shard = |it: &ShardReport| {
        let shard = it.shard.index();
        it.report.slowest.clone().into_iter().map(move |slow| (shard, slow))
    };
    let mut all: Vec<_> = reports.iter().flat_map(of_shard).collect();
    all.sort_by_key(|(_, slow)| std::cmp::Reverse(slow.badness()));
    let rows = all.into_iter().take(SLOWEST_MAX).map(|(shard, slow)| {
        json!({
            "client": &*slow.client_id,
            "shard": shard,
            "connected": slow.is_connected,
            "slow": slow.is_slow,
            "queued_messages": slow.queued_messages,
            "queued_bytes": slow.queued_bytes,
            "unwritten_bytes": slow.unwritten_bytes,
            "in_flight": slow.in_flight,
            "dropped": slow.dropped,
        })
    });
    rows.collect()
}

/// What was dropped, by reason and first level of the topic; of which most was first.
fn drops(reports: &[ShardReport]) -> Value {
    let mut counts: BTreeMap<(DropReason, &str), u64> = BTreeMap::new();
    for (reason, prefix, count) in reports.iter().flat_map(|it| it.report.metrics.drops()) {
        *counts.entry((reason, prefix)).or_default() += count;
    }
    let mut all: Vec<_> = counts.into_iter().collect();
    all.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let rows = all.into_iter().take(DROPS_MAX).map(|((reason, prefix), count)| {
        json!({ "reason": reason.name(), "prefix": prefix, "messages": count })
    });
    rows.collect()
}

fn shards(reports: &[ShardReport]) -> Value {
    let rows = reports.iter().map(|ShardReport { shard, report, traffic }| {
        json!({
            "shard": shard.index(),
            "connections": report.connections,
            "sessions": report.sessions,
            "publishes_received": report.metrics.publishes_received,
            "publishes_sent": report.metrics.publishes_sent,
            "bytes_received": traffic.received,
            "bytes_sent": traffic.sent,
            "memory_bytes": report.memory_bytes,
        })
    });
    rows.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::Traffic;
    use crate::session::ShardId;
    use crate::shard::{Report, SlowSession};

    fn report(shard: usize, queued_bytes: usize) -> ShardReport {
        let slow = SlowSession {
            client_id: format!("of {shard}").into(),
            queued_bytes,
            ..SlowSession::default()
        };
        let mut report = Report { sessions: 3, sessions_connected: 2, ..Report::default() };
        report.metrics.publishes_received = 10;
        report.slowest.push(slow);
        let traffic = Traffic { received: 100, sent: 200 };
        ShardReport { shard: ShardId::new(shard), report, traffic }
    }

    fn said(reports: &[ShardReport]) -> BTreeMap<String, String> {
        let sums = Sums::of(reports, 5);
        let mut loads = Loads::default();
        loads.note(&sums, Duration::from_secs(60));
        let all = announcements(reports, &sums, &loads, 9, Duration::from_millis(7_900));
        let text = |it: &Announcement| (it.topic.to_string(), it.payload.to_string());
        all.iter().map(text).collect()
    }

    #[test]
    fn everything_that_is_said_is_documented_and_nothing_else_is() {
        let said = said(&[report(0, 1)]);
        let topics = said.keys().filter_map(|topic| topic.strip_prefix("$SYS/broker/"));
        let mut topics: Vec<&str> = topics.filter(|topic| !topic.starts_with("load/")).collect();
        let mut documented: Vec<&str> = SYS_TOPICS.iter().map(|(topic, _)| *topic).collect();
        topics.sort_unstable();
        documented.sort_unstable();
        assert_eq!(topics, documented);
    }

    #[test]
    fn what_mosquitto_has_a_name_for_has_that_name() {
        let said = said(&[report(0, 1), report(1, 2)]);
        let rows = [
            ("uptime", "7 seconds"),
            ("clients/connected", "4"),
            ("clients/disconnected", "2"),
            ("clients/total", "6"),
            ("clients/maximum", "9"),
            ("publish/messages/received", "20"),
            ("bytes/received", "200"),
            ("bytes/sent", "400"),
            ("retained messages/count", "0"),
            ("connections/refused", "5"),
            ("load/publish/received/1min", "12.64"),
            ("load/connections/15min", "0.00"),
        ];
        for (topic, payload) in rows {
            assert_eq!(said[&format!("$SYS/broker/{topic}")], payload, "{topic}");
        }
        assert!(said["$SYS/broker/version"].starts_with("skein version "));
    }

    #[test]
    fn the_slowest_of_all_shards_are_told_the_worst_first_and_never_too_many() {
        let reports: Vec<_> = (0..20).map(|shard| report(shard, 100 + shard)).collect();
        let rows: Value = serde_json::from_str(&said(&reports)["$SYS/broker/clients/slowest"])
            .expect("it is JSON");
        let clients: Vec<_> =
            rows.as_array().expect("a list").iter().map(|it| &it["client"]).collect();
        assert_eq!(clients.len(), SLOWEST_MAX);
        assert_eq!((clients[0], clients[1]), (&json!("of 19"), &json!("of 18")));
    }
}
