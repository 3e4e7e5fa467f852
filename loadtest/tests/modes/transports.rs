//! Everything that carries MQTT, each against a listener of the real broker.

use std::{fs, path::Path, thread};

use serde_json::Value;
use skein_test_authority::Authority;
use tempfile::TempDir;

use super::support::{Broker, report_of, run, skein, text};

/// A broker that listens in every way, with files that its clients may want.
struct World {
    broker: Broker,
    folder: TempDir,
}

/// One way to it.
struct Way {
    /// What a report calls it.
    name: &'static str,
    /// The flags for it.
    flags: Vec<String>,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::new("authority");
        authority.write(folder.path(), "ca");
        authority.server(&["127.0.0.1"]).write(folder.path(), "broker");
        authority.client("meter").write(folder.path(), "meter");
        let path = |name: &str| folder.path().join(name).display().to_string();
        let tls = format!(
            "[listener.tls]\ncertificate = \"{}\"\nkey = \"{}\"\n",
            path("broker.pem"),
            path("broker.key")
        );
        let port = "[[listener]]\naddress = \"127.0.0.1:0\"\n";
        let websocket = format!("{port}protocol = \"websocket\"\n");
        let asks =
            format!("client_ca = \"{}\"\nclient_certificates = \"required\"\n", path("ca.pem"));
        let unix = format!("[[listener]]\naddress = \"unix:{}\"\n", path("mqtt.sock"));
        let listeners = [
            format!("{port}{tls}"),
            websocket.clone(),
            format!("{websocket}{tls}"),
            format!("{port}{tls}{asks}"),
            unix,
        ];
        let config = folder.path().join("skein.toml");
        fs::write(&config, listeners.concat()).unwrap();
        Self { broker: Broker::skein_with(&config), folder }
    }

    /// What is said for this name of a way; `{}` is the folder.
    fn way(&self, name: &'static str, number: usize, flags: &str) -> Way {
        let address = &self.broker.addresses[number];
        let folder = self.folder.path().display().to_string();
        let flags = format!("--address {address} {flags}").replace("{}", &folder);
        Way { name, flags: flags.split_whitespace().map(str::to_owned).collect() }
    }

    fn ways(&self) -> Vec<Way> {
        vec![
            self.way("tls", 0, "--cafile {}/ca.pem"),
            self.way("websocket", 1, "--ws"),
            self.way("websocket over tls", 2, "--ws /mqtt --insecure"),
            self.way(
                "tls",
                3,
                "--cafile {}/ca.pem --cert {}/meter.pem --key {}/meter.key --tls-resume",
            ),
            self.way("unix", 4, ""),
        ]
    }

    /// Runs one mode over one way, which must keep every promise.
    fn report(&self, way: &Way, mode: &str) -> Value {
        let pid = self.broker.pid();
        // Ways that are tried side by side must not take each other's clients over.
        let client_id = way.flags[1].replace(['/', ':', '.'], "-");
        let mut arguments: Vec<&str> = mode.split_whitespace().collect();
        arguments.extend(way.flags.iter().map(String::as_str));
        arguments.extend(["--pid", &pid, "--client-id", &client_id, "--expect"]);
        let report = report_of(&arguments);
        assert_eq!(report["scenario"]["transport"], way.name, "{mode}");
        report
    }
}

fn in_every_way(test: impl Fn(&World, &Way) + Sync) {
    let world = World::new();
    thread::scope(|scope| {
        for way in world.ways() {
            let (world, test) = (&world, &test);
            scope.spawn(move || test(world, &way));
        }
    });
}

