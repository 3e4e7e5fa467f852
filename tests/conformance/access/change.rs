//! Rights that are taken back: what is live, offline, queued, in flight and retained obeys.

use skein_protocol::{QoS, Version};

use super::scene::{SILENCE, Scene, USERS, passwords, publishes, subscribes};
use crate::harness::{connect, publish_as, pubrel};

const VERSIONS: [Version; 2] = [Version::V3_1_1, Version::V5];

const BEFORE: &str = "user alice\ntopic readwrite t/#\nuser bob\ntopic readwrite t/#\n";
const AFTER: &str = "user alice\ntopic readwrite other/#\nuser bob\ntopic readwrite t/#\n";

#[test]
fn h05_a_live_subscription_stops_when_the_right_is_revoked() {
    for version in VERSIONS {
        let scene = Scene::with_list(BEFORE);
        let mut alice = scene.user(version, "alice");
        let mut bob = scene.user(version, "bob");
        subscribes(&mut alice, "t/#", 1);
        subscribes(&mut bob, "t/#", 1);
        scene.change("acl", AFTER);
        scene.onlooker().publish("t/1", b"for bob", QoS::AtMostOnce);
        bob.expect_message("t/1", b"for bob");
        alice.expect_silence(SILENCE);
        scene.change("acl", BEFORE);
        scene.onlooker().publish("t/1", b"again", QoS::AtMostOnce);
        alice.expect_message("t/1", b"again");
    }
}

#[test]
fn h06_a_session_that_is_offline_at_the_revocation_receives_nothing_later() {
    for version in VERSIONS {
        let scene = Scene::with_list(BEFORE);
        let mut alice = scene.lasting(version, "alice");
        subscribes(&mut alice, "t/#", 1);
        alice.cut();
        scene.change("acl", AFTER);
        scene.onlooker().publish("t/1", b"no", QoS::AtLeastOnce);
        let mut alice = scene.lasting(version, "alice");
        scene.onlooker().publish("t/1", b"no", QoS::AtLeastOnce);
        alice.expect_silence(SILENCE);
        scene.user(version, "alice").leave();
    }
}

#[test]
fn h07_what_was_queued_or_in_flight_is_not_sent_after_the_revocation() {
    for version in VERSIONS {
        let scene = Scene::with_list(BEFORE);
        let mut alice = scene.lasting(version, "alice");
        subscribes(&mut alice, "t/#", 1);
        let mut onlooker = scene.onlooker();
        onlooker.publish("t/1", b"in flight", QoS::AtLeastOnce);
        alice.expect_message("t/1", b"in flight");
        alice.cut();
        onlooker.publish("t/2", b"queued", QoS::AtLeastOnce);
        scene.change("acl", AFTER);
        let mut alice = scene.lasting(version, "alice");
        alice.expect_silence(SILENCE);
        // And not later either, when the right has come back: it was taken out.
        scene.change("acl", BEFORE);
        alice.expect_silence(SILENCE);
        alice.expect_nothing();
        scene.user(version, "alice").leave();
    }
}

#[test]
fn h08_a_retained_message_goes_with_the_right_of_its_publisher() {
    let scene = Scene::with_list(BEFORE);
    let mut alice = scene.user(Version::V5, "alice");
    let mut bob = scene.user(Version::V5, "bob");
    alice.publish_retained("t/of-alice", b"kept");
    bob.publish_retained("t/of-bob", b"kept");
    scene.change("acl", AFTER);
    let mut onlooker = scene.onlooker();
    onlooker.subscribe("t/#", QoS::AtLeastOnce);
    let message = onlooker.expect_message("t/of-bob", b"kept");
    onlooker.acknowledge(&message);
    onlooker.expect_nothing();
    assert_eq!(publishes(&mut alice, "t/of-alice", b"no"), 0x87);
    bob.publish_retained("t/of-bob", b"");
}

#[test]
fn h09_a_pubrel_after_the_revocation_ends_the_handshake() {
    for version in VERSIONS {
        let scene = Scene::with_list(BEFORE);
        let mut onlooker = scene.onlooker();
        onlooker.subscribe("t/#", QoS::AtMostOnce);
        let mut alice = scene.user(version, "alice");
        alice.send(&publish_as(QoS::ExactlyOnce, 7, "t/1", b"x"));
        alice.expect_ack(skein_protocol::PacketType::PubRec, 7, 0);
        scene.change("acl", AFTER);
        alice.send(&pubrel(7));
        alice.expect_ack(skein_protocol::PacketType::PubComp, 7, 0);
        let denied = if version == Version::V5 { 0x87 } else { 0 };
        alice.send(&publish_as(QoS::ExactlyOnce, 7, "t/1", b"x"));
        alice.expect_ack(skein_protocol::PacketType::PubRec, 7, denied);
        onlooker.expect_message("t/1", b"x");
        onlooker.expect_nothing();
    }
}

#[test]
fn h11_a_user_who_is_removed_or_has_a_new_password_is_closed() {
    for version in VERSIONS {
        let scene = Scene::with_list(BEFORE);
        let mut alice = scene.user(version, "alice");
        let mut bob = scene.user(version, "bob");
        let mut carol = scene.user(version, "carol");
        scene.change("passwords", &passwords(&[USERS[1], ("carol", "another")]));
        alice.expect_closed_with(0x87);
        carol.expect_closed_with(0x87);
        bob.expect_nothing();
        scene.refuses(&super::scene::of_user(connect(version, "alice"), "alice"), 0x86, 4);
        scene.refuses(&super::scene::of_user(connect(version, "carol"), "carol"), 0x86, 4);
    }
}
