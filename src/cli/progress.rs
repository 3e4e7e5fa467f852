//! How far something is that takes long: a line on standard error, only where that is a terminal.

use std::cell::Cell;
use std::fs::File;
use std::io::IsTerminal;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    Pieces,
    Bytes,
}

/// A line that says how far it is, how fast it goes and, where the end is known, how long it still
/// takes. It is gone when this is dropped.
pub(super) struct Progress {
    bar: ProgressBar,
    began: Instant,
    /// Shown from now on, if there is a terminal.
    is_shown: Cell<bool>,
}

/// What does not take longer is not worth a line.
const PATIENCE: Duration = Duration::from_millis(500);

impl Progress {
    /// `what` is done, in words; `all` is how much there is to do, where that is known.
    pub(super) fn new(what: &'static str, unit: Unit, all: Option<u64>, is_quiet: bool) -> Self {
        let bar = ProgressBar::with_draw_target(all, ProgressDrawTarget::hidden());
        let style = ProgressStyle::with_template(template(unit, all.is_some()));
        if let Ok(style) = style {
            bar.set_style(style);
        }
        bar.set_message(what);
        let is_shown = Cell::new(is_quiet || !std::io::stderr().is_terminal());
        Self { bar, began: Instant::now(), is_shown }
    }

    /// So much more is done.
    pub(super) fn add(&self, count: u64) {
        if !self.is_shown.get() && self.began.elapsed() >= PATIENCE {
            self.is_shown.set(true);
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
        }
        self.bar.inc(count);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// How many bytes there are to be read, where it is a file.
pub(super) fn file_bytes(file: BorrowedFd<'_>) -> Option<u64> {
    let metadata = File::from(file.try_clone_to_owned().ok()?).metadata().ok()?;
    metadata.is_file().then_some(metadata.len())
}

/// How many bytes are on standard input, where it is a file.
pub(super) fn input_bytes() -> Option<u64> {
    file_bytes(std::io::stdin().as_fd())
}

fn template(unit: Unit, has_end: bool) -> &'static str {
    match (unit, has_end) {
        (Unit::Pieces, true) => "{msg}: {human_pos} of {human_len}, {per_sec}, {eta} left",
        (Unit::Pieces, false) => "{msg}: {human_pos}, {per_sec}, {elapsed}",
        (Unit::Bytes, true) => "{msg}: {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left",
        (Unit::Bytes, false) => "{msg}: {bytes}, {bytes_per_sec}, {elapsed}",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_template_is_one() {
        for unit in [Unit::Pieces, Unit::Bytes] {
            for has_end in [true, false] {
                let text = template(unit, has_end);
                assert!(ProgressStyle::with_template(text).is_ok(), "{text}");
            }
        }
    }

    #[test]
    fn the_size_of_a_file_is_known_and_that_of_a_pipe_is_not() {
        let mut file = tempfile::tempfile().expect("a file");
        std::io::Write::write_all(&mut file, b"12345").expect("room for it");
        assert_eq!(file_bytes(file.as_fd()), Some(5));
        let (reader, _writer) = std::io::pipe().expect("a pipe");
        assert_eq!(file_bytes(reader.as_fd()), None);
    }

    #[test]
    fn what_is_quiet_or_short_says_nothing() {
        let progress = Progress::new("x", Unit::Pieces, Some(2), true);
        progress.add(2);
        assert!(progress.bar.is_hidden());
        let short = Progress::new("x", Unit::Pieces, None, false);
        short.add(1);
        assert!(short.bar.is_hidden());
    }
}
