//! What keeps a broker from starting, and what no listener lets in.

use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use skein_protocol::{Connect, Version};

use super::scene::{Folder, Scene, guarded, publishes, subscribes, with};
use crate::harness::{Authority, Broker, Case, binary, connect, quoted};

/// Runs the program until it ends; whether it was content, and what it said.
fn run(arguments: &[&str]) -> (bool, String) {
    let mut command = Command::new(binary());
    let output = command.args(arguments).stdin(Stdio::null()).output().expect("it can be started");
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&text).into_owned())
}

#[test]
fn h13_an_empty_list_denies_all() {
    let scene = Scene::strict("");
    for version in [Version::V3_1_1, Version::V5] {
        let mut alice = scene.user(version, "alice");
        subscribes(&mut alice, "a", 0x87);
        let denied = if version == Version::V5 { 0x87 } else { 0 };
        assert_eq!(publishes(&mut alice, "a", b"x"), denied);
        alice.leave();
    }
}

#[test]
fn h13_a_bad_line_of_a_password_file_is_an_error_and_no_user() {
    let folder = Folder::new();
    folder.write("passwords", "alice:plain text\n:\nbob\n");
    folder.configure(&guarded(
        "auth = \"password\"",
        "[access]\npassword_file = \"FOLDER/passwords\"",
    ));
    let config = folder.path("skein.toml").display().to_string();
    for arguments in [&["check-config", &config][..], &["serve", "--config", &config]] {
        let (is_content, text) = run(arguments);
        assert!(!is_content, "{text}");
        let lines = [
            "passwords:1: user \"alice\"",
            "passwords:2: user name \"\"",
            "passwords:3: it has no colon",
        ];
        for line in lines {
            assert!(text.contains(line), "{line}: {text}");
        }
    }
}

#[test]
fn secrets_that_everybody_can_read_are_warned_of_when_a_file_is_checked() {
    let folder = Folder::new();
    folder.write("passwords", &super::scene::passwords(&super::scene::USERS));
    let passwords = folder.path("passwords");
    folder.configure(&guarded(
        "auth = \"password\"",
        "[access]\npassword_file = \"FOLDER/passwords\"",
    ));
    let config = folder.path("skein.toml").display().to_string();
    for (mode, is_warned) in [(0o644, true), (0o640, false)] {
        std::fs::set_permissions(&passwords, PermissionsExt::from_mode(mode)).expect("it is ours");
        let (is_content, text) = run(&["check-config", &config]);
        assert!(is_content, "{text}");
        let warning = "everybody on this machine can read it; chmod o= ";
        assert_eq!(text.contains(warning), is_warned, "{text}");
    }
}

#[test]
fn h13_a_reload_that_fails_keeps_the_rules_that_were_there() {
    let scene = Scene::strict("user alice\ntopic readwrite a/#\n");
    let mut alice = scene.user(Version::V5, "alice");
    for (file, text) in [("acl", "topik read #\n"), ("passwords", "mallory:nonsense\n")] {
        let good = std::fs::read_to_string(scene.folder.path(file)).expect("it was written");
        scene.folder.write(file, text);
        scene.reload_in_vain();
        let log = scene.case.broker.log();
        assert!(log.contains(&format!("/{file}:1: ")), "{log}");
        subscribes(&mut alice, "a/1", 1);
        subscribes(&mut alice, "b/1", 0x87);
        scene.user(Version::V5, "bob").leave();
        scene.refuses(&with(connect(Version::V5, "m"), "mallory", "nonsense"), 0x86, 4);
        scene.folder.write(file, &good);
    }
    let path = scene.folder.path("acl");
    std::fs::remove_file(path).expect("it is there");
    scene.reload_in_vain();
    subscribes(&mut alice, "b/1", 0x87);
}

