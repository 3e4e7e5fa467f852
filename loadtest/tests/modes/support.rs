//! Running the load test and brokers for it.

use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
};

use serde_json::Value;

const PROGRAM: &str = env!("CARGO_BIN_EXE_skein-loadtest");

/// A broker that is ended with the test.
pub(crate) struct Broker {
    child: Child,
    /// Where it listens first of all.
    pub(crate) address: String,
    /// Every place where it listens, in the order of its configuration.
    pub(crate) addresses: Vec<String>,
    /// Its log must not fill the pipe.
    _log: std::thread::JoinHandle<()>,
}

impl Broker {
    /// The null broker.
    pub(crate) fn floor() -> Self {
        let mut command = Command::new(PROGRAM);
        command.args(["floor", "--listen", "127.0.0.1:0"]);
        Self::start(command)
    }

    /// The real one.
    pub(crate) fn skein() -> Self {
        let mut command = Command::new(skein());
        command.args(["--listen", "127.0.0.1:0", "--shards", "2"]);
        Self::start(command)
    }

    /// The real one, with this configuration.
    pub(crate) fn skein_with(config: &Path) -> Self {
        let mut command = Command::new(skein());
        command.args(["serve", "--shards", "2", "--config"]).arg(config);
        Self::start(command)
    }

    /// Its process, as the load test is told.
    pub(crate) fn pid(&self) -> String {
        self.child.id().to_string()
    }

    fn start(mut command: Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().expect("the program was built");
        let mut lines = BufReader::new(child.stderr.take().expect("it is piped")).lines();
        let listening = lines
            .find_map(|line| Some(line.ok()?.split_once("listening on ")?.1.to_owned()))
            .expect("the broker ended before it listened");
        let is_address = |word: &&str| word.starts_with("127.") || word.starts_with("unix:");
        let addresses = listening.split(", ").filter(is_address).map(str::to_owned);
        let addresses: Vec<String> = addresses.collect();
        let address = addresses.first().expect("it listens somewhere").clone();
        Self { child, address, addresses, _log: std::thread::spawn(move || lines.for_each(drop)) }
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs the load test.
pub(crate) fn run(arguments: &[&str]) -> Output {
    Command::new(PROGRAM).args(arguments).output().expect("the program runs")
}

/// Runs the load test against a broker.
pub(crate) fn load(broker: &Broker, arguments: &[&str]) -> Output {
    let mut command = Command::new(PROGRAM);
    command.args(arguments).args(["--address", &broker.address, "--pid", &broker.pid()]);
    command.output().expect("the program runs")
}

/// Runs the load test against a broker, which must keep every promise; its report.
pub(crate) fn report(broker: &Broker, arguments: &[&str]) -> Value {
    let pid = broker.pid();
    report_of(&[arguments, &["--address", &broker.address, "--pid", &pid, "--expect"]].concat())
}

/// Runs the load test, which must succeed; its report.
pub(crate) fn report_of(arguments: &[&str]) -> Value {
    let output = run(&[arguments, &["--json", "-"]].concat());
    assert!(output.status.success(), "{arguments:?}: {}", text(&output));
    serde_json::from_slice(&output.stdout).expect("it is JSON")
}

/// All that a program has said.
pub(crate) fn text(output: &Output) -> String {
    let [out, errors] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    format!("{}\n{out}\n{errors}", output.status)
}

/// The broker's binary of the same build, which other tests than its own have to ask for.
pub(crate) fn skein() -> PathBuf {
    let folder = Path::new(PROGRAM).parent().expect("a file lies in a folder");
    let mut build = Command::new(env!("CARGO"));
    build.args(["build", "--quiet", "--package", "skein", "--bin", "skein"]);
    if folder.ends_with("release") {
        build.arg("--release");
    }
    assert!(build.status().expect("cargo runs").success(), "the broker can be built");
    folder.join("skein")
}
