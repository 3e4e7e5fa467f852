use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::BTreeMap;

use super::*;
use crate::topic::naive::is_match;

fn trie<'a>(filters: impl IntoIterator<Item = &'a str>) -> Trie<u32> {
    let mut trie = Trie::new(RandomState::with_seeds(1, 2, 3, 4));
    for filter in filters {
        let id = trie.insert(filter);
        *trie.value_mut(id) += 1;
    }
    trie
}

fn matching(trie: &Trie<u32>, topic: &str) -> Vec<String> {
    let mut found = Vec::new();
    trie.matches(topic, |id, value| {
        assert_eq!(trie.value(id), value);
        found.push(trie.text(id));
    });
    found
}

/// G31, first defect. [MQTT-4.7.1-2]
#[test]
fn a_multi_level_wildcard_matches_its_parent() {
    let trie = trie(["a/#", "a/b/#", "#"]);
    assert_eq!(matching(&trie, "a"), ["#", "a/#"]);
    assert_eq!(matching(&trie, "a/"), ["#", "a/#"]);
    assert_eq!(matching(&trie, "a/b"), ["#", "a/#", "a/b/#"]);
    assert_eq!(matching(&trie, "ab"), ["#"]);
}

/// G31, second defect. [MQTT-4.7.1-3]
#[test]
fn a_leading_slash_is_an_empty_level_and_no_wildcard() {
    let trie = trie(["/a", "+/a", "/+", "/", "a/"]);
    assert_eq!(matching(&trie, "/a"), ["/a", "/+", "+/a"]);
    assert_eq!(matching(&trie, "b/a"), ["+/a"]);
    assert_eq!(matching(&trie, "/"), ["/", "/+"]);
    assert_eq!(matching(&trie, "a"), [""; 0]);
    assert_eq!(matching(&trie, "a/"), ["a/"]);
}

/// G31, third defect: a walk goes through the nodes of matching beginnings, not through all the
/// children beside them.
#[test]
fn strangers_at_the_same_level_are_not_walked_through() {
    let names: Vec<_> = (0..20_000).map(|number| format!("a/s{number}/x")).collect();
    let trie = trie(names.iter().map(String::as_str).chain(["a/b/c", "a/+/c", "a/#"]));
    assert_eq!(matching(&trie, "a/b/c"), ["a/#", "a/b/c", "a/+/c"]);
    // The root, a, a/b, a/b/c, a/+, a/+/c.
    assert_eq!(trie.walk("a/b/c", |_, _| ()), 6);
    assert_eq!(trie.walk("z/b/c", |_, _| ()), 1);
}

/// [MQTT-4.7.2-1]
#[test]
fn a_leading_wildcard_does_not_match_a_reserved_topic() {
    let trie = trie(["#", "+/a", "$SYS/#", "$SYS/+", "+", "$SYS/a", "b/+"]);
    assert_eq!(matching(&trie, "$SYS/a"), ["$SYS/#", "$SYS/a", "$SYS/+"]);
    assert_eq!(matching(&trie, "$"), [""; 0]);
    assert_eq!(matching(&trie, "b/$x"), ["#", "b/+"]);
}

#[test]
fn the_longest_possible_filter_is_matched_and_removed_without_recursion() {
    let slashes = "/".repeat(65_535);
    let plusses = "+/".repeat(32_767);
    let mut trie = trie([&*slashes, &*plusses, "#"]);
    assert_eq!(matching(&trie, &slashes), ["#", &*slashes]);
    assert_eq!(matching(&trie, &"/".repeat(32_767)), ["#", &*plusses]);
    for filter in [&slashes, &plusses] {
        let id = trie.find(filter).expect("it was inserted");
        trie.remove(id);
    }
    assert_eq!((trie.len(), trie.nodes()), (1, 1));
}

#[test]
fn the_generation_moves_with_every_change_and_only_then() {
    let mut trie = trie([]);
    let empty = trie.generation();
    let id = trie.insert("a/b");
    let inserted = trie.generation();
    assert!(inserted > empty);
    assert_eq!((trie.insert("a/b"), trie.find("a/b"), trie.find("a")), (id, Some(id), None));
    trie.matches("a/b", |_, _| ());
    assert_eq!(trie.generation(), inserted);
    trie.insert("a");
    let value_changed = trie.generation();
    assert!(value_changed > inserted);
    *trie.value_mut(id) = 7;
    let removed = trie.generation();
    assert!(removed > value_changed);
    assert_eq!(trie.remove(id), 7);
    assert!(trie.generation() > removed);
    assert_eq!((trie.find("a/b"), trie.nodes()), (None, 1));
    assert!(trie.symbols.find("a").is_some() && trie.symbols.find("b").is_none());
}

fn filters() -> impl Strategy<Value = String> {
    let level = prop_oneof![
        4 => "[ab]",
        2 => Just("+".to_owned()),
        1 => Just(String::new()),
        1 => Just("$".to_owned()),
    ];
    let end = prop_oneof![3 => Just(""), 1 => Just("#")];
    (vec(level, 0..7), end).prop_map(|(mut levels, end)| {
        if end == "#" || levels.is_empty() {
            levels.push(if end.is_empty() { "$" } else { end }.to_owned());
        }
        levels.join("/")
    })
}

fn topics() -> impl Strategy<Value = String> {
    let level = prop_oneof![4 => "[abc]", 1 => Just(String::new()), 1 => Just("$".to_owned())];
    vec(level, 1..8).prop_map(|levels| levels.join("/"))
}

proptest! {
    #[test]
    fn matches_what_a_list_of_filters_matches(
        steps in vec((filters(), any::<bool>()), 1..60),
        topics in vec(topics(), 1..12),
    ) {
        let mut trie = trie([]);
        let mut model = BTreeMap::new();
        for (value, (filter, remove)) in (0..).zip(steps) {
            let known = trie.find(&filter);
            prop_assert_eq!(known.map(|id| *trie.value(id)), model.get(&filter).copied());
            match known {
                Some(id) if remove => {
                    prop_assert_eq!(Some(trie.remove(id)), model.remove(&filter));
                }
                _ => {
                    let id = trie.insert(&filter);
                    prop_assert_eq!(known.unwrap_or(id), id);
                    prop_assert_eq!(trie.text(id), filter.clone());
                    *trie.value_mut(id) = value;
                    model.insert(filter, value);
                }
            }
            prop_assert_eq!(trie.len(), model.len());
            for topic in &topics {
                let mut found = matching(&trie, topic);
                found.sort();
                prop_assert!(found.iter().eq(model.keys().filter(|key| is_match(key, topic))));
            }
        }
        for filter in model.into_keys() {
            let id = trie.find(&filter).expect("it is in the model");
            trie.remove(id);
        }
        prop_assert_eq!((trie.nodes(), trie.is_empty()), (0, true));
        prop_assert_eq!(trie.edges.capacity(), 0);
    }
}
