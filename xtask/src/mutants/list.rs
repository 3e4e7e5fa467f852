//! The list of mutations, and how one changes a file.

use std::collections::BTreeMap;
use std::fs;

use serde::Deserialize;

use crate::job::root;

/// Where the list is.
pub(super) const PATH: &str = "tests/mutations/list.toml";

/// A bug to be planted.
#[derive(Clone, Debug)]
pub(super) struct Mutation {
    pub(super) name: String,
    /// What is wrong with the broker then, in one line.
    pub(super) what: String,
    /// The file that is changed, from the root of the repository.
    pub(super) file: String,
    /// Within how many seeds it must be caught, if not within as many as the others: it takes more
    /// things at once than one world in hundreds has.
    pub(super) seeds: Option<u64>,
    find: String,
    replace: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    what: String,
    file: String,
    seeds: Option<u64>,
    find: String,
    replace: String,
}

/// Every mutation, by name.
///
/// # Errors
/// The list cannot be read.
pub(super) fn read() -> Result<Vec<Mutation>, String> {
    let text = fs::read_to_string(root().join(PATH)).map_err(|error| format!("{PATH}: {error}"))?;
    let rows: BTreeMap<String, Row> =
        toml::from_str(&text).map_err(|error| format!("{PATH}: {error}"))?;
    let mutation = |(name, row): (String, Row)| {
        let Row { what, file, seeds, find, replace } = row;
        Mutation { name, what, file, seeds, find, replace }
    };
    Ok(rows.into_iter().map(mutation).collect())
}

impl Mutation {
    /// The test target whose seeds must see it.
    pub(super) fn test(&self) -> &'static str {
        if self.file.starts_with("src/store/") { "store" } else { "simulation" }
    }

    /// The text of the file with the bug in it.
    ///
    /// # Errors
    /// What is to be replaced does not stand there exactly once.
    pub(super) fn apply(&self, text: &str) -> Result<String, String> {
        match text.matches(&self.find).count() {
            1 => Ok(text.replacen(&self.find, &self.replace, 1)),
            count => Err(format!("its text stands {count} times in {}, not once", self.file)),
        }
    }

    #[cfg(test)]
    pub(super) fn named(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            what: String::new(),
            file: "f".to_owned(),
            seeds: None,
            find: "right".to_owned(),
            replace: "wrong".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Folders whose bugs a simulator can see.
    const FOLDERS: [&str; 6] = [
        "src/shard/",
        "src/session/",
        "src/topic/",
        "src/router/",
        "src/store/log/",
        "protocol/src/qos/",
    ];

    #[test]
    fn every_mutation_still_has_its_place_in_the_code() {
        for mutation in read().expect("the list can be read") {
            let Mutation { name, file, .. } = &mutation;
            assert!(FOLDERS.iter().any(|folder| file.starts_with(folder)), "{name}: {file}");
            let text = fs::read_to_string(root().join(file)).expect("the file is there");
            let mutated = mutation.apply(&text);
            assert!(mutated.as_ref().is_ok_and(|mutated| *mutated != text), "{name}: {mutated:?}");
        }
    }

    #[test]
    fn mutations_are_many_and_say_in_a_line_what_they_do() {
        let all = read().expect("the list can be read");
        assert!(all.len() >= 22, "{}", all.len());
        for Mutation { name, what, .. } in &all {
            assert!(name.bytes().all(|byte| byte == b'-' || byte.is_ascii_alphanumeric()));
            assert!(what.ends_with('.') && !what.contains('\n'), "{name}: {what}");
        }
    }

    #[test]
    fn a_text_that_stands_twice_or_nowhere_is_refused() {
        let mutation = Mutation::named("m");
        assert_eq!(mutation.apply("all right"), Ok("all wrong".to_owned()));
        assert!(mutation.apply("right or right").is_err());
        assert!(mutation.apply("nothing").is_err());
    }
}
