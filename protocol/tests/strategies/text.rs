//! Random text and topics, leaked so that they can be borrowed for ever.

use proptest::collection::vec;
use proptest::prelude::*;
use skein_protocol::{TopicFilter, TopicName};

/// Text without U+0000, mostly short; sometimes long enough for a length of two bytes.
pub(crate) fn text() -> BoxedStrategy<&'static str> {
    let chars = prop_oneof![9 => vec(character(), 0..8), 1 => vec(character(), 100..300)];
    chars.prop_map(|chars| leak(chars.into_iter().collect())).boxed()
}

/// Any topic name, with `$`, empty levels and other alphabets among them.
pub(crate) fn topic_name() -> impl Strategy<Value = TopicName<'static>> {
    let level = prop_oneof![2 => select_level(), 1 => text()];
    vec(level, 1..6).prop_filter_map("a topic name", |levels| {
        TopicName::new(leak(levels.join("/").replace(['+', '#'], "$"))).ok()
    })
}

/// Any topic filter, shared ones among them.
pub(crate) fn topic_filter() -> impl Strategy<Value = TopicFilter<'static>> {
    let level = prop_oneof![3 => select_level(), 2 => Just("+"), 1 => text()];
    let share = prop_oneof![3 => Just(""), 1 => Just("$share/flock/")];
    let end = prop_oneof![2 => Just(""), 1 => Just("/#")];
    (share, vec(level, 1..6), end).prop_filter_map("a topic filter", |(share, levels, end)| {
        TopicFilter::new(leak(format!("{share}{}{end}", levels.join("/")))).ok()
    })
}

fn select_level() -> impl Strategy<Value = &'static str> {
    prop::sample::select(&["", "a", "b", "$SYS", "$share", "é"][..])
}

fn character() -> impl Strategy<Value = char> {
    prop_oneof![3 => prop::char::range('\u{1}', '~'), 1 => any::<char>()]
        .prop_filter("[MQTT-1.5.4-2]", |character| *character != '\0')
}

fn leak(text: String) -> &'static str {
    text.leak()
}
