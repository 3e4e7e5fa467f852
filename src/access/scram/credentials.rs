//! What the broker knows of a password for SCRAM: enough to check a proof, not enough to make one.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use stringprep::saslprep;

use super::Mechanism;
use crate::access::identity::fingerprint;
use crate::access::password::check_user_name;
use crate::config::{ConfigError, Problem};

/// The least iterations that RFC 7677 allows (section 4).
pub const ITERATIONS_MIN: u32 = 4_096;
/// The most that a file may ask of its clients: some seconds for a small device.
pub const ITERATIONS_MAX: u32 = 10_000_000;
/// How many bytes of salt new credentials have.
pub const SALT_BYTES: usize = 16;

/// One user's credentials for one mechanism, as text
/// `SCRAM-SHA-256$ITERATIONS:SALT$STORED_KEY:SERVER_KEY` in Base64 (RFC 5803).
#[derive(Clone, PartialEq, Eq)]
pub struct ScramCredentials {
    /// The mechanism they are for.
    pub mechanism: Mechanism,
    /// How often the password is hashed.
    pub iterations: u32,
    /// Sent to the client, which hashes its password with it.
    pub salt: Box<[u8]>,
    pub(super) stored_key: Box<[u8]>,
    pub(super) server_key: Box<[u8]>,
}

/// A file of credentials: one `NAME:CREDENTIALS` on each line, for each user one line or one for
/// each mechanism.
#[derive(Clone, Debug, Default)]
pub struct ScramFile {
    users: BTreeMap<(Mechanism, Box<str>), ScramCredentials>,
}

/// Why there are no credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScramCredentialsError {
    /// The text is not of the form of RFC 5803.
    #[error("write SCRAM-SHA-256$ITERATIONS:SALT$STORED:SERVER, or let `skein scram` write it")]
    Form,
    /// A part is not in Base64, or a key is not as long as the hash.
    #[error("the salt or a key is damaged; let `skein scram` write the line again")]
    Damaged,
    /// Fewer or more iterations than are allowed.
    #[error("there have to be {ITERATIONS_MIN} to {ITERATIONS_MAX} iterations")]
    Iterations,
    /// SASLprep (RFC 4013) prohibits a character of the password, or it is empty.
    #[error("the password is empty or holds a character that SASLprep prohibits")]
    Password,
}

impl ScramCredentials {
    /// From a password. `salt` is random and [`SALT_BYTES`] long. Slow on purpose.
    ///
    /// # Errors
    /// Too few or too many iterations, or a password that SASLprep does not allow.
    pub fn make(
        mechanism: Mechanism,
        password: &str,
        salt: &[u8],
        iterations: u32,
    ) -> Result<Self, ScramCredentialsError> {
        let prepared = saslprep(password).map_err(|_| ScramCredentialsError::Password)?;
        if prepared.is_empty() {
            return Err(ScramCredentialsError::Password);
        }
        check_iterations(iterations)?;
        let salted = mechanism.salted(prepared.as_bytes(), salt, iterations);
        let client_key = mechanism.hmac(&salted, b"Client Key");
        Ok(Self {
            mechanism,
            iterations,
            salt: salt.into(),
            stored_key: mechanism.hash(&client_key).into(),
            server_key: mechanism.hmac(&salted, b"Server Key").into(),
        })
    }

    /// Reads what [`fmt::Display`] writes.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn parse(text: &str) -> Result<Self, ScramCredentialsError> {
        let form = ScramCredentialsError::Form;
        let [mechanism, parameters, keys] = text.split('$').collect::<Vec<_>>()[..] else {
            return Err(form);
        };
        let mechanism = Mechanism::named(mechanism).ok_or(form)?;
        let (iterations, salt) = parameters.split_once(':').ok_or(form)?;
        let (stored_key, server_key) = keys.split_once(':').ok_or(form)?;
        let iterations = iterations.parse().map_err(|_| form)?;
        check_iterations(iterations)?;
        let decode = |text| STANDARD.decode(text).map_err(|_| ScramCredentialsError::Damaged);
        let (salt, stored_key, server_key) =
            (decode(salt)?, decode(stored_key)?, decode(server_key)?);
        let is_whole = !salt.is_empty()
            && stored_key.len() == mechanism.bytes()
            && server_key.len() == mechanism.bytes();
        if !is_whole {
            return Err(ScramCredentialsError::Damaged);
        }
        Ok(Self {
            mechanism,
            iterations,
            salt: salt.into(),
            stored_key: stored_key.into(),
            server_key: server_key.into(),
        })
    }
}

