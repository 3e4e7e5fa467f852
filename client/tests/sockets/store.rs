//! Messages that outlive the process.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use skein_client::{Error, FileStore, QoS};

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
    assert!(skein_client::Store::load(&mut store).unwrap().is_empty());
}
