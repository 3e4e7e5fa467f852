//! `skein passwd` and `skein scram` as scripts and people use them. Whether Mosquitto reads such
//! files is another test: `tests/mosquitto.rs`.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use skein::access::password::PasswordFile;
use skein::access::scram::{Mechanism, ScramFile};

/// A folder for one test's files.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("skein-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).expect("a folder for temporary files");
        Self(path)
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }

    fn write(&self, name: &str, text: &str, mode: u32) -> String {
        let path = self.path(name);
        fs::write(&path, text).expect("room for a line");
        fs::set_permissions(&path, PermissionsExt::from_mode(mode)).expect("it is ours");
        path
    }

    /// What lies in it, sorted.
    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).expect("it is there");
        let name = |entry: std::io::Result<fs::DirEntry>| {
            entry.expect("it is readable").file_name().to_string_lossy().into_owned()
        };
        let mut names: Vec<String> = entries.map(name).collect();
        names.sort();
        names
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// What the program said, and whether it was content.
struct Said {
    success: bool,
    out: String,
    error: String,
}

fn skein(arguments: &[&str], input: &str) -> Said {
    let mut command = Command::new(env!("CARGO_BIN_EXE_skein"));
    let piped = command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = piped.stderr(Stdio::piped()).spawn().expect("the program was built");
    // It may end before it reads anything.
    let _ = child.stdin.take().expect("it is piped").write_all(input.as_bytes());
    let output = child.wait_with_output().expect("it ends");
    let text = |bytes| String::from_utf8(bytes).expect("it prints UTF-8");
    Said { success: output.status.success(), out: text(output.stdout), error: text(output.stderr) }
}

/// Runs it with these variables.
fn skein_with(variables: &[(&str, &str)], arguments: &[&str]) -> Said {
    let mut command = Command::new(env!("CARGO_BIN_EXE_skein"));
    command.args(arguments).envs(variables.iter().copied()).stdin(Stdio::null());
    let output = command.output().expect("the program was built");
    let text = |bytes| String::from_utf8(bytes).expect("it prints UTF-8");
    Said { success: output.status.success(), out: text(output.stdout), error: text(output.stderr) }
}

/// Runs it with cheap hashes, so that debug builds need not wait.
fn passwd(arguments: &[&str], input: &str) -> Said {
    skein(&[&["passwd", "-H", "sha512-pbkdf2", "-I", "3"], arguments].concat(), input)
}

fn parse(path: &str) -> PasswordFile {
    let text = fs::read(path).expect("the file was written");
    PasswordFile::parse(&text, path).expect("it was written by skein")
}

fn mode(path: &str) -> u32 {
    fs::metadata(path).expect("it is there").permissions().mode() & 0o777
}

#[test]
fn users_are_added_changed_and_removed() {
    let folder = Folder::new("passwd");
    let file = folder.path("passwords");
    let said = passwd(&["-b", "-c", &file, "alice", "one"], "");
    assert_eq!((said.success, said.out.as_str()), (true, "Adding password for user alice\n"));
    assert_eq!(mode(&file), 0o600, "nobody else reads it");
    let said = passwd(&["-b", &file, "bob", "two"], "");
    assert_eq!(said.out, "Adding password for user bob\n");
    let said = passwd(&["-b", &file, "alice", "three"], "");
    assert_eq!(said.out, "Updating password for user alice\n");
    let users = parse(&file);
    assert!(users.verify("alice", b"three") && users.verify("bob", b"two") && users.len() == 2);
    assert!(passwd(&["-D", &file, "alice"], "").success);
    let said = passwd(&["-D", &file, "alice"], "");
    assert!(!said.success && said.error.contains("user \"alice\" is not in it"), "{}", said.error);
    assert!(!parse(&file).contains("alice") && parse(&file).contains("bob"));
    assert_eq!(folder.names(), ["passwords"], "nothing is left beside it");
}

