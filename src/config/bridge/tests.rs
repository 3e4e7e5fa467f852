use proptest::prelude::*;
use skein_protocol::{QoS, TopicFilter, TopicName};

use super::*;
use crate::config::{Settings, parse};

fn topic(direction: Direction, filter: &str, local: &str, remote: &str) -> BridgeTopic {
    BridgeTopic {
        filter: filter.to_owned(),
        direction,
        qos: QoS::AtLeastOnce,
        local_prefix: local.to_owned(),
        remote_prefix: remote.to_owned(),
    }
}

#[test]
fn a_topic_changes_its_prefix_on_the_way() {
    let rows = [
        // filter, local prefix, remote prefix, topic here, topic there
        ("#", "", "", "a/b", Some("a/b")),
        ("#", "", "", "$SYS/b", None),
        ("#", "here/", "there/", "here/a/b", Some("there/a/b")),
        ("#", "here/", "", "here/a", Some("a")),
        ("#", "", "there/", "a", Some("there/a")),
        ("#", "here/", "there/", "elsewhere/a", None),
        // The parent matches the filter, and has nothing behind the prefix.
        ("#", "here/", "there/", "here", None),
        ("+/b", "x/", "y/z/", "x/a/b", Some("y/z/a/b")),
        ("+/b", "x/", "y/z/", "x/a/c", None),
        ("", "here/one", "there/one", "here/one", Some("there/one")),
        ("", "here/one", "there/one", "here/one/more", None),
        ("a", "here", "there", "herea", Some("therea")),
        // Nothing would be left of it.
        ("#", "a", "", "a", None),
    ];
    for (filter, local, remote, here, there) in rows {
        let both = topic(Direction::Both, filter, local, remote);
        assert_eq!(both.outward(here).as_deref(), there, "{both:?} {here}");
        if let Some(there) = there {
            assert_eq!(both.inward(there).as_deref(), Some(here), "{both:?} {there}");
        }
        assert_eq!(topic(Direction::In, filter, local, remote).outward(here), None);
        assert_eq!(topic(Direction::Out, filter, local, remote).inward(here), None);
    }
}

proptest! {
    /// What goes out by a topic for both directions would come in as what it was, and what the one
    /// side subscribes to is what the mapping takes.
    #[test]
    fn out_and_in_again_is_the_identity(
        filter in "(#|[+ab](/[+ab]){0,2}(/#)?)",
        local in "([ab]/){0,2}",
        remote in "([ab]/){0,2}",
        name in "[ab](/[ab]){0,4}",
    ) {
        let both = topic(Direction::Both, &filter, &local, &remote);
        prop_assert_eq!(both.fault(), None);
        let is_asked_for = TopicFilter::new(&both.local_filter()).expect("a filter")
            .matches(TopicName::new(&name).expect("a name"));
        match both.outward(&name) {
            Some(there) => {
                prop_assert!(is_asked_for);
                let asked = both.remote_filter();
                let asked = TopicFilter::new(&asked).expect("a filter");
                prop_assert!(asked.matches(TopicName::new(&there).expect("a name")));
                prop_assert_eq!(both.inward(&there), Some(name));
            }
            // Only a parent is asked for and not taken: the prefix without its last slash.
            None => prop_assert!(!is_asked_for || name.clone() + "/" == local),
        }
    }
}

fn read(text: &str) -> Settings {
    parse(text, "skein.toml").expect("a good configuration")
}

fn refused(text: &str) -> String {
    parse(text, "skein.toml").expect_err("a bad configuration").to_string()
}

const GOOD: &str = "addresses = [\"mqtt://a\"]\ntopics = [{ filter = \"a/#\" }]\n";

