//! `docs/attacks.md`: which test stands for which row of the checklist of attacks. A test's name
//! begins with the row's id; rows and what they are: `tests/conformance/attacks.txt`.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::assert_up_to_date;
use crate::sources::tests_below;

const HEAD: &str = "# Attacks

<!-- Made from the tests: cargo xtask pages -->

What a hostile peer may try, and the tests against the real process that stand for it: their names
begin with the row's id. After each of them the process lives, a client that has done nothing wrong
is served, and no descriptor is held that was not held before. Those that share a broker are made five
times on brokers that stay (`cargo xtask test --only leaks`): all of them together may add 1 MiB the last
time. Section G has brokers of its own: where a packet is known to have leaked in another broker, the attack
is made twice there, and after the second time no more than 1 MiB may be left. A sync that fails (G16) is in
`tests/durability` and `tests/simulation`.

";

/// Each row's id and what it is, in order.
fn rows() -> Vec<(&'static str, &'static str)> {
    let lines = include_str!("../conformance/attacks.txt").lines().filter(|line| !line.is_empty());
    lines.map(|line| line.split_once(' ').expect("an id and words")).collect()
}

/// The tests of each row.
fn tests_by_row() -> BTreeMap<String, Vec<String>> {
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for test in tests_below("tests/conformance") {
        let id = test.name.split('_').next().unwrap_or("").to_uppercase();
        found.entry(id).or_default().push(test.name);
    }
    found
}

fn page() -> String {
    let mut page = HEAD.to_owned();
    let tests = tests_by_row();
    page.push_str("| row | attack | tests |\n|---|---|---|\n");
    for (id, what) in rows() {
        let shown = tests.get(id).map_or("none yet".to_owned(), |tests| tests.join("<br>"));
        let _ = writeln!(page, "| {id} | {what} | {shown} |");
    }
    page
}

#[test]
fn every_row_of_the_checklist_has_a_test() {
    let tests = tests_by_row();
    for (id, what) in rows() {
        assert!(tests.contains_key(id), "no test begins with {}: {what}", id.to_lowercase());
    }
    let sections = [('A', 19), ('B', 33), ('C', 30), ('D', 23), ('E', 10), ('F', 8), ('G', 18)];
    for (section, count) in sections.into_iter().chain([('W', 16), ('H', 17)]) {
        let expected = (1..=count).map(|number| format!("{section}{number:02}"));
        let listed = rows().into_iter().filter(|(id, _)| id.starts_with(section));
        assert!(expected.eq(listed.map(|(id, _)| id.to_owned())), "a row of {section} is missing");
    }
}

#[test]
fn the_page_of_attacks_is_up_to_date() {
    assert_up_to_date("docs/attacks.md", &page());
}
