//! Reading everything again: nobody is disconnected, all of the new holds or none of it.

use skein_protocol::{QoS, Version};

use super::scene::{Scene, USERS, guarded, passwords, subscribes, with};
use super::tokens::{alice, key_set};
use crate::harness::{Authority, Peer, connect, quoted};

#[test]
fn a_new_user_and_a_new_right_hold_after_sighup_and_nobody_is_disconnected() {
    let scene = Scene::strict("user alice\ntopic readwrite a/#\n");
    let mut alice = scene.user(Version::V5, "alice");
    let mut onlooker = scene.onlooker();
    let dave = with(connect(Version::V5, "dave"), "dave", "of dave");
    scene.refuses(&dave, 0x86, 4);
    let users: Vec<_> = USERS.into_iter().chain([("dave", "of dave")]).collect();
    scene.folder.write("passwords", &passwords(&users));
    scene.change("acl", "user alice\ntopic readwrite a/#\nuser dave\ntopic readwrite d/#\n");
    let mut dave = scene.come(&dave);
    subscribes(&mut dave, "d/#", 1);
    alice.expect_nothing();
    onlooker.expect_nothing();
}

/// What is left of the kinds of files: credentials for SCRAM, keys of tokens, the broker's own
/// certificate.
#[test]
fn every_kind_of_file_is_read_again() {
    let authority = Authority::new("reload-kinds");
    let text = |name: &str| std::fs::read_to_string(authority.path(name)).expect("it was made");
    let keys = "auth = [\"scram\", \"jwt\"]\n[listener.tls]\ncertificate = \"FOLDER/pem\"\n\
                key = \"FOLDER/key\"\n";
    let sections = "[access]\nscram_file = \"FOLDER/scram\"\nlogin_delay_ms = 0\n\
                    [jwt]\nkeys_file = \"FOLDER/keys\"\n";
    let (secret, other) = ("0123456789abcdef0123456789abcdef", "fedcba9876543210fedcba9876543210");
    let (pem, key) = (text("broker.pem"), text("broker.key"));
    let set = key_set(&[secret]);
    let files = [("pem", pem.as_str()), ("key", &key), ("scram", ""), ("keys", &set)];
    let scene = Scene::start(&guarded(keys, sections), &files);
    let login = |packet: &skein_protocol::Connect<'_>, host: &str| {
        let address = &scene.case.broker.addresses[1];
        let socket = std::net::TcpStream::connect(address).expect("the broker listens");
        let stream = socket.try_clone().expect("there are descriptors");
        let versions = &[&rustls::version::TLS13];
        let tls = authority.encrypt(stream, host, versions, None, &["mqtt"]);
        let mut peer = Peer::over(socket, tls, Version::V5);
        peer.try_send(packet) && peer.hears_connack()
    };
    let (old, new) = (alice(secret, 60), alice(other, 60));
    let shows = |token: &str, host| login(&with(connect(Version::V5, "thing"), "", token), host);
    assert!(shows(&old, "localhost") && !shows(&new, "localhost"));
    scene.change("keys", &key_set(&[other]));
    assert!(!shows(&old, "localhost") && shows(&new, "localhost"));
    scene.folder.write("pem", &text("other.pem"));
    scene.reload_in_vain();
    assert!(shows(&new, "localhost"), "a certificate without its key is not taken");
    scene.change("key", &text("other.key"));
    assert!(!shows(&new, "localhost") && shows(&new, "other.example"));
    scene.folder.write("scram", "alice:nonsense\n");
    scene.reload_in_vain();
    let log = scene.case.broker.log();
    assert!(log.contains("/scram:1: user \"alice\""), "{log}");
}

#[test]
fn files_that_change_are_noticed_without_a_signal() {
    let keys = "auth = \"password\"\nacl_file = \"FOLDER/acl\"\nacl_strict = true\n";
    let text =
        guarded(keys, "[access]\npassword_file = \"FOLDER/passwords\"\nlogin_delay_ms = 0\n");
    let text = text.replace("reload_check_s = 0", "reload_check_s = 1");
    let scene = Scene::start(&text, &[("acl", "")]);
    let mut alice = scene.user(Version::V5, "alice");
    subscribes(&mut alice, "a", 0x87);
    scene.expect_log("reloaded", || scene.folder.write("acl", "user alice\ntopic read a\n"));
    subscribes(&mut alice, "a", 1);
    scene.expect_log("reloaded", || scene.folder.write("passwords", &passwords(&USERS[1..])));
    alice.expect_closed_with(0x87);
}

