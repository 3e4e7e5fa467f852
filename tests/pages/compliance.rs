//! `docs/compliance.md`: which tests stand for which clause of the standards. It is made from the
//! tests themselves: a test cites a clause in the comment above it or in its name.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use crate::assert_up_to_date;
use crate::sources::{Test, tests_below, tests_of};

/// What is searched for tests.
const FOLDERS: [&str; 6] =
    ["protocol/src", "protocol/tests", "client", "src", "loadtest/src", "tests"];

const HEAD: &str = "# Compliance

<!-- Made from the tests: cargo xtask pages -->

The numbered clauses of the standards and the tests that stand for them: a test is listed under
each clause that the comment above it, or its name, cites. The tests of `tests/conformance` speak
to the real process, those of `src` and `protocol` to the code alone. A rule to which the
standards give no number is cited in the tests by its section, and not listed here.
";

/// A clause, in the order of its numbers.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Clause {
    is_of_3_1_1: bool,
    numbers: Vec<u32>,
}

impl Clause {
    /// Of text like `MQTT-3.1.2-24` or `MQTT-3.1.2-24 of 3.1.1`.
    fn parse(text: &str) -> Option<Self> {
        let (numbers, is_of_3_1_1) = match text.strip_suffix(" of 3.1.1") {
            Some(numbers) => (numbers, true),
            None => (text, false),
        };
        let numbers = numbers.strip_prefix("MQTT-")?.split(['.', '-']).map(str::parse);
        let numbers: Vec<u32> = numbers.collect::<Result<_, _>>().ok()?;
        (numbers.len() == 4).then_some(Self { is_of_3_1_1, numbers })
    }

    /// Of a test's name like `mqtt_3_3_2_9_an_alias_above_the_maximum_is_refused`.
    fn of_name(name: &str) -> Option<Self> {
        let mut words = name.strip_prefix("mqtt_")?.split('_');
        let mut next = || words.next()?.parse().ok();
        let numbers = vec![next()?, next()?, next()?, next()?];
        Some(Self { is_of_3_1_1: false, numbers })
    }

    fn show(&self) -> String {
        let [a, b, c, n] = self.numbers[..] else { unreachable!("a clause has four numbers") };
        format!("MQTT-{a}.{b}.{c}-{n}")
    }
}

fn clauses_of(test: &Test) -> Vec<Clause> {
    let cited = test.comment.split('[').skip(1).filter_map(|rest| rest.split(']').next());
    cited.filter_map(Clause::parse).chain(Clause::of_name(&test.name)).collect()
}

fn page() -> String {
    let mut rows: BTreeMap<Clause, BTreeSet<String>> = BTreeMap::new();
    for test in FOLDERS.into_iter().flat_map(tests_below) {
        for clause in clauses_of(&test) {
            rows.entry(clause).or_default().insert(format!("{} ({})", test.name, test.file));
        }
    }
    let mut page = HEAD.to_owned();
    for (title, is_of_3_1_1) in [("MQTT 5.0", false), ("MQTT 3.1.1", true)] {
        let chosen = rows.iter().filter(|(clause, _)| clause.is_of_3_1_1 == is_of_3_1_1);
        let _ = write!(page, "\n## {title}\n\n| clause | tests |\n|---|---|\n");
        for (clause, tests) in chosen {
            let tests: Vec<&str> = tests.iter().map(String::as_str).collect();
            let _ = writeln!(page, "| {} | {} |", clause.show(), tests.join("<br>"));
        }
    }
    page
}

#[test]
fn the_page_of_clauses_is_up_to_date() {
    assert_up_to_date("docs/compliance.md", &page());
}

#[test]
fn clauses_are_found_in_comments_and_names() {
    // The bars keep these lines from being taken for tests of this file.
    let source = "
        |/// [MQTT-1.5.4-3], [MQTT-4.7.3-4 of
        |/// 3.1.1] and [2.1.2]: text.
        |#[test]
        |fn mqtt_3_3_2_9_refused() {
        |/// [MQTT-9.9.9-9]
        |fn helper() {}
        |#[test]
        |fn plain() {}"
        .replace('|', "");
    let tests = tests_of(&source, "a.rs");
    let names: Vec<&str> = tests.iter().map(|test| test.name.as_str()).collect();
    assert_eq!(names, ["mqtt_3_3_2_9_refused", "plain"]);
    let clauses: Vec<(bool, String)> =
        clauses_of(&tests[0]).iter().map(|clause| (clause.is_of_3_1_1, clause.show())).collect();
    let expected = [(false, "1.5.4-3"), (true, "4.7.3-4"), (false, "3.3.2-9")];
    assert_eq!(clauses, expected.map(|(old, text)| (old, format!("MQTT-{text}"))));
    assert!(clauses_of(&tests[1]).is_empty());
}
