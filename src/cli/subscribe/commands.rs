//! `--exec`: a command for each message.

use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::{io, thread};

use crate::cli::mqtt::{Caller, Incident, Printed};

/// What a command is run with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Chore {
    /// Its standard input.
    pub(super) input: Vec<u8>,
    /// What it finds in its environment.
    pub(super) environment: Vec<(&'static str, String)>,
}

/// Runs a command for one message after the other, on a thread of its own: the connection goes on
/// meanwhile.
pub(super) struct Commands {
    chores: Sender<Chore>,
    /// Where commands go before there is a thread to run them.
    waiting: Option<(String, Receiver<Chore>)>,
    is_quiet: bool,
}

impl Commands {
    pub(super) fn new(command: &str, is_quiet: bool) -> Self {
        let (chores, waiting) = channel();
        Self { chores, waiting: Some((command.to_owned(), waiting)), is_quiet }
    }

    /// From now on they are run, and each end is an [`Incident::Ran`].
    ///
    /// # Errors
    /// The system has no further thread.
    pub(super) fn start(&mut self, caller: Caller) -> io::Result<()> {
        let (Some((command, chores)), is_quiet) = (self.waiting.take(), self.is_quiet) else {
            return Ok(());
        };
        let run_all = move || {
            for chore in chores {
                let ended = run(&command, &chore);
                if let (Err(why), false) = (&ended, is_quiet) {
                    eprintln!("Error: --exec: {why}");
                }
                if !caller.tell(Incident::Ran(ended.is_ok())) {
                    return;
                }
            }
        };
        thread::Builder::new().name("commands".into()).spawn(run_all).map(drop)
    }

    /// Has the command run for a message, behind all that wait for it already.
    pub(super) fn push(&self, chore: Chore) {
        // The thread listens for as long as there is somebody to tell.
        let _ = self.chores.send(chore);
    }
}

impl Chore {
    /// What a command is told of a message; its name never starts with `SKEIN_`, which would be a
    /// flag of the next skein.
    pub(super) fn new(message: &Printed<'_>, input: Vec<u8>) -> Self {
        let mut environment = vec![
            ("MQTT_TOPIC", message.topic.to_owned()),
            ("MQTT_QOS", message.qos.to_string()),
            ("MQTT_RETAIN", u8::from(message.retain).to_string()),
        ];
        if let Some(own) = message.properties {
            let named = [
                ("MQTT_CONTENT_TYPE", &own.content_type),
                ("MQTT_RESPONSE_TOPIC", &own.response_topic),
            ];
            let given = named.into_iter().filter_map(|(name, value)| Some((name, value.clone()?)));
            environment.extend(given);
        }
        Self { input, environment }
    }
}

/// # Errors
/// The command could not be started, or ended with a failure: in words.
fn run(command: &str, chore: &Chore) -> Result<(), String> {
    let mut child = Command::new("sh")
        .args(["-c", command])
        .envs(chore.environment.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::piped())
        .spawn()
        .map_err(|error| format!("sh: {error}"))?;
    if let Some(mut stdin) = child.stdin.take() {
        // A command need not read it.
        let _ = stdin.write_all(&chore.input);
    }
    let status = child.wait().map_err(|error| error.to_string())?;
    if status.success() { Ok(()) } else { Err(format!("{status}: {command}")) }
}

#[cfg(test)]
mod tests {
    use skein_client::Properties;

    use super::*;

    #[test]
    fn a_command_is_told_of_the_message() {
        let properties =
            Properties { content_type: Some("text/plain".into()), ..Properties::default() };
        let message =
            Printed { properties: Some(&properties), ..Printed::plain("a b;c", b"payload") };
        let chore = Chore::new(&message, message.payload.to_vec());
        let names: Vec<&str> = chore.environment.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, ["MQTT_TOPIC", "MQTT_QOS", "MQTT_RETAIN", "MQTT_CONTENT_TYPE"]);
        let check = "test \"$(cat)\" = payload && test \"$MQTT_TOPIC\" = 'a b;c' && \
                     test $MQTT_QOS$MQTT_RETAIN$MQTT_CONTENT_TYPE = 00text/plain";
        assert_eq!(run(check, &chore), Ok(()));
    }

    #[test]
    fn a_command_that_fails_or_reads_nothing_is_no_trouble() {
        let chore = Chore { input: vec![b'x'; 1 << 20], environment: Vec::new() };
        assert_eq!(run("true", &chore), Ok(()));
        assert_eq!(run("exit 3", &chore), Err("exit status: 3: exit 3".to_owned()));
    }
}
