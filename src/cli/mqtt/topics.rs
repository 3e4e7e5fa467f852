//! Topics and filters of a command line.

use skein_protocol::{TopicFilter, TopicName};

use super::usage::UsageError;

/// A topic that can be published to; `what` says whose it is.
///
/// # Errors
/// What no message can have as its topic.
pub(in crate::cli) fn check_topic(what: &str, topic: &str) -> Result<(), UsageError> {
    let checked = TopicName::new(topic).map(drop);
    checked.map_err(|_| {
        let text = format!("Invalid {what} topic '{topic}', does it contain '+' or '#'?");
        UsageError::new(text)
    })
}

/// A filter that can be subscribed to; `what` says whose it is.
///
/// # Errors
/// What is no filter.
pub(in crate::cli) fn check_filter(what: &str, filter: &str) -> Result<(), UsageError> {
    let checked = TopicFilter::new(filter).map(drop);
    checked.map_err(|_| {
        let text =
            format!("Invalid {what} topic '{filter}', are all '+' and '#' wildcards correct?");
        UsageError::new(text)
    })
}
