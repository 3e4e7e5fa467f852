#![no_main]
//! An access list, a user name, a client id and a filter, divided by U+0000. What reads the list must
//! not fall over, and the strict answer to a SUBSCRIBE must be what asking for every topic says.

use libfuzzer_sys::fuzz_target;
use skein::access::Permissions;
use skein::access::acl::Acl;
use skein_protocol::{TopicFilter, TopicName};

fuzz_target!(|text: &str| {
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
});

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
