//! Section B: what is wrong in a CONNECT of MQTT 5.0, which is mostly its properties.

use std::time::{Duration, Instant};

use skein_protocol::{Connect, ConnectProperties, UserProperties, Version};

use crate::harness::{Case, RawConnect, block, connect, sized, varint};

const FLAG_WILL: u8 = 0x04;

/// A CONNECT with these properties (without their length) is refused with this reason.
fn assert_refused(properties: &[u8], reason: u8) {
    assert_block_refused(block(properties), reason);
}

/// The same for a block whose length may be wrong too.
fn assert_block_refused(properties: Vec<u8>, reason: u8) {
    let case = Case::new();
    let mut peer = case.open(Version::V5);
    peer.send(&RawConnect { properties, ..RawConnect::new(Version::V5, &case.name("peer")) });
    peer.expect_refused(reason, 0);
}

/// The same for properties of the will.
fn assert_will_refused(properties: &[u8], reason: u8) {
    let case = Case::new();
    let mut peer = case.open(Version::V5);
    peer.send(&with_will(&case.name("peer"), properties));
    peer.expect_refused(reason, 0);
}

fn with_will(client_id: &str, properties: &[u8]) -> RawConnect {
    let mut connect = RawConnect::new(Version::V5, client_id);
    connect.flags |= FLAG_WILL;
    connect.payload.extend(block(properties));
    connect.payload.extend(sized("will"));
    connect.payload.extend(sized("gone"));
    connect
}

/// Every property of CONNECT that may stand once, with a value it may have.
fn single_properties() -> Vec<Vec<u8>> {
    vec![
        vec![0x11, 0, 0, 0, 9],
        vec![0x15, 0, 1, b'M'],
        vec![0x17, 1],
        vec![0x19, 1],
        vec![0x21, 0, 9],
        vec![0x22, 0, 9],
        vec![0x27, 0, 1, 0, 0],
    ]
}

/// 2.2.2.2 and 3.1.2.11: more than once is a Protocol Error.
#[test]
fn b13_duplicate_property_is_refused() {
    for property in single_properties() {
        assert_refused(&[&property[..], &property].concat(), 0x82);
    }
    let method = [0x15, 0, 1, b'M'];
    let data = [0x16, 0, 1, 9];
    assert_refused(&[&method[..], &data, &data].concat(), 0x82);
    for property in [&[0x18, 0, 0, 0, 1][..], &[0x01, 0], &[0x02, 0, 0, 0, 1], &[0x03, 0, 0]] {
        assert_will_refused(&[property, property].concat(), 0x82);
    }
}

/// 2.2.2.2
#[test]
fn b14_unknown_property_is_refused() {
    for id in [0x00, 0x04, 0x2B, 0x7F, 0xFF] {
        assert_refused(&[id, 0, 0, 0, 0], 0x81);
        assert_will_refused(&[id, 0, 0, 0, 0], 0x81);
    }
}

/// 2.2.2.2
#[test]
fn b15_property_of_another_packet_is_refused() {
    for property in [&[0x23, 0, 1][..], &[0x0B, 1], &[0x12, 0, 0], &[0x24, 1], &[0x1F, 0, 0]] {
        assert_refused(property, 0x81);
    }
    for property in [&[0x23, 0, 1][..], &[0x21, 0, 1], &[0x11, 0, 0, 0, 9]] {
        assert_will_refused(property, 0x81);
    }
}

/// 2.2.2.1 and 1.5.5: the length points past the end, ends within a property, or is too long.
#[test]
fn b16_property_length_that_cannot_be_is_refused() {
    assert_block_refused(varint(200), 0x81);
    assert_block_refused(varint(268_435_455), 0x81);
    assert_block_refused(vec![0x80, 0x80, 0x80, 0x80, 0x01], 0x81);
    assert_block_refused(vec![2, 0x11, 0, 0, 0, 9], 0x81);
    assert_refused(&[0x11, 0, 0], 0x81);
    assert_refused(&[0x26, 0, 1, b'k'], 0x81);
}

/// 3.1.2.11.3
#[test]
fn b17_receive_maximum_0_is_refused() {
    assert_refused(&[0x21, 0, 0], 0x82);
}

