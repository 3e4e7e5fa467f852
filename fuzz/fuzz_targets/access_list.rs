#![no_main]
//! An access list, a user name, a client id and a filter, divided by U+0000: as they stand, or behind
//! a first byte of zero spelled with a word for each byte, which meets valid lists more often. What
//! reads the list must not fall over, and the strict answer to a SUBSCRIBE must be what asking for
//! every topic says.

use libfuzzer_sys::fuzz_target;
use skein::access::Permissions;
use skein::access::acl::Acl;
use skein_protocol::{TopicFilter, TopicName};

fuzz_target!(|bytes: &[u8]| {
    match bytes.split_first() {
        Some((0, words)) => judge(&spelled(words)),
        _ => judge(str::from_utf8(bytes).unwrap_or_default()),
    }
});

/// Lines, then the names and the filter, as the bytes choose.
fn spelled(bytes: &[u8]) -> String {
    const LINES: [&str; 8] = [
        "topic read ",
        "topic deny ",
        "topic write ",
        "topic ",
        "pattern read ",
        "pattern deny ",
        "user u\ntopic read ",
        "user v\ntopic deny ",
    ];
    const FILTERS: [&str; 16] = [
        "#", "a", "a/#", "a/b", "+/b", "+", "a/+", "+/#", "%c", "%u/b", "a/%c", "$x/#", "$x/a",
        "u/b", "c", "a/b/#",
    ];
    let filter = |byte: u8| FILTERS[usize::from(byte >> 3) % FILTERS.len()];
    let (last, lines) = bytes.split_last().unwrap_or((&0, &[]));
    // More lines than these make too many topics to ask for each.
    let lines = lines
        .iter()
        .take(6)
        .map(|byte| format!("{}{}\n", LINES[usize::from(byte & 7)], filter(*byte)));
    let user = if last & 1 == 0 { "u" } else { "" };
    format!("{}\0{user}\0c\0{}", lines.collect::<String>(), filter(*last))
}

fn judge(text: &str) {
    let mut parts = text.split('\0');
    let (Some(list), Some(user), Some(client_id)) = (parts.next(), parts.next(), parts.next())
    else {
        return;
    };
    let Ok(acl) = Acl::parse(list.as_bytes(), "list") else { return };
    let permissions = acl.permissions((!user.is_empty()).then_some(user), client_id);
    let Some(Ok(filter)) = parts.next().map(TopicFilter::new) else { return };
    let Some(topics) = topics(list, user, client_id, filter) else { return };
    check(&permissions, filter, &topics);
}

fn check(permissions: &Permissions, filter: TopicFilter<'_>, topics: &[String]) {
    let mut matching = topics
        .iter()
        .filter_map(|topic| TopicName::new(topic).ok())
        .filter(|topic| filter.matches(*topic));
    let expected = matching.all(|topic| permissions.may_receive(topic));
    assert_eq!(permissions.may_receive_all(filter.pattern()), expected, "{filter}");
}

/// Every topic over the words of the list, the names and the filter and one that none of them has,
/// with one level more than any. `None` when those are too many to be asked for one by one.
fn topics(list: &str, user: &str, client_id: &str, filter: TopicFilter<'_>) -> Option<Vec<String>> {
    const TOPICS_MAX: usize = 5_000;
    let texts = || list.split(['\n', ' ', '\r']).chain([user, client_id, filter.pattern()]);
    let mut words: Vec<&str> = texts().flat_map(|text| text.split('/')).collect();
    words.push("a word of its own");
    words.retain(|word| !word.contains(['+', '#']));
    words.sort_unstable();
    words.dedup();
    let most = texts().map(|text| text.split('/').count()).max().unwrap_or(1) + 1;
    let mut all: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
    let mut longest = all.clone();
    for _ in 1..most {
        if longest.len() * words.len() > TOPICS_MAX {
            return None;
        }
        let longer = |head: &String| words.iter().map(|word| format!("{head}/{word}")).collect();
        longest = longest.iter().flat_map::<Vec<String>, _>(longer).collect();
        all.extend_from_slice(&longest);
    }
    Some(all)
}
