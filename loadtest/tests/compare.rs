//! Comparisons and sweeps with real processes: the null broker stands for all brokers.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use serde_json::Value;

const PROGRAM: &str = env!("CARGO_BIN_EXE_skein-loadtest");

fn run(arguments: &[&str]) -> Output {
    Command::new(PROGRAM).args(arguments).output().expect("the program runs")
}

fn text(output: &Output) -> String {
    let [out, errors] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    format!("{}\n{out}\n{errors}", output.status)
}

fn null_broker(name: &str) -> String {
    format!("{name}={PROGRAM} floor --listen 127.0.0.1:{{port}}")
}

fn read(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

/// Compares two null brokers in two rounds and stores the comparison; more arguments in front.
fn compare(folder: &Path, more: &[&str]) -> Output {
    let (one, two) = (null_broker("one"), null_broker("two"));
    let (json, html) = (folder.join("comparison.json"), folder.join("comparison.html"));
    let mut arguments = vec!["compare", "--broker", &one, "--broker", &two, "--repeats", "2"];
    arguments.extend(["--json", json.to_str().unwrap(), "--html", html.to_str().unwrap()]);
    arguments.extend(more);
    arguments.extend(["--", "flood", "--messages", "2000", "--expect"]);
    run(&arguments)
}

#[test]
fn brokers_are_started_run_in_turn_and_ended() {
    let folder = tempfile::tempdir().unwrap();
    let output = compare(folder.path(), &["--floor", "--seed", "1"]);
    assert!(output.status.success(), "{}", text(&output));
    let comparison = read(&folder.path().join("comparison.json"));
    let outcomes = comparison["scenarios"][0]["outcomes"].as_array().unwrap();
    assert_eq!(outcomes.len(), 3, "two brokers and the floor");
    let mut pids = Vec::new();
    for outcome in outcomes {
        let reports = outcome["reports"].as_array().unwrap();
        assert_eq!(reports.len(), 2, "one for each round");
        for report in reports {
            assert_eq!(report["traffic"]["delivered"], 2000);
            pids.push(report["broker"]["pid"].as_u64().unwrap());
        }
        assert_eq!(outcome["measured"][0]["quantity"], "delivered-per-s");
    }
    assert!(!outcomes[1]["measured"][0]["against_reference"].is_null());
    for pid in pids {
        assert!(!Path::new(&format!("/proc/{pid}")).exists(), "broker {pid} is still there");
    }
    let shown = text(&output);
    assert!(shown.contains("× floor") && shown.contains("seed 1"), "{shown}");
    assert!(fs::read_to_string(folder.path().join("comparison.html")).unwrap().contains("<svg"));
}

#[test]
fn a_figure_worse_than_the_baseline_is_a_failure() {
    let folder = tempfile::tempdir().unwrap();
    let output = compare(folder.path(), &[]);
    assert!(output.status.success(), "{}", text(&output));
    let mut baseline = read(&folder.path().join("comparison.json"));
    // The second factor undoes the first and makes the baseline a thousand times better.
    for (factor, code) in [(1e-3, 0), (1e6, 1)] {
        let outcome = &mut baseline["scenarios"][0]["outcomes"][0];
        let values = outcome["measured"][0]["values"].as_array_mut().unwrap();
        for value in values {
            *value = (value.as_f64().unwrap() * factor).into();
        }
        // Only this figure is to be judged: a CPU time of so few messages is chance.
        for outcome in baseline["scenarios"][0]["outcomes"].as_array_mut().unwrap() {
            outcome["measured"].as_array_mut().unwrap().truncate(1);
        }
        baseline["brokers"][1]["name"] = "another".into();
        let path = folder.path().join("baseline.json");
        fs::write(&path, baseline.to_string()).unwrap();
        let output = compare(folder.path(), &["--baseline", path.to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(code), "{}", text(&output));
    }
}

#[test]
fn a_broker_that_does_not_start_is_named_and_the_others_go_on() {
    let one = null_broker("one");
    let broken = "broken=sh -c 'echo no port {port}; exit 3'";
    let arguments = ["compare", "--broker", &one, "--broker", broken, "--repeats", "1"];
    let output = run(&[&arguments[..], &["--", "flood", "--messages", "1000"]].concat());
    let shown = text(&output);
    assert_eq!(output.status.code(), Some(1), "{shown}");
    assert!(shown.contains("! broken: failed: broken: ended at once"), "{shown}");
    assert!(shown.contains("no port") && shown.contains("delivered/s"), "{shown}");
}

#[test]
fn a_sweep_finds_the_highest_rate_allowed() {
    let folder = tempfile::tempdir().unwrap();
    let json = folder.path().join("sweep.json");
    let one = null_broker("one");
    let arguments = ["sweep", "--broker", &one, "--from", "100", "--to", "200"];
    let outputs = ["--p99-max-ms", "60000", "--json", json.to_str().unwrap()];
    let rate = ["--", "rate", "--seconds", "0.5", "--warm-up", "0.1"];
    let output = run(&[&arguments[..], &outputs, &rate].concat());
    assert!(output.status.success(), "{}", text(&output));
    let sweep = read(&json);
    assert_eq!(sweep["highest_per_s"], 200.0, "{}", text(&output));
    assert_eq!(sweep["ended_by"], "highest-allowed");
    assert_eq!(sweep["steps"].as_array().unwrap().len(), 2);
}

#[test]
fn options_that_make_no_sense_are_refused() {
    let one = null_broker("one");
    for arguments in [
        &["compare", "--", "flood"][..],
        &["compare", "--broker", &one],
        &["compare", "--broker", "one=broker-without-port", "--", "flood"],
        &["compare", "--broker", &one, "--fail-if", "-5%", "--", "flood"],
        &["sweep", "--", "flood"],
        &["sweep", "--from", "0", "--", "rate"],
        &["show", "/nowhere/at/all.json"],
    ] {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", text(&output));
    }
}
