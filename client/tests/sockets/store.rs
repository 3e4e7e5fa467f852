//! Messages that outlive the process.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use skein_client::session::{Event, Mark};
use skein_client::{
    Client, Contents, Error, FileStore, MemoryStore, Overflow, Publish, QoS, Result, Store,
};

use super::server::{KINDS, Kind, SILENCE, Server};
use super::{PATIENCE, builder, eventually};

/// A folder that is gone with the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("skein-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The end of a process is an end at any moment: what the file holds then is what counts.
#[test]
fn what_was_not_delivered_is_delivered_by_the_next_process() {
    for kind in KINDS {
        let folder = Folder::new("client-store");
        let store = |name| FileStore::open(folder.file(name)).unwrap();
        let offline = builder("mqtt://127.0.0.1:9").store(store("a")).drain(Duration::ZERO);
        let offline = offline.start().unwrap();
        for text in ["1", "2", "3"] {
            offline.publish("kept", text).qos(QoS::ExactlyOnce).send().unwrap();
        }
        // A crash leaves the file as it is at that moment.
        fs::copy(folder.file("a"), folder.file("crashed")).unwrap();
        assert!(matches!(offline.close(), Err(Error::Undelivered(3))));
        let server = Server::start(kind);
        let reader = builder(&server.url()).connect().unwrap();
        let messages = reader.subscribe("kept").qos(QoS::ExactlyOnce).wait().unwrap();
        for file in ["crashed", "a"] {
            let next = builder(&server.url()).store(store(file)).connect().unwrap();
            next.publish("kept", "4").qos(QoS::ExactlyOnce).wait().unwrap();
            for text in ["1", "2", "3", "4"] {
                let message = messages.receive_for(PATIENCE).unwrap();
                assert_eq!(message.text().unwrap(), text, "{kind:?} {file}");
            }
            assert!(eventually(|| next.statistics().session.in_flight == 0));
            next.close().unwrap();
            let after = builder(&server.url()).store(store(file)).connect().unwrap();
            assert!(messages.receive_for(SILENCE).is_none(), "nothing is left of it");
            after.close().unwrap();
        }
    }
}

#[test]
fn a_store_that_cannot_be_used_is_an_error() {
    let folder = Folder::new("client-bad-store");
    assert!(matches!(FileStore::open(folder.file("no/such/folder")), Err(Error::Store(_))));
    let server = Server::start(Kind::Skein);
    let store = FileStore::open(folder.file("good")).unwrap();
    let client = builder(&server.url()).store(store).connect().unwrap();
    let refused = client.publish("a/#", "x").qos(QoS::AtLeastOnce).wait();
    assert!(matches!(refused, Err(Error::BadTopic { .. })), "and nothing is kept of it");
    client.close().unwrap();
    let mut store = FileStore::open(folder.file("good")).unwrap();
    assert!(Store::load(&mut store).unwrap().messages.is_empty());
}

/// A store on a disk that is full.
#[derive(Debug)]
struct Full(MemoryStore);

impl Store for Full {
    fn load(&mut self) -> Result<Contents> {
        self.0.load()
    }

    fn append(&mut self, number: u64, publish: &Publish) -> Result<()> {
        self.0.append(number, publish)
    }

    fn strike(&mut self, _: u64) -> Result<()> {
        Err(Error::Store("no space left on device".into()))
    }

    fn mark(&mut self, _: &[Mark<u64>]) -> Result<()> {
        Err(Error::Store("no space left on device".into()))
    }
}

/// Messages go on, but who relies on the store hears of it.
#[test]
fn a_store_that_fails_is_told() {
    let server = Server::start(Kind::Skein);
    let heard = Arc::new(Mutex::new(0));
    let hearing = Arc::clone(&heard);
    let client = builder(&server.url()).store(Full(MemoryStore::new())).on_event(move |event| {
        if let Event::StoreFailed(Error::Store(_)) = event {
            *hearing.lock().unwrap() += 1;
        }
    });
    let client = client.connect().unwrap();
    client.publish("a", "x").qos(QoS::AtLeastOnce).wait().unwrap();
    assert!(eventually(|| *heard.lock().unwrap() > 0));
    assert!(client.statistics().store_failures >= 2, "sent, and struck off");
}

/// In the process that is killed: where its server is, which file it has, and which one it is.
const KILLED: &str = "SKEIN_TEST_KILLED";
/// The numbers of one process are below those of the next by this.
const STRIDE: u32 = 1_000_000;
const PROCESSES: u32 = 6;