/// 3.1.2.11.4
#[test]
fn b18_maximum_packet_size_0_is_refused() {
    assert_refused(&[0x27, 0, 0, 0, 0], 0x82);
}

/// 3.1.2.11.6, 3.1.2.11.7 and 3.1.3.2.3
#[test]
fn b19_boolean_that_is_2_is_refused() {
    assert_refused(&[0x17, 2], 0x82);
    assert_refused(&[0x19, 2], 0x82);
    assert_will_refused(&[0x01, 2], 0x82);
}

/// 3.1.2.11.10
#[test]
fn b20_authentication_data_without_method_is_refused() {
    assert_refused(&[0x16, 0, 1, 9], 0x82);
}

/// [MQTT-4.12.0-1]
#[test]
fn b21_unknown_authentication_method_is_refused() {
    assert_refused(&[0x15, 0, 5, b'G', b'U', b'E', b'S', b'S'], 0x8C);
}

/// [MQTT-1.5.7-1], [MQTT-1.5.4-1], [MQTT-1.5.4-2]
#[test]
fn b22_user_property_that_is_no_text_is_refused() {
    for text in [&b"a\xFFb"[..], b"a\0b", b"a\xED\xA0\x80b", b"a\xC0\x80b"] {
        assert_refused(&[&[0x26][..], &sized(text), &sized("value")].concat(), 0x81);
        assert_refused(&[&[0x26][..], &sized("key"), &sized(text)].concat(), 0x81);
        assert_will_refused(&[&[0x26][..], &sized("key"), &sized(text)].concat(), 0x81);
    }
}

/// CVE-2023-3592: what a broken will had already brought is given back.
#[test]
fn b23_invalid_will_properties_300_times_leave_nothing() {
    let case = Case::with_settings("");
    let user_property = [&[0x26][..], &sized("k".repeat(9_000)), &sized("v".repeat(9_000))];
    let properties = [user_property.concat(), user_property.concat(), vec![0x23, 0, 1]].concat();
    let attack = |rounds| {
        for _ in 0..rounds {
            let mut peer = case.open(Version::V5);
            peer.send(&with_will(&case.name("peer"), &properties));
            peer.expect_refused(0x81, 0);
        }
    };
    attack(50);
    let before = case.broker.memory_bytes();
    attack(300);
    let grown = case.broker.memory_bytes().saturating_sub(before);
    // They brought 10 MiB.
    assert!(grown < 4 << 20, "{} KiB for 300 broken wills", grown / 1024);
}

/// CVE-2021-41039: neither slow nor without a bound.
#[test]
fn b28_six_thousand_user_properties_are_refused_at_once() {
    let case = Case::new();
    let (client_id, pairs) = (case.name("peer"), vec![("k", "v"); 6000]);
    let properties = ConnectProperties {
        user_properties: UserProperties::from_pairs(&pairs),
        ..ConnectProperties::default()
    };
    let many = Connect { properties, ..connect(Version::V5, &client_id) };
    let mut peer = case.open(Version::V5);
    let started = Instant::now();
    peer.send(&many);
    peer.expect_refused(0x97, 0);
    // The bound is 0.5 s on an idle machine.
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());

    let properties = ConnectProperties {
        user_properties: UserProperties::from_pairs(&pairs[..1000]),
        ..ConnectProperties::default()
    };
    let (mut peer, _) = case.connect_as(&Connect { properties, ..many });
    peer.expect_nothing();
}

/// [MQTT-3.1.2-24]: a client that takes no packet as large as the CONNACK it must get is refused
/// in the fewest bytes there are.
#[test]
fn b18_maximum_packet_size_below_the_connack_is_refused() {
    let case = Case::new();
    let client_id = case.name("peer");
    for size in [5, 8] {
        let mut peer = case.open(Version::V5);
        let properties = ConnectProperties {
            maximum_packet_size: std::num::NonZeroU32::new(size),
            ..ConnectProperties::default()
        };
        peer.send(&Connect { properties, ..connect(Version::V5, &client_id) });
        let connack = peer.receive();
        assert!(connack.bytes.len() <= size as usize, "{}", connack.packet());
        assert_eq!(connack.any_connack().reason as u8, 0x95);
        peer.expect_closed();
    }
}
