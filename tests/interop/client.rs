//! Whose clients there are, where their scripts lie and what starts one.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::environment;

/// One client library or tool.
pub(crate) struct Client {
    /// First part of the names of its tests.
    pub(crate) name: &'static str,
    /// Where its scripts lie, below `tests/interop`.
    folder: &'static str,
    /// What the names of its scripts begin with. Scripts of several clients may share a folder.
    prefix: &'static str,
    extension: &'static str,
    runtime: Runtime,
}

/// What a script is started with.
#[derive(Clone, Copy)]
enum Runtime {
    Python,
    /// Python's standard library, driving the Mosquitto command line.
    CommandLine,
    Node,
    Rust,
}

/// Every client that is tried. A script is found by its name, so adding one is adding a file.
pub(crate) const CLIENTS: [Client; 5] = [
    Client {
        name: "paho",
        folder: "python",
        prefix: "paho_",
        extension: "py",
        runtime: Runtime::Python,
    },
    Client {
        name: "aiomqtt",
        folder: "python",
        prefix: "aiomqtt_",
        extension: "py",
        runtime: Runtime::Python,
    },
    Client {
        name: "mosquitto",
        folder: "python",
        prefix: "mosquitto_",
        extension: "py",
        runtime: Runtime::CommandLine,
    },
    Client { name: "mqttjs", folder: "node", prefix: "", extension: "mjs", runtime: Runtime::Node },
    Client {
        name: "rumqttc",
        folder: "rust/src/bin",
        prefix: "",
        extension: "rs",
        runtime: Runtime::Rust,
    },
];

impl Client {
    /// The scripts of this client: the name of the test and the file.
    pub(crate) fn scripts(&self) -> Vec<(String, PathBuf)> {
        let folder = environment::source(self.folder);
        let entries = std::fs::read_dir(&folder)
            .unwrap_or_else(|error| panic!("cannot list {}: {error}", folder.display()));
        entries
            .filter_map(|entry| {
                let path = entry.ok()?.path();
                let shows = self.shows(&path)?;
                Some((format!("{}::{shows}", self.name), path))
            })
            .collect()
    }

    /// What a file shows, if it is a script of this client.
    fn shows(&self, path: &Path) -> Option<String> {
        if path.extension()? != self.extension {
            return None;
        }
        path.file_stem()?.to_str()?.strip_prefix(self.prefix).map(str::to_owned)
    }

    /// The command that runs one of its scripts; prepares what the client needs when it is missing.
    ///
    /// # Errors
    /// What cannot be had, and what to install for it.
    pub(crate) fn command(&self, script: &Path) -> Result<Command, String> {
        match self.runtime {
            Runtime::Python => {
                let mut command = Command::new(environment::python()?);
                command.arg(script);
                Ok(command)
            }
            Runtime::CommandLine => {
                environment::mosquitto_clients()?;
                let mut command = Command::new("python3");
                command.arg(script);
                Ok(command)
            }
            Runtime::Node => {
                let modules = environment::node_modules()?;
                let mut command = Command::new("node");
                command.arg(script).env("INTEROP_MODULES", modules);
                Ok(command)
            }
            Runtime::Rust => {
                let folder = environment::rust_clients()?;
                let name = script.file_stem().expect("a script found by its name has one");
                Ok(Command::new(folder.join(name)))
            }
        }
    }
}

/// The client whose test has this name.
pub(crate) fn of_test(name: &str) -> &'static Client {
    CLIENTS
        .iter()
        .find(|client| name.split("::").next() == Some(client.name))
        .expect("tests are named after their client")
}
