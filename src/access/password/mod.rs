//! Password files in Mosquitto's own format: one `NAME:HASH` on each line.

mod edit;
mod hash;

use sha2::{Digest, Sha256};

pub use self::edit::{EditError, PasswordText, UserNameError, check_user_name};
pub use self::hash::{HashError, PasswordHash, Scheme};
use crate::access::identity::fingerprint;
use crate::config::{ConfigError, Problem};

/// A whole password file.
#[derive(Debug, Default)]
pub struct PasswordFile {
    /// In the order of the names.
    users: Vec<(Box<str>, PasswordHash)>,
    warnings: Vec<Problem>,
}

impl PasswordFile {
    /// Reads a file. `file` is what errors call it.
    ///
    /// # Errors
    /// Everything that is wrong, each with its line and what to write instead.
    pub fn parse(text: &[u8], file: &str) -> Result<Self, ConfigError> {
        Self::read(text, file, Reader::default())
    }

    /// Reads a file as Mosquitto does, which skips lines without a colon: they are warnings.
    ///
    /// # Errors
    /// Everything else that is wrong, as with [`parse`](Self::parse).
    pub fn parse_skipping(text: &[u8], file: &str) -> Result<Self, ConfigError> {
        Self::read(text, file, Reader { skips_lines: true, ..Reader::default() })
    }

    fn read(text: &[u8], file: &str, mut reader: Reader) -> Result<Self, ConfigError> {
        for (index, line) in text.split(|byte| *byte == b'\n').enumerate() {
            reader.line = index + 1;
            match str::from_utf8(line) {
                Ok(line) => reader.read(line),
                Err(_) => reader.problem("this is not UTF-8 text; save the file as UTF-8"),
            }
        }
        reader.finish(file)
    }

    /// Lines that were skipped, and that there are no users.
    pub fn warnings(&self) -> &[Problem] {
        &self.warnings
    }

    /// How many users there are.
    pub fn len(&self) -> usize {
        self.users.len()
    }

    /// Whether nobody can log in.
    pub fn is_empty(&self) -> bool {
        self.users.is_empty()
    }

    /// Whether the file has this user.
    pub fn contains(&self, user_name: &str) -> bool {
        self.find(user_name).is_ok()
    }

    /// Whether this is the user's password. Slow, so nothing for a shard. An unknown user costs
    /// what a known one does: the password is compared with the hash of somebody else, always the
    /// same one for a name, so that not even a file of several schemes tells who is in it.
    pub fn verify(&self, user_name: &str, password: &[u8]) -> bool {
        let found = self.find(user_name);
        let at = found.unwrap_or_else(|_| self.stand_in(user_name));
        let is_password = self.users.get(at).is_some_and(|(_, hash)| hash.verify(password));
        found.is_ok() & is_password
    }

    /// What changes when the user's line does; `None` for an unknown user.
    pub fn fingerprint(&self, user_name: &str) -> Option<u64> {
        let (_, hash) = self.users.get(self.find(user_name).ok()?)?;
        Some(fingerprint(hash.to_string()))
    }

    fn find(&self, user_name: &str) -> Result<usize, usize> {
        self.users.binary_search_by(|(name, _)| (**name).cmp(user_name))
    }

    /// Whose hash stands in for an unknown user's.
    fn stand_in(&self, user_name: &str) -> usize {
        let digest = Sha256::digest(user_name.as_bytes());
        let number = digest.iter().take(8).fold(0, |number, byte| (number << 8) | u64::from(*byte));
        let users = u64::try_from(self.users.len()).unwrap_or(u64::MAX).max(1);
        usize::try_from(number % users).unwrap_or(0)
    }
}

/// What has been read so far.
#[derive(Default)]
struct Reader {
    line: usize,
    /// Whether lines without a colon are skipped.
    skips_lines: bool,
    /// Each with its line.
    users: Vec<(Box<str>, PasswordHash, usize)>,
    problems: Vec<Problem>,
    warnings: Vec<Problem>,
}

impl Reader {
    fn read(&mut self, line: &str) {
        let Some((name, hash)) = entry(line) else {
            if !line.starts_with('#') && !line.trim().is_empty() {
                self.on_no_colon();
            }
            return;
        };
        if let Err(error) = check_user_name(name) {
            return self.problem(&format!("user name {name:?}: {error}"));
        }
        match PasswordHash::parse(hash) {
            Ok(hash) => self.users.push((name.into(), hash, self.line)),
            Err(error) => self.problem(&format!("user {name:?}: {error}")),
        }
    }

    /// What is left of a file that was cut, too. The line may be a password: it is not shown.
    fn on_no_colon(&mut self) {
        if !self.skips_lines {
            let text =
                "it has no colon; let `skein passwd` write NAME:HASH, or begin a comment with #";
            return self.problem(text);
        }
        let text = "skipped, for it has no colon; write NAME:HASH".to_owned();
        self.warnings.push(Problem { line: Some(self.line), text });
    }

    fn problem(&mut self, text: &str) {
        self.problems.push(Problem { line: Some(self.line), text: text.to_owned() });
    }

