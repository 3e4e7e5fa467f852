//! Everything that was read so far, and what it comes to.

use std::path::PathBuf;

use super::bridge::Connection;
use super::door::{Door, Guard};
use super::lines::{Line, Lines, Place};
use super::{Imported, Machine};
use crate::config::table::{Listener, Settings};
use crate::config::value::LogLevel;

/// Settings in the making.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) settings: Settings,
    warnings: Vec<String>,
    /// What holds for all listeners unless `per_listener_settings` is on.
    everywhere: Guard,
    pub(super) is_per_listener: bool,
    /// The first is the one without a `listener` line, which is there if nothing else is, or if
    /// `port` or `bind_address` ask for it.
    doors: Vec<Door>,
    /// The one that lines are about, and the file that they stand in.
    current: (usize, String),
    /// The one that the main file was at.
    in_main: usize,
    main: String,
    pub(super) has_default_door: bool,
    log_level: Option<LogLevel>,
    pub(super) is_persistent: bool,
    pub(super) persistence_location: PathBuf,
    pub(super) connections: Vec<Connection>,
    /// Whether lines are about the last of these.
    pub(super) in_bridge: bool,
}

impl Draft {
    pub(super) fn new(lines: &Lines) -> Self {
        let mut settings = Settings::default();
        settings.access.anonymous = true;
        settings.access.skips_lines = true;
        let main = lines.beginning().file;
        Self {
            settings,
            warnings: Vec::new(),
            everywhere: Guard::default(),
            // It holds for what stands before it, too.
            is_per_listener: lines
                .iter()
                .any(|line| line.key == "per_listener_settings" && line.is_on() == Ok(true)),
            doors: vec![Door::new(lines.beginning())],
            current: (0, main.clone()),
            in_main: 0,
            main,
            has_default_door: !lines.has("listener"),
            log_level: None,
            is_persistent: false,
            persistence_location: PathBuf::new(),
            connections: Vec::new(),
            in_bridge: false,
        }
    }

    /// Something is not as the line asks.
    pub(super) fn warn(&mut self, line: &Line, text: &str) {
        self.warnings.push(format!("{}: {}: {text}", line.place, line.key));
    }

    /// The listener that lines are about now.
    pub(super) fn door(&mut self) -> &mut Door {
        &mut self.doors[self.current.0]
    }

    /// Whether a listener was named.
    pub(super) fn is_at_listener(&self) -> bool {
        self.doors.len() > 1
    }

    /// The next line stands in this file. An included one begins without a listener, and the main
    /// one goes on where it was.
    pub(super) fn enter(&mut self, file: &str) {
        if self.current.1 == file {
            return;
        }
        if self.current.1 == self.main {
            self.in_main = self.current.0;
        }
        let door = if file == self.main { self.in_main } else { 0 };
        self.current = (door, file.to_owned());
        self.in_bridge = false;
    }

    pub(super) fn add(&mut self, door: Door) {
        self.in_bridge = false;
        self.current.0 = self.doors.len();
        self.doors.push(door);
    }

    /// What the lines about who may come in are about now.
    pub(super) fn guard(&mut self) -> &mut Guard {
        if self.is_per_listener { &mut self.door().guard } else { &mut self.everywhere }
    }

    /// The listeners that this is about are not opened.
    pub(super) fn close(&mut self, line: &Line, why: &str) {
        let reason = (line.place.clone(), format!("{}: {why}", line.key));
        self.guard().unsafe_without.push(reason);
    }

    /// The listener that the lines are about is not opened, whatever is set for all.
    pub(super) fn close_door(&mut self, line: &Line, why: &str) {
        let reason = (line.place.clone(), format!("{}: {why}", line.key));
        self.door().guard.unsafe_without.push(reason);
    }

    /// Lines of this level are written, too.
    pub(super) fn log_at_least(&mut self, level: LogLevel) {
        self.log_level = self.log_level.max(Some(level));
    }

    pub(super) fn finish(mut self, machine: Machine) -> Result<Imported, String> {
        let named = self.doors.split_off(1);
        // Without any listener, only this machine is served, and whoever is on it may come in.
        let is_local_only = named.is_empty() && self.doors[0].host.is_none() && !self.has_port();
        self.doors[0].is_local_only = is_local_only;
        let mut doors = std::mem::take(&mut self.doors);
        if !self.has_default_door {
            doors.clear();
        }
        doors.extend(named);
        let (mut listeners, mut closed) = (Vec::new(), Vec::new());
        for door in &doors {
            match self.open(door, is_local_only, machine)? {
                Ok(opened) => listeners.extend(opened),
                Err(why) => closed.push(why),
            }
        }
        if listeners.is_empty() {
            return Err(format!("no listener is left to open: {}", closed.join("; ")));
        }
        self.warnings.extend(closed);
        self.settings.listeners = listeners;
        // Mosquitto's own files stay as they are beside it.
        let folder = self.persistence_location.join("skein");
        self.settings.store.data_dir = self.is_persistent.then_some(folder);
        for connection in self.connections {
            self.settings.bridges.extend(connection.finish(&mut self.warnings)?);
        }
        self.settings.log.level = self.log_level.unwrap_or(self.settings.log.level);
        Ok(Imported { settings: self.settings, warnings: self.warnings })
    }

    /// The listeners that this one is, or why there are none.
    fn open(
        &self,
        door: &Door,
        is_local_only: bool,
        machine: Machine,
    ) -> Result<Result<Vec<Listener>, String>, String> {
        let mut guard = door.guard.clone();
        if !self.is_per_listener {
            let own = std::mem::replace(&mut guard, self.everywhere.clone());
            guard.allow_anonymous = own.allow_anonymous.or(guard.allow_anonymous);
            guard.unsafe_without.extend(own.unsafe_without);
        }
        let default_anonymous = is_local_only && guard.password_file.is_none();
        guard.allow_anonymous.get_or_insert(default_anonymous);
        let (name, place) = (name_of(door), &door.place);
        if let Some((place, why)) = guard.unsafe_without.first() {
            return Ok(Err(format!("{place}: {why}; {name} is not opened")));
        }
        if let Some(why) = door.misses() {
            return Ok(Err(format!("{place}: {why}; {name} is not opened")));
        }
        let opened = door.listeners(&guard, machine)?;
        if opened.iter().all(|listener| listener.auth.is_empty()) {
            return Ok(Err(format!(
                "{place}: {name} is not opened, as nobody could connect to it; write \
                 password_file FILE, or allow_anonymous true"
            )));
        }
        Ok(Ok(opened))
    }

    fn has_port(&self) -> bool {
        self.has_default_door && self.doors[0].place.line > 0
    }
}

fn name_of(door: &Door) -> String {
    let Place { line, .. } = door.place;
    match (line, &door.unix) {
        (0, _) => "the default listener".to_owned(),
        (_, Some(path)) => format!("the listener on {}", path.display()),
        (_, None) => format!("the listener on port {}", door.port),
    }
}
