//! How messages are printed, for `sub` and `rr`.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;

use clap::Args;
use jiff::Zoned;
use skein_client::Message;

use super::format::{Format, Printed};
use super::style::{Encoding, Form, Style};
use super::usage::UsageError;
use crate::cli::output::{STANDARD_OUTPUT, named};

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
    #[arg(long, conflicts_with_all = ["format", "hex", "base64", "csv"])]
    json: bool,

    /// Print each message as a row of CSV: time, topic, qos, retain, payload
    #[arg(long, conflicts_with = "format")]
    csv: bool,

    /// Print payloads in hexadecimal
    #[arg(long, conflicts_with_all = ["format", "base64"])]
    hex: bool,

    /// Print payloads in Base64
    #[arg(long, conflicts_with = "format")]
    base64: bool,

    /// Print the time in front of each message
    #[arg(long, conflicts_with_all = ["json", "csv"])]
    timestamps: bool,

    /// Spread JSON over several lines
    #[arg(long)]
    pretty: bool,

    /// Append to this file what would be printed
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Prints messages.
pub(in crate::cli) struct Printer {
    style: Style,
    is_quiet: bool,
    /// The line of each topic, where each has one of its own.
    watched: Option<HashMap<String, usize>>,
    text: Vec<u8>,
    out: BufWriter<Box<dyn Write>>,
    /// What `out` is called in errors.
    place: String,
    /// Whether nothing stands above what comes next.
    is_fresh: bool,
}

/// The line of the screen that the first topic has; the broker's name stands above.
const FIRST_LINE: usize = 2;

impl OutputOptions {
    /// What messages look like.
    ///
    /// # Errors
    /// A format that is none.
    pub(in crate::cli) fn style(&self) -> Result<Style, UsageError> {
        let encoding = match (self.hex, self.base64) {
            (true, _) => Encoding::Hex,
            (false, true) => Encoding::Base64,
            (false, false) => Encoding::Raw,
        };
        let format = self.format.as_deref().or(self.json.then_some("%j"));
        let form = match format.map(|text| Format::parse(text, self.pretty)).transpose()? {
            Some(format) => Form::Custom(format),
            None if self.csv => Form::Row(encoding),
            None => Form::Plain(encoding),
        };
        Ok(Style {
            form,
            is_verbose: self.verbose,
            has_line_ends: !self.no_eol,
            has_time: self.timestamps,
        })
    }

    /// # Errors
    /// A format that is none, or a file that cannot be written.
    pub(in crate::cli) fn printer(&self, is_quiet: bool) -> Result<Printer, UsageError> {
        let style = self.style()?;
        let (out, is_fresh): (Box<dyn Write>, _) = match &self.out {
            None => (Box::new(io::stdout()), true),
            Some(path) => {
                let (file, bytes) = append_to(path).map_err(|error| {
                    UsageError::new(format!("--out {}: {error}", path.display()))
                })?;
                (Box::new(file), bytes == 0)
            }
        };
        let place = self.out.as_ref().map(|path| format!("--out {}", path.display()));
        Ok(Printer {
            style,
            is_quiet,
            watched: None,
            text: Vec::new(),
            out: BufWriter::new(out),
            place: place.unwrap_or_else(|| STANDARD_OUTPUT.to_owned()),
            is_fresh,
        })
    }
}

/// The file, and how many bytes it has already.
fn append_to(path: &PathBuf) -> io::Result<(File, u64)> {
    let file = OpenOptions::new().create(true).append(true).open(path)?;
    let bytes = file.metadata()?.len();
    Ok((file, bytes))
}

impl Printer {
    /// From now on each topic has a line of its own on the screen.
    ///
    /// # Errors
    /// Nobody reads any more.
    pub(in crate::cli) fn watch(&mut self, host: &str) -> io::Result<()> {
        self.watched = Some(HashMap::new());
        self.say(&format!("\x1b[2J\x1b[1;1HBroker: {host}\n"))
    }

    /// Prints a message, at once.
    ///
    /// # Errors
    /// Nobody reads any more, or the file cannot be written.
    pub(in crate::cli) fn print(&mut self, message: &Message) -> io::Result<()> {
        let written = self.append(&message.into()).and_then(|()| self.out.flush());
        named(&self.place, written)
    }

    fn append(&mut self, printed: &Printed<'_>) -> io::Result<()> {
        self.text.clear();
        if let Some(line) = self.line_of(printed.topic) {
            write!(self.out, "\x1b[{line};1H")?;
        }
        if std::mem::take(&mut self.is_fresh) {
            self.text = self.style.head();
        }
        let rendered = self.style.append(printed, &Zoned::now(), &mut self.text);
        if let (Err(error), false) = (rendered, self.is_quiet) {
            eprintln!("Error: {error}");
        }
        self.out.write_all(&self.text)?;
        if let Some(watched) = &self.watched {
            writeln!(self.out, "\x1b[{};1H", FIRST_LINE + watched.len() - 1)?;
        }
        Ok(())
    }

    /// Prints a line that is no message.
    ///
    /// # Errors
    /// Nobody reads any more, or the file cannot be written.
    pub(in crate::cli) fn say(&mut self, line: &str) -> io::Result<()> {
        let written = self.out.write_all(line.as_bytes()).and_then(|()| self.out.flush());
        named(&self.place, written)
    }

    fn line_of(&mut self, topic: &str) -> Option<usize> {
        let watched = self.watched.as_mut()?;
        let next = FIRST_LINE + watched.len();
        Some(*watched.entry(topic.to_owned()).or_insert(next))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn style(change: impl FnOnce(&mut OutputOptions)) -> Style {
        let mut options = OutputOptions::default();
        change(&mut options);
        options.style().expect("it makes sense")
    }

    #[test]
    fn options_make_a_style() {
        assert!(style(|_| ()).is_bare());
        assert_eq!(style(|it| it.hex = true).form, Form::Plain(Encoding::Hex));
        assert_eq!(style(|it| it.base64 = true).form, Form::Plain(Encoding::Base64));
        assert_eq!(style(|it| (it.csv, it.hex) = (true, true)).form, Form::Row(Encoding::Hex));
        let json = style(|it| it.json = true).form;
        assert_eq!(json, style(|it| it.format = Some("%j".into())).form);
        assert!(style(|it| it.timestamps = true).has_time);
    }

    #[test]
    fn a_file_is_appended_to_and_its_head_comes_once() {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let path = folder.path().join("out.csv");
        let options =
            OutputOptions { csv: true, out: Some(path.clone()), ..OutputOptions::default() };
        for is_fresh in [true, false] {
            let mut printer = options.printer(false).expect("the file can be written");
            assert_eq!(printer.is_fresh, is_fresh);
            printer.say("x\n").expect("there is room");
        }
        assert_eq!(std::fs::read_to_string(&path).expect("it is there"), "x\nx\n");
        let nowhere = OutputOptions { out: Some(folder.path().into()), ..options };
        let Err(error) = nowhere.printer(false) else { panic!("a folder is no file") };
        assert!(error.to_string().starts_with("--out "), "{error}");
    }
}
