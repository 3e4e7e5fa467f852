//! A broker with a folder of files that say who may do what.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use skein::access::password::{PasswordHash, Scheme};
use skein_protocol::{Connect, Publish, QoS, ReasonCode, Version};

use crate::harness::{
    Broker, Case, PATIENCE, Peer, connect, eventually, options, persistent, publish, serial,
    subscribe,
};

/// Who is in the password file at the beginning: name and password.
pub(super) const USERS: [(&str, &str); 3] =
    [("alice", "of alice"), ("bob", "of bob"), ("carol", "of carol")];

/// A folder of files; removed at the end.
pub(super) struct Folder(PathBuf);

impl Folder {
    pub(super) fn new() -> Self {
        let name = format!("skein-access-{}-{}", std::process::id(), serial());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).expect("the temporary directory can be written to");
        Self(path)
    }

    pub(super) fn path(&self, file: &str) -> PathBuf {
        self.0.join(file)
    }

    /// Puts a file in its place at once, as an editor does.
    pub(super) fn write(&self, file: &str, text: &str) {
        let new = self.path(&format!("{file}.new"));
        fs::write(&new, text).expect("the temporary directory can be written to");
        fs::rename(&new, self.path(file)).expect("it was written");
    }

    /// Writes a configuration in which `FOLDER` stands for this folder.
    pub(super) fn configure(&self, text: &str) {
        let folder = self.0.to_str().expect("the temporary directory has a plain name");
        self.write("skein.toml", &text.replace("FOLDER", folder));
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left of a test's files harms nobody.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A broker whose first listener is for everybody, and whose second is guarded.
pub(super) struct Scene {
    pub(super) case: Case,
    pub(super) folder: Folder,
}

/// Two listeners, of which the second one has these keys; and these sections.
pub(super) fn guarded(keys: &str, sections: &str) -> String {
    format!(
        "reload_check_s = 0\n\
         [[listener]]\naddress = \"127.0.0.1:0\"\nauth = \"anonymous\"\n\
         [[listener]]\nname = \"guarded\"\naddress = \"127.0.0.1:0\"\n{keys}\n{sections}\n"
    )
}

impl Scene {
    /// With passwords, and this access list on the guarded listener.
    pub(super) fn with_list(acl: &str) -> Self {
        Self::with_passwords("acl_file = \"FOLDER/acl\"\n", "", &[("acl", acl)])
    }

    /// The same, where a subscription to more than the list allows is refused.
    pub(super) fn strict(acl: &str) -> Self {
        let keys = "acl_file = \"FOLDER/acl\"\nacl_strict = true\n";
        Self::with_passwords(keys, "", &[("acl", acl)])
    }

    /// With passwords, these keys on the guarded listener, and these lines in the access section.
    pub(super) fn with_passwords(keys: &str, access: &str, files: &[(&str, &str)]) -> Self {
        let keys = format!("auth = \"password\"\n{keys}");
        // A guesser's patience is not what most tests are about.
        let access =
            format!("[access]\npassword_file = \"FOLDER/passwords\"\nlogin_delay_ms = 0\n{access}");
        Self::start(&guarded(&keys, &access), files)
    }

    /// With this configuration.
    pub(super) fn start(configuration: &str, files: &[(&str, &str)]) -> Self {
        let folder = Folder::new();
        folder.write("passwords", &passwords(&USERS));
        for (file, text) in files {
            folder.write(file, text);
        }
        folder.configure(configuration);
        let broker = Broker::start_from(2, &folder.path("skein.toml"));
        Self { case: Case::on(Arc::new(broker)), folder }
    }

    /// A connection to the guarded listener on which nothing was said.
    pub(super) fn open(&self, version: Version) -> Peer {
        let address = self.case.broker.addresses[1].parse().expect("an address");
        Peer::open(address, version)
    }

    /// A user who has come in by the guarded listener; the client id is the name.
    pub(super) fn user(&self, version: Version, name: &str) -> Peer {
        self.come(&of_user(connect(version, name), name))
    }

    /// A user whose session outlives the connection.
    pub(super) fn lasting(&self, version: Version, name: &str) -> Peer {
        self.come(&of_user(persistent(version, name, 600), name))
    }

    /// Whoever says this CONNECT by the guarded listener and is accepted.
    pub(super) fn come(&self, connect: &Connect<'_>) -> Peer {
        let mut peer = self.open(connect.version);
        peer.send(connect);
        peer.receive().connack();
        peer
    }

    /// Whoever says this CONNECT by the guarded listener is refused so.
    pub(super) fn refuses(&self, connect: &Connect<'_>, reason: u8, return_code: u8) {
        let mut peer = self.open(connect.version);
        peer.send(connect);
        peer.expect_refused(reason, return_code);
    }

    /// A client of the open listener, who may do everything.
    pub(super) fn onlooker(&self) -> Peer {
        self.case.connect(Version::V5, &format!("onlooker-{}", serial()))
    }

    /// Changes a file and lets the broker read it.
    pub(super) fn change(&self, file: &str, text: &str) {
        self.folder.write(file, text);
        self.reload();
    }

    /// Lets the broker read everything again, and waits until it has.
    pub(super) fn reload(&self) {
        self.expect_log("reloaded", || self.case.broker.signal("HUP"));
        // Every shard has taken the new rules when it has answered a newcomer.
        for _ in 0..4 {
            self.onlooker().leave();
        }
    }

    /// The same, when it is to be refused.
    pub(super) fn reload_in_vain(&self) {
        self.expect_log("what was read before stays in use", || self.case.broker.signal("HUP"));
    }

    /// Waits until the log has one line more with this text than before something was done.
    pub(super) fn expect_log(&self, text: &str, act: impl FnOnce()) {
        let count = || self.case.broker.log().matches(text).count();
        let before = count();
        act();
        let came = eventually(PATIENCE, || count() > before);
        assert!(came, "{text:?} was to come; the log:\n{}", self.case.broker.log());
    }
}

/// A CONNECT with the name and password of a user.
pub(super) fn of_user<'a>(connect: Connect<'a>, name: &'a str) -> Connect<'a> {
    let (_, password) = USERS.iter().find(|(user, _)| *user == name).expect("a user");
    with(connect, name, password)
}

/// A CONNECT with a name and a password.
pub(super) fn with<'a>(connect: Connect<'a>, name: &'a str, password: &'a str) -> Connect<'a> {
    Connect { user_name: Some(name), password: Some(password.as_bytes()), ..connect }
}

/// The text of a password file. The hashes are cheap, so that debug builds need not wait.
pub(super) fn passwords(users: &[(&str, &str)]) -> String {
    let line = |(name, password): &(&str, &str)| {
        let hash = PasswordHash::make(Scheme::Sha512, password.as_bytes(), &[7; 12]);
        format!("{name}:{}\n", hash.expect("it costs nothing"))
    };
    users.iter().map(line).collect()
}

/// Subscribes, and is answered so.
pub(super) fn subscribes(peer: &mut Peer, filter: &str, reason: u8) {
    let id = peer.next_id();
    peer.send(&subscribe(id, &[(filter, options(QoS::AtLeastOnce))]));
    peer.expect_suback(id, &[reason]);
}

/// What the broker says to a publish with QoS 1; that nobody wants it is all right.
pub(super) fn publishes(peer: &mut Peer, topic: &str, payload: &[u8]) -> u8 {
    let publish = Publish { qos: QoS::AtLeastOnce, ..publish(topic, payload) };
    match peer.say(&publish) {
        ReasonCode::NoMatchingSubscribers => 0,
        reason => reason as u8,
    }
}

/// Long enough for a message to come that must not.
pub(super) const SILENCE: Duration = Duration::from_millis(200);
