//! The pieces of the way of a message, counted in instructions by valgrind and compared with the
//! table in the repository. Unlike time, they are the same on a busy machine.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;

use crate::job::{Job, Stop, cargo, root, target};
use crate::tools::{self, VALGRIND};

/// Instructions per item, from the root of the repository.
const TABLE: &str = "benches/instructions.toml";
/// A piece may take so many percent more than the table says. The same code built in another folder
/// differs by up to seven: names are hashed with their path, and inlining follows their order.
const PERCENT_MAX: f64 = 10.0;
/// What is counted: a function of `benches/instructions.rs`.
const COUNTED: &str = "*instructions::counted*";

const HEADER: &str = "\
# Instructions for each packet, topic, delivery or item, on x86-64. Who makes one of them dearer by
# more than 10 % hears of it; who means to, or has a newer compiler, writes the table anew:
# UPDATE_DOCS=1 cargo xtask test --only instructions

";

/// Name of a piece → instructions per item.
type Counts = BTreeMap<String, f64>;

pub(super) fn instructions(job: &mut Job) -> Result<(), Stop> {
    if cfg!(not(all(target_arch = "x86_64", target_os = "linux"))) {
        job.unchecked.push(format!("{TABLE} holds for x86-64 and Linux"));
        return Ok(());
    }
    tools::ensure(job, &[VALGRIND])?;
    let counted = count_all(job)?;
    if std::env::var_os("UPDATE_DOCS").is_some() {
        return fs::write(root().join(TABLE), show(&counted)).map_err(|error| failed(&error));
    }
    let text = fs::read_to_string(root().join(TABLE)).map_err(|error| failed(&error))?;
    let table: Counts = toml::from_str(&text).map_err(|error| failed(&error))?;
    let found = compare(&table, &counted);
    found.better.iter().for_each(|line| job.say(line));
    if found.wrong.is_empty() {
        return Ok(());
    }
    found.wrong.iter().for_each(|line| job.say(line));
    Err(Stop::Failed(format!(
        "{} of {} pieces differ from {TABLE}",
        found.wrong.len(),
        table.len()
    )))
}

fn failed(error: &dyn std::fmt::Display) -> Stop {
    Stop::Failed(format!("{TABLE}: {error}"))
}

fn count_all(job: &mut Job) -> Result<Counts, Stop> {
    let bench = ["bench", "--bench", "instructions"];
    job.run(cargo().args(bench))?;
    let pieces: Vec<(String, f64)> = job.tail().iter().filter_map(|line| piece(line)).collect();
    let mut counts = Counts::new();
    for (name, items) in pieces {
        let mut command = cargo();
        command.args(bench).arg("--config").arg(runner()).args(["--", &name]);
        job.run(&mut command)?;
        let Some(total) = job.tail().iter().find_map(|line| collected(line)) else {
            return Err(Stop::Failed(format!("valgrind did not count {name}")));
        };
        counts.insert(name, total / items);
    }
    Ok(counts)
}

/// Cargo's setting that lets valgrind run the bench.
fn runner() -> String {
    let out = target().join("xtask").join("callgrind.out");
    let words = [
        "valgrind",
        "--tool=callgrind",
        &format!("--callgrind-out-file={}", out.display()),
        &format!("--toggle-collect={COUNTED}"),
    ];
    format!("target.'cfg(all())'.runner = {words:?}")
}

/// A line of the bench's list: name and items.
fn piece(line: &str) -> Option<(String, f64)> {
    let (name, items) = line.split_once(' ')?;
    let is_name = name.contains('/') && !name.starts_with('/');
    Some((name.to_owned(), items.parse().ok()?)).filter(|_| is_name)
}

/// Valgrind's last words: `==4711== Collected : 36987`.
fn collected(line: &str) -> Option<f64> {
    let (_, count) = line.strip_prefix("==")?.split_once("Collected : ")?;
    count.trim().parse().ok()
}

#[derive(Debug, Default, PartialEq)]
struct Findings {
    /// What must be mended, or the table be written anew for.
    wrong: Vec<String>,
    /// What the table could be written anew for.
    better: Vec<String>,
}

fn compare(table: &Counts, counted: &Counts) -> Findings {
    let mut found = Findings::default();
    for (name, now) in counted {
        let Some(before) = table.get(name) else {
            found.wrong.push(format!("{name}: {now:.1}, not in the table"));
            continue;
        };
        let percent = (now / before - 1.0) * 100.0;
        let line = format!("{name}: {before:.1} -> {now:.1} ({percent:+.1} %)");
        if percent > PERCENT_MAX {
            found.wrong.push(line);
        } else if percent < -PERCENT_MAX {
            found.better.push(line);
        }
    }
    let gone = table.keys().filter(|name| !counted.contains_key(*name));
    found.wrong.extend(gone.map(|name| format!("{name}: in the table, not counted")));
    found
}

fn show(counts: &Counts) -> String {
    let mut text = HEADER.to_owned();
    for (name, count) in counts {
        // Writing into a String cannot fail.
        let _ = writeln!(text, "\"{name}\" = {count:.1}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(rows: &[(&str, f64)]) -> Counts {
        rows.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
    }

    #[test]
    fn what_is_dearer_unknown_or_gone_is_wrong_and_what_is_cheaper_is_said() {
        let table =
            counts(&[("a/dearer", 100.0), ("a/gone", 1.0), ("a/near", 10.0), ("a/less", 9.0)]);
        let now = counts(&[("a/dearer", 111.0), ("a/new", 1.0), ("a/near", 10.4), ("a/less", 8.0)]);
        let found = compare(&table, &now);
        assert_eq!(
            found.wrong,
            [
                "a/dearer: 100.0 -> 111.0 (+11.0 %)",
                "a/new: 1.0, not in the table",
                "a/gone: in the table, not counted"
            ]
        );
        assert_eq!(found.better, ["a/less: 9.0 -> 8.0 (-11.1 %)"]);
    }

    #[test]
    fn the_table_is_read_as_it_was_written() {
        let written = counts(&[("a/b", 12.5), ("c/d", 3.0)]);
        assert_eq!(toml::from_str::<Counts>(&show(&written)), Ok(written));
    }

    #[test]
    fn the_lines_of_the_bench_and_of_valgrind_are_understood() {
        assert_eq!(piece("codec/publish 100"), Some(("codec/publish".to_owned(), 100.0)));
        assert_eq!(piece("    Finished `bench` profile in 1s"), None);
        assert_eq!(piece("$ cargo bench --bench instructions"), None);
        assert_eq!(collected("==4711== Collected : 36987"), Some(36_987.0));
        assert_eq!(collected("==4711== Events    : Ir"), None);
    }

    #[test]
    fn every_name_in_the_table_is_an_area_and_what() {
        let text = fs::read_to_string(root().join(TABLE)).expect("the table is there");
        let table: Counts = toml::from_str(&text).expect("it is a table of numbers");
        assert!(!table.is_empty());
        assert!(table.iter().all(|(name, count)| name.contains('/') && *count > 0.0));
    }
}