#[test]
fn loads_of_both_modes_go_over_everything() {
    in_every_way(|world, way| {
        for (flags, delivered) in [
            ("--shape mesh:3 --threads 2 --messages 500", 4500),
            ("--qos 2 --version 5 --messages 500", 500),
            // More than a record and a frame of usual size, and more than a socket takes at once.
            ("--payload 300000 --messages 40", 40),
        ] {
            let topic = format!("--topic {}", way.flags[1].trim_start_matches('/'));
            let report = world.report(way, &format!("flood {flags} {topic}"));
            assert_eq!(report["traffic"]["delivered"], delivered, "{}: {flags}", way.name);
            assert_eq!(report["traffic"]["connections_lost"], 0, "{}: {flags}", way.name);
        }
        let topic = format!("--topic rate/{}", way.flags[1].trim_start_matches('/'));
        world.report(way, &format!("rate --rate 500 --seconds 0.5 --warm-up 0.1 {topic}"));
    });
}

#[test]
fn storms_of_connections_go_over_everything() {
    in_every_way(|world, way| {
        for kind in ["connect", "reconnect", "takeover"] {
            let report = world.report(way, &format!("storm {kind} --connections 60 --at-once 20"));
            let storm = &report["storms"][0];
            assert_eq!((&storm["connections"], &storm["failed"]), (&60.into(), &0.into()));
        }
        let report = world.report(way, "storm idle --connections 60 --settle 0.1");
        assert_eq!(report["idle"][0]["connections"], 60);
    });
}

/// These have topics and clients of their own, so that only one can run at a time.
#[test]
fn storms_of_messages_go_over_everything() {
    let world = World::new();
    for way in world.ways() {
        let report = world.report(&way, "storm queue --messages 200");
        assert_eq!(report["verification"][0]["checked"], 200, "{}", way.name);
        let report = world.report(&way, "storm retained --messages 200 --subscribers 3");
        assert_eq!(report["verification"][0]["checked"], 600, "{}", way.name);
    }
    let secure = &world.ways()[2];
    world.report(secure, "storm slow --rate 500 --seconds 1 --slow-bytes 1000");
}

#[test]
fn a_certificate_that_nobody_vouches_for_is_refused() {
    let world = World::new();
    let refused = |number, flags: &str, reason: &str| {
        let way = world.way("", number, flags);
        let flags: Vec<&str> = way.flags.iter().map(String::as_str).collect();
        let output = run(&[&["flood", "--messages", "10"], &flags[..]].concat());
        assert_eq!(output.status.code(), Some(2), "{}", text(&output));
        assert!(text(&output).contains(reason), "{}", text(&output));
    };
    // Its own certificate is none of an authority's.
    refused(0, "--cafile {}/meter.pem", "certificate");
    refused(0, "--cafile {}/nowhere.pem", "nowhere.pem");
    refused(1, "--cafile {}/ca.pem", "");
    refused(3, "--cafile {}/ca.pem", "");
    refused(4, "--tls", "need an address in the network");
}

/// Each broker has a certificate of its own, which the load test trusts.
#[test]
fn a_comparison_goes_over_tls_and_websocket() {
    let folder = tempfile::tempdir().unwrap();
    let json = folder.path().join("comparison.json");
    let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("brokers/skein-websocket-tls.toml");
    let program = skein();
    let broker = format!(
        "skein={} serve --shards 1 --config {{file:{}}}",
        program.display(),
        config.display()
    );
    let output = run(&[
        "compare",
        "--floor",
        "--repeats",
        "1",
        "--broker",
        &broker,
        "--json",
        json.to_str().unwrap(),
        "--",
        "flood",
        "--messages",
        "500",
        "--ws",
        "--cafile",
        "{cert}",
    ]);
    assert!(output.status.success(), "{}", text(&output));
    let comparison: Value = serde_json::from_str(&fs::read_to_string(&json).unwrap()).unwrap();
    let scenario = &comparison["scenarios"][0];
    assert!(scenario["conditions"].as_str().unwrap().contains("over websocket over tls"));
    assert_eq!(scenario["outcomes"][0]["reports"][0]["traffic"]["delivered"], 500);
    let floor = scenario["outcomes"][1]["failure"].as_str().unwrap();
    assert!(floor.contains("TCP and nothing else"), "{floor}");
}
