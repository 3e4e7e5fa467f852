//! Holds the code to its layers, its purity and its size.
//!
//! The layers are those of ARCHITECTURE.md: each may use only those above it there, and
//! `skein_protocol`. The pure ones may not touch the outside world. `unsafe` has one file. Files and
//! functions stay short enough to be read from the top.

mod structure;

use structure::layers::{self, LAYERS};
use structure::pure;
use structure::size;
use structure::source::{Source, read_folder};

/// Everything that is built, by folder.
const FOLDERS: [&str; 8] = [
    "src",
    "protocol/src",
    "protocol/tests",
    "client",
    "loadtest/src",
    "xtask/src",
    "tests",
    "benches",
];

fn everything() -> Vec<Source> {
    FOLDERS.iter().flat_map(|folder| read_folder(folder)).collect()
}

fn assert_none(faults: &[String]) {
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

#[test]
fn each_layer_uses_only_those_above_it() {
    let sources = read_folder("src");
    assert!(sources.len() >= LAYERS.len(), "the sources were found");
    assert_none(&sources.iter().flat_map(layers::faults).collect::<Vec<_>>());
}

/// Who looks at the map sees the layers that the test holds, in their order.
#[test]
fn the_map_has_the_layers_from_the_top_down() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/ARCHITECTURE.md");
    let map = std::fs::read_to_string(path).expect("there is a map");
    let rows = map.lines().skip_while(|line| !line.starts_with("| layer |")).skip(2);
    let names = rows.map_while(|row| row.strip_prefix("| `")?.split_once("/`"));
    assert_eq!(names.map(|(name, _)| name).collect::<Vec<_>>(), LAYERS);
}

#[test]
fn the_pure_layers_touch_nothing_outside() {
    let sources = ["src", "protocol/src", "client/src"].map(read_folder).concat();
    assert_none(&sources.iter().flat_map(pure::faults).collect::<Vec<_>>());
}

#[test]
fn unsafe_has_one_file() {
    assert_none(&everything().iter().flat_map(pure::unsafe_faults).collect::<Vec<_>>());
}

#[test]
fn files_and_functions_are_short() {
    let sources = everything();
    assert_none(&sources.iter().flat_map(size::faults).collect::<Vec<_>>());
    let lengths: Vec<usize> = sources.iter().flat_map(size::product_function_lengths).collect();
    let p90 = size::p90(lengths);
    assert!(p90 <= size::FUNCTION_LINES_P90, "nine functions of ten have at most {p90} lines");
}

#[test]
fn exceptions_of_size_are_still_needed() {
    assert_none(&size::stale_exceptions(&everything()));
}
