//! A certificate that is revoked while its client is connected.

use std::net::TcpStream;

use skein_protocol::{Connect, Version};

use super::scene::{Scene, publishes, with};
use crate::harness::{Authority, Identity, Peer, connect, quoted};

/// What vouches for the clients of the listeners that ask for a certificate, in their order.
const WAYS: [&str; 3] = ["certificate", "password", "anonymous"];

/// A broker whose first listener is for everybody. The others ask for certificates that the file
/// `list` does not revoke.
fn scene(authority: &Authority, check_s: u64) -> Scene {
    let tls = format!(
        "[listener.tls]\ncertificate = {}\nkey = {}\nclient_certificates = \"required\"\n\
         client_ca = {}\ncrl = \"FOLDER/list\"\n",
        quoted(&authority.path("broker.pem")),
        quoted(&authority.path("broker.key")),
        quoted(&authority.path("ca.pem"))
    );
    let mut text = format!(
        "reload_check_s = {check_s}\n[[listener]]\naddress = \"127.0.0.1:0\"\nauth = \"anonymous\"\n"
    );
    for way in WAYS {
        text += &format!("[[listener]]\naddress = \"127.0.0.1:0\"\nauth = \"{way}\"\n{tls}");
    }
    text += "[access]\npassword_file = \"FOLDER/passwords\"\nlogin_delay_ms = 0\n";
    Scene::start(&text, &[("list", &list(authority, "empty.crl"))])
}

fn list(authority: &Authority, name: &str) -> String {
    std::fs::read_to_string(authority.path(name)).expect("it was made")
}

/// A connection to the listener of this way on which TLS has been spoken and nothing else.
fn open(
    scene: &Scene,
    authority: &Authority,
    way: usize,
    shown: Identity,
    version: Version,
) -> Peer {
    let address = &scene.case.broker.addresses[way + 1];
    let socket = TcpStream::connect(address).expect("the broker listens");
    let stream = socket.try_clone().expect("there are descriptors");
    let versions = &[&rustls::version::TLS13];
    let mut tls = authority.encrypt(stream, "localhost", versions, Some(shown), &["mqtt"]);
    tls.conn.complete_io(&mut tls.sock).expect("the broker speaks TLS");
    Peer::over(socket, tls, version)
}

/// What a client of this way says.
fn hello(way: usize, version: Version, client_id: &str) -> Connect<'_> {
    let packet = connect(version, client_id);
    if WAYS[way] == "password" { with(packet, "alice", "of alice") } else { packet }
}

#[test]
fn w16_a_revocation_closes_the_connection_that_is_there() {
    let authority = Authority::new("revoked-live");
    let scene = scene(&authority, 0);
    let comes = |way: usize, shown, version, client_id: &str| {
        let mut peer = open(&scene, &authority, way, shown, version);
        peer.send(&hello(way, version, client_id));
        peer.receive().connack();
        peer
    };
    for version in [Version::V3_1_1, Version::V5] {
        scene.change("list", &list(&authority, "empty.crl"));
        let mut revoked: Vec<_> = (0..WAYS.len())
            .map(|way| comes(way, authority.revoked_client(), version, &format!("revoked-{way}")))
            .collect();
        let mut others: Vec<_> = (0..WAYS.len())
            .map(|way| comes(way, authority.client("good"), version, &format!("good-{way}")))
            .collect();
        // TLS has taken its certificate, and its CONNECT comes after the change.
        let mut late = open(&scene, &authority, 0, authority.revoked_client(), version);
        // What is wrong with the new list, the old one stays in force.
        scene.folder.write("list", "nonsense");
        scene.reload_in_vain();
        assert!(revoked.iter_mut().all(|peer| publishes(peer, "t", b"x") == 0));
        scene.change("list", &list(&authority, "clients.crl"));
        revoked.iter_mut().for_each(|peer| peer.expect_closed_with(0x87));
        late.send(&hello(0, version, "late"));
        late.expect_refused(0x87, 5);
        assert!(others.iter_mut().all(|peer| publishes(peer, "t", b"x") == 0));
        let log = scene.case.broker.log();
        assert!(log.contains("the certificate has been revoked"), "{log}");
    }
    let log = scene.case.broker.log();
    assert_eq!(log.matches("no list in PEM").count(), 2 * WAYS.len(), "once each: {log}");
}

#[test]
fn w16_a_list_that_changes_is_noticed_without_a_signal() {
    let authority = Authority::new("revoked-noticed");
    let scene = scene(&authority, 1);
    let mut peer = open(&scene, &authority, 2, authority.revoked_client(), Version::V5);
    peer.send(&hello(2, Version::V5, "thing"));
    peer.receive().connack();
    scene.expect_log("reloaded", || {
        scene.folder.write("list", &list(&authority, "clients.crl"));
    });
    peer.expect_closed_with(0x87);
}
