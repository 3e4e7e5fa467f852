//! Each mode, briefly, against the null broker and the real one.

mod support;
mod transports;

use serde_json::Value;
use support::{Broker, load, report, run, text};

/// What one kind of latency counted; 0 if it was not timed.
fn timed(report: &Value, clock: &str) -> u64 {
    let latencies = report["latencies"].as_array().expect("there are latencies");
    let found = latencies.iter().find(|latency| latency["clock"] == clock);
    found.map_or(0, |latency| latency["count"].as_u64().expect("a count is a number"))
}

/// A flood in which everything arrives, as often as `fan_out` says.
fn flood(broker: &Broker, arguments: &[&str], fan_out: u64) {
    let report = report(broker, &[&["flood", "--messages", "500"], arguments].concat());
    let traffic = &report["traffic"];
    let published = traffic["published"].as_u64().expect("a count is a number");
    assert!(published >= 500, "{arguments:?}: {published}");
    assert_eq!(traffic["delivered"], published * fan_out, "{arguments:?}");
    assert_eq!(report["verification"][0]["missing"], 0, "{arguments:?}");
}

#[test]
fn the_floor_takes_every_shape_of_one_topic() {
    let broker = Broker::floor();
    for (shape, fan_out) in [("1:1", 1), ("3:1", 1), ("1:3", 3), ("mesh:3", 3)] {
        flood(&broker, &["--shape", shape], fan_out);
        flood(&broker, &["--shape", shape, "--threads", "2", "--version", "5"], fan_out);
    }
    flood(&broker, &["--payload", "8"], 1);
    flood(&broker, &["--payload", "100000", "--messages", "500"], 1);
}

#[test]
fn a_broker_takes_every_shape_qos_and_version() {
    let broker = Broker::skein();
    for qos in ["0", "1", "2"] {
        for version in ["3.1.1", "5"] {
            let with = |more: &[&'static str]| -> Vec<&str> {
                [&["--qos", qos, "--version", version], more].concat()
            };
            flood(&broker, &with(&["--shape", "mesh:3"]), 3);
            flood(&broker, &with(&["--shape", "pairs:4", "--threads", "2"]), 1);
            flood(&broker, &with(&["--shape", "topics:10:2:3"]), 1);
            flood(&broker, &with(&["--shape", "topics:10:2:3", "--wildcard"]), 3);
            flood(&broker, &with(&["--subscribers", "6", "--shares", "2"]), 2);
        }
    }
    flood(&broker, &["--publish-qos", "2", "--subscribe-qos", "1"], 1);
    flood(&broker, &["--ballast", "1000"], 1);
    flood(&broker, &["--preset", "surge-strict", "--repeat", "1"], 1);
}

#[test]
fn the_faithful_preset_has_two_lines() {
    let report = report(&Broker::floor(), &["flood", "--preset", "surge", "--messages", "2000"]);
    let surge = &report["surge"];
    assert_eq!(
        (&surge["sent"]["messages"], &surge["received"]["messages"]),
        (&2000.into(), &2000.into())
    );
    assert!(surge["cut_off"].is_null());
    // The subscriber stops when it has as many messages as one publisher sends.
    let report = support::report(
        &Broker::floor(),
        &["flood", "--preset", "surge", "--shape", "20:1", "--messages", "20000"],
    );
    assert!(report["surge"]["cut_off"].is_string(), "{}", report["surge"]);
}

#[test]
fn a_rate_is_kept_and_timed() {
    for (broker, qos) in [(Broker::floor(), "0"), (Broker::skein(), "1"), (Broker::skein(), "2")] {
        let arguments = ["rate", "--rate", "2000", "--seconds", "1", "--warm-up", "0.2"];
        let report = report(&broker, &[&arguments[..], &["--qos", qos, "--shape", "2:2"]].concat());
        let published = report["traffic"]["published_per_s"].as_f64().unwrap();
        assert!((1_800.0..2_200.0).contains(&published), "{published}");
        // What was to be sent in the window, exactly; as often as there are subscribers.
        assert_eq!(timed(&report, "delivery"), 4000);
        assert!(timed(&report, "delivery-uncorrected") > 3000);
        assert!(timed(&report, "schedule-lag") > 1000);
        let acknowledged = match qos {
            "0" => 0,
            "1" => timed(&report, "publish-to-puback"),
            _ => timed(&report, "publish-to-pubcomp"),
        };
        assert_eq!(acknowledged > 1000, qos != "0");
        assert_eq!(timed(&report, "connect-to-connack"), 4);
        assert!(!report["series"].as_array().unwrap().is_empty());
        assert_ne!(report["verdict"]["bound"], "unknown");
    }
}

