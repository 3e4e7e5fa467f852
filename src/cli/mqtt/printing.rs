//! How messages are printed, for `sub` and `rr`.

use std::collections::HashMap;
use std::io::{self, BufWriter, Stdout, Write};

use clap::Args;
use jiff::Zoned;
use skein_client::Message;

use super::format::{Format, Printed};
use super::usage::UsageError;

/// How messages are printed.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Output")]
pub(in crate::cli) struct OutputOptions {
    /// Print the topic in front of each payload
    #[arg(short = 'v', long)]
    verbose: bool,

    /// Print no end of line behind a payload
    #[arg(short = 'N', long)]
    no_eol: bool,

    /// Print messages like this: %t the topic, %p the payload, %x the payload in hexadecimal,
    /// %j all as JSON, %I the time; docs/command-line.md has the rest
    #[arg(short = 'F', long, value_name = "FORMAT")]
    format: Option<String>,

    /// Print each message as an object of JSON; the same as -F %j
    #[arg(long, conflicts_with_all = ["format", "hex"])]
    json: bool,

    /// Print payloads in hexadecimal; the same as -F %x
    #[arg(long, conflicts_with = "format")]
    hex: bool,

    /// Spread JSON over several lines
    #[arg(long)]
    pretty: bool,
}

/// Prints messages.
pub(in crate::cli) struct Printer {
    format: Option<Format>,
    is_verbose: bool,
    has_line_ends: bool,
    is_quiet: bool,
    /// The line of each topic, where each has one of its own.
    watched: Option<HashMap<String, usize>>,
    text: Vec<u8>,
    out: BufWriter<Stdout>,
}

/// The line of the screen that the first topic has; the broker's name stands above.
const FIRST_LINE: usize = 2;

impl OutputOptions {
    /// # Errors
    /// A format that is none.
    pub(in crate::cli) fn printer(&self, is_quiet: bool) -> Result<Printer, UsageError> {
        let format = match (&self.format, self.json, self.hex) {
            (Some(format), _, _) => Some(format.as_str()),
            (None, true, _) => Some("%j"),
            (None, false, true) => Some("%x"),
            (None, false, false) => None,
        };
        Ok(Printer {
            format: format.map(|text| Format::parse(text, self.pretty)).transpose()?,
            is_verbose: self.verbose,
            has_line_ends: !self.no_eol,
            is_quiet,
            watched: None,
            text: Vec::new(),
            out: BufWriter::new(io::stdout()),
        })
    }
}

impl Printer {
    /// From now on each topic has a line of its own on the screen.
    ///
    /// # Errors
    /// Nobody reads any more.
    pub(in crate::cli) fn watch(&mut self, host: &str) -> io::Result<()> {
        self.watched = Some(HashMap::new());
        writeln!(self.out, "\x1b[2J\x1b[1;1HBroker: {host}")?;
        self.out.flush()
    }

    /// Prints a message, at once.
    ///
    /// # Errors
    /// Nobody reads any more.
    pub(in crate::cli) fn print(&mut self, message: &Message) -> io::Result<()> {
        self.text.clear();
        let printed = Printed::from(message);
        if let Some(line) = self.line_of(printed.topic) {
            write!(self.out, "\x1b[{line};1H")?;
        }
        self.append(&printed);
        self.out.write_all(&self.text)?;
        if let Some(watched) = &self.watched {
            writeln!(self.out, "\x1b[{};1H", FIRST_LINE + watched.len() - 1)?;
        }
        self.out.flush()
    }

    /// Prints a line that is no message.
    ///
    /// # Errors
    /// Nobody reads any more.
    pub(in crate::cli) fn say(&mut self, line: &str) -> io::Result<()> {
        self.out.write_all(line.as_bytes())?;
        self.out.flush()
    }

    fn line_of(&mut self, topic: &str) -> Option<usize> {
        let watched = self.watched.as_mut()?;
        let next = FIRST_LINE + watched.len();
        Some(*watched.entry(topic.to_owned()).or_insert(next))
    }

    fn append(&mut self, message: &Printed<'_>) {
        match &self.format {
            Some(format) => {
                let rendered = format.render(message, &Zoned::now(), &mut self.text);
                if let (Err(error), false) = (rendered, self.is_quiet) {
                    eprintln!("Error: {error}");
                }
            }
            None if message.payload.is_empty() && !(self.is_verbose && self.has_line_ends) => {
                return;
            }
            None => append_plain(message, self.is_verbose, &mut self.text),
        }
        if self.has_line_ends {
            self.text.push(b'\n');
        }
    }
}

fn append_plain(message: &Printed<'_>, is_verbose: bool, text: &mut Vec<u8>) {
    if is_verbose {
        text.extend_from_slice(message.topic.as_bytes());
        text.push(b' ');
    }
    let nothing: &[u8] = if is_verbose { b"(null)" } else { b"" };
    text.extend_from_slice(if message.payload.is_empty() { nothing } else { message.payload });
}
