//! Whether every topic that a filter matches is allowed by a list of rules. Matching the filter
//! against the rules as if it were a topic would be wrong both ways: `home/+` is no grant for
//! `home/#`, and a filter may be wider than a denial that it does not name.

/// Filters that allow and filters that deny, denials first.
#[derive(Clone, Debug, Default)]
pub(super) struct Tier<'a> {
    /// What this tier denies.
    pub(super) deny: Vec<&'a str>,
    /// What it allows of the rest.
    pub(super) allow: Vec<&'a str>,
}

/// Whether each topic that the pattern (a filter without `$share/name/`) matches is allowed: the
/// first tier with a filter that matches the topic decides, and none means denied.
pub(super) fn is_allowed(pattern: &str, tiers: &[Tier<'_>]) -> bool {
    each_length(pattern, longest(tiers)).all(|levels| levels_are_allowed(&levels, tiers))
}

/// Whether every topic that `narrow` matches is matched by `wide` too.
pub(super) fn covers(wide: &str, narrow: &str) -> bool {
    each_length(narrow, wide.split('/').count()).all(|levels| matches_all(wide, &levels))
}

/// The pattern for each number of levels a topic can have: a last `#` becomes so many `+`. Topics
/// with more levels than the longest rule are all alike to the rules, so one length beyond it
/// stands for every longer one.
fn each_length(pattern: &str, longest_rule: usize) -> impl Iterator<Item = Vec<&str>> {
    let mut base: Vec<&str> = pattern.split('/').collect();
    let is_open = base.last() == Some(&"#");
    if is_open {
        base.pop();
    }
    let least = base.len().max(1);
    let most = if is_open { least.max(longest_rule) + 1 } else { least };
    let of_length = move |length| {
        let mut levels = base.clone();
        levels.resize(length, "+");
        levels
    };
    (least..=most).map(of_length).filter(|levels| !names_none(levels))
}

/// Whether these are the levels of the empty topic, which there is not [MQTT-4.7.3-1]: `/#` asks for
/// no topic of one level.
fn names_none(levels: &[&str]) -> bool {
    levels == [""]
}

fn longest(tiers: &[Tier<'_>]) -> usize {
    let filters = tiers.iter().flat_map(|tier| tier.deny.iter().chain(&tier.allow));
    filters.map(|filter| filter.split('/').count()).max().unwrap_or(0)
}

/// As [`is_allowed`], for topics of one length.
///
/// A topic with a word at each `+` that no rule names is matched only by rules that match all of
/// `levels`; so all of it is allowed by one rule or not at all. What a denial takes out of `levels`
/// must have been allowed before the denial was asked.
fn levels_are_allowed(levels: &[&str], tiers: &[Tier<'_>]) -> bool {
    if names_none(levels) {
        return true;
    }
    let allows = |tier: &Tier<'_>| tier.allow.iter().any(|filter| matches_all(filter, levels));
    let Some(decides) = tiers.iter().position(allows) else { return false };
    tiers[..=decides].iter().enumerate().all(|(at, tier)| {
        let mut denied = tier.deny.iter().filter_map(|filter| overlap(filter, levels));
        denied.all(|part| levels_are_allowed(&part, &tiers[..at]))
    })
}

/// Whether the filter matches every topic of these levels, of which `+` is any word.
fn matches_all(filter: &str, levels: &[&str]) -> bool {
    let mut rest = levels.iter().copied();
    let reserved = levels.first().is_some_and(|level| level.starts_with('$'));
    if reserved && filter.starts_with(['+', '#']) {
        return false;
    }
    for level in filter.split('/') {
        match (level, rest.next()) {
            ("#", _) => return true,
            ("+", Some(_)) => {}
            (word, Some(other)) if word == other => {}
            _ => return false,
        }
    }
    rest.next().is_none()
}

/// The levels of the topics that both match, if there are any.
fn overlap<'a>(filter: &'a str, levels: &[&'a str]) -> Option<Vec<&'a str>> {
    let starts =
        |word: Option<&str>, with: &[char]| word.is_some_and(|word| word.starts_with(with));
    let first = levels.first().copied();
    let one_is_reserved = (starts(first, &['$']) && filter.starts_with(['+', '#']))
        || (starts(first, &['+']) && filter.starts_with('$'));
    if one_is_reserved {
        return None;
    }
    let mut both = levels.to_vec();
    let mut at = 0;
    for level in filter.split('/') {
        if level == "#" {
            return Some(both);
        }
        let other = both.get_mut(at)?;
        match (level, *other) {
            ("+", _) => {}
            (word, "+") => *other = word,
            (word, other) if word == other => {}
            _ => return None,
        }
        at += 1;
    }
    (at == both.len()).then_some(both)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use skein_protocol::{TopicFilter, TopicName};

    use super::*;

    #[test]
    fn a_filter_covers_what_it_matches_whole() {
        for (wide, narrow) in [
            ("a", "a"),
            ("#", "a/+"),
            ("a/#", "a"),
            ("a/#", "a/b/#"),
            ("+/b", "a/b"),
            ("+", "+"),
            ("+/#", "#"),
            ("/+/#", "/#"),
            ("$SYS/#", "$SYS/a"),
        ] {
            assert!(covers(wide, narrow), "{wide} covers {narrow}");
        }
        for (wide, narrow) in [
            ("a", "b"),
            ("a/+", "a/#"),
            ("+", "#"),
            ("#", "$SYS/a"),
            ("+/a", "$SYS/a"),
            ("#", "$SYS/#"),
            ("a/b", "a"),
        ] {
            assert!(!covers(wide, narrow), "{wide} does not cover {narrow}");
        }
    }

    /// H02: a filter broader than the grant is refused, also when several grants touch it.
    #[test]
    fn only_a_filter_inside_the_grants_is_allowed() {
        let tiers = [Tier { deny: vec!["home/secret"], allow: vec!["home/+", "a", "a/#"] }];
        for allowed in ["home/kitchen", "a/#", "a", "a/+/b"] {
            assert!(is_allowed(allowed, &tiers), "{allowed}");
        }
        for denied in ["home/+", "home/#", "#", "+", "home/secret", "b", "$SYS/#"] {
            assert!(!is_allowed(denied, &tiers), "{denied}");
        }
        let lengths = [Tier { deny: vec![], allow: vec!["a", "a/+", "a/+/+/#"] }];
        assert!(is_allowed("a/#", &lengths), "together they cover every length");
    }

    /// [MQTT-4.7.3-1]
    #[test]
    fn what_only_the_empty_topic_would_break_is_allowed() {
        assert!(is_allowed("/#", &[Tier { deny: vec![], allow: vec!["/+/#"] }]));
        assert!(is_allowed("+", &[Tier { deny: vec!["/#"], allow: vec!["#"] }]));
    }

    #[test]
    fn a_later_denial_does_not_take_what_was_allowed_before() {
        let tiers = [
            Tier { deny: vec![], allow: vec!["a/b"] },
            Tier { deny: vec!["+/b"], allow: vec!["#"] },
        ];
        assert!(is_allowed("a/+", &tiers));
        assert!(!is_allowed("c/+", &tiers) && !is_allowed("+/b", &tiers));
    }

    fn filter() -> impl Strategy<Value = String> {
        let level = prop::sample::select(vec!["a", "b", "", "$x", "+"]);
        (prop::collection::vec(level, 0..3), any::<bool>()).prop_map(|(mut levels, open)| {
            if open || levels.is_empty() {
                levels.push("#");
            }
            let text = levels.join("/");
            if text.is_empty() { "a".to_owned() } else { text }
        })
    }

    /// Every topic of up to four levels over the words of the filters and one that none names.
    fn topics() -> Vec<String> {
        const WORDS: [&str; 5] = ["a", "b", "", "$x", "other"];
        let mut all: Vec<String> = WORDS.map(str::to_owned).to_vec();
        let mut longest = all.clone();
        for _ in 1..4 {
            longest = longest
                .iter()
                .flat_map(|head| WORDS.map(|word| format!("{head}/{word}")))
                .collect();
            all.extend_from_slice(&longest);
        }
        all.retain(|topic| !topic.is_empty());
        all
    }

    fn is_match(filter: &str, topic: &str) -> bool {
        let filter = TopicFilter::new(filter).expect("a valid filter");
        filter.matches(TopicName::new(topic).expect("a valid topic"))
    }

    fn decides(tiers: &[(Vec<String>, Vec<String>)], topic: &str) -> bool {
        for (deny, allow) in tiers {
            if deny.iter().any(|filter| is_match(filter, topic)) {
                return false;
            }
            if allow.iter().any(|filter| is_match(filter, topic)) {
                return true;
            }
        }
        false
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]

        #[test]
        fn it_is_what_asking_for_each_topic_says(
            pattern in filter(),
            tiers in prop::collection::vec(
                (prop::collection::vec(filter(), 0..3), prop::collection::vec(filter(), 0..4)),
                1..3,
            ),
        ) {
            let expected = topics()
                .iter()
                .filter(|topic| is_match(&pattern, topic))
                .all(|topic| decides(&tiers, topic));
            let borrowed: Vec<Tier<'_>> = tiers
                .iter()
                .map(|(deny, allow)| Tier {
                    deny: deny.iter().map(String::as_str).collect(),
                    allow: allow.iter().map(String::as_str).collect(),
                })
                .collect();
            prop_assert_eq!(is_allowed(&pattern, &borrowed), expected);
        }
    }
}
