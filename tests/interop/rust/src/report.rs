//! How a script says what it saw: a line per promise, and a last line with their number.

use std::fmt::Debug;
use std::process::ExitCode;
use std::sync::LazyLock;
use std::time::{Duration, SystemTime};

/// Longest wait for anything that must come.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// What a check ends with: nothing to say, or why the promise is broken.
pub type Outcome<T = ()> = Result<T, String>;

/// The promises checked so far.
#[derive(Default)]
pub struct Report {
    kept: usize,
    broken: usize,
}

impl Report {
    /// Checks one promise and prints its line.
    pub async fn promise(&mut self, name: &str, check: impl Future<Output = Outcome>) {
        self.record(name, None, check.await);
    }

    /// Checks a promise that brokers other than skein are known to break, and how: their failure
    /// is told as a note.
    pub async fn promise_of_skein(
        &mut self,
        name: &str,
        deviation: &str,
        check: impl Future<Output = Outcome>,
    ) {
        self.record(name, Some(deviation), check.await);
    }

    /// Prints the last line; the script's exit code.
    pub fn finish(self) -> ExitCode {
        println!("1..{}", self.kept + self.broken);
        if self.broken == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }

    fn record(&mut self, name: &str, deviation: Option<&str>, outcome: Outcome) {
        let is_skein = std::env::var("BROKER_KIND").is_ok_and(|kind| kind == "skein");
        match (outcome, deviation) {
            (Ok(()), _) => {
                self.kept += 1;
                println!("ok {name}");
            }
            (Err(why), Some(deviation)) if !is_skein => {
                println!("note {name}: {deviation} ({why})");
            }
            (Err(why), _) => {
                self.broken += 1;
                println!("not ok {name}: {why}");
            }
        }
    }
}

/// Fails with both values when they differ.
pub fn expect<T: PartialEq + Debug>(seen: T, wanted: T, what: &str) -> Outcome {
    if seen == wanted {
        return Ok(());
    }
    let short = |value: T| format!("{value:?}").chars().take(300).collect::<String>();
    Err(format!("{what}: wanted {}, got {}", short(wanted), short(seen)))
}

/// Fails unless the condition holds.
pub fn expect_that(condition: bool, what: impl FnOnce() -> String) -> Outcome {
    if condition { Ok(()) } else { Err(what()) }
}

/// A topic level or client id of this run, so that no script meets another one's messages.
pub fn unique(name: &str) -> String {
    static RUN: LazyLock<String> = LazyLock::new(|| {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        format!("r{:x}{:x}", std::process::id(), since.subsec_nanos())
    });
    format!("{}-{name}", *RUN)
}

/// Where the broker listens: host and port.
pub fn broker() -> (String, u16) {
    let port = std::env::var("BROKER_PORT").ok().and_then(|text| text.parse().ok());
    let host = std::env::var("BROKER_HOST").unwrap_or_else(|_| "127.0.0.1".to_owned());
    (host, port.expect("the test target tells the port"))
}