    fn finish(mut self, file: &str) -> Result<PasswordFile, ConfigError> {
        self.users.sort_by(|(a, _, _), (b, _, _)| a.cmp(b));
        for pair in self.users.windows(2) {
            if let [(name, _, first), (other, _, line)] = pair
                && name == other
            {
                let text = format!("user {name:?} stands on line {first} already; remove one");
                self.problems.push(Problem { line: Some(*line), text });
            }
        }
        if !self.problems.is_empty() {
            self.problems.sort_by_key(|problem| problem.line);
            return Err(ConfigError { file: file.to_owned(), problems: self.problems });
        }
        if self.users.is_empty() {
            let text = "it has no users: nobody can log in by password".to_owned();
            self.warnings.push(Problem { line: None, text });
        }
        let users = self.users.into_iter().map(|(name, hash, _)| (name, hash)).collect();
        Ok(PasswordFile { users, warnings: self.warnings })
    }
}

/// Name and hash of a line, `None` for a comment and for a line without a colon.
fn entry(line: &str) -> Option<(&str, &str)> {
    let (name, hash) = line.split_once(':')?;
    (!line.starts_with('#')).then_some((name.trim(), hash.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(password: &str, iterations: u32) -> PasswordHash {
        let scheme = Scheme::Sha512Pbkdf2 { iterations };
        PasswordHash::make(scheme, password.as_bytes(), &[1; 12]).expect("the cost is allowed")
    }

    fn parse(text: &str) -> Result<PasswordFile, ConfigError> {
        PasswordFile::parse(text.as_bytes(), "passwords")
    }

    #[test]
    fn each_user_has_their_own_password() {
        let text = format!(
            "# users\n\nroger:{}\n zoë : {} \r\na b:{}",
            hash("one", 1),
            hash("two", 2),
            hash("three", 3)
        );
        let file = parse(&text).expect("a valid file");
        assert_eq!((file.len(), file.is_empty(), file.warnings().len()), (3, false, 0));
        for (user, password, expected) in [
            ("roger", "one", true),
            ("roger", "two", false),
            ("zoë", "two", true),
            ("a b", "three", true),
            ("Roger", "one", false),
            ("", "", false),
        ] {
            assert_eq!(file.verify(user, password.as_bytes()), expected, "{user} {password}");
        }
        assert!(file.contains("roger") && !file.contains("rogers"));
    }

    /// G18: nobody learns which users exist. The password of whoever stands in is refused too.
    #[test]
    fn an_unknown_user_is_hashed_like_a_known_one_and_never_let_in() {
        let text = format!("a:{}\nb:{}\n", hash("secret", 1), hash("secret", 2));
        let file = parse(&text).expect("a valid file");
        let names: Vec<String> = (0..100).map(|number| format!("unknown{number}")).collect();
        assert!(names.iter().all(|name| !file.verify(name, b"secret")));
        let stand_ins: Vec<usize> = names.iter().map(|name| file.stand_in(name)).collect();
        assert!(stand_ins.contains(&0) && stand_ins.contains(&1) && !stand_ins.contains(&2));
        assert_eq!(file.stand_in("x"), file.stand_in("x"));
        assert!(!PasswordFile::default().verify("x", b"x"));
    }

    /// H13, CVE-2018-12551: a bad line is an error, never a user.
    #[test]
    fn problems_name_the_line_and_what_to_write() {
        let good = hash("x", 1);
        let text = format!("a:{good}\nb:secret\n:{good}\na:{good}\nc:$9$x\nd\u{7}:{good}\ne:\n");
        let error = parse(&text).expect_err("it is full of mistakes").to_string();
        let lines: Vec<&str> = error.lines().collect();
        let expected = [
            "passwords:2: user \"b\": the password is not hashed; `skein passwd -U FILE`",
            "passwords:3: user name \"\": it is empty",
            "passwords:4: user \"a\" stands on line 1 already; remove one",
            "passwords:5: user \"c\": the hash is of no known form",
            "passwords:6: user name \"d\\u{7}\": it holds a control character",
            "passwords:7: user \"e\": the password is not hashed",
        ];
        assert_eq!(lines.len(), expected.len(), "{error}");
        for (line, expected) in lines.iter().zip(expected) {
            assert!(line.starts_with(expected), "{line}");
        }
        assert!(!error.contains("secret"), "no password in an error");
        assert!(PasswordFile::parse(b"\xff:x", "passwords").is_err());
    }

    /// H13: what a truncated file begins with is no comment.
    #[test]
    fn h13_a_line_without_a_colon_is_an_error_unless_mosquitto_would_skip_it() {
        let text = format!("# a:b\n\nroger\nz:{}\n", hash("x", 1));
        let error = parse(&text).expect_err("a line is none").to_string();
        assert!(error.starts_with("passwords:3: it has no colon; let `skein passwd`"), "{error}");
        assert!(!error.contains("roger"), "it may be a password: {error}");
        let skipping = |text: &str| PasswordFile::parse_skipping(text.as_bytes(), "passwords");
        let file = skipping(&text).expect("nothing else is wrong");
        assert!(file.len() == 1 && !file.verify("roger", b""));
        let lines: Vec<_> = file.warnings().iter().map(|warning| warning.line).collect();
        assert_eq!(lines, [Some(3)]);
        assert!(skipping("roger:secret").is_err(), "Mosquitto would not take it either");
    }

    #[test]
    fn h13_a_file_without_users_is_said() {
        for text in ["", "\n", "# nobody yet\n"] {
            let file = parse(text).expect("nothing is wrong");
            let [Problem { line: None, text }] = file.warnings() else { panic!("{file:?}") };
            assert!(file.is_empty() && text.contains("nobody can log in by password"), "{text}");
        }
    }
}
