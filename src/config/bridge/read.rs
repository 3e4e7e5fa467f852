//! From TOML to bridges, each on its own and beside the others.

use std::ops::Range;

use skein_protocol::TopicName;
use toml::de::DeTable;

use super::{Bridge, BridgeTls, BridgeTopic, quote};
use crate::config::Written;
use crate::config::parse::{find, section_table};
use crate::config::reader::{Reader, Source};

/// Every `[bridge.NAME]`.
pub(in crate::config) fn read(table: &DeTable<'_>, source: &mut Source<'_>) -> Vec<Bridge> {
    let Some((span, value)) = find(table, "bridge") else { return Vec::new() };
    let Some(blocks) = value.get_ref().as_table() else {
        source.report(span, "a bridge is a section with a name; write [bridge.NAME]".to_owned());
        return Vec::new();
    };
    let mut bridges = Vec::new();
    for (name, block) in blocks.iter() {
        let Some(inner) = block.get_ref().as_table() else {
            let text = "a bridge is a section with a name; write [bridge.NAME]".to_owned();
            source.report(name.span(), text);
            continue;
        };
        bridges.push(read_one(name.get_ref(), inner, name.span(), source));
    }
    bridges
}

fn read_one(
    name: &str,
    table: &DeTable<'_>,
    span: Range<usize>,
    source: &mut Source<'_>,
) -> Bridge {
    source.forget_lines("bridge");
    let mut reader = Reader::new("bridge", Some(table), source);
    reader.refuse_unknown_keys(&["tls", "topics"]);
    let mut bridge = Bridge::read(&mut reader);
    bridge.name = name.into();
    let tls = section_table("bridge.NAME.tls", "tls", table, source);
    let mut reader = Reader::new("bridge.tls", tls, source);
    reader.refuse_unknown_keys(&[]);
    bridge.tls = BridgeTls::read(&mut reader);
    bridge.topics = read_topics(table, source);
    for (key, text) in faults(&bridge) {
        let at = find(table, key).map_or(span.clone(), |(span, _)| span);
        source.report(at, format!("bridge {}: {text}", quote(name)));
    }
    bridge.written = Written::of(source, "bridge");
    bridge
}

fn read_topics(table: &DeTable<'_>, source: &mut Source<'_>) -> Vec<BridgeTopic> {
    let Some((span, value)) = find(table, "topics") else { return Vec::new() };
    let text =
        "topics is a list of tables; write topics = [{ filter = \"a/#\", direction = \"out\" }]";
    let Some(items) = value.get_ref().as_array() else {
        source.report(span, text.to_owned());
        return Vec::new();
    };
    let mut topics = Vec::new();
    for item in items.iter() {
        let Some(inner) = item.get_ref().as_table() else {
            source.report(item.span(), text.to_owned());
            continue;
        };
        let mut reader = Reader::new("bridge.topics", Some(inner), source);
        reader.refuse_unknown_keys(&[]);
        let topic = BridgeTopic::read(&mut reader);
        if let Some(fault) = topic.fault() {
            source.report(item.span(), fault);
        }
        topics.push(topic);
    }
    topics
}

/// What is wrong with a bridge as a whole, by the key that it is said of.
fn faults(bridge: &Bridge) -> Vec<(&'static str, String)> {
    let mut found = Vec::new();
    let mut say = |is_wrong: bool, key: &'static str, text: &str| {
        if is_wrong {
            found.push((key, text.to_owned()));
        }
    };
    let is_level = |name: &str| !name.is_empty() && !name.contains(['/', '+', '#', '\0']);
    say(!is_level(&bridge.name), "", "its name has to be a level of a topic, without / + #");
    say(
        bridge.addresses.is_empty(),
        "addresses",
        "it has no address; write addresses = [\"mqtt://hub.example:1883\"]",
    );
    say(
        bridge.topics.is_empty(),
        "topics",
        "nothing goes over it; write topics = [{ filter = \"a/#\", direction = \"out\" }]",
    );
    say(
        !bridge.password.is_empty() && bridge.password_file.is_some(),
        "password_file",
        "password and password_file are both set; remove one of the two",
    );
    say(
        bridge.tls.certificate.is_some() != bridge.tls.key.is_some(),
        "tls",
        "certificate and key belong together; write both or none",
    );
    say(
        bridge.restart_min_ms > bridge.restart_max_ms,
        "restart_max_ms",
        "restart_min_ms must be at most restart_max_ms",
    );
    say(
        TopicName::new(&bridge.state_topic()).is_err(),
        "status_topic",
        "status_topic is not the name of a topic",
    );
    found
}