/// [MQTT-4.3.3-10] [MQTT-4.4.0-1]: the very process is killed, at any moment, again and again.
#[test]
fn a_killed_process_is_followed_by_one_that_goes_on_exactly_once() {
    if let Ok(orders) = std::env::var(KILLED) {
        let [server, file, process] = orders.split(' ').collect::<Vec<_>>().try_into().unwrap();
        return be_killed(server, file.as_ref(), process.parse().unwrap());
    }
    let folder = Folder::new("client-killed");
    let server = Server::start(Kind::Skein);
    let reader = builder(&server.url()).connect().unwrap();
    let messages = reader.subscribe("up").qos(QoS::ExactlyOnce).buffer(1_000_000, Overflow::Pause);
    let messages = messages.wait().unwrap();
    let (mut handed_in, mut dealt_with) = (Vec::new(), Vec::new());
    for process in 0..PROCESSES {
        let lines = kill_one(&server.url(), &folder.file("store"), process, |number| {
            let payload = (process * STRIDE + number).to_be_bytes().to_vec();
            reader.publish("down", payload).qos(QoS::ExactlyOnce).send().unwrap();
        });
        for line in lines {
            let (what, number) = line.split_once(' ').unwrap();
            let list = if what == "up" { &mut handed_in } else { &mut dealt_with };
            list.push(number.parse::<u32>().unwrap());
        }
    }
    let last = client(&server.url(), &folder.file("store"));
    assert!(eventually(|| last.statistics().session.in_flight == 0));
    assert!(eventually(|| last.statistics().session.queued == 0));
    let number = |payload: &[u8]| u32::from_be_bytes(payload.try_into().unwrap());
    let heard: Vec<u32> = std::iter::from_fn(|| messages.receive_for(SILENCE))
        .map(|message| number(message.payload()))
        .collect();
    let once: BTreeSet<u32> = heard.iter().copied().collect();
    assert_eq!(once.len(), heard.len(), "none came twice");
    let lost: Vec<_> = handed_in.iter().filter(|number| !once.contains(number)).collect();
    assert!(lost.is_empty() && handed_in.len() > 100, "{lost:?} of {}", handed_in.len());
    let dealt_once: BTreeSet<u32> = dealt_with.iter().copied().collect();
    assert_eq!(dealt_once.len(), dealt_with.len(), "none was dealt with twice");
    assert!(dealt_once.len() > 10, "some were");
}

/// Starts one, kills it after a while, and gives what it has said.
fn kill_one(server: &str, file: &Path, process: u32, mut poke: impl FnMut(u32)) -> Vec<String> {
    let test = "store::a_killed_process_is_followed_by_one_that_goes_on_exactly_once";
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(KILLED, format!("{server} {} {process}", file.display()))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let reading = thread::spawn(move || {
        let whole = lines.map_while(|line| line.ok());
        whole.filter(|it| it.starts_with("up ") || it.starts_with("down ")).collect::<Vec<_>>()
    });
    for number in 0..30 {
        poke(number);
        thread::sleep(Duration::from_millis(10));
    }
    thread::sleep(Duration::from_millis(u64::from(process) * 7));
    child.kill().unwrap();
    child.wait().unwrap();
    reading.join().unwrap()
}

fn client(server: &str, file: &Path) -> Client {
    let store = FileStore::open(file).unwrap();
    let builder = builder(server).client_id("killed").keep_session(Duration::from_secs(600));
    builder.store(store).connect().unwrap()
}

/// Publishes and takes messages until it is killed; says of each that it was handed in, or dealt
/// with, in a line that the system has when `println` returns.
fn be_killed(server: &str, file: &Path, process: u32) {
    let client = client(server, file);
    let messages = client.subscribe("down").qos(QoS::ExactlyOnce).manual_ack().wait().unwrap();
    for number in 0.. {
        let number = process * STRIDE + number;
        let payload = number.to_be_bytes().to_vec();
        drop(client.publish("up", payload).qos(QoS::ExactlyOnce).send().unwrap());
        println!("up {number}");
        while let Some(message) = messages.try_receive() {
            let number = u32::from_be_bytes(message.payload()[..].try_into().unwrap());
            message.ack();
            println!("down {number}");
        }
        thread::sleep(Duration::from_micros(300));
    }
}