#[test]
fn storms_end_with_everybody_served() {
    let broker = Broker::skein();
    let storm = |arguments: &[&str]| report(&broker, &[&["storm"], arguments].concat());
    let many = ["--connections", "200", "--at-once", "50"];
    for (kind, count) in [("connect", 1), ("reconnect", 2), ("takeover", 1)] {
        let report = storm(&[&[kind], &many[..]].concat());
        let storms = report["storms"].as_array().unwrap();
        assert_eq!(storms.len(), count, "{kind}");
        for storm in storms {
            assert_eq!((&storm["connections"], &storm["failed"]), (&200.into(), &0.into()));
        }
        assert_eq!(timed(&report, "subscribe-to-suback"), 200, "{kind}");
    }
    storm(&["reconnect", "--connections", "100", "--persistent", "--qos", "1"]);
    let report = storm(&[&["idle", "--settle", "0.2"], &many[..]].concat());
    assert_eq!(report["idle"].as_array().unwrap().len(), 2);
    for qos in ["1", "2"] {
        let report = storm(&["queue", "--messages", "300", "--qos", qos]);
        assert_eq!(report["verification"][0]["checked"], 300);
    }
    let report = storm(&["retained", "--messages", "300", "--subscribers", "5"]);
    assert_eq!(report["verification"][0]["checked"], 1500);
    let report = storm(&["slow", "--rate", "500", "--seconds", "1"]);
    assert!(report["figures"].as_array().unwrap().len() > 4);
}

#[test]
fn a_scenario_file_is_the_same_as_flags() {
    let broker = Broker::floor();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("three.toml");
    let address = &broker.address;
    let text =
        format!("mode = \"flood\"\nshape = \"1:3\"\nmessages = 100\naddress = \"{address}\"\n");
    std::fs::write(&file, text).unwrap();
    let output = run(&["run", file.to_str().unwrap(), "--", "--messages", "200", "--json", "-"]);
    assert!(output.status.success(), "{}", support::text(&output));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["traffic"]["delivered"], 600);
    assert_eq!(report["scenario"]["name"], "three");
    assert_eq!(report["scenario"]["hash"].as_str().unwrap().len(), 16);
    std::fs::write(&file, "shape = \"1:3\"").unwrap();
    assert_eq!(run(&["run", file.to_str().unwrap()]).status.code(), Some(2));
}

/// The null broker ignores topics, so with two of them everybody gets what is meant for others.
#[test]
fn a_broken_promise_fails_only_if_it_is_expected() {
    let broker = Broker::floor();
    let arguments = ["flood", "--messages", "100", "--shape", "pairs:2", "--quiet", "0.5"];
    let output = load(&broker, &arguments);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    let output = load(&broker, &[&arguments[..], &["--expect"]].concat());
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    assert!(text(&output).contains("unexpected"), "{}", text(&output));
}

/// A run whose broker dies still ends, and says so.
#[test]
fn lost_connections_fail_if_all_is_expected() {
    let broker = Broker::floor();
    let pid = broker.pid();
    let killer = std::thread::spawn(move || {
        std::thread::sleep(std::time::Duration::from_millis(500));
        std::process::Command::new("kill").args(["-KILL", &pid]).status()
    });
    let arguments = ["flood", "--seconds", "2", "--warm-up", "0", "--quiet", "0.5", "--json", "-"];
    let output = load(&broker, &[&arguments[..], &["--expect"]].concat());
    assert!(killer.join().unwrap().expect("kill is everywhere").success());
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["traffic"]["connections_lost"], 2);
}

#[test]
fn what_cannot_run_is_neither_a_success_nor_a_broken_promise() {
    let broker = Broker::floor();
    // The null broker grants QoS 0 only.
    let output = load(&broker, &["flood", "--qos", "1", "--expect"]);
    assert_eq!(output.status.code(), Some(2), "{}", text(&output));
    let output = load(&broker, &["flood", "--preset", "surge", "--shape", "2:2"]);
    assert_eq!(output.status.code(), Some(2), "{}", text(&output));
    let output = load(&broker, &["rate", "--rate", "10", "--payload", "31"]);
    assert_eq!(output.status.code(), Some(2), "{}", text(&output));
}
