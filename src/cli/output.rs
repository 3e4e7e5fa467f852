//! Standard output. What cannot be printed is an error; only where the reader has left, as `head` does
//! when it has enough, nobody misses it.

use std::io::{self, BufWriter, ErrorKind, Write};
use std::process::ExitCode;

/// What standard output is called in errors.
pub(super) const STANDARD_OUTPUT: &str = "standard output";

/// What is printed is lost; the text says where and why.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct OutputError(io::Error);

/// Who reads what is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reader {
    Reads,
    /// Nobody any more.
    HasLeft,
}

/// Prints this at once.
///
/// # Errors
/// Standard output does not take it.
pub(super) fn print(text: impl AsRef<[u8]>) -> Result<Reader, OutputError> {
    write(|out| out.write_all(text.as_ref()))
}

/// Prints what `append` writes.
///
/// # Errors
/// Standard output does not take it, or `append` fails for a reason of its own.
pub(super) fn write(
    append: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<Reader, OutputError> {
    let mut out = BufWriter::new(io::stdout().lock());
    let written = append(&mut out).and_then(|()| out.flush());
    judge(named(STANDARD_OUTPUT, written))
}

/// Prints this as the last thing a program does, and says if that failed: its exit code.
pub(super) fn conclude(text: impl AsRef<[u8]>) -> ExitCode {
    end(print(text))
}

/// The same where it was printed already.
pub(super) fn conclude_with(printed: io::Result<()>) -> ExitCode {
    end(judge(named(STANDARD_OUTPUT, printed)))
}

fn end(printed: Result<Reader, OutputError>) -> ExitCode {
    match printed {
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("Error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Puts the place that was written to in front of what went wrong there.
///
/// # Errors
/// That of `written`.
pub(super) fn named(place: &str, written: io::Result<()>) -> io::Result<()> {
    written.map_err(|error| io::Error::new(error.kind(), format!("{place}: {error}")))
}

/// Whether somebody reads what was written.
///
/// # Errors
/// That of `written`, unless it says that the reader has left.
pub(super) fn judge(written: io::Result<()>) -> Result<Reader, OutputError> {
    match written {
        Ok(()) => Ok(Reader::Reads),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(Reader::HasLeft),
        Err(error) => Err(OutputError(error)),
    }
}