#[test]
fn argon2id_is_the_default_and_mosquittos_other_schemes_can_be_had() {
    for (scheme, start) in [
        (&[][..], "u:$argon2id$v=19$m=47104,t=1,p=1$"),
        (&["-H", "argon2id"], "u:$argon2id$v=19$m=47104,t=1,p=1$"),
        (&["-H", "sha512-pbkdf2"], "u:$7$210000$"),
        (&["-H", "sha512-pbkdf2", "-I", "5"], "u:$7$5$"),
        (&["-H", "sha512"], "u:$6$"),
    ] {
        let said = skein(&[&["passwd"], scheme, &["-b", "-c", "-", "u", "secret"]].concat(), "");
        assert!(said.success && said.out.starts_with(start), "{} {}", said.out, said.error);
        let users = PasswordFile::parse(said.out.as_bytes(), "out").expect("the line alone");
        assert!(users.verify("u", b"secret") && !users.verify("u", b"Secret"));
    }
    let lines = [0, 1].map(|_| passwd(&["-b", "-c", "-", "u", "secret"], "").out);
    assert_ne!(lines[0], lines[1], "every hash has a salt of its own");
}

/// A file goes before the environment, and the command line before both.
#[test]
fn scripts_give_the_password_by_a_file_or_the_environment() {
    let folder = Folder::new("passwd-secret");
    let secret = folder.path("secret");
    fs::write(&secret, "of the file\nand no more\n").expect("it can be written");
    let variables = [
        ("SKEIN_PASSWORD", "of the environment"),
        ("SKEIN_SCHEME", "sha512-pbkdf2"),
        ("SKEIN_ITERATIONS", "3"),
    ];
    for (arguments, password) in [
        (&["-c", "-", "u"][..], "of the environment"),
        (&["-c", "-", "--password-file", &secret, "u"], "of the file"),
        (&["-b", "-c", "-", "--password-file", &secret, "u", "given"], "given"),
    ] {
        let said = skein_with(&variables, &[&["passwd"], arguments].concat());
        assert!(said.success && said.out.starts_with("u:$7$3$"), "{} {}", said.out, said.error);
        let users = PasswordFile::parse(said.out.as_bytes(), "out").expect("the line alone");
        assert!(users.verify("u", password.as_bytes()), "{arguments:?}");
        let variables = [variables[0], ("SKEIN_ITERATIONS", "4096")];
        let said = skein_with(&variables, &[&["scram"], arguments].concat());
        assert!(said.success && said.out.contains("SCRAM-SHA-256$4096:"), "{}", said.error);
    }
    let missing = folder.path("missing");
    let said = skein_with(&[("SKEIN_PASSWORD_FILE", &missing)], &["passwd", "-c", "-", "u"]);
    assert!(!said.success && said.error.contains(&missing), "{}", said.error);
}

#[test]
fn without_a_terminal_the_password_is_the_first_line() {
    let folder = Folder::new("passwd-input");
    let file = folder.path("passwords");
    assert!(passwd(&["-c", &file, "a"], "one\n").success);
    assert!(passwd(&[&file, "b"], "two words \r\ntwo words \n").success);
    let users = parse(&file);
    assert!(users.verify("a", b"one") && users.verify("b", b"two words "));
    for (input, complaint) in [
        ("one\nother\n", "not the same"),
        ("", "is empty"),
        ("\n", "is empty"),
        (&"x".repeat(65_536), "longer than the 65535 bytes"),
    ] {
        let said = passwd(&[&file, "c"], input);
        assert!(!said.success && said.error.contains(complaint), "{}", said.error);
    }
    assert_eq!(parse(&file).len(), 2);
}

