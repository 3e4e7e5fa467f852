//! Changing the text of a password file: what is not changed stays as it was, comments included.

use super::entry;
use super::hash::{HashError, PasswordHash};

/// The text of a password file that is to be changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PasswordText {
    lines: Vec<String>,
}

/// Why a file was not changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// A line that has to be hashed and cannot be.
    #[error("line {line}: {problem}")]
    Line {
        /// Counted from one.
        line: usize,
        /// What is wrong with it.
        problem: String,
    },
    /// Hashing failed.
    #[error("{0}")]
    Hash(#[from] HashError),
}

/// Why a name cannot stand in a password file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UserNameError {
    /// There is none.
    #[error("it is empty; write the name in front of the colon")]
    Empty,
    /// MQTT has a length of two bytes for it.
    #[error("it is longer than 65535 bytes")]
    TooLong,
    /// The first colon of a line ends the name.
    #[error("it holds a colon")]
    Colon,
    /// As U+0000 and the end of a line.
    #[error("it holds a control character")]
    Control,
    /// Blanks around a name are no part of it.
    #[error("it begins or ends with a blank")]
    Blank,
    /// The line would be a comment.
    #[error("it begins with #, which makes the line a comment")]
    Comment,
}

/// Checks that a name means the same in a password file as on the wire.
///
/// # Errors
/// What about it would change its meaning.
pub fn check_user_name(name: &str) -> Result<(), UserNameError> {
    match () {
        () if name.is_empty() => Err(UserNameError::Empty),
        () if name.len() > 65_535 => Err(UserNameError::TooLong),
        () if name.contains(':') => Err(UserNameError::Colon),
        () if name.contains(char::is_control) => Err(UserNameError::Control),
        () if name.trim() != name => Err(UserNameError::Blank),
        () if name.starts_with('#') => Err(UserNameError::Comment),
        () => Ok(()),
    }
}

impl PasswordText {
    /// Takes a text apart into lines.
    pub fn new(text: &str) -> Self {
        Self { lines: text.lines().map(str::to_owned).collect() }
    }

    /// The text again, each line ended.
    pub fn text(&self) -> String {
        self.lines.iter().flat_map(|line| [line, "\n"]).collect()
    }

    /// Gives a user this password; whether the user was there before.
    pub fn set(&mut self, user_name: &str, hash: &PasswordHash) -> bool {
        let line = format!("{user_name}:{hash}");
        let found = self.lines.iter().position(|line| is_of(line, user_name));
        match found {
            Some(at) => self.lines[at] = line,
            None => self.lines.push(line),
        }
        found.is_some()
    }

    /// Takes a user out; whether the user was there.
    pub fn remove(&mut self, user_name: &str) -> bool {
        let before = self.lines.len();
        self.lines.retain(|line| !is_of(line, user_name));
        self.lines.len() < before
    }

    /// Hashes the passwords that are plain text; how many. A line that is hashed already stays: a
    /// hash of a hash would lock its user out.
    ///
    /// # Errors
    /// A line whose password could not be meant, or what `hash` says. Nothing is changed then.
    pub fn hash_plain(
        &mut self,
        mut hash: impl FnMut(&[u8]) -> Result<PasswordHash, HashError>,
    ) -> Result<usize, EditError> {
        let mut hashed = Vec::new();
        for (at, line) in self.lines.iter().enumerate() {
            let Some((name, password)) = entry(line) else { continue };
            let problem = |problem: String| EditError::Line { line: at + 1, problem };
            match PasswordHash::parse(password) {
                Ok(_) => continue,
                Err(HashError::Plain) => {}
                Err(error) => return Err(problem(error.to_string())),
            }
            check_user_name(name).map_err(|error| problem(format!("user name: {error}")))?;
            if password.is_empty() {
                return Err(problem(format!("user {name:?} has no password")));
            }
            hashed.push((at, format!("{name}:{}", hash(password.as_bytes())?)));
        }
        let count = hashed.len();
        for (at, line) in hashed {
            self.lines[at] = line;
        }
        Ok(count)
    }
}

fn is_of(line: &str, user_name: &str) -> bool {
    entry(line).is_some_and(|(name, _)| name == user_name)
}

#[cfg(test)]
mod tests {
    use super::super::{PasswordFile, Scheme};
    use super::*;

    fn hash(password: &[u8]) -> Result<PasswordHash, HashError> {
        PasswordHash::make(Scheme::Sha512, password, &[1; 12])
    }

    #[test]
    fn only_the_line_of_the_user_changes() {
        let (one, two) = (hash(b"one").expect("free"), hash(b"two").expect("free"));
        let mut text = PasswordText::new(&format!("# users\na:{one}\n\n#a:{one}\nb:{one}"));
        assert!(text.set("a", &two) && !text.set("c", &one));
        assert_eq!(text.text(), format!("# users\na:{two}\n\n#a:{one}\nb:{one}\nc:{one}\n"));
        assert!(text.remove("b") && !text.remove("b") && !text.remove("#a"));
        assert_eq!(text.text(), format!("# users\na:{two}\n\n#a:{one}\nc:{one}\n"));
        assert_eq!(PasswordText::new("").text(), "");
    }

    #[test]
    fn plain_passwords_are_hashed_and_hashes_are_left_alone() {
        let one = hash(b"one").expect("free");
        let mut text = PasswordText::new(&format!("# plain\na:{one}\nb:two:three\n"));
        assert_eq!(text.hash_plain(hash), Ok(1));
        let file = PasswordFile::parse(text.text().as_bytes(), "f").expect("all is hashed");
        assert!(file.verify("a", b"one") && file.verify("b", b"two:three"));
        assert_eq!(text.hash_plain(hash), Ok(0));
    }

    #[test]
    fn a_line_that_cannot_be_hashed_leaves_the_text_as_it_was() {
        for (line, problem) in [
            ("b:", "line 2: user \"b\" has no password"),
            (":x", "line 2: user name: it is empty; write the name in front of the colon"),
            ("b:$6$x", "line 2: the hash is of no known form"),
        ] {
            let mut text = PasswordText::new(&format!("a:plain\n{line}\n"));
            let before = text.clone();
            let error = text.hash_plain(hash).expect_err(line).to_string();
            assert!(error.starts_with(problem), "{error}");
            assert_eq!(text, before);
        }
    }

    #[test]
    fn names_that_would_mean_something_else_are_refused() {
        for (name, error) in [
            ("", UserNameError::Empty),
            ("a:b", UserNameError::Colon),
            ("a\n", UserNameError::Control),
            (" a", UserNameError::Blank),
            ("#a", UserNameError::Comment),
            (&"a".repeat(65_536), UserNameError::TooLong),
        ] {
            assert_eq!(check_user_name(name), Err(error));
        }
        assert_eq!(check_user_name("zoë b#"), Ok(()));
    }
}
