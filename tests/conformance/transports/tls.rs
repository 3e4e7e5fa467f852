//! TLS: versions, names, protocols, and certificates of clients.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConnection, StreamOwned};
use skein_protocol::Version;

use crate::harness::{
    Authority, Broker, Bytes, Case, Doors, Identity, PATIENCE, Peer, Way, connect, eventually,
    quoted, serial,
};

/// A broker with a plain listener, and one with the TLS section given.
fn broker(files: [&str; 2], more: &str) -> Case {
    let authority = Authority::shared();
    let [certificate, key] = files.map(|names| {
        let files: Vec<_> = names.split(' ').map(|name| quoted(&authority.path(name))).collect();
        format!("[{}]", files.join(", "))
    });
    let listener = "[[listener]]\naddress = \"127.0.0.1:0\"\n";
    let settings = format!(
        "{listener}{listener}name = \"secure\"\n\
         [listener.tls]\ncertificate = {certificate}\nkey = {key}\n{more}"
    );
    Case::on(Arc::new(Broker::start_as_configured(2, &settings)))
}

fn dial(case: &Case) -> TcpStream {
    let socket = TcpStream::connect(&case.broker.addresses[1]).expect("the broker listens");
    socket.set_read_timeout(Some(PATIENCE)).expect("a socket option");
    socket
}

type Tls = StreamOwned<ClientConnection, TcpStream>;

/// Whether a client is served; the reason if it is not.
fn serves(case: &Case, tls: impl FnOnce(TcpStream) -> Tls) -> Result<Tls, String> {
    let mut tls = tls(dial(case));
    let mut bytes = Vec::new();
    // Each is another client, so that none takes the place of one that is still there.
    let name = case.name(&format!("client-{}", serial()));
    connect(Version::V5, &name).put(Version::V5, &mut bytes);
    tls.write_all(&bytes).map_err(|error| error.to_string())?;
    let mut first = [0];
    tls.read_exact(&mut first).map_err(|error| error.to_string())?;
    assert_eq!(first, [0x20], "CONNACK");
    Ok(tls)
}

#[test]
fn both_versions_are_spoken_and_alpn_is_answered() {
    let case = broker(["broker.pem", "broker.key"], "");
    let authority = Authority::shared();
    for version in [&TLS12, &TLS13] {
        for (alpn, answer) in [(&["mqtt"][..], Some(&b"mqtt"[..])), (&[], None)] {
            let tls = |socket| authority.encrypt(socket, "localhost", &[version], None, alpn);
            let tls = serves(&case, tls).expect("it is served");
            assert_eq!(tls.conn.alpn_protocol(), answer);
        }
        let other = |socket| authority.encrypt(socket, "localhost", &[version], None, &["h2"]);
        let refused = serves(&case, other).expect_err("it speaks something else");
        assert!(refused.contains("NoApplicationProtocol"), "{refused}");
    }
}

#[test]
fn a_version_that_was_not_configured_is_refused() {
    let case = broker(["broker.pem", "broker.key"], "versions = \"1.3\"\n");
    let authority = Authority::shared();
    let encrypt =
        |version| move |socket| authority.encrypt(socket, "localhost", &[version], None, &[]);
    let refused = serves(&case, encrypt(&TLS12)).expect_err("1.2 is not spoken");
    assert!(refused.contains("ProtocolVersion"), "{refused}");
    serves(&case, encrypt(&TLS13)).expect("it is served");
}

#[test]
fn a_client_gets_the_certificate_for_the_name_it_asked_for() {
    let case = broker(["broker.pem other.pem", "broker.key other.key"], "");
    let authority = Authority::shared();
    for name in ["localhost", "other.example"] {
        for version in [&TLS12, &TLS13] {
            let tls = |socket| authority.encrypt(socket, name, &[version], None, &[]);
            serves(&case, tls).expect("its certificate is for that name");
        }
    }
    let unknown = |socket| authority.encrypt(socket, "third.example", &[&TLS13], None, &[]);
    let refused = serves(&case, unknown).expect_err("the first certificate is not for that name");
    assert!(refused.contains("not valid for name"), "{refused}");
}

/// What a client with this certificate hears.
fn shows(case: &Case, identity: Option<Identity>, alpn: &str) -> Result<Tls, String> {
    let authority = Authority::shared();
    serves(case, |socket| authority.encrypt(socket, "localhost", &[&TLS13], identity, &[alpn]))
}

