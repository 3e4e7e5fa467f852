//! The screen while `top` has it: another page of the terminal, on which keys count without the enter
//! key. The terminal is as before once this is gone.

use std::io::{self, IsTerminal, Write};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};

use super::screen::Look;

/// Columns and lines of a terminal that does not say how large it is.
const USUAL_SIZE: (u16, u16) = (80, 24);

/// A terminal that was taken over.
pub(super) struct Terminal {
    /// How its keys were read before, if they come from a terminal at all.
    keys_before: Option<Termios>,
    has_colors: bool,
}

impl Terminal {
    /// Takes the terminal over; `None` if standard output is none.
    pub(super) fn take(has_colors: bool) -> Option<Self> {
        if !io::stdout().is_terminal() {
            return None;
        }
        let terminal = Self { keys_before: read_keys_at_once(), has_colors };
        // Another page, and no cursor on it. A terminal that is gone is found out when it is drawn on.
        let _ = io::stdout().write_all(b"\x1b[?1049h\x1b[?25l");
        Some(terminal)
    }

    /// How text has to look to fit it.
    pub(super) fn look(&self) -> Look {
        let (columns, rows) = match tcgetwinsize(io::stdout()) {
            Ok(size) if size.ws_col > 0 && size.ws_row > 1 => (size.ws_col, size.ws_row),
            _ => USUAL_SIZE,
        };
        // The last line is left free: what ends with it would move the page.
        Look { has_colors: self.has_colors, columns: columns.into(), rows: usize::from(rows) - 1 }
    }

    /// Puts this text in the place of what was there.
    ///
    /// # Errors
    /// The terminal is gone.
    pub(super) fn draw(&self, text: &str) -> io::Result<()> {
        let lines = text.replace('\n', "\x1b[K\n");
        let mut out = io::stdout().lock();
        write!(out, "\x1b[H{lines}\x1b[J")?;
        out.flush()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = io::stdout().write_all(b"\x1b[?25h\x1b[?1049l");
        let _ = io::stdout().flush();
        if let Some(before) = &self.keys_before {
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, before);
        }
    }
}

/// From now on a key counts at once, and is not shown; how it was before. Signals come as before.
fn read_keys_at_once() -> Option<Termios> {
    let before = tcgetattr(io::stdin()).ok()?;
    let mut at_once = before.clone();
    at_once.local_modes -= LocalModes::ICANON | LocalModes::ECHO;
    tcsetattr(io::stdin(), OptionalActions::Now, &at_once).ok()?;
    Some(before)
}
