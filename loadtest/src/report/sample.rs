//! Reports for tests, and the comparison with stored outputs.

use std::{env, fs, path::Path, time::Duration};

use super::{
    Bound, BrokerProcess, Environment, Figure, Floor, Generator, GeneratorThread, Idle, Mode,
    Report, Scenario, Second, Storm, Surge, SurgeLine, Traffic, Verdict, Verification,
    latency::{Clock, Latency, encode, histogram},
};

/// A run in which everything is known. One text is written to break a page that does not escape.
pub(crate) fn sample() -> Report {
    Report {
        run: "00000000deadbeef".into(),
        started_unix_ms: 1_795_269_600_000,
        command: ["skein-loadtest", "rate", "--rate", "1000"].map(String::from).to_vec(),
        environment: environment(),
        scenario: scenario(),
        traffic: Traffic {
            acknowledged: 2_999,
            ..Traffic::new(3_000, 60_000, Duration::from_secs(3), 64.0)
        },
        verification: vec![
            Verification { qos: 0, checked: 60_000, missing: 7, ..Verification::default() }.judge(),
            Verification {
                qos: 1,
                checked: 60_000,
                reordered: 2,
                duplicate_with_dup: 1,
                ..Verification::default()
            }
            .judge(),
        ],
        latencies: [Clock::Delivery, Clock::ScheduleLag]
            .map(|clock| Latency::new(clock, &recorded(10)))
            .to_vec(),
        series: (0..3).map(second).collect(),
        broker: Some(broker()),
        generator: generator(),
        verdict: Verdict {
            bound: Bound::Idle,
            reason: "the broker used 0.30 of 2 cores, the load test 0.10 of 1".into(),
        },
        floor: Some(Floor { ns_per_delivery: Some(19.0), delivered_per_s: Some(40_000.0) }),
        surge: Some(Surge {
            sent: SurgeLine::new(3_000, Duration::from_secs(3)),
            received: SurgeLine::new(60_000, Duration::from_secs(3)),
            cut_off: Some("the receivers waited 10 s".into()),
        }),
        figures: vec![Figure {
            name: "fast, before".into(),
            value: 1e6,
            unit: "delivered/s".into(),
        }],
        notes: vec!["payloads carry <no> checksum & that is said".into()],
        ..Report::default()
    }
}

/// A storm of connections, of which little else is known.
pub(crate) fn storm() -> Report {
    Report {
        scenario: Scenario {
            mode: Mode::Storm,
            shape: "8,000 connections".into(),
            version: "5".into(),
            transport: "tcp".into(),
            ..Scenario::default()
        },
        storms: vec![Storm {
            kind: "connect".into(),
            connections: 8_000,
            failed: 2,
            seconds: 2.0,
            connections_per_s: 4_000.0,
            broker_cpu_us_per_connection: Some(35.0),
        }],
        idle: [(2_000, 800.0), (8_000, 700.0)].map(idle).to_vec(),
        ..Report::default()
    }
}

/// Fails unless `text` is what is stored in `tests/golden`; `UPDATE_GOLDEN=1` stores it.
pub(crate) fn assert_golden(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, text).unwrap();
    }
    let stored = fs::read_to_string(&path).unwrap_or_default();
    assert!(stored == text, "{name} differs; if that is meant: UPDATE_GOLDEN=1\n{text}");
}

fn idle((connections, bytes_per_connection): (u64, f64)) -> Idle {
    let rss_bytes = 4_000_000 + (connections as f64 * bytes_per_connection) as u64;
    Idle { connections, subscriptions: 1, rss_bytes, bytes_per_connection }
}

fn environment() -> Environment {
    Environment {
        program: "0.1.0".into(),
        commit: Some("0123456789ab".into()),
        broker: Some("<script>alert(1)</script> & \"sons\"".into()),
        cpu: "Processor of a test".into(),
        cores: 2,
        affinity: vec![1],
        broker_affinity: vec![0],
        governor: Some("performance".into()),
        memory_bytes: 24 << 30,
        system: "Debian 12".into(),
        kernel: "6.1.0".into(),
        sysctls: [("net.core.somaxconn".into(), "4096".into())].into(),
        open_files_max: Some(1_048_576),
        load_average: [0.5, 0.25, 0.125],
    }
}

fn scenario() -> Scenario {
    Scenario {
        name: Some("fan-out".into()),
        mode: Mode::Rate,
        shape: "1:20".into(),
        publishers: 1,
        subscribers: 20,
        topics: 1,
        publish_qos: 1,
        subscribe_qos: 1,
        session_expiry_s: 0,
        version: "3.1.1".into(),
        transport: "tcp".into(),
        payload_bytes: 64,
        inflight: Some(100),
        offered_per_s: Some(1_000.0),
        arrivals: Some("fixed".into()),
        warm_up_s: 1.0,
        ..Scenario::default()
    }
}

fn recorded(step_us: u64) -> hdrhistogram::Histogram<u64> {
    let mut recorded = histogram();
    for number in 1..=1_000 {
        recorded.record(number * step_us * 1_000).unwrap();
    }
    recorded
}

fn second(second: u32) -> Second {
    let step = u64::from(second) + 9;
    let recorded = recorded(step);
    let summary = Latency::new(Clock::Delivery, &recorded);
    Second {
        second,
        published: 1_000,
        delivered: 20_000 - u64::from(second),
        p50_us: Some(summary.p50_us),
        p99_us: Some(summary.p99_us),
        max_us: Some(summary.max_us),
        histogram: Some(encode(&recorded)),
        broker_cpu_s: Some(0.1),
        broker_rss_bytes: None,
    }
}

fn broker() -> BrokerProcess {
    BrokerProcess {
        pid: 4711,
        cpu_user_s: 0.002,
        cpu_system_s: 0.004,
        ns_per_delivery: Some(100.0),
        rss_start_bytes: 4 << 20,
        rss_peak_bytes: 6 << 20,
        rss_end_bytes: 5 << 20,
        switches_voluntary: 3_000,
        switches_involuntary: 12,
        threads: 4,
        files: 43,
    }
}

fn generator() -> Generator {
    let thread = GeneratorThread {
        name: "drive-0".into(),
        cpu_s: 0.3,
        turn_max_us: 1_500.0,
        blocked_s: 0.0,
    };
    Generator { cpu_user_s: 0.1, cpu_system_s: 0.2, ns_per_message: 60.0, threads: vec![thread] }
}
