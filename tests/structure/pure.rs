//! What the pure layers may not touch: sockets, files, clocks, locks, threads, random order.

use super::paths::{NamedPath, paths, tokens};
use super::source::Source;

/// The folders that hold pure code, and what each may touch all the same.
const PURE: [(&str, &[&str]); 11] = [
    // Reading the file is what this layer is for.
    ("src/config/", &["std::fs"]),
    ("src/session/", &[]),
    ("src/topic/", &[]),
    ("src/router/", &[]),
    ("src/access/", &[]),
    ("src/shard/", &[]),
    // Errors of the disk are values; files are reached through `Disk` only.
    ("src/store/log/", &["std::io"]),
    ("src/record/", &[]),
    ("protocol/src/", &[]),
    ("client/src/session/", &[]),
    ("client/src/router/", &[]),
];

/// What is refused, and as what. A path that begins with one of these is refused, unless one of
/// [`HARMLESS`] also begins it.
const REFUSED: [(&str, &str); 27] = [
    ("std::net", "a socket"),
    ("std::os", "a socket"),
    ("mio", "a socket"),
    ("socket2", "a socket"),
    ("std::fs", "a file"),
    ("std::io", "a file"),
    ("std::env", "the environment"),
    ("std::process", "the environment"),
    ("signal_hook", "the environment"),
    ("signal_hook_mio", "the environment"),
    ("tracing", "the log"),
    ("tracing_subscriber", "the log"),
    ("println", "the log"),
    ("eprintln", "the log"),
    ("std::time", "a clock"),
    ("Instant", "a clock"),
    ("SystemTime", "a clock"),
    ("std::sync", "a lock"),
    ("Mutex", "a lock"),
    ("RwLock", "a lock"),
    ("std::thread", "a thread"),
    ("thread_local", "a thread"),
    ("std::collections", "a random order"),
    ("std::hash", "a random order"),
    ("HashMap", "a random order"),
    ("HashSet", "a random order"),
    ("rand", "a random order"),
];

/// The parts of refused modules that are values only.
const HARMLESS: [&str; 21] = [
    "std::net::IpAddr",
    "std::net::Ipv4Addr",
    "std::net::Ipv6Addr",
    "std::net::SocketAddr",
    "std::net::SocketAddrV4",
    "std::net::SocketAddrV6",
    "std::io::IoSlice",
    "std::time::Duration",
    "std::sync::Arc",
    "std::sync::Weak",
    "std::collections::BTreeMap",
    "std::collections::BTreeSet",
    "std::collections::BinaryHeap",
    "std::collections::VecDeque",
    "std::collections::TryReserveError",
    "std::collections::btree_map",
    "std::collections::btree_set",
    "std::collections::vec_deque",
    "std::hash::Hash",
    "std::hash::Hasher",
    "std::hash::BuildHasher",
];

/// Ways to make a hash map whose order differs from run to run; with seeds that were given as an
/// argument it does not.
const UNSEEDED: [[&str; 2]; 8] = [
    ["RandomState", "new"],
    ["RandomState", "default"],
    ["AHashMap", "new"],
    ["AHashMap", "default"],
    ["AHashMap", "with_capacity"],
    ["AHashSet", "new"],
    ["AHashSet", "default"],
    ["AHashSet", "with_capacity"],
];

/// Names each impure thing that product code of a pure layer touches.
pub(crate) fn faults(source: &Source) -> Vec<String> {
    let Some((_, exceptions)) = PURE.iter().find(|(folder, _)| source.name.starts_with(folder))
    else {
        return Vec::new();
    };
    let code = source.product_code();
    let mut faults = Vec::new();
    for path in paths(&code) {
        if let Some(what) = refusal(&path, exceptions) {
            let written = path.segments.join("::");
            faults.push(format!(
                "{}:{}: pure code touches {what}: {written}",
                source.name, path.line
            ));
        }
    }
    faults
}

