//! TLS, WebSocket and proxies.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use skein_client::transport::{Address, Dial, Tls, TlsVersion};
use skein_client::{Builder, Error, QoS};
use skein_test_authority::Certificates;

use super::server::{KINDS, Kind, Server, free_port};
use super::{PATIENCE, builder, eventually};

/// What a configuration needs for a listener with these certificates.
fn secure_listener(files: &Certificates, kind: Kind, port: u16, more: &More) -> String {
    let [ca, certificate, key] =
        ["ca.pem", "localhost.pem", "localhost.key"].map(|name| files.text(name));
    match kind {
        Kind::Mosquitto => format!(
            "listener {port} 127.0.0.1\ncafile {ca}\ncertfile {certificate}\nkeyfile {key}\n\
                 protocol {}\nrequire_certificate {}\n",
            if more.websocket { "websockets" } else { "mqtt" },
            more.asks_for_certificate
        ),
        Kind::Skein => format!(
            "[[listener]]\naddress = \"127.0.0.1:{port}\"\nprotocol = \"{}\"\n\
                 [listener.tls]\ncertificate = \"{certificate}\"\nkey = \"{key}\"\n{}\n",
            if more.websocket { "websocket" } else { "mqtt" },
            match more.asks_for_certificate {
                true => format!("client_ca = \"{ca}\"\nclient_certificates = \"required\""),
                false => String::new(),
            }
        ),
    }
}

/// What else a listener is to do.
#[derive(Default)]
struct More {
    websocket: bool,
    asks_for_certificate: bool,
}

/// A message of 300 kB there and back, which no single record or frame holds.
fn assert_works(builder: Builder) {
    // The listener may come up after the one that says that the server is there.
    let client = builder.start().unwrap();
    client.wait_connected(PATIENCE).unwrap();
    let messages = client.subscribe("a").qos(QoS::AtLeastOnce).wait().unwrap();
    let large = vec![7; 300_000];
    for payload in [b"x".to_vec(), large, b"y".to_vec()] {
        client.publish("a", payload.clone()).qos(QoS::AtLeastOnce).wait().unwrap();
        let message = messages.receive_for(PATIENCE).expect("it comes back");
        assert!(message.payload()[..] == payload[..]);
    }
    client.close().unwrap();
}

#[test]
fn tls_trusts_whom_it_is_told_to_and_nobody_else() {
    for kind in KINDS {
        assert_tls_is_careful(kind);
    }
}

fn assert_tls_is_careful(kind: Kind) {
    let (files, port) = (Certificates::new("meter"), free_port());
    let _server = Server::start_with(kind, &secure_listener(&files, kind, port, &More::default()));
    let address = format!("mqtts://localhost:{port}");
    assert_works(builder(&address).tls(Tls::roots(files.path("ca.pem"))));
    let stranger = builder(&address).tls(Tls::platform_roots()).connect();
    assert!(
        matches!(stranger, Err(Error::Dial { .. } | Error::Tls(_))),
        "a certificate nobody vouches for"
    );
    let renamed = Tls::roots(files.path("ca.pem")).server_name("other.example");
    assert!(builder(&address).tls(renamed).connect().is_err(), "a certificate of somebody else");
    assert_works(builder(&address).tls(Tls::unverified().server_name("other.example")));
    let any_name = Tls::roots(files.path("ca.pem")).server_name("other.example").any_name();
    assert_works(builder(&address).tls(any_name));
    let stranger = Tls::roots(files.path("meter.pem")).any_name();
    assert!(builder(&address).tls(stranger).connect().is_err(), "any name, but not anybody's");
    let missing = builder(&address).tls(Tls::roots("/nonexistent.pem")).connect();
    assert!(matches!(missing, Err(Error::Tls(_))));
}

/// One version only, and the secrets in a file of the owner's own.
#[test]
fn tls_speaks_one_version_and_writes_its_secrets_down() {
    let (files, port) = (Certificates::new("meter"), free_port());
    let listener = secure_listener(&files, Kind::Skein, port, &More::default());
    let _server = Server::start_with(Kind::Skein, &listener);
    let log = files.path("secrets");
    for (version, label) in
        [(TlsVersion::V1_2, "CLIENT_RANDOM "), (TlsVersion::V1_3, "CLIENT_TRAFFIC_SECRET_0 ")]
    {
        let tls = Tls::roots(files.path("ca.pem")).version(version).key_log(&log);
        assert_works(builder(&format!("mqtts://localhost:{port}")).tls(tls));
        let text = fs::read_to_string(&log).unwrap();
        assert!(text.lines().any(|line| line.starts_with(label)), "{label}: {text}");
        fs::remove_file(&log).unwrap();
    }
}

#[test]
fn a_client_certificate_is_shown_to_who_asks() {
    for kind in KINDS {
        let (files, port) = (Certificates::new("meter"), free_port());
        let more = More { asks_for_certificate: true, ..More::default() };
        let _server = Server::start_with(kind, &secure_listener(&files, kind, port, &more));
        let address = format!("mqtts://localhost:{port}");
        let tls = || Tls::roots(files.path("ca.pem"));
        let with = tls().client_cert(files.path("meter.pem"), files.path("meter.key"));
        assert_works(builder(&address).tls(with));
        assert!(builder(&address).tls(tls()).connect().is_err(), "without it nobody gets in");
    }
}

