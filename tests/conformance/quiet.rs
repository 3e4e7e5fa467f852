//! A broker that had nothing to write for long when it was killed.

use std::thread;
use std::time::Duration;

use skein_protocol::{QoS, Version};

use crate::harness::persistent;
use crate::restart::{Durable, End};

/// Session Expiry Interval; nothing is written for longer.
const EXPIRY_S: u32 = 2;
const QUIET: Duration = Duration::from_secs(3);

/// [MQTT-3.1.2-23] A session that was connected until the end has all of its time from then on, and
/// not from when the store was written to last.
#[test]
fn a_session_that_was_connected_at_a_crash_has_all_of_its_time() {
    let mut durable = Durable::start(2);
    let connect = persistent(Version::V5, "listener", EXPIRY_S);
    let (mut peer, _) = durable.accept(&connect);
    peer.subscribe("alarm", QoS::AtLeastOnce);
    thread::sleep(QUIET);
    durable.restart(End::Kill);
    let (mut publisher, _) = durable.accept(&persistent(Version::V5, "publisher", EXPIRY_S));
    publisher.publish("alarm", b"fire", QoS::AtLeastOnce);
    let (mut peer, is_present) = durable.accept(&connect);
    assert!(is_present, "it was there until the kill");
    let message = peer.expect_message("alarm", b"fire");
    peer.acknowledge(&message);
}
