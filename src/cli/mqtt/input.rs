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
use clap::Args;
use mio::Waker;

use super::usage::UsageError;

/// What is published; exactly one of these.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Message")]
#[group(multiple = false, id = "payload")]
pub(in crate::cli) struct Content {
    /// Publish this text
    #[arg(short = 'm', long, value_name = "TEXT")]
    message: Option<OsString>,

    /// Publish what is in this file
    #[arg(short = 'f', long, value_name = "FILE")]
    file: Option<PathBuf>,

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
        if self.stdin_line {
            return Ok(Some(Payload::Lines));
        }
        let bytes = if let Some(text) = &self.message {
            text.clone().into_vec()
        } else if let Some(file) = &self.file {
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
    fn without_content_there_is_nothing_to_publish() {
        assert_eq!(Content::default().read(), Ok(None));
        let null = Content { null_message: true, ..Content::default() };
        assert_eq!(null.read(), Ok(Some(Payload::Whole(Bytes::new()))));
        let missing = Content { file: Some("/nonexistent".into()), ..Content::default() };
        assert!(missing.read().expect_err("no such file").to_string().contains("/nonexistent"));
    }
}
