#![no_main]
//! The bytes of one connection. The first byte says how they are cut, and whether a good CONNECT
//! stands in front of them. Whatever they are: what the broker sends is MQTT, its account of memory
//! is right, and when the client has gone and its session is over nothing of it is left.

// Not every target uses all of it.
#[allow(dead_code)]
#[path = "support/node.rs"]
mod node;

use libfuzzer_sys::fuzz_target;
use skein::shard::Audit;
use skein_protocol::{Frame, Packet, Version};

use self::node::Node;

/// MQTT 5 and 3.1.1, with a session that outlives the connection by ten seconds, or not.
const CONNECTS: [&[u8]; 4] = [
    b"",
    b"\x10\x12\0\x04MQTT\x05\x02\0\0\x05\x11\0\0\0\x0A\0\0",
    b"\x10\x0D\0\x04MQTT\x05\x02\0\0\0\0\0",
    b"\x10\x0D\0\x04MQTT\x04\x02\0\0\0\x01a",
];

fuzz_target!(|bytes: &[u8]| {
    let Some((choice, rest)) = bytes.split_first() else { return };
    let mut node = Node::new();
    let id = node.open();
    let connect = CONNECTS[usize::from(choice & 3)];
    node.receive(id, connect);
    let step = usize::from(choice >> 2).max(1);
    let pieces = if step > 48 { rest.len().max(1) } else { step };
    for piece in rest.chunks(pieces) {
        node.receive(id, piece);
    }
    let audit = node.audit();
    assert_eq!(audit.memory_bytes, audit.memory_bytes_counted);
    node.cut(id);
    check_written(&node.take_written(id));
    check_nothing_remains(node);
});

/// What a server sends, in one version or the other.
fn check_written(bytes: &[u8]) {
    let reads = |version: Version| {
        let mut rest = bytes;
        while !rest.is_empty() {
            let Ok(Some((frame, size))) = Frame::decode(rest, usize::MAX) else { return false };
            if Packet::decode(frame, version).is_err() {
                return false;
            }
            rest = &rest[size..];
        }
        true
    };
    assert!(reads(Version::V5) || reads(Version::V3_1_1), "{bytes:02X?}");
}

/// Sessions of the fuzzer's own choice may last for ever; then only the sums must be right.
fn check_nothing_remains(mut node: Node) {
    node.wait_ms(11_000);
    let audit = node.audit();
    assert_eq!(audit.memory_bytes, audit.memory_bytes_counted);
    assert_eq!(audit.connections, 0);
    if audit.sessions.is_empty() {
        let Audit { retained, memory_bytes, memory_bytes_counted, .. } = audit.clone();
        let expected = Audit { retained, memory_bytes, memory_bytes_counted, ..Audit::default() };
        assert_eq!(audit, expected);
    }
}