#[test]
fn websocket_carries_mqtt_with_and_without_tls() {
    for kind in KINDS {
        let (files, plain, secure) = (Certificates::new("meter"), free_port(), free_port());
        let listener = match kind {
            Kind::Mosquitto => format!("listener {plain} 127.0.0.1\nprotocol websockets\n"),
            Kind::Skein => {
                format!("[[listener]]\naddress = \"127.0.0.1:{plain}\"\nprotocol = \"websocket\"\n")
            }
        };
        let more = More { websocket: true, ..More::default() };
        let settings = listener + &secure_listener(&files, kind, secure, &more);
        let _server = Server::start_with(kind, &settings);
        assert_works(builder(&format!("ws://127.0.0.1:{plain}")));
        let tls = Tls::roots(files.path("ca.pem"));
        assert_works(builder(&format!("wss://localhost:{secure}")).tls(tls));
    }
}

/// A link over a socket of one's own waits for nothing: it opens while it is written and read.
#[test]
fn a_link_over_a_socket_opens_while_it_is_used() {
    for kind in KINDS {
        let (files, port) = (Certificates::new("meter"), free_port());
        let more = More { websocket: true, ..More::default() };
        let _server = Server::start_with(kind, &secure_listener(&files, kind, port, &more));
        let connect = || TcpStream::connect(("127.0.0.1", port));
        assert!(eventually(|| connect().is_ok()), "it listens");
        let socket = connect().unwrap();
        socket.set_nonblocking(true).unwrap();
        let address = Address::parse(&format!("wss://localhost:{port}")).unwrap();
        let dial = Dial::default().tls(&Tls::unverified().without_resumption()).unwrap();
        let mut link = dial.over(&address, socket.into()).unwrap();
        let early = link.read(&mut [0; 4]).unwrap_err();
        assert_eq!(early.kind(), ErrorKind::WouldBlock);
        // CONNECT of MQTT 3.1.1 without a client identifier, and its CONNACK.
        let connect = b"\x10\x0c\x00\x04MQTT\x04\x02\x00\x00\x00\x00";
        assert!(eventually(|| link.write(connect).is_ok()), "the hands are shaken");
        let mut answer = [0; 4];
        assert!(eventually(|| link.flush().is_ok() && link.read(&mut answer).is_ok()));
        assert_eq!(answer, [0x20, 2, 0, 0]);
    }
}

/// A proxy that answers CONNECT, of HTTP or of SOCKS5, and counts.
fn proxy() -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let count = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&count);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut client = stream.unwrap();
            let server = TcpStream::connect(asked_for(&mut client)).unwrap();
            counter.fetch_add(1, Ordering::SeqCst);
            for (mut from, mut to) in
                [(client.try_clone().unwrap(), server.try_clone().unwrap()), (server, client)]
            {
                std::thread::spawn(move || {
                    let _ = std::io::copy(&mut from, &mut to);
                    let _ = to.shutdown(std::net::Shutdown::Both);
                });
            }
        }
    });
    (port, count)
}

/// Shakes hands as a proxy does, and gives the address the client wants.
fn asked_for(client: &mut TcpStream) -> String {
    let mut first = [0; 1];
    client.read_exact(&mut first).unwrap();
    if first == *b"C" {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            client.read_exact(&mut byte).unwrap();
            head.extend(byte);
        }
        client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
        return String::from_utf8(head).unwrap().split(' ').nth(1).unwrap().to_owned();
    }
    let mut greeting = [0; 2];
    client.read_exact(&mut greeting).unwrap();
    client.write_all(&[5, 0]).unwrap();
    let mut request = [0; 5];
    client.read_exact(&mut request).unwrap();
    assert_eq!(request[..4], [5, 1, 0, 3], "CONNECT by name");
    let mut rest = vec![0; usize::from(request[4]) + 2];
    client.read_exact(&mut rest).unwrap();
    client.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).unwrap();
    let (name, port) = rest.split_at(rest.len() - 2);
    let port = u16::from_be_bytes(port.try_into().unwrap());
    format!("{}:{port}", String::from_utf8_lossy(name))
}

#[test]
fn both_kinds_of_proxies_open_links() {
    let server = Server::start(Kind::Skein);
    let (port, count) = proxy();
    let address = format!("mqtt://localhost:{}", server.address.port());
    for scheme in ["http", "socks5h"] {
        let proxied = builder(&address).proxy(format!("{scheme}://127.0.0.1:{port}"));
        assert_works(proxied);
    }
    assert_eq!(count.load(Ordering::SeqCst), 2);
    let free = free_port();
    let nowhere = builder(&address).proxy(format!("http://127.0.0.1:{free}")).connect();
    assert!(matches!(nowhere, Err(Error::Dial { .. })));
}

/// In the process that has them in its environment: the address of the server.
const PROXIED: &str = "SKEIN_TEST_PROXIED";

/// The environment has a say only where it was asked for.
#[test]
fn the_environment_names_a_proxy_to_who_asks_for_it() {
    if let Ok(address) = std::env::var(PROXIED) {
        assert_works(builder(&address).proxy_from_environment());
        assert_works(builder(&address));
        return;
    }
    let server = Server::start(Kind::Skein);
    let (port, count) = proxy();
    for (variable, no_proxy, proxied) in
        [("ALL_PROXY", "elsewhere", 1), ("mqtt_proxy", "", 2), ("ALL_PROXY", "localhost", 2)]
    {
        let test = "transports::the_environment_names_a_proxy_to_who_asks_for_it";
        let status = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", test])
            .env(PROXIED, format!("mqtt://localhost:{}", server.address.port()))
            .envs([(variable, format!("http://127.0.0.1:{port}").as_str()), ("no_proxy", no_proxy)])
            .stdout(Stdio::null())
            .status();
        assert!(status.unwrap().success(), "{variable} {no_proxy}");
        assert_eq!(count.load(Ordering::SeqCst), proxied, "{variable} {no_proxy}");
    }
}
