//! Matching, against the shortest words for what the standard says.

#[path = "oracle/topic.rs"]
mod oracle;
#[path = "strategies/text.rs"]
mod text;

use proptest::prelude::*;
use skein_protocol::TopicFilter;
use text::{text, topic_filter, topic_name};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn matching_is_what_the_standard_says(filter in topic_filter(), topic in topic_name()) {
        oracle::check(filter.as_str(), topic.as_str());
    }

    #[test]
    fn any_text_is_taken_or_refused_as_the_standard_says(filter in text(), topic in text()) {
        oracle::check(filter, topic);
    }

    /// Few letters make wildcards meet slashes often.
    #[test]
    fn misplaced_wildcards_are_refused(
        filter in "(\\$share/)?[a/+#]{0,6}",
        topic in "[$a/+]{0,4}",
    ) {
        oracle::check(&filter, &topic);
    }

    #[test]
    fn a_name_is_a_filter_that_matches_itself_alone(name in topic_name(), other in topic_name()) {
        match TopicFilter::new(name.as_str()) {
            Ok(filter) if filter.share().is_none() => {
                prop_assert!(filter.matches(name) && !filter.has_wildcard());
                prop_assert_eq!(filter.matches(other), name == other);
            }
            // `$share/…` is a name like any other, but no filter of its own.
            _ => prop_assert!(name.as_str().starts_with("$share/")),
        }
    }
}