impl ScramCredentials {
    /// What changes when the credentials do.
    pub(super) fn fingerprint(&self) -> u64 {
        fingerprint(self.to_string())
    }
}

impl fmt::Display for ScramCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}${}:{}${}:{}",
            self.mechanism.name(),
            self.iterations,
            STANDARD.encode(&self.salt),
            STANDARD.encode(&self.stored_key),
            STANDARD.encode(&self.server_key)
        )
    }
}

/// Says nothing that helps to guess the password.
impl fmt::Debug for ScramCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScramCredentials")
            .field("mechanism", &self.mechanism)
            .field("iterations", &self.iterations)
            .finish_non_exhaustive()
    }
}

impl ScramFile {
    /// Reads a file. `file` is what errors call it. Empty lines and lines that begin with `#` are
    /// skipped.
    ///
    /// # Errors
    /// Everything that is wrong, each with its line and what to write instead.
    pub fn parse(text: &[u8], file: &str) -> Result<Self, ConfigError> {
        let mut users = BTreeMap::new();
        let mut problems = Vec::new();
        for (index, line) in text.split(|byte| *byte == b'\n').enumerate() {
            let mut problem = |text| problems.push(Problem { line: Some(index + 1), text });
            match read(line) {
                Ok(None) => {}
                Ok(Some((name, credentials))) => {
                    let key = (credentials.mechanism, Box::from(name));
                    if users.insert(key, credentials).is_some() {
                        problem(format!("user {name:?} has this mechanism already; remove one"));
                    }
                }
                Err(text) => problem(text),
            }
        }
        match problems.is_empty() {
            true => Ok(Self { users }),
            false => Err(ConfigError { file: file.to_owned(), problems }),
        }
    }

    /// That there are no users.
    pub fn warnings(&self) -> Option<Problem> {
        let text = "it has no users: nobody can log in by SCRAM";
        self.users.is_empty().then(|| Problem { line: None, text: text.to_owned() })
    }

    /// A user's credentials for a mechanism. The name is prepared with SASLprep, as it is in the
    /// file.
    pub fn find(&self, mechanism: Mechanism, user_name: &str) -> Option<&ScramCredentials> {
        self.users.get(&(mechanism, Box::from(user_name)))
    }

    /// Whether the user still has the credentials with this fingerprint.
    pub(in crate::access) fn has(&self, user_name: &str, fingerprint: u64) -> bool {
        let found = Mechanism::ALL.iter().filter_map(|mechanism| self.find(*mechanism, user_name));
        found.into_iter().any(|credentials| credentials.fingerprint() == fingerprint)
    }

    /// The iterations and the length of the salt that unknown users appear to have: those of the
    /// first user with this mechanism.
    pub(super) fn usual(&self, mechanism: Mechanism) -> (u32, usize) {
        let first = self.users.values().find(|known| known.mechanism == mechanism);
        first.map_or((ITERATIONS_MIN, SALT_BYTES), |known| (known.iterations, known.salt.len()))
    }
}