#[test]
fn a_bridge_needs_an_address_and_topics() {
    let settings = read(&format!("[bridge.hub]\n{GOOD}"));
    let [bridge] = &settings.bridges[..] else { panic!("one bridge") };
    assert_eq!((&*bridge.name, &*bridge.addresses[0]), ("hub", "mqtt://a"));
    assert_eq!(
        bridge.topics,
        [BridgeTopic { qos: QoS::AtMostOnce, ..topic(Direction::Out, "a/#", "", "") }]
    );
    assert_eq!(bridge.state_topic(), "$SYS/broker/connection/hub/state");
    assert!(read("").bridges.is_empty());
    let text = refused("[bridge.hub]\n");
    assert!(text.contains("skein.toml:1: bridge \"hub\": it has no address"), "{text}");
    assert!(text.contains("skein.toml:1: bridge \"hub\": nothing goes over it"), "{text}");
}

#[test]
fn several_bridges_with_all_their_parts() {
    let settings = read(
        "[bridge.one]\naddresses = [\"mqtts://a\", \"mqtts://b:9\"]\nuser = \"u\"\nversion = \"3.1.1\"\n\
         status = \"local\"\nprivate = false\n\
         [bridge.one.tls]\nca = \"/ca\"\n\
         [[bridge.one.topics]]\nfilter = \"+\"\ndirection = \"both\"\nqos = 2\nremote_prefix = \"r/\"\n\
         [[bridge.one.topics]]\nlocal_prefix = \"a\"\nremote_prefix = \"b\"\ndirection = \"in\"\n\
         [bridge.two]\naddresses = \"mqtt://c\"\ntopics = [{ filter = \"x\" }]\n",
    );
    let [one, two] = &settings.bridges[..] else { panic!("two bridges") };
    assert_eq!((one.addresses.len(), one.topics.len(), two.topics.len()), (2, 2, 1));
    assert_eq!((one.version, one.status), (BridgeVersion::V3_1_1, BridgeStatus::Local));
    assert_eq!(one.tls.ca.as_deref(), Some("/ca".as_ref()));
    assert_eq!((&two.tls, two.private), (&BridgeTls::default(), true));
}

#[test]
fn what_is_wrong_is_named_with_its_line() {
    for (text, words) in [
        ("bridge = 1\n", "skein.toml:1: a bridge is a section with a name"),
        ("[bridge]\na = 1\n", "skein.toml:2: a bridge is a section with a name"),
        (&*format!("[bridge.\"a/b\"]\n{GOOD}"), "skein.toml:1: bridge \"a/b\": its name"),
        (
            &*format!("[bridge.b]\n{GOOD}adress = 1\n"),
            "skein.toml:4: unknown key \"adress\" in [bridge.NAME]",
        ),
        (
            &*format!("[bridge.b]\n{GOOD}tls = {{ cert = 1 }}\n"),
            "skein.toml:4: unknown key \"cert\"",
        ),
        (
            &*format!("[bridge.b]\n{GOOD}tls = {{ key = \"k\" }}\n"),
            "skein.toml:4: bridge \"b\": certificate and key",
        ),
        (
            &*format!("[bridge.b]\n{GOOD}restart_min_ms = 100000\n"),
            "restart_min_ms must be at most",
        ),
        (
            &*format!("[bridge.b]\n{GOOD}status_topic = \"#\"\n"),
            "skein.toml:4: bridge \"b\": status_topic",
        ),
        (
            &*format!("[bridge.b]\n{GOOD}password = \"p\"\npassword_file = \"f\"\n"),
            "remove one of the two",
        ),
        (
            "[bridge.b]\naddresses = \"a\"\ntopics = [{ filter = \"a/#/b\" }]\n",
            "skein.toml:3: the local topics",
        ),
        (
            "[bridge.b]\naddresses = \"a\"\ntopics = [{ filter = \"a\", local_prefix = \"+/\" }]\n",
            "a prefix with a wildcard",
        ),
        ("[bridge.b]\naddresses = \"a\"\ntopics = [{ filter = \"$share/g/a\" }]\n", "name a share"),
        (
            "[bridge.b]\naddresses = \"a\"\ntopics = [{ filter = \"a\", direction = \"up\" }]\n",
            "skein.toml:3: direction",
        ),
        (
            "[bridge.b]\naddresses = \"a\"\ntopics = [1]\n",
            "skein.toml:3: topics is a list of tables",
        ),
    ] {
        let said = refused(text);
        assert!(said.contains(words), "{said}");
    }
}