#[test]
fn w16_wrong_client_certificates_are_refused() {
    let authority = Authority::shared();
    let asks = |how: &str| {
        format!(
            "client_certificates = \"{how}\"\nclient_ca = {}\ncrl = {}\n",
            quoted(&authority.path("ca.pem")),
            quoted(&authority.path("clients.crl"))
        )
    };
    let stranger = Authority::new("stranger");
    for (how, may_have_none) in [("required", false), ("optional", true)] {
        let case = broker(["broker.pem", "broker.key"], &asks(how));
        shows(&case, Some(authority.client("good")), "mqtt").expect("all is well with it");
        let none = shows(&case, None, "mqtt");
        assert_eq!(none.is_ok(), may_have_none, "{how}: {:?}", none.err());
        for (what, identity) in [
            ("CertificateRevoked", authority.revoked_client()),
            ("CertificateExpired", authority.expired_client()),
            ("", authority.server_as_client()),
            ("UnknownCA", stranger.client("good")),
        ] {
            let refused = shows(&case, Some(identity), "mqtt").expect_err("it is refused");
            assert!(refused.contains(what), "{what}: {refused}");
        }
        let is_told = || case.broker.log().contains("invalid peer certificate");
        assert!(eventually(Duration::from_secs(2), is_told), "{}", case.broker.log());
    }
}

#[test]
fn w13_a_client_certificate_is_demanded_on_secure_websockets_too() {
    let authority = Authority::shared();
    let settings = format!(
        "[[listener]]\naddress = \"127.0.0.1:0\"\n\
         [[listener]]\naddress = \"127.0.0.1:0\"\nprotocol = \"websocket\"\n\
         [listener.tls]\ncertificate = {}\nkey = {}\nclient_certificates = \"required\"\n\
         client_ca = {}\n",
        quoted(&authority.path("broker.pem")),
        quoted(&authority.path("broker.key")),
        quoted(&authority.path("ca.pem")),
    );
    let case = Case::on(Arc::new(Broker::start_as_configured(2, &settings)));
    let request = "GET /mqtt HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n\
        Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n";
    for identity in [None, Some(authority.client("good"))] {
        let is_known = identity.is_some();
        let socket = dial(&case);
        let mut tls = authority.encrypt(socket, "localhost", &[&TLS12], identity, &["http/1.1"]);
        let mut answer = [0; 12];
        let heard = tls.write_all(request.as_bytes()).and_then(|()| tls.read_exact(&mut answer));
        assert_eq!(heard.is_ok(), is_known);
        assert_eq!(&answer == b"HTTP/1.1 101", is_known);
    }
}

#[test]
fn w14_plain_mqtt_on_the_tls_port_and_tls_on_the_plain_port_are_closed() {
    let doors = Doors::open(2);
    let mut lost = Peer::open(doors.address(Way::Tls13), Version::V5);
    lost.send(&connect(Version::V5, "lost"));
    // An alert, which is no MQTT, and the end.
    lost.expect_raw_end();
    let is_told = || {
        let log = doors.case.broker.log();
        log.contains("TLS was expected, and the client began with something else")
    };
    assert!(eventually(Duration::from_secs(2), is_told), "{}", doors.case.broker.log());
    let socket = doors.socket(Way::Plain);
    socket.set_read_timeout(Some(PATIENCE)).expect("a socket option");
    let authority = Authority::shared();
    let mut tls = authority.encrypt(socket, "localhost", &[&TLS13], None, &["mqtt"]);
    assert!(tls.write_all(b"x").and_then(|()| tls.read_exact(&mut [0])).is_err());
}

#[test]
fn w15_older_versions_are_refused_with_an_alert() {
    let doors = Doors::open(2);
    for minor in [1, 2] {
        let body = [&[3, minor][..], &[7; 32], &[0, 0, 2, 0, 0x2F, 1, 0]].concat();
        let length = u8::try_from(body.len()).expect("it is short");
        let hello = [&[22, 3, 1, 0, length + 4, 1, 0, 0, length], &body[..]].concat();
        let mut socket = doors.socket(Way::Tls13);
        socket.set_read_timeout(Some(PATIENCE)).expect("a socket option");
        socket.write_all(&hello).expect("the broker reads");
        let mut alert = Vec::new();
        socket.read_to_end(&mut alert).expect("an end in order");
        assert_eq!((alert.len(), alert[0], alert[5]), (7, 21, 2), "a fatal alert: {alert:02X?}");
    }
}

