//! What an access list allows and what it does not, from CONNECT to the retained replay.

use skein_protocol::{Connect, QoS, Version};

use super::scene::{SILENCE, Scene, of_user, publishes, subscribes, with};
use crate::harness::{connect, will};

const VERSIONS: [Version; 2] = [Version::V3_1_1, Version::V5];

const LIST: &str = "user alice\ntopic readwrite a/#\ntopic read both/+\n\
                    user bob\ntopic read a/public\ntopic readwrite b/#\n";

#[test]
fn h01_a_will_on_a_denied_topic_is_refused() {
    let scene = Scene::with_list(LIST);
    let mut onlooker = scene.onlooker();
    onlooker.subscribe("#", QoS::AtMostOnce);
    for version in VERSIONS {
        let denied = Connect { will: Some(will("b/x", b"no")), ..connect(version, "alice") };
        scene.refuses(&of_user(denied, "alice"), 0x87, 5);
        let allowed = Connect { will: Some(will("a/x", b"yes")), ..connect(version, "alice") };
        scene.come(&of_user(allowed, "alice")).cut();
        onlooker.expect_message("a/x", b"yes");
    }
    onlooker.expect_nothing();
}

#[test]
fn h02_a_filter_wider_than_the_grant_is_refused_where_lists_are_strict() {
    let scene = Scene::strict(LIST);
    for version in VERSIONS {
        let mut bob = scene.user(version, "bob");
        for wide in ["#", "+/public", "a/+", "a/#", "a", "+/+", "both/x"] {
            subscribes(&mut bob, wide, 0x87);
        }
        for granted in ["a/public", "b/#", "b/+/x"] {
            subscribes(&mut bob, granted, 1);
        }
        bob.leave();
    }
}

#[test]
fn h02_a_filter_wider_than_the_grant_brings_only_what_is_granted() {
    let scene = Scene::with_list(LIST);
    let mut onlooker = scene.onlooker();
    for version in VERSIONS {
        let mut bob = scene.user(version, "bob");
        subscribes(&mut bob, "#", 1);
        for topic in ["a/secret", "a/public", "other", "b/1"] {
            onlooker.publish(topic, b"x", QoS::AtMostOnce);
        }
        bob.expect_message("a/public", b"x");
        bob.expect_message("b/1", b"x");
        bob.expect_nothing();
        bob.leave();
    }
}

#[test]
fn h03_a_shared_subscription_is_judged_by_its_inner_filter() {
    let scene = Scene::strict(LIST);
    for version in VERSIONS {
        let mut bob = scene.user(version, "bob");
        for denied in ["$share/g/a/secret", "$share/g/#", "$share/a/a/+"] {
            subscribes(&mut bob, denied, 0x87);
        }
        subscribes(&mut bob, "$share/g/b/#", 1);
        bob.leave();
    }
    let scene = Scene::with_list(LIST);
    let mut onlooker = scene.onlooker();
    let mut bob = scene.user(Version::V5, "bob");
    subscribes(&mut bob, "$share/g/a/+", 1);
    onlooker.publish("a/secret", b"no", QoS::AtMostOnce);
    onlooker.publish("a/public", b"yes", QoS::AtMostOnce);
    bob.expect_message("a/public", b"yes");
    bob.expect_nothing();
}

#[test]
fn h04_wildcards_in_names_open_no_pattern() {
    let acl = "pattern readwrite by-id/%c/#\npattern readwrite by-name/%u/#\n";
    let odd = [("a#", "1"), ("+", "2"), ("a/b", "3"), ("plain", "4")];
    let files = [("acl", acl), ("passwords", &super::scene::passwords(&odd))];
    let scene = Scene::with_passwords("acl_file = \"FOLDER/acl\"\nacl_strict = true\n", "", &files);
    let login = |client_id, name: &'static str| {
        let (_, password) = odd.iter().find(|(odd, _)| *odd == name).expect("a user");
        scene.come(&with(connect(Version::V5, client_id), name, password))
    };
    let mut plain = login("thing", "plain");
    subscribes(&mut plain, "by-id/thing/#", 1);
    subscribes(&mut plain, "by-name/plain/#", 1);
    for (client_id, name) in
        [("it", "a#"), ("that", "+"), ("#", "plain"), ("+", "plain"), ("+/x", "plain")]
    {
        let mut odd = login(client_id, name);
        for filter in ["by-id/thing/x", "by-id/other/x", "by-name/plain/x", "by-name/other/x"] {
            subscribes(&mut odd, filter, 0x87);
            assert_eq!(publishes(&mut odd, filter, b"x"), 0x87, "{client_id} {name} {filter}");
        }
        odd.leave();
    }
    // A name of two levels fits no pattern for one.
    let mut levels = login("levels", "a/b");
    subscribes(&mut levels, "by-name/a/b/x", 0x87);
    assert_eq!(publishes(&mut levels, "by-name/a/b/x", b"x"), 0x87);
}

