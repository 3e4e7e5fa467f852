//! Files for Mosquitto: what skein writes is read by a Mosquitto that runs here, and what Mosquitto
//! writes and means is read the same way by skein. Debian's package brings all that is needed; where
//! it is missing the tests are ignored, loudly, and with `CI=true` they fail.

mod broker;

use std::collections::BTreeSet;
use std::process::{Command, ExitCode, Stdio};

use libtest_mimic::{Arguments, Completion, Failed, Trial};
use skein::access::acl::Acl;
use skein::access::password::PasswordFile;
use skein_protocol::TopicName;

use crate::broker::{Broker, Folder};

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let trial = |name, test: fn()| Trial::ignorable_test(name, move || run(name, test));
    let trials = vec![
        trial("mosquitto_lets_in_whom_skein_passwd_wrote_down", lets_in_whom_skein_wrote_down),
        trial("skein_lets_in_whom_mosquitto_passwd_wrote_down", reads_what_mosquitto_writes),
        trial("an_access_list_means_what_it_means_to_mosquitto", lists_mean_the_same),
        trial("skein_runs_a_configuration_of_mosquitto", runs_configurations),
    ];
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn run(name: &str, test: fn()) -> Result<Completion, Failed> {
    for program in ["mosquitto", "mosquitto_passwd"] {
        // They leave with a failure after showing their help; only that they start matters.
        let mut command = Command::new(program);
        let quiet = command.arg("-h").stdout(Stdio::null()).stderr(Stdio::null());
        if let Err(error) = quiet.status() {
            let reason = format!("{program} ({error}): apt-get install mosquitto");
            if std::env::var("CI").is_ok_and(|value| value == "true") {
                return Err(Failed::from(reason));
            }
            eprintln!("mosquitto: {name} CANNOT RUN: {reason}");
            return Ok(Completion::ignored_with(reason));
        }
    }
    test();
    Ok(Completion::Completed)
}

fn lets_in_whom_skein_wrote_down() {
    let folder = Folder::new("mosquitto-reads");
    let users = ["quick", "default", "old"];
    let schemes = [
        &["-c", "-H", "sha512-pbkdf2", "-I", "101"][..],
        &["-H", "sha512-pbkdf2"],
        &["-H", "sha512"],
    ];
    for (user, scheme) in users.into_iter().zip(schemes) {
        let mut command = Command::new(skein());
        command.arg("passwd").args(scheme).arg("-b").arg(folder.path("passwords"));
        broker::succeed(command.args([user, "sëcret"]));
    }
    folder.write("mosquitto.conf", "allow_anonymous false\npassword_file passwords\n");
    let mosquitto = Broker::mosquitto(&folder);
    for user in users {
        assert_eq!(mosquitto.connect("c", Some((user, "sëcret"))).err(), None, "{user}");
        assert_eq!(mosquitto.connect("c", Some((user, "secret"))).err(), Some(5), "{user}");
    }
    assert_eq!(mosquitto.connect("c", None).err(), Some(5));
}

fn reads_what_mosquitto_writes() {
    let folder = Folder::new("mosquitto-writes");
    let file = folder.path("passwords");
    folder.write("passwords", "");
    for (scheme, user) in [
        (&[][..], "default"),
        (&["-H", "sha512"], "sha512"),
        (&["-H", "sha512-pbkdf2"], "sha512-pbkdf2"),
    ] {
        let mut command = Command::new("mosquitto_passwd");
        broker::succeed(command.args(scheme).arg("-b").arg(&file).args([user, "sëcret"]));
    }
    folder.write("plain", "old:sëcret\n");
    broker::succeed(Command::new("mosquitto_passwd").arg("-U").arg(folder.path("plain")));
    let read = |name| {
        let text = std::fs::read(folder.path(name)).expect("it was written");
        PasswordFile::parse(&text, name).expect("Mosquitto wrote it")
    };
    for (file, user) in [
        ("passwords", "default"),
        ("passwords", "sha512"),
        ("passwords", "sha512-pbkdf2"),
        ("plain", "old"),
    ] {
        let users = read(file);
        assert!(users.verify(user, "sëcret".as_bytes()), "{user}");
        assert!(!users.verify(user, b"secret"), "{user}");
    }
}

/// Everything here means the same in every Mosquitto; what 2.0 and 2.1 read differently (`%c` as a
/// part of a level) and what skein is stricter about (`/` in a name) is left out.
const LIST: &str = "\
# for clients without a name
topic read public/#
topic readwrite open

user admin
topic readwrite #
topic readwrite $other/#

user u
topic a/b
topic deny a/secret
topic read a/#
topic write log
topic readwrite with space/x
topic deny own/x

user v
topic read $other/x

