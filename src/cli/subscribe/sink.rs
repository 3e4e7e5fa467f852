//! Where messages go: to the screen or a file, each into a file of its own, or to a command.

use std::collections::VecDeque;
use std::io;
use std::path::Path;

use jiff::Zoned;
use skein_client::{Delivery, Message};

use super::commands::{Chore, Commands};
use super::folder::Folder;
use crate::cli::mqtt::{Caller, Exit, Printed, Printer, Style, UsageError, code};

/// Where messages go.
pub(super) enum Sink {
    Printer(Printer),
    Folder { folder: Folder, style: Style },
    Commands { commands: Commands, style: Style, waiting: Waiting },
}

/// Messages whose command has not ended, and how those did that have.
#[derive(Default)]
pub(super) struct Waiting {
    /// Oldest first; what wants to be acknowledged says so.
    deliveries: VecDeque<Option<Delivery>>,
    failed: u64,
    left_out: u64,
}

/// What has become of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// It may be acknowledged.
    Whole,
    /// It is acknowledged when its command has ended.
    Later,
}

impl Sink {
    pub(super) fn commands(command: &str, style: Style, is_quiet: bool) -> Self {
        let commands = Commands::new(command, is_quiet);
        Self::Commands { commands, style, waiting: Waiting::default() }
    }

    /// # Errors
    /// There can be no such folder.
    pub(super) fn folder(path: &Path, style: Style) -> Result<Self, UsageError> {
        let folder = Folder::open(path)
            .map_err(|error| UsageError::new(format!("--out-dir {}: {error}", path.display())))?;
        Ok(Self::Folder { folder, style })
    }

    /// From now on messages may come; `caller` tells the connection of commands that have ended.
    ///
    /// # Errors
    /// The system has no further thread.
    pub(super) fn start(&mut self, caller: Caller) -> io::Result<()> {
        match self {
            Self::Commands { commands, .. } => commands.start(caller),
            _ => Ok(()),
        }
    }

    /// Takes a message.
    ///
    /// # Errors
    /// Nobody reads, or the system does not write.
    pub(super) fn take(&mut self, message: &Message) -> io::Result<Taken> {
        match self {
            Self::Printer(printer) => printer.print(message)?,
            Self::Folder { folder, style } => {
                folder.write(message.topic(), &text(style, &message.into()))?;
            }
            Self::Commands { commands, style, waiting } => {
                if waiting.has_room(message.delivery()) {
                    let printed = Printed::from(message);
                    commands.push(Chore::new(&printed, text(style, &printed)));
                }
                return Ok(Taken::Later);
            }
        }
        Ok(Taken::Whole)
    }

    /// Prints a line that is no message.
    ///
    /// # Errors
    /// Nobody reads.
    pub(super) fn say(&mut self, line: &str) -> io::Result<()> {
        match self {
            Self::Printer(printer) => printer.say(line),
            _ => Ok(()),
        }
    }

    /// Whether a message is still with a command.
    pub(super) fn is_busy(&self) -> bool {
        matches!(self, Self::Commands { waiting, .. } if !waiting.deliveries.is_empty())
    }

    /// The oldest command has ended: what is to be acknowledged, if it is.
    pub(super) fn on_ran(&mut self, is_well: bool) -> Option<Delivery> {
        let Self::Commands { waiting, .. } = self else { return None };
        waiting.failed += u64::from(!is_well);
        waiting.deliveries.pop_front().flatten()
    }

    /// How the program ends where it would have ended so.
    pub(super) fn judge(&self, exit: Exit) -> Exit {
        match self {
            Self::Commands { waiting, .. } if exit.code == 0 => waiting.judge(exit),
            _ => exit,
        }
    }
}

impl Waiting {
    /// Whether a message can wait. Those of QoS 0 come as fast as they are published, and nothing else
    /// bounds how many wait.
    fn has_room(&mut self, delivery: Option<Delivery>) -> bool {
        /// So many messages of QoS 0 may wait for their command.
        const WAITING_MAX: usize = 1000;
        if delivery.is_none() && self.deliveries.len() >= WAITING_MAX {
            self.left_out += 1;
            return false;
        }
        self.deliveries.push_back(delivery);
        true
    }

    fn judge(&self, exit: Exit) -> Exit {
        let (failed, left_out) = (self.failed, self.left_out);
        match (failed, left_out) {
            (0, 0) => exit,
            (0, _) => Exit::with(
                code::USAGE,
                format!("Error: --exec was too slow for {left_out} messages of QoS 0; use -q 1"),
            ),
            _ => Exit::with(code::USAGE, format!("Error: --exec has failed {failed} times")),
        }
    }
}

/// What is written of a message: its payload, or what it was told to look like.
fn text(style: &Style, message: &Printed<'_>) -> Vec<u8> {
    if style.is_bare() {
        return message.payload.to_vec();
    }
    let mut text = Vec::new();
    if let Err(error) = style.append(message, &Zoned::now(), &mut text) {
        eprintln!("Error: {error}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_waits_without_end() {
        let mut waiting = Waiting::default();
        let taken = (0..1500).filter(|_| waiting.has_room(None)).count();
        assert_eq!((taken, waiting.left_out), (1000, 500));
        let exit = waiting.judge(Exit::SUCCESS);
        assert!(exit.code == 1 && exit.text.is_some_and(|text| text.contains("500 messages")));
        waiting.failed = 2;
        assert!(waiting.judge(Exit::SUCCESS).text.is_some_and(|text| text.contains("2 times")));
        assert_eq!(Waiting::default().judge(Exit::SUCCESS), Exit::SUCCESS);
    }
}
