//! `skein top`: beside a broker with a client that does not read, and beside Mosquitto.

use std::fs;
use std::io::Write;
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use skein_client::{Publish, QoS};

use crate::broker::{Broker, free_port};
use crate::program::{Ended, PATIENCE, skein, start};

/// A broker that speaks of itself every so many seconds.
fn broker(sys_interval_s: u64) -> (Broker, tempfile::TempDir) {
    let (folder, port) = (tempfile::tempdir().expect("a folder for the test"), free_port());
    let file = folder.path().join("skein.toml");
    let text = format!(
        "shards = 2\nsys_interval_s = {sys_interval_s}\n[[listener]]\n\
         address = \"127.0.0.1:{port}\"\nauth = [\"anonymous\"]\n"
    );
    fs::write(&file, text).expect("room for a file");
    (Broker::start_with(&file, port), folder)
}

fn top(port: u16, words: &[&str]) -> Ended {
    let mut command = Command::new(skein());
    command.args(["top", "-p", &port.to_string()]).args(words);
    start(&mut command, Some(b"")).wait()
}

/// The samples that are there after so many intervals.
fn samples(port: u16, count: &str) -> Vec<Value> {
    let text = top(port, &["--json", "--count", count]).succeeded().text();
    text.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
}

/// A client that subscribes to `big` and reads nothing from then on.
fn sluggard(port: u16) -> TcpStream {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("it listens");
    stream.write_all(b"\x10\x15\0\x04MQTT\x04\x02\0\0\0\x09sluggard!").expect("it reads");
    stream.write_all(b"\x82\x08\0\x01\0\x03big\0").expect("it reads");
    stream
}

pub(crate) fn top_names_the_slow_client() {
    let (broker, _folder) = broker(1);
    let _sluggard = sluggard(broker.port);
    // Far more than the kernel keeps for a socket.
    let big = || Publish::new("big", vec![b'x'; 500_000]).qos(QoS::AtLeastOnce);
    let deadline = Instant::now() + PATIENCE;
    loop {
        broker.publish((0..100).map(|_| big()));
        let samples = samples(broker.port, "2");
        let last = samples.last().expect("two were asked for");
        let slowest = &last["slowest"][0];
        let is_losing = slowest["slow"] == true && slowest["dropped"].as_u64() > Some(0);
        if is_losing && last["totals"]["messages_dropped"].as_u64() > Some(0) {
            assert_eq!(slowest["client"], "sluggard!", "{last}");
            assert!(slowest["unwritten_bytes"].as_u64() > Some(0), "{last}");
            let dropped = &last["drops"][0];
            assert_eq!(
                (&dropped["reason"], &dropped["prefix"]),
                (&"slow consumer".into(), &"big".into())
            );
            assert!(last["per_second"]["bytes_received"].is_number(), "{last}");
            assert!(last["clients"]["connected"].as_u64() > Some(0), "{last}");
            break;
        }
        assert!(Instant::now() < deadline, "{last}");
    }
    let text = top(broker.port, &["--once"]).succeeded().text();
    assert!(text.starts_with("skein version ") && text.contains("\nslowest clients"), "{text}");
    assert!(text.contains("\nsluggard!") && !text.contains('\x1b'), "{text}");
}

pub(crate) fn top_says_why_there_is_nothing() {
    let (broker, _folder) = broker(0);
    let ended = top(broker.port, &["--once", "-W", "1"]);
    assert_eq!((ended.code, ended.text().as_str()), (Some(27), ""));
    assert!(ended.err.contains("sys_interval_s"), "{}", ended.err);
    assert_eq!(top(free_port(), &["--once"]).code, Some(1));
}

/// What was said last is there at once for those who subscribe later.
pub(crate) fn sys_is_read_as_it_is_of_mosquitto() {
    let (broker, _folder) = broker(60);
    let mut command = Command::new(skein());
    let words = ["-t", "$SYS/broker/version", "-C", "1", "-W", "20", "-F", "%r %p"];
    command.args(["sub", "-p", &broker.port.to_string()]).args(words);
    // The first time it speaks a moment after its start; then it is no more retained than later.
    let ended = start(&mut command, Some(b"")).wait().succeeded();
    assert!(ended.text()[1..].starts_with(" skein version "), "{}", ended.text());
}

/// A broker of Mosquitto's.
struct Mosquitto(Child, u16);

impl Mosquitto {
    fn start() -> Self {
        let (folder, port) = (tempfile::tempdir().expect("a folder for the test"), free_port());
        let file = folder.path().join("mosquitto.conf");
        let text = format!("listener {port} 127.0.0.1\nallow_anonymous true\nsys_interval 1\n");
        fs::write(&file, text).expect("room for a file");
        let mut command = Command::new("mosquitto");
        command.arg("-c").arg(&file).stdout(Stdio::null()).stderr(Stdio::null());
        let broker = Self(command.spawn().expect("it was looked for"), port);
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < deadline, "Mosquitto does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
        broker
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(crate) fn top_understands_mosquitto() {
    let broker = Mosquitto::start();
    let samples = samples(broker.1, "3");
    let last = samples.last().expect("three were asked for");
    assert!(last["version"].as_str().is_some_and(|it| it.starts_with("mosquitto")), "{last}");
    assert!(last["uptime_s"].is_number() && last["totals"]["bytes_sent"].is_number(), "{last}");
    assert!(last["per_second"]["bytes_sent"].as_f64() > Some(0.0), "{last}");
}
