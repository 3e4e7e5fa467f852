//! The conditions that a figure means nothing without, in words.

use super::{Bound, Mode, Scenario, Verdict, Verification, format};

impl Scenario {
    /// `1:20, QoS 0, 64 B payload, MQTT 3.1.1 over tcp, flood with a window of 20,000 messages`.
    pub(crate) fn conditions(&self) -> String {
        let mut parts = vec![self.shape.clone()];
        if self.mode != Mode::Storm || self.payload_bytes > 0 {
            parts.push(self.qos());
            parts.push(format!("{} B payload", format::count(self.payload_bytes)));
        }
        if self.topics > 1 {
            parts.push(format!("{} topics", format::count(self.topics)));
        }
        parts.push(format!("MQTT {} over {}", self.version, self.transport));
        if self.session_expiry_s > 0 {
            parts.push("sessions that outlive their connections".to_owned());
        }
        parts.push(self.load());
        parts.join(", ")
    }

    /// `QoS 0`, or `QoS 1 → 0` if it differs between the roles.
    pub(crate) fn qos(&self) -> String {
        if self.publish_qos == self.subscribe_qos {
            return format!("QoS {}", self.publish_qos);
        }
        format!("QoS {} → {}", self.publish_qos, self.subscribe_qos)
    }

    /// What bounds the load.
    fn load(&self) -> String {
        let mut text = match (self.mode, self.offered_per_s) {
            (Mode::Flood, _) => String::from("flood"),
            (Mode::Storm, _) => self.name.clone().unwrap_or_else(|| "storm".to_owned()),
            (Mode::Rate, Some(rate)) => format!("rate of {} published/s", format::number(rate)),
            (Mode::Rate, None) => String::from("rate"),
        };
        if let Some(arrivals) = &self.arrivals {
            text += &format!(" ({arrivals})");
        }
        if let Some(window) = self.window {
            text += &format!(" with a window of {} messages", format::count(window));
        }
        if let Some(inflight) = self.inflight {
            text += &format!(", {} in flight per publisher", format::count(inflight));
        }
        text
    }
}

impl Bound {
    /// What a reader calls it.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Broker => "broker-bound",
            Self::Generator => "generator-bound",
            Self::Link => "link-bound",
            Self::Idle => "nobody was at a limit",
            Self::Unknown => "unknown",
        }
    }
}

impl Verdict {
    /// What set the limit and why, in one sentence.
    pub(crate) fn sentence(&self) -> String {
        match self.reason.as_str() {
            "" => self.bound.title().to_owned(),
            reason => format!("{}: {reason}", self.bound.title()),
        }
    }
}

impl Verification {
    /// `QoS 1`, `QoS 1, shared`.
    pub(crate) fn title(&self) -> String {
        format!("QoS {}{}", self.qos, if self.shared { ", shared" } else { "" })
    }

    /// What the rule promises.
    pub(crate) fn rule(&self) -> &'static str {
        match (self.qos, self.shared) {
            (_, true) => "each message once over the group",
            (0, _) => "no duplicate, in order; loss is counted",
            (1, _) => "no loss, first deliveries in order",
            _ => "exactly once, in order",
        }
    }

    /// What was seen, by name; a nought is said, too.
    pub(crate) fn counts(&self) -> [(&'static str, u64); 6] {
        [
            ("missing", self.missing),
            ("duplicate with DUP", self.duplicate_with_dup),
            ("duplicate without DUP", self.duplicate_without_dup),
            ("reordered", self.reordered),
            ("corrupt", self.corrupt),
            ("unexpected", self.unexpected),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_and_a_rate_say_what_bounds_them() {
        let flood = Scenario {
            shape: "1:20".into(),
            payload_bytes: 1024,
            version: "3.1.1".into(),
            transport: "tcp".into(),
            window: Some(20_000),
            ..Scenario::default()
        };
        assert_eq!(
            flood.conditions(),
            "1:20, QoS 0, 1,024 B payload, MQTT 3.1.1 over tcp, flood with a window of 20,000 \
             messages"
        );
        let rate = Scenario {
            mode: Mode::Rate,
            publish_qos: 1,
            topics: 1000,
            offered_per_s: Some(5e4),
            arrivals: Some("poisson".into()),
            window: None,
            ..flood
        };
        assert_eq!(
            rate.conditions(),
            "1:20, QoS 1 → 0, 1,024 B payload, 1,000 topics, MQTT 3.1.1 over tcp, rate of 50,000 \
             published/s (poisson)"
        );
    }
}
