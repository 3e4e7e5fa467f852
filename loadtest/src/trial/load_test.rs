//! The load test as a process of its own: arguments in, a report out.

use std::{
    env,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use super::{Broker, Processors, Stop, broker::tail, stop::end};
use crate::report::{Report, json};

/// How trials run the load test.
#[derive(Clone, Debug)]
pub(crate) struct LoadTest {
    program: PathBuf,
    pins: Option<Processors>,
    limit: Duration,
    stop: Stop,
}

impl LoadTest {
    /// Runs `program`, this one if nothing is given, on the processors of `pins`; a run that takes
    /// longer than `limit` has failed.
    ///
    /// # Errors
    ///
    /// This program does not know its own file.
    pub(crate) fn new(
        program: Option<PathBuf>,
        pins: Option<Processors>,
        limit: Duration,
        stop: Stop,
    ) -> io::Result<Self> {
        let program = program.map_or_else(env::current_exe, Ok)?;
        Ok(Self { program, pins, limit, stop })
    }

    /// The program.
    pub(crate) fn program(&self) -> &Path {
        &self.program
    }

    /// What ends everything early.
    pub(crate) fn stop(&self) -> &Stop {
        &self.stop
    }

    /// One run against a broker of that name.
    ///
    /// # Errors
    ///
    /// The run took too long, or wrote no report; with the end of what it printed. A run whose
    /// report shows violations is no error.
    pub(crate) fn run_against(
        &self,
        broker: &Broker,
        name: &str,
        arguments: &[String],
    ) -> io::Result<Report> {
        let mut all = broker.arguments(arguments);
        all.extend(["--broker-name".into(), name.into()]);
        self.run(&all)
    }

    /// One run with these arguments, and JSON as its output.
    ///
    /// # Errors
    ///
    /// As [`run_against`](Self::run_against).
    pub(crate) fn run(&self, arguments: &[String]) -> io::Result<Report> {
        self.stop.check()?;
        let folder = tempfile::tempdir()?;
        let (report, errors) = (folder.path().join("report"), folder.path().join("errors"));
        let mut command = Command::new(&self.program);
        command.args(arguments).args(["--json", "-"]).stdin(Stdio::null());
        command.stdout(File::create(&report)?).stderr(File::create(&errors)?);
        let mut child = Processors::pinned(self.pins.as_ref(), || command.spawn())
            .map_err(|error| io::Error::other(format!("{}: {error}", self.program.display())))?;
        let status = self.stop.wait(&mut child, self.limit);
        end(&mut child);
        let Some(status) = status? else {
            let seconds = self.limit.as_secs();
            return Err(io::Error::other(format!(
                "was not over after {seconds} s{}",
                tail(&errors)
            )));
        };
        // A run that found violations ends with a failure, too, but it has a report.
        json::read(&fs::read_to_string(&report)?)
            .map_err(|_| io::Error::other(format!("no report, {status}{}", tail(&errors))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample::sample;

    /// Runs a shell in place of the load test; it gets the arguments of a run.
    fn run(script: &str, limit: Duration) -> io::Result<Report> {
        let stop = Stop::on_signals()?;
        let program = LoadTest::new(Some("/bin/sh".into()), None, limit, stop)?;
        program.run(&["-c", script, "program", "flood"].map(String::from))
    }

    #[test]
    fn a_report_counts_even_if_the_run_found_violations() {
        let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/report.json");
        let script = format!("cat '{}'; exit 1", golden.display());
        assert_eq!(run(&script, Duration::from_secs(60)).unwrap(), sample());
    }

    #[test]
    fn a_run_without_a_report_says_what_it_printed() {
        let error =
            run("echo \"$@\" >&2; exit 2", Duration::from_secs(60)).unwrap_err().to_string();
        assert!(error.starts_with("no report") && error.ends_with("\n  flood --json -"), "{error}");
    }

    #[test]
    fn a_run_that_does_not_end_is_ended() {
        let error = run("exec sleep 600", Duration::from_millis(50)).unwrap_err().to_string();
        assert!(error.starts_with("was not over"), "{error}");
    }
}