fn refusal(path: &NamedPath<'_>, exceptions: &[&str]) -> Option<&'static str> {
    let segments = &path.segments[..];
    if segments.windows(2).any(|pair| UNSEEDED.iter().any(|unseeded| pair == unseeded)) {
        return Some("a random order");
    }
    let segments: Vec<&str> =
        segments.iter().map(|word| if *word == "core" { "std" } else { word }).collect();
    let allowed = HARMLESS.iter().chain(exceptions).any(|harmless| begins(&segments, harmless));
    let refused = REFUSED.iter().find(|(refused, _)| begins(&segments, refused));
    if allowed { None } else { refused.map(|(_, what)| *what) }
}

fn begins(segments: &[&str], prefix: &str) -> bool {
    let mut words = prefix.split("::").enumerate();
    words.all(|(index, word)| segments.get(index) == Some(&word))
}

/// Names each `unsafe` outside the one file that may have it.
pub(crate) fn unsafe_faults(source: &Source) -> Vec<String> {
    const ALLOWED: &str = "src/net/lane.rs";
    if source.name == ALLOWED {
        return Vec::new();
    }
    let found = tokens(&source.code).into_iter().filter(|token| token.text == "unsafe");
    found
        .map(|token| {
            format!("{}:{}: unsafe code; only {ALLOWED} may have any", source.name, token.line)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults_of(name: &str, text: &str) -> Vec<String> {
        faults(&Source::new(name, text))
    }

    #[test]
    fn a_clock_in_the_core_is_named() {
        assert_eq!(
            faults_of("src/shard/timers.rs", "fn f() {\n std::time::Instant::now();\n}"),
            ["src/shard/timers.rs:2: pure code touches a clock: std::time::Instant::now"]
        );
    }

    #[test]
    fn every_impure_thing_is_refused() {
        for text in [
            "use std::net::TcpStream;",
            "use std::net;",
            "use std::net::{SocketAddr, UdpSocket};",
            "use mio::Token;",
            "use std::fs;",
            "use std::io::{IoSlice, Write};",
            "use core::time::Duration; use std::time::SystemTime;",
            "use std::sync::{Arc, Mutex};",
            "use std::sync::atomic::AtomicU64;",
            "use std::thread;",
            "use std::collections::{BTreeMap, HashMap};",
            "use std::collections::*;",
            "fn f() { let map = AHashMap::new(); }",
            "fn f() { ahash::AHashSet::<u8>::default(); }",
            "fn f() { RandomState::new(); }",
            "use tracing::info;",
            "fn f() { println!(\"x\"); }",
        ] {
            assert_eq!(faults_of("src/topic/trie.rs", text).len(), 1, "{text}");
        }
        assert_eq!(faults_of("protocol/src/frame.rs", "use std::time::Instant;").len(), 1);
    }

    #[test]
    fn values_may_be_used() {
        for text in [
            "use std::net::SocketAddr; use std::sync::Arc; use std::time::Duration;",
            "use std::collections::{BTreeMap, VecDeque}; use std::io::IoSlice;",
            "use ahash::{AHashMap, RandomState}; fn f(s: RandomState) { AHashMap::with_hasher(s); }",
            "fn f() { RandomState::with_seeds(1, 2, 3, 4); }",
            "#[cfg(test)]\nmod tests { use std::collections::HashMap; }",
            "// std::thread::sleep\nuse std::rc::Rc;",
        ] {
            assert_eq!(faults_of("src/topic/trie.rs", text), [""; 0], "{text}");
        }
    }

    #[test]
    fn the_shell_and_tests_may_touch_the_world() {
        assert_eq!(faults_of("src/net/event_loop.rs", "use std::time::Instant;"), [""; 0]);
        assert_eq!(faults_of("src/shard/tests.rs", "use std::time::Instant;"), [""; 0]);
        assert_eq!(faults_of("src/config/parse.rs", "use std::fs;"), [""; 0]);
    }

    #[test]
    fn unsafe_is_seen_as_code_only() {
        let faults = |name: &str, text: &str| unsafe_faults(&Source::new(name, text));
        assert_eq!(
            faults("src/net/connection.rs", "\nfn f() { unsafe { g() } }"),
            ["src/net/connection.rs:2: unsafe code; only src/net/lane.rs may have any"]
        );
        assert_eq!(faults("src/net/lane.rs", "unsafe fn f() {}"), [""; 0]);
        assert_eq!(faults("src/a.rs", "#![forbid(unsafe_code)] // unsafe\n\"unsafe\""), [""; 0]);
    }
}