/// Name and credentials of a line; `None` for an empty line and a comment.
fn read(line: &[u8]) -> Result<Option<(&str, ScramCredentials)>, String> {
    let line = str::from_utf8(line)
        .map_err(|_| "this is not UTF-8 text; save the file as UTF-8".to_owned())?
        .trim();
    if line.is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    let (name, credentials) = line
        .split_once(':')
        .ok_or_else(|| "write NAME:CREDENTIALS, or let `skein scram` write it".to_owned())?;
    check_user_name(name).map_err(|error| format!("user name {name:?}: {error}"))?;
    let is_prepared = saslprep(name).is_ok_and(|prepared| prepared == name);
    if !is_prepared {
        return Err(format!(
            "user name {name:?}: it is not as SASLprep has it; let `skein scram` write it"
        ));
    }
    let credentials =
        ScramCredentials::parse(credentials).map_err(|error| format!("user {name:?}: {error}"))?;
    Ok(Some((name, credentials)))
}

fn check_iterations(iterations: u32) -> Result<(), ScramCredentialsError> {
    match (ITERATIONS_MIN..=ITERATIONS_MAX).contains(&iterations) {
        true => Ok(()),
        false => Err(ScramCredentialsError::Iterations),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Computed from RFC 7677's example with Python's hashlib.
    const OF_RFC: &str = "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$\
        WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=";

    #[test]
    fn credentials_are_made_written_and_read() {
        let salt = STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").expect("Base64");
        let made = ScramCredentials::make(Mechanism::Sha256, "pencil", &salt, 4096).expect("valid");
        assert_eq!(made.to_string(), OF_RFC);
        assert!(ScramCredentials::parse(OF_RFC) == Ok(made.clone()));
        assert!(!format!("{made:?}").contains("WG5d8"), "no keys in logs");
    }

    #[test]
    fn passwords_are_prepared() {
        let make = |password| ScramCredentials::make(Mechanism::Sha512, password, &[1; 16], 4096);
        // RFC 4013, section 3: a soft hyphen is mapped to nothing, U+2168 to "IX".
        assert!(make("I\u{AD}X") == make("\u{2168}") && make("IX") == make("I\u{AD}X"));
        assert!(make("user") != make("USER"));
        for password in ["", "\u{7}", "\u{AD}", "\u{627}1"] {
            assert_eq!(make(password), Err(ScramCredentialsError::Password), "{password:?}");
        }
        assert_eq!(
            ScramCredentials::make(Mechanism::Sha256, "x", &[1; 16], 4095),
            Err(ScramCredentialsError::Iterations)
        );
    }

    #[test]
    fn a_file_says_what_is_wrong_and_where() {
        let good = format!("# users\n\nuser:{OF_RFC}\r\nother:{OF_RFC}\n");
        let file = ScramFile::parse(good.as_bytes(), "scram").expect("a valid file");
        assert!(file.find(Mechanism::Sha256, "user").is_some());
        assert!(file.find(Mechanism::Sha512, "user").is_none());
        assert_eq!(file.usual(Mechanism::Sha256), (4096, 16));
        let empty = ScramFile::parse(b"# nobody yet\n", "scram").expect("nothing is wrong");
        assert!(file.warnings().is_none() && empty.warnings().is_some());
        let bad = format!(
            "user:{OF_RFC}\nuser:{OF_RFC}\nnothing\na:SCRAM-SHA-1$4096:eA==$x:y\n\u{2168}:{OF_RFC}\n\
             a:{}\nb:{}\n",
            OF_RFC.replace("4096", "1"),
            OF_RFC.replace("WG5d", "")
        );
        let error = ScramFile::parse(bad.as_bytes(), "scram").expect_err("mistakes").to_string();
        let lines: Vec<&str> = error.lines().collect();
        let expected = [
            "scram:2: user \"user\" has this mechanism already",
            "scram:3: write NAME:CREDENTIALS",
            "scram:4: user \"a\": write SCRAM-SHA-256$",
            "scram:5: user name \"Ⅸ\": it is not as SASLprep has it",
            "scram:6: user \"a\": there have to be 4096 to 10000000 iterations",
            "scram:7: user \"b\": the salt or a key is damaged",
        ];
        assert_eq!(lines.len(), expected.len(), "{error}");
        for (line, expected) in lines.iter().zip(expected) {
            assert!(line.starts_with(expected), "{line}");
        }
    }
}
