#![no_main]
//! Filters come and go in the subscription trie; what it finds for a topic is what asking each
//! filter says.

#[path = "../../src/topic/naive.rs"]
mod naive;

use std::collections::BTreeMap;

use libfuzzer_sys::fuzz_target;
use skein::topic::trie::Trie;

use self::naive::is_match;

const WORDS: [&str; 8] = ["a", "b", "", "+", "c", "$x", "+", "ab"];

fuzz_target!(|bytes: &[u8]| {
    let mut trie: Trie<u32> = Trie::new(ahash::RandomState::with_seeds(1, 2, 3, 4));
    let mut filters: BTreeMap<String, u32> = BTreeMap::new();
    for op in bytes.chunks(4) {
        let (choice, rest) = op.split_first().expect("a chunk is not empty");
        let levels = rest.iter().map(|byte| WORDS[usize::from(byte & 7)]);
        let text = levels.collect::<Vec<_>>().join("/");
        match choice % 4 {
            0 | 1 => {
                let filter = if choice & 4 == 0 { text } else { format!("{text}/#") };
                let id = trie.insert(&filter);
                *trie.value_mut(id) += 1;
                *filters.entry(filter).or_default() += 1;
            }
            2 => {
                let found = trie.find(&text);
                assert_eq!(found.is_some(), filters.contains_key(&text));
                if let Some(id) = found {
                    assert_eq!(Some(trie.remove(id)), filters.remove(&text));
                }
            }
            _ => check(&trie, &filters, &text.replace('+', "d")),
        }
        assert_eq!(trie.len(), filters.len());
    }
    for filter in filters.keys() {
        let id = trie.find(filter).expect("it was inserted");
        assert_eq!(trie.text(id), *filter);
        trie.remove(id);
    }
    assert!(trie.is_empty());
});

fn check(trie: &Trie<u32>, filters: &BTreeMap<String, u32>, topic: &str) {
    let mut found = BTreeMap::new();
    trie.matches(topic, |id, value| {
        assert!(found.insert(trie.text(id), *value).is_none(), "found twice");
    });
    let expected = filters.iter().filter(|(filter, _)| is_match(filter, topic));
    let expected: BTreeMap<String, u32> = expected.map(|(f, n)| (f.clone(), *n)).collect();
    assert_eq!(found, expected, "{topic}");
}