/// `script` puts a terminal around the program; it comes with every Debian (bsdutils).
#[test]
fn from_a_terminal_the_password_is_asked_for_twice_and_not_shown() {
    let line = format!("'{}' passwd -H sha512 -c - u", env!("CARGO_BIN_EXE_skein"));
    let mut command = Command::new("script");
    command.args(["-qefc", &line, "/dev/null"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().expect("script is there: apt-get install bsdutils");
    let mut keyboard = child.stdin.take().expect("it is piped");
    let mut screen = child.stdout.take().expect("it is piped");
    let mut shown = String::new();
    for prompt in ["Password: ", "Reenter password: "] {
        while !shown.ends_with(prompt) {
            let mut byte = [0];
            assert_eq!(screen.read(&mut byte).expect("it is open"), 1, "it ended after {shown:?}");
            shown.push(char::from(byte[0]));
        }
        // The terminal stops showing what is typed right after the prompt.
        std::thread::sleep(std::time::Duration::from_millis(300));
        keyboard.write_all(b"hunter2\n").expect("it is open");
    }
    screen.read_to_string(&mut shown).expect("it prints UTF-8");
    assert!(child.wait().expect("it ends").success() && !shown.contains("hunter2"), "{shown}");
    let hashed = shown.lines().last().expect("the last line is the result");
    let users = PasswordFile::parse(hashed.as_bytes(), "out").expect("the line alone");
    assert!(users.verify("u", b"hunter2"));
}

#[test]
fn plain_text_is_hashed_and_everything_else_is_kept() {
    let folder = Folder::new("passwd-upgrade");
    let hashed = passwd(&["-b", "-c", "-", "a", "one"], "").out;
    let file = folder.write("passwords", &format!("# users\n{hashed}\nb:two\n"), 0o640);
    let said = passwd(&["-U", &file], "");
    assert_eq!(said.out, "Hashing 1 passwords that were plain text\n");
    let text = fs::read_to_string(&file).expect("it is there");
    assert!(text.starts_with(&format!("# users\n{hashed}\nb:$7$3$")), "{text}");
    let users = parse(&file);
    assert!(users.verify("a", b"one") && users.verify("b", b"two"));
    assert_eq!(mode(&file), 0o640, "the mode is kept");
    let before = fs::metadata(&file).expect("it is there").ino();
    assert!(passwd(&["-U", &file], "").success);
    let after = fs::metadata(&file).expect("it is there").ino();
    assert_eq!(before, after, "nothing to do, nothing written");
}

#[test]
fn a_file_is_never_overwritten_and_never_made_by_accident() {
    let folder = Folder::new("passwd-careful");
    let file = folder.write("passwords", "# mine\n", 0o600);
    let said = passwd(&["-b", "-c", &file, "a", "one"], "");
    assert!(!said.success && said.error.contains("it exists already"), "{}", said.error);
    assert_eq!(fs::read_to_string(&file).expect("it is there"), "# mine\n");
    let said = passwd(&["-b", &folder.path("other"), "a", "one"], "");
    assert!(!said.success && said.error.contains("-c makes one"), "{}", said.error);
    let binary = folder.path("binary");
    fs::write(&binary, b"\xff\xfe").expect("room for two bytes");
    let said = passwd(&["-b", &binary, "a", "one"], "");
    assert!(!said.success && said.error.contains("not UTF-8 text"), "{}", said.error);
    assert_eq!(folder.names(), ["binary", "passwords"]);
}

#[test]
fn what_two_do_at_once_is_not_lost() {
    let folder = Folder::new("passwd-busy");
    let file = folder.write("passwords", "", 0o600);
    let new = folder.write(".passwords.skein-new", "half", 0o600);
    let said = passwd(&["-b", &file, "a", "one"], "");
    assert!(
        !said.success && said.error.contains("somebody is changing the file"),
        "{}",
        said.error
    );
    assert_eq!(fs::read_to_string(&new).expect("it is not ours to remove"), "half");
    fs::remove_file(&new).expect("it is there");
    let names: Vec<String> = (0..8).map(|number| format!("user{number}")).collect();
    let add = |name: &String| passwd(&["-b", &file, name, "secret"], "").success;
    let added: Vec<&String> = std::thread::scope(|scope| {
        let threads: Vec<_> =
            names.iter().map(|name| (name, scope.spawn(move || add(name)))).collect();
        let joined = threads.into_iter().map(|(name, thread)| (name, thread.join()));
        joined.filter(|(_, added)| matches!(added, Ok(true))).map(|(name, _)| name).collect()
    });
    let users = parse(&file);
    assert!(!added.is_empty() && added.len() == users.len());
    assert!(added.iter().all(|name| users.contains(name)), "who was told so is in the file");
}

#[test]
fn through_a_link_the_file_itself_is_changed() {
    let folder = Folder::new("passwd-link");
    let file = folder.write("passwords", "", 0o604);
    let link = folder.path("link");
    symlink(&file, &link).expect("the file system has links");
    let said = passwd(&["-b", &link, "a", "one"], "");
    assert!(said.success && said.error.contains("everybody on this machine can open"));
    assert!(fs::symlink_metadata(&link).expect("it is there").is_symlink());
    assert!(parse(&file).verify("a", b"one"));
    assert_eq!(mode(&file), 0o604);
}

#[test]
fn names_and_flags_that_cannot_be_meant_are_refused() {
    for (user, complaint) in
        [("a:b", "a colon"), ("", "is empty"), ("#a", "comment"), (" a", "blank")]
    {
        let said = passwd(&["-b", "-c", "-", user, "secret"], "");
        assert!(!said.success && said.error.contains(complaint), "{user}: {}", said.error);
    }
    for arguments in [
        &["-c", "-D", "f", "u"][..],
        &["-b", "-D", "f", "u"],
        &["-U", "-c", "f", "u"],
        &["-U", "f", "u"],
        &["f"],
        &["-b", "f", "u"],
        &["f", "u", "password"],
        &["-I", "0", "f", "u"],
        &["-H", "md5", "f", "u"],
    ] {
        assert!(!skein(&[&["passwd"], arguments].concat(), "x\n").success, "{arguments:?}");
    }
    let said = skein(&["passwd", "-H", "sha512", "-I", "5", "-b", "-c", "-", "u", "p"], "");
    assert!(said.success && said.error.contains("-I means nothing for sha512"));
}

#[test]
fn scram_credentials_are_added_changed_and_removed() {
    let folder = Folder::new("scram");
    let file = folder.path("scram");
    let scram = |arguments: &[&str], input: &str| skein(&[&["scram"], arguments].concat(), input);
    let said = scram(&["-c", &file, "alice"], "one\n");
    assert_eq!(said.out, "Adding credentials for user alice\n", "{}", said.error);
    assert_eq!(mode(&file), 0o600);
    assert!(
        scram(&["-b", "--mechanism", "sha-512", "-I", "4096", &file, "\u{2168}", "x"], "").success
    );
    let parse = || {
        let text = fs::read(&file).expect("the file was written");
        ScramFile::parse(&text, &file).expect("it was written by skein")
    };
    let users = parse();
    let alice = Mechanism::ALL.map(|mechanism| users.find(mechanism, "alice").is_some());
    let nine = Mechanism::ALL.map(|mechanism| users.find(mechanism, "IX").is_some());
    assert_eq!((alice, nine), ([true, true], [false, true]));
    assert!(
        scram(&["-D", &file, "alice"], "").success && !scram(&["-D", &file, "alice"], "").success
    );
    assert!(parse().find(Mechanism::Sha256, "alice").is_none());
    let said = scram(&["-b", "-c", "-", "carol", "secret"], "");
    assert_eq!(said.out.lines().count(), 2);
    for (arguments, complaint) in [
        (["-b", "-I", "5", "u", "x"], "4096 to 10000000 iterations"),
        (["-b", "-I", "4096", "u", "\u{7}"], "SASLprep prohibits"),
        (["-b", "-I", "4096", "a:b", "x"], "a colon"),
    ] {
        let [batch, flag, iterations, user, password] = arguments;
        let said = scram(&[batch, flag, iterations, "-c", "-", user, password], "");
        assert!(!said.success && said.error.contains(complaint), "{}", said.error);
    }
    assert!(Path::new(&file).is_file() && folder.names() == ["scram"]);
}