#[test]
fn h12_the_retained_replay_brings_only_what_may_be_received() {
    let scene = Scene::with_list(LIST);
    let mut onlooker = scene.onlooker();
    for topic in ["a/public", "a/secret", "b/kept", "other"] {
        onlooker.publish_retained(topic, b"kept");
    }
    for version in VERSIONS {
        let mut bob = scene.user(version, "bob");
        subscribes(&mut bob, "#", 1);
        let mut came: Vec<String> = (0..2)
            .map(|_| {
                let message = bob.receive();
                bob.acknowledge(&message);
                message.publish().topic.expect("no alias is used").as_str().to_owned()
            })
            .collect();
        came.sort();
        assert_eq!(came, ["a/public", "b/kept"]);
        bob.expect_nothing();
        bob.leave();
    }
    for topic in ["a/public", "a/secret", "b/kept", "other"] {
        onlooker.publish_retained(topic, b"");
    }
}

/// A denied message goes nowhere: MQTT 3.1.1 has no way to say so [MQTT-3.3.5-2], MQTT 5 is told.
#[test]
fn h17_a_denied_publish_is_acknowledged_and_goes_nowhere() {
    let scene = Scene::with_list(LIST);
    let mut onlooker = scene.onlooker();
    onlooker.subscribe("#", QoS::AtMostOnce);
    for version in VERSIONS {
        let mut bob = scene.user(version, "bob");
        let denied = if version == Version::V5 { 0x87 } else { 0 };
        assert_eq!(publishes(&mut bob, "a/public", b"no"), denied);
        bob.publish("a/public", b"no", QoS::AtMostOnce);
        let publish = skein_protocol::Publish {
            qos: QoS::ExactlyOnce,
            ..crate::harness::publish("a/public", b"no")
        };
        assert_eq!(bob.say(&publish) as u8, denied);
        assert_eq!(publishes(&mut bob, "b/1", b"yes"), 0);
        onlooker.expect_message("b/1", b"yes");
        bob.leave();
    }
    onlooker.expect_silence(SILENCE);
}

/// H10, 5.4.2: a session belongs to the user who made it. Nobody else can take it over, resume it
/// or end it, with whatever flags.
#[test]
fn h10_a_session_is_of_the_user_who_made_it() {
    let scene = Scene::with_list("pattern readwrite #\ntopic readwrite #\n");
    for version in VERSIONS {
        let mut alice =
            scene.come(&of_user(crate::harness::persistent(version, "id", 600), "alice"));
        alice.subscribe("kept", QoS::AtLeastOnce);
        for clean_start in [true, false] {
            let bob = Connect { clean_start, ..of_user(connect(version, "id"), "bob") };
            scene.refuses(&bob, 0x87, 5);
        }
        alice.expect_nothing();
        alice.cut();
        for clean_start in [true, false] {
            let bob = Connect { clean_start, ..of_user(connect(version, "id"), "bob") };
            scene.refuses(&bob, 0x87, 5);
        }
        // Nor by way of the listener where nobody has a name.
        let mut nobody = scene.case.open(version);
        nobody.send(&connect(version, "id"));
        nobody.expect_refused(0x87, 5);
        scene.onlooker().publish("kept", b"for alice", QoS::AtLeastOnce);
        let again = of_user(crate::harness::persistent(version, "id", 600), "alice");
        let mut alice = scene.open(version);
        alice.send(&again);
        assert!(alice.receive().connack().session_present);
        let message = alice.expect_message("kept", b"for alice");
        alice.acknowledge(&message);
        alice.leave();
        scene.come(&of_user(connect(version, "id"), "alice")).leave();
    }
}
