//! A configuration of Mosquitto as [`Settings`]: what `skein serve --mosquitto-conf FILE` runs.
//!
//! Every option of Mosquitto 2 is known (`options.rs`). It is honoured, or it is what skein does
//! anyway, or a warning says what skein does instead. An option that keeps clients out, or apart,
//! and cannot be honoured, closes the listeners that it is about: nobody gets in by an oversight.
//!
//! | step | file |
//! |---|---|
//! | files to lines | `lines` |
//! | what each option does | `options` |
//! | listeners as they are written | `door` |
//! | everything together | `draft` |

mod door;
mod draft;
mod lines;
mod options;

use std::path::Path;

use self::draft::Draft;
use self::lines::Lines;
use super::error::{ConfigError, Problem};
use super::table::Settings;

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
pub fn load_mosquitto(path: &Path) -> Result<Imported, ConfigError> {
    let file = path.display().to_string();
    Lines::read(path).and_then(|lines| read(&lines)).map_err(|(place, text)| {
        let text = if place.file == file { text } else { format!("{place}: {text}") };
        let line = (place.file == file && place.line > 0).then_some(place.line);
        ConfigError { file, problems: vec![Problem { line, text }] }
    })
}

/// What is wrong, and where.
type Fault = (lines::Place, String);

fn read(lines: &Lines) -> Result<Imported, Fault> {
    let mut draft = Draft::new(lines);
    for line in lines.iter() {
        options::apply(line, &mut draft).map_err(|text| (line.place.clone(), text))?;
    }
    draft.finish().map_err(|text| (lines.beginning(), text))
}

#[cfg(test)]
mod tests;
