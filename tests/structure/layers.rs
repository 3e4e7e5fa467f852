//! Which layer may use which: only those above it in the list.

use super::paths::paths;
use super::source::Source;

/// From the top down, as the table of ARCHITECTURE.md has them.
pub(crate) const LAYERS: [&str; 11] = [
    "config", "record", "session", "access", "topic", "router", "shard", "net", "store", "server",
    "cli",
];

/// Names the file and both layers of each upward use.
pub(crate) fn faults(source: &Source) -> Vec<String> {
    let Some(inside) = source.name.strip_prefix("src/") else { return Vec::new() };
    let mut modules: Vec<&str> = inside.trim_end_matches(".rs").split('/').collect();
    if modules == ["lib"] || modules == ["main"] {
        return Vec::new();
    }
    if modules.last() == Some(&"mod") {
        modules.pop();
    }
    let layer = modules[0];
    let Some(place) = place(layer) else {
        return vec![format!("{}: \"{layer}\" is not in the list of layers", source.name)];
    };
    let mut faults = Vec::new();
    for path in paths(&source.code) {
        let depth = modules.len() + path.depth;
        let Some(used) = layer_of(&path.segments, depth) else { continue };
        if self::place(used).is_some_and(|used| used > place) {
            faults.push(format!(
                "{}:{}: layer {layer} uses layer {used}, which stands below it",
                source.name, path.line
            ));
        }
    }
    faults
}

fn place(layer: &str) -> Option<usize> {
    LAYERS.iter().position(|known| *known == layer)
}

/// The layer a path leads to, if it leaves its file towards the root of the crate. `depth` is how
/// many modules the file is below the root.
fn layer_of<'a>(segments: &[&'a str], depth: usize) -> Option<&'a str> {
    match segments {
        ["crate" | "skein", layer, ..] => Some(layer),
        ["self", rest @ ..] | rest => {
            let supers = rest.iter().take_while(|segment| **segment == "super").count();
            if supers > 0 && supers == depth { rest.get(supers).copied() } else { None }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults_of(name: &str, text: &str) -> Vec<String> {
        faults(&Source::new(name, text))
    }

    #[test]
    fn an_upward_import_is_named_with_file_and_layers() {
        assert_eq!(
            faults_of("src/session/queue.rs", "use std::fmt;\nuse crate::shard::Time;\n"),
            ["src/session/queue.rs:2: layer session uses layer shard, which stands below it"]
        );
    }

    #[test]
    fn every_way_to_write_it_is_seen() {
        for text in [
            "use crate::{config::Settings, net::lane};",
            "fn f() { crate::net::wake(); }",
            "use super::super::net;",
            "use self::super::super::net;",
            "use super::super::{config, net::lane};",
            "mod inner { use super::super::super::net; }",
            "use skein::net;",
        ] {
            assert_eq!(faults_of("src/shard/event.rs", text).len(), 1, "{text}");
        }
        assert_eq!(faults_of("src/shard/mod.rs", "use super::net;").len(), 1);
    }

    #[test]
    fn layers_above_and_the_own_layer_may_be_used() {
        for text in [
            "use crate::config::Settings; use crate::session::Session; use crate::shard::Time;",
            "use super::time::Time; use super::super::topic;",
            "mod net { } use self::net::x; use net::y;",
            "// use crate::net::lane;\nconst TEXT: &str = \"crate::net::lane\";",
            "mod inner { use super::super::net; }",
        ] {
            assert_eq!(faults_of("src/shard/event.rs", text), [""; 0], "{text}");
        }
        assert_eq!(faults_of("src/main.rs", "use skein::cli;"), [""; 0]);
    }

    #[test]
    fn a_folder_that_is_no_layer_is_refused() {
        assert_eq!(
            faults_of("src/helpers/mod.rs", ""),
            ["src/helpers/mod.rs: \"helpers\" is not in the list of layers"]
        );
    }
}