pattern readwrite own/%u/#
pattern write c/%c
pattern deny a/nobody
pattern read all/+
";

const TOPICS: [&str; 22] = [
    "public/a",
    "public",
    "open",
    "a/b",
    "a/secret",
    "a/c",
    "a/nobody",
    "a",
    "log",
    "with space/x",
    "own/u/x",
    "own/u",
    "own/v/x",
    "own/x",
    "own//x",
    "c/cu",
    "c/cv",
    "c/anonymous",
    "all/x",
    "all",
    "all/x/y",
    "$other/x",
];

fn lists_mean_the_same() {
    let folder = Folder::new("mosquitto-list");
    let mut plain = String::new();
    for user in ["admin", "u", "v", "unlisted"] {
        plain.push_str(&format!("{user}:secret\n"));
    }
    folder.write("passwords", &plain);
    broker::succeed(Command::new("mosquitto_passwd").arg("-U").arg(folder.path("passwords")));
    folder.write("list", LIST);
    let conf = "allow_anonymous true\npassword_file passwords\nacl_file list\n";
    folder.write("mosquitto.conf", conf);
    let mosquitto = Broker::mosquitto(&folder);
    let list = Acl::parse(LIST.as_bytes(), "list").expect("Mosquitto reads it");
    let clients = [
        (Some("u"), "cu"),
        (Some("v"), "cv"),
        (Some("unlisted"), "c"),
        (None, "anonymous"),
        (Some("v"), "wild#"),
    ];
    let mut decisions = BTreeSet::new();
    for (user, client_id) in clients {
        let permissions = list.permissions(user, client_id);
        for topic in TOPICS {
            let name = TopicName::new(topic).expect("a valid topic");
            let ours = (permissions.may_publish(name), permissions.may_receive(name));
            let theirs = (
                mosquitto.delivers((user, client_id), topic, (Some("admin"), "admin")),
                mosquitto.delivers((Some("admin"), "admin"), topic, (user, client_id)),
            );
            assert_eq!(ours, theirs, "{user:?} {client_id} {topic}: may publish, may receive");
            decisions.insert(ours);
        }
    }
    assert_eq!(decisions.len(), 4, "every answer was given at least once: {decisions:?}");
}

/// Debian's own file, but for the folders, and what people put into `conf.d`.
const DEBIAN: &str = "\
# Place your local configuration in /etc/mosquitto/conf.d/

pid_file mosquitto.pid

persistence true
persistence_location ./

log_dest file mosquitto.log

include_dir conf.d
";

fn runs_configurations() {
    let passwords = "password_file passwords\nacl_file list\n";
    for (name, main, local) in [
        ("closed", "", format!("allow_anonymous false\n{passwords}")),
        ("open", "", format!("allow_anonymous true\n{passwords}")),
        ("anybody", "per_listener_settings true\nallow_anonymous true\n", String::new()),
        ("apart", "per_listener_settings true\npassword_file passwords\n", passwords.to_owned()),
    ] {
        let folder = Folder::new(&format!("mosquitto-runs-{name}"));
        folder.write("passwords", "admin:secret\nu:secret\n");
        broker::succeed(Command::new("mosquitto_passwd").arg("-U").arg(folder.path("passwords")));
        folder.write("list", LIST);
        std::fs::create_dir(folder.path("conf.d")).expect("a folder for the test");
        folder.write("conf.d/local.conf", &local);
        folder.write("mosquitto.conf", &format!("{main}{DEBIAN}"));
        let brokers = [Broker::mosquitto(&folder), Broker::skein(&folder)];
        for credentials in
            [None, Some(("u", "secret")), Some(("u", "wrong")), Some(("nobody", "secret"))]
        {
            let [theirs, ours] =
                brokers.each_ref().map(|broker| broker.connect("c", credentials).is_ok());
            assert_eq!(ours, theirs, "{name}: {credentials:?}");
        }
        // A failed login holds up the next one of this user and address for a moment.
        std::thread::sleep(std::time::Duration::from_secs(1));
        for topic in ["a/b", "a/secret", "log", "own/u/x", "all/x", "open"] {
            let (u, admin) = ((Some("u"), "cu"), (Some("admin"), "admin"));
            for (from, to) in [(u, admin), (admin, u)] {
                let [theirs, ours] =
                    brokers.each_ref().map(|broker| broker.delivers(from, topic, to));
                assert_eq!(ours, theirs, "{name}: {topic} from {from:?}");
            }
        }
    }
}

/// The binary under test; `SKEIN_BIN` names another one.
fn skein() -> std::ffi::OsString {
    std::env::var_os("SKEIN_BIN").unwrap_or_else(|| env!("CARGO_BIN_EXE_skein").into())
}
