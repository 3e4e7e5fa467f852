//! What a running broker cannot change of its settings.

use crate::config::Settings;

/// Takes from the old settings what cannot change while the broker runs; the keys that differ.
pub(super) fn keep_fixed(settings: &mut Settings, old: &Settings) -> Vec<String> {
    let top = settings.keep(old, |key| key == "shards").into_iter().map(str::to_owned);
    let limits = settings.limits.keep(&old.limits, |key| !LIVE_LIMITS.contains(&key));
    let limits = limits.into_iter().map(|key| format!("limits.{key}"));
    let is_fixed = |key: &str| key.contains("login") || key == "cached_credentials_max";
    let access = settings.access.keep(&old.access, is_fixed);
    let access = access.into_iter().map(|key| format!("access.{key}"));
    let store = settings.store.keep(&old.store, |_| true);
    let store = store.into_iter().map(|key| format!("store.{key}"));
    let durability = keep_durability(settings, old);
    let durability = durability.then(|| "listener.durability".to_owned());
    let log = settings.log.keep(&old.log, |key| key != "lines_per_second_max");
    let log = log.into_iter().map(|key| format!("log.{key}"));
    top.chain(limits).chain(access).chain(store).chain(log).chain(durability).collect()
}

/// What sessions were promised when they began stays, for listeners that stay; whether any differed.
fn keep_durability(settings: &mut Settings, old: &Settings) -> bool {
    let mut has_kept = false;
    for listener in &mut settings.listeners {
        let before = old.listeners.iter().find(|before| before.address == listener.address);
        if let Some(before) = before {
            has_kept |= listener.durability != before.durability;
            listener.durability = before.durability;
        }
    }
    has_kept
}

/// Limits that hold for whatever happens next. The others were told to clients, or something was
/// built from them when the broker started.
const LIVE_LIMITS: [&str; 26] = [
    "connect_timeout_ms",
    "packet_bytes_before_connect_max",
    "topic_levels_max",
    "client_id_bytes_max",
    "subscriptions_per_client_max",
    "subscription_bytes_max",
    "topic_alias_bytes_max",
    "publishes_per_client_per_s_max",
    "publish_bytes_per_client_per_s_max",
    "user_properties_max",
    "topic_alias_outgoing_max",
    "keep_alive_s_max",
    "in_flight_max",
    "session_expiry_s_max",
    "session_expiry_v3_s",
    "sessions_max",
    "queue_messages_max",
    "queue_bytes_max",
    "outbox_bytes_max",
    "outbox_high_water_bytes",
    "outbox_low_water_bytes",
    "slow_consumer_grace_ms",
    "retained_step_topics",
    "connections_max",
    "newcomers_per_shard_per_s_max",
    "shutdown_ms_max",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    #[test]
    fn what_cannot_change_is_kept_and_named() {
        let old = Settings::default();
        let mut new = old.clone();
        new.shards = 7;
        new.reload_check_s = 9;
        new.limits.lane_slots = 2;
        new.limits.topic_alias_maximum = 3;
        new.limits.connections_max = 5;
        new.access.login_workers = 9;
        new.access.acl_strict = true;
        new.store.data_dir = Some("/elsewhere".into());
        new.store.durability = config::DurabilityMode::Os;
        new.listeners[0].durability = config::DurabilityMode::Os;
        new.log.lines_per_second_max = 3;
        new.log.level = config::LogLevel::Trace;
        let kept = keep_fixed(&mut new, &old);
        assert_eq!(
            kept,
            [
                "shards",
                "limits.topic_alias_maximum",
                "limits.lane_slots",
                "access.login_workers",
                "store.data_dir",
                "store.durability",
                "log.level",
                "listener.durability",
            ]
        );
        assert_eq!((new.shards, new.limits.lane_slots), (old.shards, old.limits.lane_slots));
        assert_eq!((&new.store, &new.listeners), (&old.store, &old.listeners));
        assert_eq!((new.limits.connections_max, new.reload_check_s), (5, 9));
        assert!(new.access.acl_strict);
        assert_eq!(new.log.lines_per_second_max, 3);
    }

    #[test]
    fn every_limit_that_may_change_is_one() {
        let page = config::documentation();
        for key in LIVE_LIMITS {
            assert!(page.contains(&format!("| `{key}` |")), "{key}");
        }
    }
}