#[test]
fn listeners_come_and_go_and_their_connections_stay() {
    let one = "[[listener]]\naddress = \"127.0.0.1:0\"\nauth = \"anonymous\"\n";
    let scene = Scene::start(&format!("{one}{one}"), &[]);
    let mut early = scene.open(Version::V5);
    early.send(&connect(Version::V5, "early"));
    early.receive().connack();
    early.subscribe("t", QoS::AtMostOnce);
    scene.folder.configure(&format!(
        "{one}[[listener]]\naddress = \"127.0.0.1:28011\"\nauth = \"anonymous\"\n"
    ));
    scene.reload();
    let gone = std::net::TcpStream::connect(&scene.case.broker.addresses[1]);
    assert!(gone.is_err(), "it does not listen there any more");
    let mut late = Peer::open("127.0.0.1:28011".parse().expect("an address"), Version::V5);
    late.send(&connect(Version::V5, "late"));
    late.receive().connack();
    late.publish("t", b"to the early one", QoS::AtMostOnce);
    early.expect_message("t", b"to the early one");
    let log = scene.case.broker.log();
    assert!(log.contains("the 1 connections that came through it stay"), "{log}");
    // An address that cannot be had keeps everything.
    scene.folder.configure(&format!(
        "{one}[[listener]]\naddress = \"192.0.2.1:28012\"\nauth = \"anonymous\"\n"
    ));
    scene.reload_in_vain();
    drop(late);
    let mut again = Peer::open("127.0.0.1:28011".parse().expect("an address"), Version::V5);
    again.send(&connect(Version::V5, "again"));
    again.receive().connack();
    early.expect_nothing();
}

#[test]
fn limits_change_while_the_broker_runs_or_are_named() {
    let scene = Scene::with_passwords("", "", &[]);
    let mut alice = scene.user(Version::V5, "alice");
    let text = std::fs::read_to_string(scene.folder.path("skein.toml")).expect("it was written");
    let limits = "[limits]\nsubscriptions_per_client_max = 1\nlane_slots = 64\n";
    scene.folder.configure(&format!("{text}{limits}"));
    scene.reload();
    subscribes(&mut alice, "one", 1);
    subscribes(&mut alice, "two", 0x97);
    let log = scene.case.broker.log();
    assert!(log.contains("limits.lane_slots cannot change while the broker runs"), "{log}");
    // What was built for each listener when the broker started follows as well.
    let text = text.replace("name = \"guarded\"", "name = \"guarded\"\npublishes_per_s_max = 2");
    scene.folder.configure(&text);
    scene.reload();
    let started = std::time::Instant::now();
    for _ in 0..8 {
        alice.publish("paced", b"x", QoS::AtLeastOnce);
    }
    assert!(started.elapsed() > std::time::Duration::from_secs(1), "{:?}", started.elapsed());
    // H13: a file that is wrong changes nothing, and its line is named.
    scene.folder.configure(&format!("{text}[limits]\nsubscriptions_per_client = 5\n"));
    scene.reload_in_vain();
    let log = scene.case.broker.log();
    assert!(log.contains("unknown key \"subscriptions_per_client\""), "{log}");
    subscribes(&mut alice, "three", 1);
    subscribes(&mut alice, "four", 1);
}

#[test]
fn w16_a_revocation_list_is_read_again() {
    let authority = Authority::new("reload-list");
    let list = |name: &str| std::fs::read_to_string(authority.path(name)).expect("it was made");
    let keys = format!(
        "auth = \"certificate\"\n[listener.tls]\ncertificate = {}\nkey = {}\n\
         client_certificates = \"required\"\nclient_ca = {}\ncrl = \"FOLDER/list\"\n",
        quoted(&authority.path("broker.pem")),
        quoted(&authority.path("broker.key")),
        quoted(&authority.path("ca.pem"))
    );
    let scene = Scene::start(&guarded(&keys, ""), &[("list", &list("empty.crl"))]);
    let comes_in = || {
        let address = &scene.case.broker.addresses[1];
        let socket = std::net::TcpStream::connect(address).expect("the broker listens");
        let stream = socket.try_clone().expect("there are descriptors");
        let versions = &[&rustls::version::TLS13];
        let identity = Some(authority.revoked_client());
        let tls = authority.encrypt(stream, "localhost", versions, identity, &["mqtt"]);
        let mut peer = Peer::over(socket, tls, Version::V5);
        peer.try_send(&connect(Version::V5, "thing")) && peer.hears_connack()
    };
    assert!(comes_in());
    scene.change("list", &list("clients.crl"));
    assert!(!comes_in());
    scene.folder.write("list", "nonsense");
    scene.reload_in_vain();
    assert!(!comes_in());
}
