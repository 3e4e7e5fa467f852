//! `cargo xtask test`: the stages one after the other, then what came of them.

use std::time::{Duration, Instant};

use crate::job::{Job, Stop, is_ci};
use crate::stages::{STAGES, Stage};
use crate::tally::Tally;

/// Prints the stages and what each shows.
pub(crate) fn list() {
    for stage in &STAGES {
        println!("{:<12} {}", stage.name, stage.what);
    }
}

/// Runs all stages, or those named. True when nothing failed.
pub(crate) fn test(only: &[String], verbose: bool) -> Result<bool, String> {
    let known = |name: &String| STAGES.iter().any(|stage| stage.name == name);
    if let Some(unknown) = only.iter().find(|name| !known(name)) {
        let names: Vec<&str> = STAGES.iter().map(|stage| stage.name).collect();
        return Err(format!("no stage \"{unknown}\"; there are {}", names.join(", ")));
    }
    let chosen = |stage: &&Stage| only.is_empty() || only.iter().any(|name| name == stage.name);
    let stages: Vec<&Stage> = STAGES.iter().filter(chosen).collect();
    let mut report = Report::default();
    for (index, stage) in stages.iter().enumerate() {
        println!("[{}/{}] {}: {}", index + 1, stages.len(), stage.name, stage.what);
        run_stage(stage, verbose, &mut report);
    }
    Ok(report.conclude())
}

/// What came of all stages.
#[derive(Default)]
struct Report {
    tally: Tally,
    failed: Vec<String>,
    unchecked: Vec<String>,
}

fn run_stage(stage: &Stage, verbose: bool, report: &mut Report) {
    let begun = Instant::now();
    let mut job = match Job::new(stage.name, stage.minutes, stage.shows, verbose) {
        Ok(job) => job,
        Err(error) => return report.fail(stage, &format!("cannot write its log: {error}")),
    };
    let result = (stage.run)(&mut job);
    let Tally { passed, failed } = job.tally;
    let counted = if passed + failed > 0 {
        format!("{passed} passed, {failed} failed, ")
    } else {
        String::new()
    };
    let took = seconds(begun.elapsed());
    report.tally.add(job.tally);
    report.unchecked.extend(job.unchecked.iter().map(|what| format!("{}: {what}", stage.name)));
    match result {
        Ok(()) if failed == 0 => println!("        ok, {counted}{took}"),
        Ok(()) => {
            report.failed.push(stage.name.to_owned());
            show_failure(&job, &format!("{counted}{took}"));
        }
        Err(Stop::Failed(why)) => {
            show_failure(&job, &format!("{counted}{took}\n        {why}"));
            report.failed.push(stage.name.to_owned());
            // A check that failed without naming a test counts as one.
            report.tally.failed += usize::from(failed == 0);
        }
        Err(Stop::Missing(what)) if is_ci() => report.fail(stage, &format!("NOT CHECKED: {what}")),
        Err(Stop::Missing(what)) => {
            println!("        NOT CHECKED: {what}");
            report.unchecked.push(format!("{}: {what}", stage.name));
        }
    }
}

fn show_failure(job: &Job, what: &str) {
    for line in job.failure() {
        println!("        | {line}");
    }
    println!("        FAILED, {what}\n        everything it printed: {}", job.log_path().display());
}

impl Report {
    fn fail(&mut self, stage: &Stage, why: &str) {
        println!("        FAILED, {why}");
        self.failed.push(stage.name.to_owned());
        self.tally.failed += 1;
    }

    /// Says it all once more, ending with the plain line.
    fn conclude(&self) -> bool {
        println!();
        for what in &self.unchecked {
            println!("NOT CHECKED: {what}");
        }
        if !self.failed.is_empty() {
            println!("failed: {}", self.failed.join(", "));
        }
        println!("{} passed, {} failed", self.tally.passed, self.tally.failed);
        self.failed.is_empty()
    }
}

fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}
