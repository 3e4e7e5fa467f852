//! `docs/compliance.md`: which tests stand for which clause of the standards. It is made from the
//! tests themselves: a test cites a clause in the comment above it or in its name.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// What is searched for tests.
const FOLDERS: [&str; 6] =
    ["protocol/src", "protocol/tests", "client", "src", "loadtest/src", "tests"];

const PAGE: &str = "docs/compliance.md";

const HEAD: &str = "# Compliance

<!-- Made from the tests: UPDATE_DOCS=1 cargo test --test conformance compliance -->

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

/// A test and what the comment above it says, on one line.
pub(crate) struct Test {
    pub(crate) name: String,
    comment: String,
}

pub(crate) fn tests_of(source: &str) -> Vec<Test> {
    let (mut tests, mut comment, mut is_test) = (Vec::new(), String::new(), false);
    for line in source.lines().map(str::trim) {
        if let Some(text) = line.strip_prefix("///") {
            comment.push_str(text);
        } else if line.starts_with("#[") {
            is_test |= line == "#[test]";
        } else {
            if let Some(rest) = line.strip_prefix("fn ")
                && is_test
            {
                let name = rest.split('(').next().unwrap_or(rest).to_owned();
                tests.push(Test { name, comment: std::mem::take(&mut comment) });
            }
            comment.clear();
            is_test = false;
        }
    }
    tests
}

fn clauses_of(test: &Test) -> Vec<Clause> {
    let cited = test.comment.split('[').skip(1).filter_map(|rest| rest.split(']').next());
    cited.filter_map(Clause::parse).chain(Clause::of_name(&test.name)).collect()
}

pub(crate) fn rust_files(folder: &Path, files: &mut Vec<PathBuf>) {
    let Ok(entries) = folder.read_dir() else { return };
    for path in entries.map(|entry| entry.expect("the folder can be read").path()) {
        if path.is_dir() {
            rust_files(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

fn page() -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    for folder in FOLDERS {
        rust_files(&root.join(folder), &mut files);
    }
    let mut rows: BTreeMap<Clause, BTreeSet<String>> = BTreeMap::new();
    for file in files {
        let source = std::fs::read_to_string(&file).expect("sources are text");
        let shown = file.strip_prefix(root).expect("it was found below").display();
        for test in tests_of(&source) {
            for clause in clauses_of(&test) {
                rows.entry(clause).or_default().insert(format!("{} ({shown})", test.name));
            }
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
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(PAGE);
    let page = page();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, page).expect("the page can be written");
        return;
    }
    let stands = std::fs::read_to_string(path).unwrap_or_default();
    let hint = "run UPDATE_DOCS=1 cargo test --test conformance compliance";
    for (line, (stands, made)) in stands.lines().zip(page.lines()).enumerate() {
        assert_eq!(stands, made, "{PAGE}, line {}: {hint}", line + 1);
    }
    assert!(stands == page, "{PAGE} is of another length: {hint}");
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
    let tests = tests_of(&source);
    let names: Vec<&str> = tests.iter().map(|test| test.name.as_str()).collect();
    assert_eq!(names, ["mqtt_3_3_2_9_refused", "plain"]);
    let clauses: Vec<(bool, String)> =
        clauses_of(&tests[0]).iter().map(|clause| (clause.is_of_3_1_1, clause.show())).collect();
    let expected = [(false, "1.5.4-3"), (true, "4.7.3-4"), (false, "3.3.2-9")];
    assert_eq!(clauses, expected.map(|(old, text)| (old, format!("MQTT-{text}"))));
    assert!(clauses_of(&tests[1]).is_empty());
}
