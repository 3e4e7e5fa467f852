//! Password files of which something is missing, or that are none: at the start, and at a reload.

use std::sync::Arc;

use skein_protocol::Version;

use super::scene::{Folder, Scene, USERS, guarded, passwords, publishes};
use crate::harness::{Broker, Case};

/// What is left of a file that was cut, and what was never one: the file, and what is said of it.
fn remains() -> Vec<(String, &'static str)> {
    let whole = passwords(&USERS);
    vec![
        (whole[..2].to_owned(), "/passwords:1: it has no colon"),
        ("garbage".to_owned(), "/passwords:1: it has no colon"),
        (whole[..whole.len() / 2].to_owned(), "/passwords:2: user \"bob\""),
        (format!("{whole}garbage\n"), "/passwords:4: it has no colon"),
    ]
}

#[test]
fn h13_a_password_file_that_was_cut_keeps_the_users_that_were_there() {
    let scene = Scene::with_passwords("", "", &[]);
    let mut alice = scene.user(Version::V5, "alice");
    for (text, said) in remains() {
        scene.folder.write("passwords", &text);
        scene.expect_log(said, || scene.reload_in_vain());
        assert_eq!(publishes(&mut alice, "a", b"x"), 0, "{said}");
        scene.user(Version::V5, "bob").leave();
    }
    // Without users on purpose: that is taken over, and said.
    scene.folder.write("passwords", "# nobody\n");
    scene.expect_log("/passwords: it has no users: nobody can log in", || scene.reload());
    alice.expect_closed_with(0x87);
}

/// All or nothing, and each time it is said which: a file that is right again changes nothing while
/// another is wrong.
#[test]
fn h13_each_reload_that_fails_says_that_all_stays_as_it_was() {
    let sections = "[access]\npassword_file = \"FOLDER/passwords\"\nscram_file = \"FOLDER/scram\"\n\
                    login_delay_ms = 0\n";
    let keys = "auth = [\"password\", \"scram\"]\n";
    let scene = Scene::start(&guarded(keys, sections), &[("scram", "# nobody yet\n")]);
    let log = scene.case.broker.log();
    assert!(log.contains("/scram: it has no users: nobody can log in by SCRAM"), "{log}");
    let mut alice = scene.user(Version::V5, "alice");
    scene.folder.write("passwords", "garbage");
    scene.folder.write("scram", "garbage");
    scene.reload_in_vain();
    scene.folder.write("passwords", &passwords(&USERS[1..]));
    scene.expect_log("/scram:1: ", || scene.reload_in_vain());
    assert_eq!(publishes(&mut alice, "a", b"x"), 0, "nothing was taken over");
    scene.change("scram", "");
    alice.expect_closed_with(0x87);
}

/// Mosquitto skips lines without a colon, and so is done with its files, but not until nobody is left.
#[test]
fn h13_a_file_of_mosquitto_that_was_cut_keeps_the_users_that_were_there() {
    let folder = Folder::new();
    let file = folder.path("passwords").display().to_string();
    folder.write("passwords", &format!("a line that Mosquitto skips\n{}", passwords(&USERS)));
    let configuration = folder.path("mosquitto.conf");
    let text = format!(
        "per_listener_settings true\nlistener 28013 127.0.0.1\nallow_anonymous true\n\
         listener 28014 127.0.0.1\nallow_anonymous false\npassword_file {file}\n"
    );
    std::fs::write(&configuration, text).expect("the folder is there");
    let broker = Broker::start_from(2, &configuration);
    let scene = Scene { case: Case::on(Arc::new(broker)), folder };
    let log = scene.case.broker.log();
    assert!(log.contains("/passwords:1: skipped, for it has no colon"), "{log}");
    let mut alice = scene.user(Version::V5, "alice");
    for text in ["al", "garbage\n", ""] {
        scene.folder.write("passwords", text);
        scene.expect_log("/passwords: there were users in it", || scene.reload_in_vain());
        assert_eq!(publishes(&mut alice, "a", b"x"), 0, "{text:?}");
        scene.user(Version::V5, "bob").leave();
    }
    scene.change("passwords", &format!("garbage\n{}", passwords(&USERS[1..])));
    alice.expect_closed_with(0x87);
}
