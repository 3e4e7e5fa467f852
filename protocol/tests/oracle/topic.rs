//! Topics in the shortest words for what the standard says.

use skein_protocol::{TopicFilter, TopicName};

/// Asserts that both texts are taken or refused as they should be, and match as they should.
pub(crate) fn check(filter: &str, name: &str) {
    assert_eq!(TopicName::new(name).is_ok(), is_name(name), "{name:?}");
    assert_eq!(TopicFilter::new(filter).is_ok(), is_filter(filter), "{filter:?}");
    let Ok(filter) = TopicFilter::new(filter) else { return };
    let share = filter.share().map_or(String::new(), |name| format!("$share/{name}/"));
    assert_eq!(format!("{share}{}", filter.pattern()), filter.as_str());
    assert_eq!(filter.levels().count(), filter.level_count());
    assert_eq!(TopicFilter::assume_valid(filter.as_str()), filter);
    let Ok(name) = TopicName::new(name) else { return };
    let levels: Vec<&str> = filter.pattern().split('/').collect();
    let names: Vec<&str> = name.as_str().split('/').collect();
    let hidden = name.as_str().starts_with('$') && ["+", "#"].contains(&levels[0]);
    let expected = !hidden && matches(&levels, &names);
    assert_eq!(filter.matches(name), expected, "{filter} {name}");
}

/// 4.7 level by level, recursively.
fn matches(levels: &[&str], names: &[&str]) -> bool {
    match (levels, names) {
        (["#"], _) | ([], []) => true,
        (["+", levels @ ..], [_, names @ ..]) => matches(levels, names),
        ([level, levels @ ..], [name, names @ ..]) => level == name && matches(levels, names),
        _ => false,
    }
}

/// 4.7.1 and 4.7.3
fn is_name(text: &str) -> bool {
    !text.is_empty() && text.len() <= 65_535 && !text.contains(['+', '#', '\0'])
}

/// 4.7.1, 4.7.3 and 4.8.2
fn is_filter(text: &str) -> bool {
    let levels: Vec<&str> = text.split('/').collect();
    let pattern = match levels.as_slice() {
        ["$share", share, pattern @ ..] => {
            let named = !share.is_empty() && !share.contains(['+', '#']);
            if !named || pattern.is_empty() || pattern == [""] {
                return false;
            }
            pattern
        }
        pattern => pattern,
    };
    let wildcards_stand_alone =
        pattern.iter().all(|level| ["+", "#"].contains(level) || !level.contains(['+', '#']));
    let hash = pattern.iter().position(|level| *level == "#");
    let hash_is_last = hash.is_none_or(|index| index + 1 == pattern.len());
    let sized = !text.is_empty() && text.len() <= 65_535 && !text.contains('\0');
    sized && wildcards_stand_alone && hash_is_last
}