/// Every way to prove an identity, alone on a listener: who shows nothing, or shows something that
/// proves nothing, is refused. A configuration that would let in everybody unasked does not start.
#[test]
fn h14_nothing_is_anonymous_by_accident() {
    let folder = Folder::new();
    let sections = "[access]\npassword_file = \"FOLDER/passwords\"\nscram_file = \"FOLDER/scram\"\n\
                    login_delay_ms = 0\nlogin_failures_max = 1000\n\
                    [jwt]\nsecret_file = \"FOLDER/secret\"\n\
                    [http_hook]\nurl = \"http://127.0.0.1:1/\"\n";
    let authority = Authority::shared();
    let tls = format!(
        "[listener.tls]\ncertificate = {}\nkey = {}\nclient_certificates = \"optional\"\n\
         client_ca = {}\n",
        quoted(&authority.path("broker.pem")),
        quoted(&authority.path("broker.key")),
        quoted(&authority.path("ca.pem"))
    );
    let ways = ["password", "scram", "jwt", "http", "certificate"];
    let mut text = String::from("[[listener]]\naddress = \"127.0.0.1:0\"\nauth = \"anonymous\"\n");
    for way in ways {
        let tls = if way == "certificate" { &tls } else { "" };
        text += &format!(
            "[[listener]]\nname = \"{way}\"\naddress = \"127.0.0.1:0\"\nauth = \"{way}\"\n{tls}"
        );
    }
    folder.write("passwords", &super::scene::passwords(&super::scene::USERS));
    folder.write("scram", "");
    folder.write("secret", "0123456789abcdef0123456789abcdef");
    folder.configure(&format!("{text}{sections}"));
    let broker = Broker::start_from(2, &folder.path("skein.toml"));
    let case = Case::on(std::sync::Arc::new(broker));
    for (index, way) in ways.iter().enumerate() {
        for version in [Version::V3_1_1, Version::V5] {
            let nothing = connect(version, "nobody");
            let name = Connect { user_name: Some("alice"), ..connect(version, "nobody") };
            let wrong = with(connect(version, "nobody"), "alice", "a.b.c");
            for (what, packet) in [("nothing", nothing), ("name", name), ("password", wrong)] {
                let address = &case.broker.addresses[index + 1];
                let socket = std::net::TcpStream::connect(address).expect("the broker listens");
                let mut peer = if *way == "certificate" {
                    let stream = socket.try_clone().expect("there are descriptors");
                    let versions = &[&rustls::version::TLS13];
                    let tls = authority.encrypt(stream, "localhost", versions, None, &["mqtt"]);
                    crate::harness::Peer::over(socket, tls, version)
                } else {
                    crate::harness::Peer::open(address.parse().expect("an address"), version)
                };
                peer.send(&packet);
                let connack = peer.receive();
                let connack = connack.any_connack();
                assert!(connack.reason.is_error(), "{way}, {what}: {connack}");
                peer.expect_closed();
            }
        }
    }
}

#[test]
fn h14_a_listener_for_other_machines_has_to_say_who_may_connect() {
    let (is_content, text) = run(&["--listen", "0.0.0.0:28001"]);
    assert!(!is_content && text.contains("--anonymous"), "{text}");
    let folder = Folder::new();
    for (what, listener) in [
        ("all addresses", "address = \"[::]:28001\"\n"),
        ("a proxy", "address = \"127.0.0.1:28001\"\nproxy_protocol_from = \"127.0.0.1\"\n"),
    ] {
        folder.configure(&format!("[[listener]]\n{listener}"));
        let config = folder.path("skein.toml").display().to_string();
        let (is_content, text) = run(&["--config", &config]);
        assert!(!is_content && text.contains("auth = [\"anonymous\"]"), "{what}: {text}");
    }
}

/// Names in certificates that could be taken for rules or lines of others (bad UTF-8 does not get
/// past TLS or is refused like these).
#[test]
fn h15_odd_names_in_certificates_are_refused() {
    let authority = Authority::shared();
    let keys = format!(
        "auth = \"certificate\"\n[listener.tls]\ncertificate = {}\nkey = {}\n\
         client_certificates = \"required\"\nclient_ca = {}\n",
        quoted(&authority.path("broker.pem")),
        quoted(&authority.path("broker.key")),
        quoted(&authority.path("ca.pem"))
    );
    let scene = Scene::start(&guarded(&keys, ""), &[]);
    let login = |name: &str| {
        let address = &scene.case.broker.addresses[1];
        let socket = std::net::TcpStream::connect(address).expect("the broker listens");
        let stream = socket.try_clone().expect("there are descriptors");
        let versions = &[&rustls::version::TLS13];
        let identity = Some(authority.client(name));
        let tls = authority.encrypt(stream, "localhost", versions, identity, &["mqtt"]);
        let mut peer = crate::harness::Peer::over(socket, tls, Version::V5);
        peer.send(&connect(Version::V5, "thing"));
        peer
    };
    login("thing").receive().connack();
    for odd in ["#", "a+b", "a\0b", "a\nb", "", "*.example"] {
        login(odd).expect_refused(0x87, 5);
    }
}
