//! What is published: `-m`, `-f`, `-l`, `-s` and `-n`.

use std::ffi::OsString;
use std::fs;
use std::io::{self, BufRead, Read};
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;

use bytes::Bytes;
use clap::{ArgAction, Args};
use mio::Waker;

use super::style::Encoding;
use super::usage::UsageError;

/// What is published; exactly one of these.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Message")]
#[group(multiple = false, id = "payload")]
pub(in crate::cli) struct Content {
    /// Publish this text
    // Whoever gives two is told so, and not taken by the last one.
    #[arg(short = 'm', long, value_name = "TEXT", action = ArgAction::Append)]
    message: Vec<OsString>,

    /// Publish what is in this file
    #[arg(short = 'f', long, value_name = "FILE", action = ArgAction::Append)]
    file: Vec<PathBuf>,

    /// Publish each line of standard input
    #[arg(short = 'l', long)]
    stdin_line: bool,

    /// Publish all of standard input as one message
    #[arg(short = 's', long)]
    stdin_file: bool,

    /// Publish an empty message; with -r it removes what is retained
    #[arg(short = 'n', long)]
    null_message: bool,
}

/// How what is published is given.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Message")]
pub(in crate::cli) struct ContentEncoding {
    /// What is given is hexadecimal digits: publish the bytes that they are
    #[arg(long, conflicts_with = "from_base64")]
    from_hex: bool,

    /// What is given is Base64: publish the bytes that it is
    #[arg(long)]
    from_base64: bool,
}

impl ContentEncoding {
    /// The bytes of what was given.
    ///
    /// # Errors
    /// It is not what it was said to be.
    pub(in crate::cli) fn decode(&self, text: Bytes) -> Result<Bytes, UsageError> {
        let encoding = match (self.from_hex, self.from_base64) {
            (true, _) => Encoding::Hex,
            (false, true) => Encoding::Base64,
            (false, false) => return Ok(text),
        };
        encoding.decode(&text).map(Bytes::from).map_err(UsageError::new)
    }
}

/// Where payloads come from.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::cli) enum Payload {
    Whole(Bytes),
    Lines,
}

impl Content {
    /// Reads what is to be read before connecting.
    ///
    /// # Errors
    /// Nothing was said about it, or it cannot be read.
    pub(in crate::cli) fn read(&self) -> Result<Option<Payload>, UsageError> {
        if self.message.len() + self.file.len() > 1 {
            return Err(UsageError::new("Only one type of message can be sent at once."));
        }
        if self.stdin_line {
            return Ok(Some(Payload::Lines));
        }
        let bytes = if let Some(text) = self.message.first() {
            text.clone().into_vec()
        } else if let Some(file) = self.file.first() {
            fs::read(file).map_err(|error| {
                let text = format!("Unable to open file \"{}\": {error}.", file.display());
                UsageError::new(text)
            })?
        } else if self.stdin_file {
            let mut all = Vec::new();
            let read = io::stdin().read_to_end(&mut all);
            read.map_err(|error| UsageError::new(format!("standard input: {error}")))?;
            all
        } else if self.null_message {
            Vec::new()
        } else {
            return Ok(None);
        };
        Ok(Some(Payload::Whole(bytes.into())))
    }
}

/// The lines of standard input, read no further ahead than one of them. The end of the input is the
/// end of the channel; a last line without its end is a line.
///
/// # Errors
/// The system has no further thread.
pub(super) fn lines(waker: Arc<Waker>) -> io::Result<Receiver<Bytes>> {
    let (sender, lines) = sync_channel(1);
    thread::Builder::new().name("stdin".into()).spawn(move || {
        let mut input = io::stdin().lock();
        while let Some(line) = next_line(&mut input) {
            if sender.send(line).is_err() || waker.wake().is_err() {
                return;
            }
        }
        drop(sender);
        // Whoever waits for lines waits no longer.
        let _ = waker.wake();
    })?;
    Ok(lines)
}

/// The next line without its end; `None` at the end, and where nothing more can be read.
fn next_line(input: &mut impl BufRead) -> Option<Bytes> {
    let mut line = Vec::new();
    input.read_until(b'\n', &mut line).ok().filter(|count| *count > 0)?;
    if line.last() == Some(&b'\n') {
        line.pop();
    }
    Some(line.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines_of(mut text: &[u8]) -> Vec<Bytes> {
        std::iter::from_fn(|| next_line(&mut text)).collect()
    }

    /// The last line of a file that does not end with one was lost by others.
    #[test]
    fn every_line_is_a_message() {
        assert_eq!(lines_of(b"a\n\nb\r\nc"), [&b"a"[..], b"", b"b\r", b"c"]);
        assert_eq!(lines_of(b"a\n"), [&b"a"[..]]);
        assert!(lines_of(b"").is_empty());
        assert_eq!(lines_of(b"\0\xff\n"), [&b"\0\xff"[..]]);
    }

    #[test]
    fn bytes_may_be_given_as_text() {
        let hex = ContentEncoding { from_hex: true, ..ContentEncoding::default() };
        assert_eq!(hex.decode("00 ff\n".into()), Ok(Bytes::from_static(b"\0\xff")));
        assert!(hex.decode("0".into()).is_err());
        let base64 = ContentEncoding { from_base64: true, ..ContentEncoding::default() };
        assert_eq!(base64.decode("AP8=".into()), Ok(Bytes::from_static(b"\0\xff")));
        assert_eq!(ContentEncoding::default().decode("AP8=".into()), Ok("AP8=".into()));
    }

    #[test]
    fn without_content_there_is_nothing_to_publish() {
        assert_eq!(Content::default().read(), Ok(None));
        let null = Content { null_message: true, ..Content::default() };
        assert_eq!(null.read(), Ok(Some(Payload::Whole(Bytes::new()))));
        let missing = Content { file: vec!["/nonexistent".into()], ..Content::default() };
        let two = Content { message: vec!["a".into(), "b".into()], ..Content::default() };
        assert!(two.read().expect_err("which one?").to_string().contains("Only one"));
        assert!(missing.read().expect_err("no such file").to_string().contains("/nonexistent"));
    }
}
