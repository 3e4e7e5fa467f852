//! `cargo xtask paho DIR`: the suites of a checkout of the Paho interoperability tests.
//!
//! Each suite runs against a broker process of its own, all at the same time: they spend their
//! minutes waiting. One line is printed for each test, then the count.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use crate::broker::{self, Broker};
use crate::job::{root, target};
use crate::process::{self, Ended};
use crate::tally::Tally;

/// The suites: the version they speak, their file, and how many tests they have.
const SUITES: [Suite; 2] = [
    Suite { version: "3.1.1", file: "client_test.py", tests: 10 },
    Suite { version: "5.0", file: "client_test5.py", tests: 27 },
];

const SHARDS: [usize; 3] = [1, 2, 4];

/// How long one suite may take; against a healthy broker it needs about three minutes.
const SUITE_MAX: Duration = Duration::from_secs(8 * 60);

/// The suites wait no longer than 0.3 s for an answer, and an interpreter that starts takes a core:
/// they begin one after the other.
const BETWEEN_STARTS: Duration = Duration::from_secs(1);

/// The test that is wrong: its client knows 0x80 as the only refusal of a subscription, and the
/// specification (3.9.3) allows 0x87, which says more.
const WRONG: (&str, &str) = ("5.0", "test_subscribe_failure");

struct Suite {
    version: &'static str,
    file: &'static str,
    tests: usize,
}

/// What came of all tests so far.
#[derive(Default)]
struct Counted {
    tally: Tally,
    expected: usize,
}

/// One suite against one broker.
struct Pass<'a> {
    suite: &'a Suite,
    /// What the lines of this pass begin with.
    label: String,
    directory: &'a Path,
    only: &'a str,
    counted: &'a Mutex<Counted>,
}

/// Runs the suites, on each number of shards or against the broker at `address`. True when no test
/// failed that should pass.
pub(crate) fn run(
    directory: &Path,
    only: Option<&str>,
    address: Option<&str>,
) -> Result<bool, String> {
    let directory = find_suites(directory)?;
    let logs = target().join("xtask");
    std::fs::create_dir_all(&logs).map_err(|error| format!("{}: {error}", logs.display()))?;
    let counted = Mutex::new(Counted::default());
    let pass = |suite, label| Pass {
        suite,
        label,
        directory: &directory,
        only: only.unwrap_or_default(),
        counted: &counted,
    };
    match address {
        Some(address) => {
            let (host, port) = address.rsplit_once(':').ok_or("an address is HOST:PORT")?;
            for suite in &SUITES {
                pass(suite, suite.version.to_owned()).run(host, port);
            }
        }
        None => {
            build()?;
            thread::scope(|scope| {
                for suite in &SUITES {
                    for shards in SHARDS {
                        let pass = pass(suite, format!("{} on {shards} shards", suite.version));
                        let log = logs.join(format!("paho-{}-{shards}.log", suite.version));
                        scope.spawn(move || pass.run_on_skein(shards, &log));
                        thread::sleep(BETWEEN_STARTS);
                    }
                }
            });
        }
    }
    conclude(&counted.into_inner().expect("no pass panicked"))
}

fn conclude(counted: &Counted) -> Result<bool, String> {
    if counted.expected > 0 {
        let times = counted.expected;
        println!(
            "\n{times} failed as expected: {} {} accepts no other refusal than 0x80",
            WRONG.0, WRONG.1
        );
    }
    println!("{} passed, {} failed", counted.tally.passed, counted.tally.failed);
    if counted.tally == Tally::default() && counted.expected == 0 {
        return Err("no test was run".to_owned());
    }
    Ok(counted.tally.failed == 0)
}

fn build() -> Result<(), String> {
    let status = broker::build().status().map_err(|error| error.to_string())?;
    if status.success() { Ok(()) } else { Err("the release binary does not build".to_owned()) }
}

/// The folder of the suites in the checkout.
fn find_suites(checkout: &Path) -> Result<PathBuf, String> {
    let folder = checkout.join("interoperability");
    match SUITES.iter().find(|suite| !folder.join(suite.file).is_file()) {
        None => folder.canonicalize().map_err(|error| error.to_string()),
        Some(suite) => {
            let file = folder.join(suite.file);
            Err(format!("{} is not there; give a checkout of paho.mqtt.testing", file.display()))
        }
    }
}

impl Pass<'_> {
    fn run_on_skein(&self, shards: usize, log: &Path) {
        match Broker::start(&root().join("deploy/examples/paho.toml"), shards, log) {
            Ok(broker) => {
                let address = broker.address;
                self.run(&address.ip().to_string(), &address.port().to_string());
            }
            Err(error) => self.count(false, "start", &format!("{error}, see {}", log.display())),
        }
    }

    fn run(&self, host: &str, port: &str) {
        let mut command = Command::new("python3");
        command.args([
            "-c",
            include_str!("paho_driver.py"),
            self.suite.file,
            host,
            port,
            self.only,
        ]);
        command.current_dir(self.directory);
        let mut seen = 0;
        // What a test printed is shown only if it fails.
        let mut printed: Vec<String> = Vec::new();
        let deadline = Instant::now() + SUITE_MAX;
        let ended =
            process::run(&mut command, deadline, |line| match line.strip_prefix("RESULT ") {
                Some(result) => {
                    seen += usize::from(!result.starts_with("again "));
                    self.take(result, &printed);
                    printed.clear();
                }
                None => printed.push(line.to_owned()),
            });
        match ended {
            Ok(Ended::Well) if seen >= self.suite.tests || !self.only.is_empty() => {}
            Ok(ended) => {
                let what = format!("{seen} tests of {}, {ended:?}", self.suite.tests);
                self.count(false, "suite", &format!("{what}\n{}", printed.join("\n")));
            }
            Err(error) => self.count(false, "suite", &format!("python3: {error}")),
        }
    }

    /// "ok NAME SECONDS", "not NAME SECONDS", or "again NAME SECONDS" for a test that raced with
    /// its own client and is run once more.
    fn take(&self, result: &str, printed: &[String]) {
        let mut words = result.split(' ');
        let verdict = words.next();
        let name = words.next().unwrap_or_default();
        if verdict == Some("again") {
            println!("{:<18} {name} raced with its own client, is run again", self.label);
            return;
        }
        let passed = verdict == Some("ok");
        let took = format!("{} s", words.next().unwrap_or_default());
        let details = if passed { took } else { format!("{took}\n{}", printed.join("\n")) };
        self.count(passed, name, &details);
    }

    fn count(&self, passed: bool, name: &str, details: &str) {
        let mut counted = self.counted.lock().expect("no pass panicked");
        let is_wrong = (self.suite.version, name) == WRONG;
        let verdict = match (passed, is_wrong) {
            (true, _) => "ok",
            (false, true) => "failed as expected",
            (false, false) => "FAILED",
        };
        counted.tally.passed += usize::from(passed);
        counted.tally.failed += usize::from(!passed && !is_wrong);
        counted.expected += usize::from(!passed && is_wrong);
        let details = if is_wrong { details.lines().next().unwrap_or_default() } else { details };
        println!("{:<18} {name} {verdict} {details}", self.label);
    }
}
