//! A configuration of Mosquitto as [`Settings`]: what `skein serve --mosquitto-conf FILE` runs.
//!
//! Every option of Mosquitto 2 is known (`options.rs`). It is honoured, or it is what skein does
//! anyway, or a warning says what skein does instead. An option that keeps clients out, or apart,
//! and cannot be honoured, closes the listeners that it is about: nobody gets in by an oversight.
//!
//! | step | file |
//! |---|---|
//! | files to lines | `lines` |
//! | what becomes of each option | `options`, `obey` |
//! | listeners as they are written | `door` |
//! | bridges as they are written | `bridge` |
//! | everything together | `draft` |

mod bridge;
mod door;
mod draft;
mod lines;
mod obey;
mod options;

pub use self::options::mosquitto_documentation;

use std::net::SocketAddr;
use std::path::Path;

use self::draft::Draft;
use self::lines::Lines;
use super::error::{ConfigError, Problem};
use super::table::Settings;

/// What a configuration leaves to the machine that it runs on.
#[derive(Clone, Copy, Debug)]
pub struct Machine {
    /// Whether it speaks IPv6: then one socket for every address serves both kinds.
    pub has_v6: bool,
    /// The addresses that a name and a port stand for, or why there are none.
    pub resolve: fn(&str, u16) -> Result<Vec<SocketAddr>, String>,
}

/// What a configuration of Mosquitto says.
#[derive(Clone, Debug)]
pub struct Imported {
    /// What is run.
    pub settings: Settings,
    /// What is not as the file asks, each with its file, its line and what happens instead.
    pub warnings: Vec<String>,
}

impl From<Settings> for Imported {
    fn from(settings: Settings) -> Self {
        Self { settings, warnings: Vec::new() }
    }
}

/// Reads a configuration of Mosquitto, and those in the folder that it includes.
///
/// # Errors
/// What Mosquitto would not start with either: files that cannot be read, options that nobody knows,
/// values that are none. And when no listener is left that may be opened.
pub fn load_mosquitto(path: &Path, machine: Machine) -> Result<Imported, ConfigError> {
    Lines::read(path).and_then(|lines| read(&lines, machine)).map_err(|(place, text)| {
        let line = (place.line > 0).then_some(place.line);
        ConfigError { file: place.file, problems: vec![Problem { line, text }] }
    })
}

/// What is wrong, and where.
type Fault = (lines::Place, String);

fn read(lines: &Lines, machine: Machine) -> Result<Imported, Fault> {
    let mut draft = Draft::new(lines);
    for line in lines.iter() {
        draft.enter(&line.place.file);
        options::apply(line, &mut draft).map_err(|text| (line.place.clone(), text))?;
    }
    draft.finish(machine).map_err(|text| (lines.beginning(), text))
}

#[cfg(test)]
mod tests;
