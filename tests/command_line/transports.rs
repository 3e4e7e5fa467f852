//! TLS, sockets of this machine and WebSocket: the same certificates, the same ends.

use std::fs;
use std::path::Path;
use std::process::Command;

use skein_test_authority::Certificates;

use crate::broker::{Broker, free_port};
use crate::program::{BOTH, Ended, Whose, command, start};

/// A broker with listeners of every kind.
pub(crate) struct Listeners {
    pub(crate) files: Certificates,
    pub(crate) tls: String,
    strict: String,
    ws: String,
    socket: String,
    _broker: Broker,
}

impl Listeners {
    pub(crate) fn start() -> Self {
        let files = Certificates::new("meter");
        let [tls, strict, ws] = [(); 3].map(|()| free_port());
        let (certificate, key) = (files.text("localhost.pem"), files.text("localhost.key"));
        let (ca, socket) = (files.text("ca.pem"), files.text("socket"));
        let text = format!(
            "shards = 1\n[[listener]]\naddress = \"127.0.0.1:{tls}\"\n[listener.tls]\n\
             certificate = \"{certificate}\"\nkey = \"{key}\"\n\
             [[listener]]\naddress = \"127.0.0.1:{strict}\"\n[listener.tls]\n\
             certificate = \"{certificate}\"\nkey = \"{key}\"\n\
             client_certificates = \"required\"\nclient_ca = \"{ca}\"\n\
             [[listener]]\naddress = \"127.0.0.1:{ws}\"\nprotocol = \"websocket\"\n\
             [[listener]]\naddress = \"unix:{socket}\"\n"
        );
        fs::write(files.path("skein.toml"), text).expect("room for a file");
        let broker = Broker::start_with(&files.path("skein.toml"), ws);
        let [tls, strict, ws] = [tls, strict, ws].map(|port| port.to_string());
        Self { files, tls, strict, ws, socket, _broker: broker }
    }
}

/// A folder with the authority under the name that OpenSSL looks for.
fn rehashed(files: &Certificates) -> String {
    let folder = files.path("authorities");
    fs::create_dir(&folder).expect("a new folder");
    fs::copy(files.path("ca.pem"), folder.join("ca.pem")).expect("room for a file");
    let done = Command::new("openssl").arg("rehash").arg(&folder).status();
    assert!(done.expect("OpenSSL comes with mosquitto's clients").success());
    as_text(&folder).to_owned()
}

fn publish(whose: Whose, words: &[&str]) -> Ended {
    let mut command = command(whose, "pub");
    command.args(words).args(["-t", "t", "-m", "x", "-q", "1"]);
    start(&mut command, Some(b"")).wait()
}

pub(crate) fn transports_are_the_same() {
    let Listeners { files, tls, strict, ws, socket, _broker } = Listeners::start();
    let (ca, certificate, key) =
        (files.text("ca.pem"), files.text("meter.pem"), files.text("meter.key"));
    let rehashed = rehashed(&files);
    let secret = ["-h", "localhost", "--cafile", &ca, "-p", &tls];
    let rows: [(&[&str], i32); 14] = [
        (&secret, 0),
        (&[&secret[..], &["--tls-version", "tlsv1.2"]].concat(), 0),
        (&[&secret[..], &["--tls-version", "tlsv1.3"]].concat(), 0),
        (&[&secret[..], &["--tls-alpn", "mqtt"]].concat(), 0),
        (&["-h", "127.0.0.1", "--cafile", &ca, "-p", &tls], 8),
        (&["-h", "127.0.0.1", "--cafile", &ca, "-p", &tls, "--insecure"], 0),
        (&["-h", "localhost", "--cafile", &certificate, "-p", &tls], 8),
        (&["-h", "localhost", "--cafile", "/nonexistent", "-p", &tls], 1),
        (
            &[
                "-h",
                "localhost",
                "--cafile",
                &ca,
                "-p",
                &strict,
                "--cert",
                &certificate,
                "--key",
                &key,
            ],
            0,
        ),
        (&["-L", &format!("mqtts://localhost:{tls}/t"), "--cafile", &ca], 0),
        (&["-h", "localhost", "--capath", &rehashed, "-p", &tls], 0),
        (&[&secret[..], &["--cert", &certificate, "--key", &key, "--keyform", "pem"]].concat(), 0),
        (&["--unix", &socket], 0),
        (&["--unix", "/nonexistent"], 1),
    ];
    for (row, code) in rows {
        let [theirs, ours] = BOTH.map(|whose| publish(whose, row));
        // Whether TLS fails while mosquitto_pub connects (1) or later (8) is up to the network.
        let may_be = if code == 8 { &[1, 8][..] } else { &[code] };
        assert!(may_be.iter().any(|it| theirs.code == Some(*it)), "{row:?}: {}", theirs.err);
        assert_eq!(ours.code, Some(code), "{row:?}: {} {}", ours.err, theirs.err);
        assert_eq!(ours.out, theirs.out, "{row:?}");
    }
    // The authorities of the machine, which are the test's for once.
    for whose in BOTH {
        let mut command = command(whose, "pub");
        command.env("SSL_CERT_FILE", files.path("ca.pem")).env_remove("SSL_CERT_DIR");
        command.args(["-h", "localhost", "-p", &tls, "--tls-use-os-certs", "-t", "t", "-m", "x"]);
        start(&mut command, Some(b"")).wait().succeeded();
    }
    assert!(publish(Whose::Skein, &["--ws", "-p", &ws]).code == Some(0));
    let log = files.path("secrets");
    let words = [&secret[..], &["--tls-keylog", as_text(&log)]].concat();
    publish(Whose::Skein, &words).succeeded();
    assert!(fs::read_to_string(&log).expect("it was written").contains("TRAFFIC_SECRET"));
    // Without a certificate the broker says no, which TLS 1.3 tells late.
    let refused = publish(Whose::Skein, &["-h", "localhost", "--cafile", &ca, "-p", &strict]);
    assert!(refused.code != Some(0) && !refused.err.is_empty(), "{refused:?}");
}

fn as_text(path: &Path) -> &str {
    path.to_str().expect("the names of temporary folders are ASCII")
}
