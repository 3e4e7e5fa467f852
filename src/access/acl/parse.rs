//! The text of an access list, line by line.

use std::collections::BTreeMap;
use std::sync::Arc;

use skein_protocol::TopicFilter;

use super::{Acl, CLIENT_ID, USER_NAME};
use crate::access::permissions::Rule;
use crate::config::{ConfigError, Problem};

impl Acl {
    /// Reads a list. `file` is what errors call it.
    ///
    /// # Errors
    /// Everything that is wrong, each with its line and what to write instead. An empty list is
    /// none of it: it denies everything.
    pub fn parse(text: &[u8], file: &str) -> Result<Self, ConfigError> {
        let mut reader = Reader::default();
        for (index, line) in text.split(|byte| *byte == b'\n').enumerate() {
            reader.line = index + 1;
            match str::from_utf8(line) {
                Ok(line) => reader.read(line),
                Err(_) => reader.problem("this is not UTF-8 text; save the file as UTF-8"),
            }
        }
        match reader.problems.is_empty() {
            true => Ok(reader.finish()),
            false => Err(ConfigError { file: file.to_owned(), problems: reader.problems }),
        }
    }
}

/// What has been read so far.
#[derive(Default)]
struct Reader {
    line: usize,
    /// Whom `topic` lines belong to.
    user: Option<Box<str>>,
    users: BTreeMap<Box<str>, Vec<Rule>>,
    anonymous: Vec<Rule>,
    patterns: Vec<Rule>,
    problems: Vec<Problem>,
    warnings: Vec<Problem>,
}

impl Reader {
    /// Words are separated by spaces alone, as Mosquitto has it; a tab belongs to the word.
    fn read(&mut self, line: &str) {
        if line.starts_with('#') {
            return;
        }
        let line = line.trim_end().trim_start_matches(' ');
        let (keyword, rest) = line.split_once(' ').unwrap_or((line, ""));
        match keyword {
            "" => {}
            "user" => self.user(rest.trim()),
            "topic" => {
                if let Some(rule) = self.rule(rest) {
                    self.topic(rule);
                }
            }
            "pattern" => {
                if let Some(rule) = self.rule(rest) {
                    self.check_pattern(&rule.filter);
                    self.patterns.push(rule);
                }
            }
            other => self.problem(&format!(
                "unknown word {other:?}; a line begins with user, topic or pattern"
            )),
        }
    }

    fn user(&mut self, name: &str) {
        if name.is_empty() {
            return self.problem("write a name behind user");
        }
        self.users.entry(name.into()).or_default();
        self.user = Some(name.into());
    }

    fn topic(&mut self, rule: Rule) {
        match &self.user {
            Some(user) => self.users.entry(user.clone()).or_default().push(rule),
            None => self.anonymous.push(rule),
        }
    }

    /// The access word, if there is one, and the filter. A single word is the filter.
    fn rule(&mut self, rest: &str) -> Option<Rule> {
        let rest = rest.trim_start_matches(' ');
        let (access, filter) = match rest.split_once(' ') {
            Some((access, filter)) => (access, filter.trim()),
            None => ("readwrite", rest),
        };
        let (publish, receive) = match access {
            "read" => (false, true),
            "write" => (true, false),
            "readwrite" => (true, true),
            "deny" => (false, false),
            other => {
                self.problem(&format!(
                    "unknown access {other:?}; write read, write, readwrite or deny, also before a \
                     filter that holds a space"
                ));
                return None;
            }
        };
        let filter = self.filter(filter)?;
        Some(Rule { filter, publish, receive })
    }

    fn filter(&mut self, text: &str) -> Option<Box<str>> {
        match TopicFilter::new(text) {
            Err(error) => {
                self.problem(&format!("{text:?} is not a topic filter: {error}"));
                None
            }
            Ok(filter) if filter.share().is_some() => {
                let pattern = filter.pattern();
                self.warning(format!(
                    "{text:?} matches no topic; {pattern:?} covers the shared subscriptions too"
                ));
                None
            }
            Ok(_) => Some(text.into()),
        }
    }

    /// Says where a placeholder stands that is not replaced, or none at all.
    fn check_pattern(&mut self, filter: &str) {
        for name in [CLIENT_ID, USER_NAME] {
            if filter.split('/').any(|level| level != name && level.contains(name)) {
                self.warning(format!(
                    "{name} in {filter:?} is not replaced: it has to be a whole level, as in \
                     \"devices/{name}/state\""
                ));
            }
        }
        if !filter.split('/').any(|level| level == CLIENT_ID || level == USER_NAME) {
            self.warning(format!(
                "the pattern {filter:?} is for every client: it has no level %c or %u"
            ));
        }
    }

    fn problem(&mut self, text: &str) {
        self.problems.push(Problem { line: Some(self.line), text: text.to_owned() });
    }

    fn warning(&mut self, text: String) {
        self.warnings.push(Problem { line: Some(self.line), text });
    }

    fn finish(mut self) -> Acl {
        let mut rules = self.users.values().flatten().chain(&self.anonymous).chain(&self.patterns);
        if !rules.any(|rule| rule.publish || rule.receive) {
            let text = "it allows nothing: nobody may publish or receive anything".to_owned();
            self.warnings.push(Problem { line: None, text });
        }
        Acl {
            users: self.users.into_iter().map(|(name, rules)| (name, in_order(rules))).collect(),
            anonymous: in_order(self.anonymous),
            patterns: in_order(self.patterns).to_vec(),
            warnings: self.warnings,
        }
    }
}

/// Denials first, the rest as the file has it.
fn in_order(mut rules: Vec<Rule>) -> Arc<[Rule]> {
    rules.sort_by_key(|rule| rule.publish || rule.receive);
    rules.into()
}