/// Programs that connect to an address often name it, which RFC 6066 (section 3) forbids and nobody
/// needs to hear of; a peer that says it over and over writes no log.
#[test]
fn an_address_in_place_of_a_name_is_served_and_not_logged() {
    let case = broker(["broker.pem", "broker.key"], "");
    let authority = Authority::shared();
    for _ in 0..20 {
        let mut hello = Vec::new();
        let configuration = authority.configuration(&[&TLS13], None, &[]);
        let host = ServerName::try_from("localhost").expect("a name");
        let mut client = ClientConnection::new(configuration, host).expect("it is right");
        client.write_tls(&mut hello).expect("room for a ClientHello");
        let name = hello.windows(9).position(|bytes| bytes == b"localhost").expect("it is there");
        hello[name..name + 9].copy_from_slice(b"127.0.0.1");
        let mut socket = dial(&case);
        socket.write_all(&hello).expect("the broker reads");
        let mut first = [0];
        socket.read_exact(&mut first).expect("an answer");
        assert_eq!(first, [22], "a ServerHello");
    }
    // Its line comes behind all that was written before.
    let _last = case.connect(Version::V5, "last");
    let name = case.name("last");
    let is_there = || case.broker.log().contains(&name);
    assert!(eventually(Duration::from_secs(2), is_there), "{}", case.broker.log());
    let log = case.broker.log();
    assert!(!log.contains("SNI"), "{log}");
}

/// New files are for the connections that come; those that are there stay, unless the new list names
/// their certificate. Files that cannot be used leave everything as it was (W16, G15).
#[test]
fn sighup_reads_certificates_and_lists_again_and_keeps_the_old_ones_if_they_are_bad() {
    let authority = Authority::new("reload");
    let file = |name| quoted(&authority.path(name));
    std::fs::copy(authority.path("empty.crl"), authority.path("now.crl")).expect("room");
    let settings = format!(
        "[[listener]]\naddress = \"127.0.0.1:0\"\n[[listener]]\naddress = \"127.0.0.1:0\"\n\
         [listener.tls]\ncertificate = {}\nkey = {}\nclient_certificates = \"optional\"\n\
         client_ca = {}\ncrl = {}\n",
        file("broker.pem"),
        file("broker.key"),
        file("ca.pem"),
        file("now.crl")
    );
    let config = authority.path("skein.toml");
    std::fs::write(&config, settings).expect("room");
    let case = Case::on(Arc::new(Broker::start_from(2, &config)));
    let shows = |identity| {
        serves(&case, |socket| authority.encrypt(socket, "localhost", &[&TLS13], identity, &[]))
    };
    let mut told = 0;
    let mut reload = |line: &str| {
        told += 1;
        case.broker.signal("HUP");
        let is_told = || {
            let log = case.broker.log();
            log.matches("SIGHUP").count() == told && log.contains(line)
        };
        assert!(eventually(Duration::from_secs(4), is_told), "{}", case.broker.log());
    };
    shows(Some(authority.revoked_client())).expect("the list names nobody yet");
    let mut early = shows(Some(authority.client("early"))).expect("nor later");
    std::fs::copy(authority.path("clients.crl"), authority.path("now.crl")).expect("room");
    let renewed = authority.write_server("broker", "localhost");
    reload("SIGHUP");
    let is_refused = || shows(Some(authority.revoked_client())).is_err();
    assert!(eventually(Duration::from_secs(4), is_refused));
    let tls = shows(Some(authority.client("good"))).expect("it is not on the list");
    assert_eq!(tls.conn.peer_certificates().map(|chain| &chain[0]), Some(&renewed));
    std::fs::write(authority.path("now.crl"), "-----BEGIN X509 CRL-----\n").expect("room");
    reload("what was read before stays in use");
    assert!(shows(Some(authority.revoked_client())).is_err(), "the old list counts");
    shows(Some(authority.client("good"))).expect("and lets others in");
    early.write_all(b"\xC0\0").expect("it is still connected");
    let mut heard = Vec::new();
    while !heard.ends_with(b"\xD0\0") {
        let mut byte = [0];
        early.read_exact(&mut byte).expect("and is answered");
        heard.extend(byte);
    }
}

/// A session that was begun before is resumed on whatever shard, as nothing of it is kept there.
#[test]
fn a_tls_session_is_resumed_on_any_shard() {
    let doors = Doors::open(4);
    let authority = Authority::shared();
    let config = authority.configuration(&[&TLS13], None, &[]);
    let mut resumed = 0;
    for number in 0..9 {
        let socket = doors.socket(Way::Tls13);
        socket.set_read_timeout(Some(PATIENCE)).expect("a socket option");
        let mut tls = Authority::begin(socket, "localhost", &config);
        let mut bytes = Vec::new();
        let name = doors.case.name(&number.to_string());
        connect(Version::V5, &name).put(Version::V5, &mut bytes);
        tls.write_all(&bytes).expect("the broker reads");
        tls.read_exact(&mut [0; 4]).expect("it is accepted");
        resumed += usize::from(tls.conn.handshake_kind() == Some(rustls::HandshakeKind::Resumed));
    }
    assert_eq!(resumed, 8, "all but the first");
}
