//! Access lists in Mosquitto's own format and meaning.
//!
//! ```text
//! topic [read|write|readwrite|deny] FILTER     before any `user`: for clients without a user name
//! user NAME                                    the `topic` lines that follow belong to NAME
//! pattern [read|write|readwrite|deny] FILTER   for everybody; the levels %c and %u stand for the
//!                                              client id and the user name
//! ```
//!
//! The user's own lines decide first, then the patterns, denials before grants in each; what
//! nothing allows is denied. Two things are stricter than in Mosquitto: a `/` in a name stops the
//! patterns just as `+` and `#` do, and a name that starts with `$` opens no `$` topics to a pattern
//! that does not start with `$` itself.

mod parse;

use std::collections::BTreeMap;
use std::sync::Arc;

use skein_protocol::TopicFilter;

use super::permissions::{Permissions, Rule};
use crate::config::Problem;

/// A whole access list, as one file has it.
#[derive(Debug, Default)]
pub struct Acl {
    users: BTreeMap<Box<str>, Arc<[Rule]>>,
    anonymous: Arc<[Rule]>,
    /// Denials first, as in each list.
    patterns: Vec<Rule>,
    warnings: Vec<Problem>,
}

impl Acl {
    /// Lines that are valid and yet cannot mean what their writer meant.
    pub fn warnings(&self) -> &[Problem] {
        &self.warnings
    }

    /// What a client may do. `user_name` is the one that was proved, `None` for anonymous clients.
    pub fn permissions(&self, user_name: Option<&str>, client_id: &str) -> Permissions {
        let own = match user_name {
            Some(name) => self.users.get(name).cloned().unwrap_or_default(),
            None => self.anonymous.clone(),
        };
        let patterns = self.patterns_for(Names { user_name, client_id });
        Permissions::of_tiers([own, patterns])
    }

    /// The patterns with the client's names in them; none where the names could reach further than
    /// one level.
    fn patterns_for(&self, names: Names<'_>) -> Arc<[Rule]> {
        if names.have_any(&['+', '#']) || self.patterns.iter().any(|rule| names.split(rule)) {
            return Arc::default();
        }
        self.patterns.iter().filter_map(|rule| names.fill_in(rule)).collect()
    }
}

/// What the placeholders of a pattern stand for.
#[derive(Clone, Copy)]
struct Names<'a> {
    user_name: Option<&'a str>,
    client_id: &'a str,
}

impl<'a> Names<'a> {
    fn have_any(self, characters: &[char]) -> bool {
        self.client_id.contains(characters)
            || self.user_name.is_some_and(|name| name.contains(characters))
    }

    /// Whether a name would be more than one level of the rule.
    fn split(self, rule: &Rule) -> bool {
        let is_split = |level: &str| match level {
            CLIENT_ID => self.client_id.contains('/'),
            USER_NAME => self.user_name.is_some_and(|name| name.contains('/')),
            _ => false,
        };
        rule.filter.split('/').any(is_split)
    }

    /// The rule for these names. `None` where it holds for no topic: it wants a user name that the
    /// client does not have, or a name would open the `$` topics.
    fn fill_in(self, rule: &Rule) -> Option<Rule> {
        let levels: Option<Vec<&str>> =
            rule.filter.split('/').map(|level| self.level(level)).collect();
        let filter = levels?.join("/").into_boxed_str();
        let opens_reserved = filter.starts_with('$') && !rule.filter.starts_with('$');
        let is_valid = TopicFilter::new(&filter).is_ok();
        (is_valid && !opens_reserved).then_some(Rule { filter, ..*rule })
    }

    fn level(self, level: &'a str) -> Option<&'a str> {
        match level {
            CLIENT_ID => Some(self.client_id),
            USER_NAME => self.user_name,
            level => Some(level),
        }
    }
}

/// The level of a pattern that stands for the client identifier.
const CLIENT_ID: &str = "%c";
/// The level of a pattern that stands for the user name.
const USER_NAME: &str = "%u";

#[cfg(test)]
mod tests;
