//! Changing the text of a file of credentials: what is not changed stays as it was.

use super::{Mechanism, ScramCredentials};

/// The text of a file of credentials that is to be changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScramText {
    lines: Vec<String>,
}

impl ScramText {
    /// Takes a text apart into lines.
    pub fn new(text: &str) -> Self {
        Self { lines: text.lines().map(str::to_owned).collect() }
    }

    /// The text again, each line ended.
    pub fn text(&self) -> String {
        self.lines.iter().flat_map(|line| [line, "\n"]).collect()
    }

    /// Gives a user these credentials in place of all the user had: a mechanism that is not among
    /// them would go on with the old password. Whether the user was there before.
    pub fn set(&mut self, user_name: &str, credentials: &[ScramCredentials]) -> bool {
        let lines = credentials.iter().map(|credentials| format!("{user_name}:{credentials}"));
        let first = self.lines.iter().position(|line| is_of(line, user_name));
        self.remove(user_name);
        let at = first.unwrap_or(self.lines.len());
        self.lines.splice(at..at, lines);
        first.is_some()
    }

    /// Takes a user out, with every mechanism; whether the user was there.
    pub fn remove(&mut self, user_name: &str) -> bool {
        let before = self.lines.len();
        self.lines.retain(|line| !is_of(line, user_name));
        self.lines.len() < before
    }
}

/// Whether the line is one of this user's. A name may hold what looks like a comment, never a colon.
fn is_of(line: &str, user_name: &str) -> bool {
    let line = line.trim();
    let is_credential = |text: &str| {
        Mechanism::ALL.iter().any(|mechanism| text.trim_start().starts_with(mechanism.name()))
    };
    !line.starts_with('#')
        && line
            .split_once(':')
            .is_some_and(|(name, text)| name.trim() == user_name && is_credential(text))
}

#[cfg(test)]
mod tests {
    use super::super::{ITERATIONS_MIN, ScramFile};
    use super::*;

    fn made(mechanism: Mechanism, password: &str) -> ScramCredentials {
        ScramCredentials::make(mechanism, password, &[1; 16], ITERATIONS_MIN).expect("valid")
    }

    #[test]
    fn only_the_lines_of_the_user_change() {
        let old = Mechanism::ALL.map(|mechanism| made(mechanism, "old"));
        let mut text = ScramText::new("# users\n");
        assert!(!text.set("a", &old) && !text.set("b", &old));
        let new = made(Mechanism::Sha256, "new");
        assert!(text.set("a", std::slice::from_ref(&new)));
        let [one, two] = &old;
        assert_eq!(text.text(), format!("# users\na:{new}\nb:{one}\nb:{two}\n"));
        let file = ScramFile::parse(text.text().as_bytes(), "f").expect("it was written here");
        assert!(file.find(Mechanism::Sha512, "a").is_none(), "the old password is gone");
        assert!(text.remove("b") && !text.remove("b") && !text.remove("# users"));
        assert_eq!(text.text(), format!("# users\na:{new}\n"));
    }
}
