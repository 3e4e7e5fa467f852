use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::topic::naive::is_match;

fn retained<'a>(topics: impl IntoIterator<Item = &'a str>) -> Retained<u32> {
    let mut retained = Retained::new();
    for (message, topic) in (0..).zip(topics) {
        retained.insert(topic, message);
    }
    retained
}

/// All that matches, and how many times a single step was not enough.
fn scan(retained: &Retained<u32>, filter: &str) -> (Vec<String>, usize) {
    let mut found = Vec::new();
    let mut after: Option<Box<str>> = None;
    for looked_at in 0.. {
        let visit = |topic: &str, message: &u32| {
            assert_eq!(retained.find(topic), Some(message));
            found.push(topic.to_owned());
            true
        };
        match retained.scan(filter, after.as_deref(), 1, visit) {
            Scan::Done => return (found, looked_at),
            Scan::More(topic) => after = Some(topic),
        }
    }
    unreachable!("the loop has no end but Done")
}

/// [MQTT-4.7.1-2]
#[test]
fn a_multi_level_wildcard_finds_its_parent_but_not_its_neighbours() {
    let retained = retained(["a", "a/", "a/b", "a!", "a!/b", "a0", "b"]);
    assert_eq!(scan(&retained, "a/#").0, ["a", "a/", "a/b"]);
    assert_eq!(scan(&retained, "a/+").0, ["a/", "a/b"]);
    assert_eq!(scan(&retained, "+/b").0, ["a!/b", "a/b"]);
}

/// [MQTT-4.7.2-1]
#[test]
fn a_leading_wildcard_leaps_over_reserved_topics() {
    let reserved: Vec<_> = (0..100).map(|number| format!("$SYS/{number}")).collect();
    let retained = retained(reserved.iter().map(String::as_str).chain(["!", "a", "$SYS"]));
    assert_eq!(scan(&retained, "#"), (vec!["!".to_owned(), "a".to_owned()], 3));
    assert_eq!(scan(&retained, "$SYS/+").0.len(), 100);
}

#[test]
fn what_cannot_match_is_leapt_over() {
    let mut topics = Vec::new();
    for device in 0..100 {
        topics.extend((0..100).map(|number| format!("site/d{device}/value/{number}")));
        topics.push(format!("site/d{device}/status"));
        topics.push(format!("site/d{device}/zone"));
    }
    let retained = retained(topics.iter().map(String::as_str));
    let (found, looked_at) = scan(&retained, "site/+/status");
    assert_eq!(found.len(), 100);
    assert!(looked_at <= 300, "{looked_at} of {} topics", retained.len());
    let (found, looked_at) = scan(&retained, "site/d7/value/+");
    assert_eq!(found.len(), 100);
    assert!(looked_at <= 102, "{looked_at}");
    assert_eq!(scan(&retained, "site/d7/status").0, ["site/d7/status"]);
    assert!(scan(&retained, "site/d7/status").1 <= 2);
    assert_eq!(scan(&retained, "other/+/status"), (vec![], 0));
}

#[test]
fn a_scan_stops_when_told_and_goes_on_behind() {
    let mut retained = retained(["a", "b", "c", "d"]);
    let mut found = Vec::new();
    let stop_at_b = |topic: &str, _: &u32| {
        found.push(topic.to_owned());
        topic != "b"
    };
    let scan = retained.scan("+", None, 9, stop_at_b);
    assert_eq!((found, scan), (vec!["a".to_owned(), "b".to_owned()], Scan::More("b".into())));
    retained.remove("b");
    let never = |_: &str, _: &u32| unreachable!("no steps, no visits");
    assert_eq!(retained.scan("+", Some("b"), 0, never), Scan::More("b".into()));
    let mut found = Vec::new();
    let scan = retained.scan("+", Some("b"), 9, |topic, _| {
        found.push(topic.to_owned());
        true
    });
    assert_eq!((found, scan), (vec!["c".to_owned(), "d".to_owned()], Scan::Done));
}

#[test]
fn a_message_replaces_another() {
    let mut retained = retained(["a"]);
    assert_eq!(retained.insert("a", 7), Some(0));
    assert_eq!((retained.find("a"), retained.find("b"), retained.len()), (Some(&7), None, 1));
    assert_eq!((retained.remove("a"), retained.remove("a")), (Some(7), None));
    assert!(retained.is_empty());
}

/// Levels around the separator and the reserved sign in the order of bytes.
const LEVELS: [&str; 8] = ["", "a", "b", "a!", "a0", "$", "!", "é"];

fn filters() -> impl Strategy<Value = String> {
    let level = prop_oneof![3 => prop::sample::select(&LEVELS[..]), 2 => Just("+")];
    let end = prop_oneof![2 => Just(None), 1 => Just(Some("#"))];
    (vec(level, 0..4), end)
        .prop_map(|(levels, end)| levels.into_iter().chain(end).collect::<Vec<_>>().join("/"))
        .prop_filter("a filter is not empty", |filter| !filter.is_empty())
}

fn topics() -> impl Strategy<Value = String> {
    vec(prop::sample::select(&LEVELS[..]), 1..5)
        .prop_map(|levels| levels.join("/"))
        .prop_filter("a topic is not empty", |topic| !topic.is_empty())
}

proptest! {
    #[test]
    fn a_scan_finds_what_a_filtered_list_holds(
        topics in vec(topics(), 0..60),
        removed in vec(topics(), 0..10),
        filters in vec(filters(), 1..20),
        starts in vec(topics(), 1..5),
        steps in 1..5_usize,
    ) {
        let mut retained = retained(topics.iter().map(String::as_str));
        let mut model: Vec<_> = topics.iter().collect();
        model.sort();
        model.dedup();
        for topic in &removed {
            prop_assert_eq!(retained.remove(topic).is_some(), model.contains(&topic));
            model.retain(|kept| *kept != topic);
        }
        prop_assert_eq!(retained.len(), model.len());
        for filter in &filters {
            for start in [None].into_iter().chain(starts.iter().map(Some)) {
                let is_wanted = |topic: &&&String| Some(**topic) > start && is_match(filter, topic);
                let wanted: Vec<_> = model.iter().filter(is_wanted).map(|it| (*it).clone()).collect();
                let (mut found, mut at): (Vec<String>, Option<Box<str>>) =
                    (vec![], start.map(|start| start.as_str().into()));
                loop {
                    let visit = |topic: &str, _: &u32| {
                        found.push(topic.to_owned());
                        found.len() % 3 > 0
                    };
                    match retained.scan(filter, at.as_deref(), steps, visit) {
                        Scan::Done => break,
                        Scan::More(topic) => {
                            prop_assert!(Some(&topic) > at.as_ref());
                            at = Some(topic);
                        }
                    }
                }
                prop_assert_eq!(found, wanted);
            }
        }
    }
}
