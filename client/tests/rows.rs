//! What the systems that this one grew from could do, or had on their lists, row by row (K, S, L:
//! three clients), and the test that holds it here.
//!
//! The table, `rows.txt`, names tests; this test fails when one of them is gone, or a row has none.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// The row, what it asks for, the file below the repository, the test.
fn rows() -> Vec<[&'static str; 4]> {
    let split = |line: &'static str| line.split(" | ").collect::<Vec<_>>();
    let lines = include_str!("rows.txt").lines();
    lines.map(|line| split(line).try_into().expect("four fields")).collect()
}

#[test]
fn each_row_has_a_test() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut found = BTreeSet::new();
    for [row, what, file, test] in rows() {
        let text = fs::read_to_string(root.join(file)).expect("the file is there");
        let declared = text.find(&format!("fn {test}("));
        let at = declared.unwrap_or_else(|| panic!("{file} has no {test}: {row} {what}"));
        // The tests of the command line have a list of their own instead of an attribute.
        let is_listed = file.starts_with("tests/command_line/");
        let is_test = text[..at].trim_end().trim_end_matches("pub(crate)").trim_end();
        assert!(is_listed || is_test.ends_with("#[test]"), "{test} is a test");
        found.insert(row.to_owned());
    }
    let numbers = [("K", 33), ("S", 28), ("L", 26)];
    let all = numbers
        .iter()
        .flat_map(|(letter, count)| (1..=*count).map(move |number| format!("{letter}{number}")));
    assert_eq!(found, all.collect(), "every row, and no other");
}
