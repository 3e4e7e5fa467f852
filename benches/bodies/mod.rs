//! What is measured: pieces of the way of a message, each without sockets, clock and threads, so
//! that it takes the same steps each time.

mod codec;
mod fan_out;
mod lane;
mod topic;

/// One piece, made ready: each call does the same work again.
pub(crate) type Run = Box<dyn FnMut()>;

/// One thing that is measured.
pub(crate) struct Body {
    /// `area/what`.
    pub(crate) name: &'static str,
    /// How many messages (or packets, look-ups, deliveries) one run handles.
    pub(crate) items: u64,
    /// Everything that is not measured.
    pub(crate) prepare: fn() -> Run,
}

/// All of them.
#[rustfmt::skip] // One body a line.
pub(crate) const BODIES: [Body; 15] = [
    Body { name: "codec/publish", items: codec::PACKETS, prepare: codec::publish },
    Body { name: "codec/publish-v5", items: codec::PACKETS, prepare: codec::publish_v5 },
    Body { name: "codec/puback", items: codec::PACKETS, prepare: codec::puback },
    Body { name: "trie/exact", items: topic::TOPICS, prepare: topic::trie_exact },
    Body { name: "trie/wildcards", items: topic::TOPICS, prepare: topic::trie_wildcards },
    Body { name: "route/hit", items: topic::TOPICS, prepare: topic::route_hit },
    Body { name: "route/miss", items: topic::TOPICS, prepare: topic::route_miss },
    Body { name: "fan-out/qos0-1", items: fan_out::MESSAGES, prepare: fan_out::qos_0_to_1 },
    Body { name: "fan-out/qos0-20", items: 20 * fan_out::MESSAGES, prepare: fan_out::qos_0_to_20 },
    Body { name: "fan-out/qos0-1-far", items: fan_out::MESSAGES, prepare: fan_out::qos_0_to_1_far },
    Body { name: "fan-out/qos0-1-1024B", items: fan_out::MESSAGES, prepare: fan_out::qos_0_to_1_of_1024 },
    Body { name: "fan-out/qos1-1", items: fan_out::MESSAGES, prepare: fan_out::qos_1_to_1 },
    Body { name: "fan-out/qos1-20", items: 20 * fan_out::MESSAGES, prepare: fan_out::qos_1_to_20 },
    Body { name: "fan-out/qos2-1", items: fan_out::MESSAGES, prepare: fan_out::qos_2_to_1 },
    Body { name: "lane/push-pop", items: lane::ITEMS, prepare: lane::push_pop },
];
