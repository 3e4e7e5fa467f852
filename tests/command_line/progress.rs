//! What takes long says on a terminal how far it is, and nowhere else.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use crate::broker::Broker;
use crate::program::{skein, start};

/// Both ends of a terminal: what a program writes on the second is read from the first.
fn terminal() -> (File, OwnedFd) {
    let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("the system has terminals");
    grantpt(&ours).expect("it is ours");
    unlockpt(&ours).expect("it is ours");
    let name = ptsname(&ours, Vec::new()).expect("it has a name");
    let name = name.to_str().expect("the names of devices are ASCII");
    let theirs = OpenOptions::new().read(true).write(true).open(name).expect("it is unlocked");
    (File::from(ours), theirs.into())
}

const LINE: &[u8] = b"{\"topic\":\"t\",\"payload\":\"x\"}\n";

fn import(port: &str, words: &[&str]) -> Command {
    let mut command = Command::new(skein());
    command.args(["retained", "import", "-p", port]).args(words).env("TERM", "xterm");
    command
}

/// What stands on the terminal while messages come slowly.
fn shown(port: &str, words: &[&str]) -> String {
    let (mut ours, theirs) = terminal();
    let mut command = import(port, words);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(theirs);
    let mut child = command.spawn().expect("the binary is built");
    // The program has the only other end now: when it ends, so does the terminal.
    drop(command);
    let mut stdin = child.stdin.take().expect("piped");
    for _ in 0..4 {
        stdin.write_all(LINE).expect("it reads");
        thread::sleep(Duration::from_millis(400));
    }
    drop(stdin);
    let status = child.wait().expect("it is our child");
    assert!(status.success());
    let mut text = Vec::new();
    // A terminal without its other end is no error worth the name.
    let _ = ours.read_to_end(&mut text);
    String::from_utf8_lossy(&text).into_owned()
}

pub(crate) fn progress_is_for_terminals() {
    let broker = Broker::start();
    let port = broker.port.to_string();
    let text = shown(&port, &[]);
    assert!(text.contains("publishing: ") && text.contains("B/s"), "{text:?}");
    assert_eq!(shown(&port, &["--quiet"]), "");
    let piped = start(&mut import(&port, &[]), Some(&LINE.repeat(20_000))).wait().succeeded();
    assert_eq!((piped.text().as_str(), piped.err.as_str()), ("20000 published\n", ""));
}
