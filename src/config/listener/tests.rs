//! What a listener may say of the transports below MQTT, and what it may not.

use super::super::{Origin, Settings, TlsVersion, UnixMode, parse};
use super::*;

fn accepted(text: &str) -> Listener {
    let settings: Settings =
        parse(text, "skein.toml").unwrap_or_else(|error| panic!("refused:\n{error}"));
    settings.listeners.into_iter().next().expect("a listener")
}

fn refused(text: &str) -> String {
    parse(text, "skein.toml").expect_err("the file is wrong").to_string()
}

#[test]
fn a_listener_says_what_lies_below_mqtt() {
    let listener = accepted(
        "[[listener]]\naddress = \"0.0.0.0:8084\"\nprotocol = \"websocket\"\n\
         auth = \"certificate\"\nproxy_protocol_from = [\"10.0.0.0/8\", \"::1\"]\n\
         [listener.tls]\ncertificate = \"a.pem\"\nkey = [\"a.key\"]\n\
         client_certificates = \"required\"\nclient_ca = \"ca.pem\"\ncrl = [\"1.crl\", \"2.crl\"]\n\
         alpn = [\"http/1.1\"]\nversions = \"1.3\"\n\
         [listener.websocket]\npath = \"/\"\norigins = [\"https://a.example\"]\n\
         frame_bytes_max = 1_000\n\
         [[listener]]\naddress = \"unix:/run/skein.sock\"\nunix_mode = 0o600\n",
    );
    assert_eq!(listener.protocol, Protocol::WebSocket);
    assert_eq!(listener.proxy_protocol_from.len(), 2);
    assert_eq!(listener.tls.certificate, ["a.pem".into()] as [std::path::PathBuf; 1]);
    assert_eq!(listener.tls.client_certificates, ClientCertificates::Required);
    assert_eq!((listener.tls.crl.len(), &listener.tls.versions[..]), (2, &[TlsVersion::V1_3][..]));
    assert_eq!(listener.websocket.origins, [Origin("https://a.example".into())]);
    assert_eq!(listener.websocket.frame_bytes_max, 1_000);
    assert_eq!(listener.written.place("listener.tls", "key"), "skein.toml:8: ");
    assert_eq!(listener.written.place("listener.tls", "other"), "skein.toml: ");
}

/// One that no browser ever says would keep everybody out without a word.
#[test]
fn origins_are_as_browsers_say_them() {
    let with = |origin: &str| {
        format!(
            "[[listener]]\naddress = \"127.0.0.1:1\"\nprotocol = \"websocket\"\n\
             [listener.websocket]\norigins = [\"{origin}\"]\n"
        )
    };
    for origin in ["https://a.example", "http://[::1]:8080", "https://a:80", "app://x"] {
        assert_eq!(accepted(&with(origin)).websocket.origins, [Origin(origin.into())]);
    }
    for (origin, hint) in [
        ("*", "where all pages may connect there is no list"),
        ("a.example", "write \"https://a.example\""),
        ("https://a.example/", "as \"https://a.example\": write that"),
        ("https://a.example/chat?x", "as \"https://a.example\": write that"),
        ("https://a.example:443", "as \"https://a.example\": write that"),
        ("http://a:80", "as \"http://a\": write that"),
        ("https://", "names no host"),
        ("https://a b", "names no host"),
    ] {
        let text = refused(&with(origin));
        assert!(text.contains("skein.toml:5") && text.contains(hint), "{origin}: {text}");
    }
}

#[test]
fn a_unix_socket_has_a_path_and_a_mode() {
    let listener = accepted("[[listener]]\naddress = \"unix:/run/s\"\nunix_mode = 0o600\n");
    assert_eq!(listener.address, Address::Unix("/run/s".into()));
    assert_eq!((listener.unix_mode, listener.name.as_str()), (UnixMode(0o600), "unix:/run/s"));
    assert!(refused("[[listener]]\naddress = \"unix:s\"\n").contains("not a path from the root"));
    let mode = refused("[[listener]]\naddress = \"unix:/s\"\nunix_mode = 0o1777\n");
    assert!(mode.contains("write permissions in octal, like 0o660"), "{mode}");
}

#[test]
fn the_lines_of_one_listener_are_not_taken_for_those_of_another() {
    let text = "[[listener]]\naddress = \"127.0.0.1:1\"\n[listener.tls]\ncertificate = \"a\"\n\
                key = \"b\"\n[[listener]]\naddress = \"127.0.0.1:2\"\n";
    let settings = parse(text, "skein.toml").expect("it is right");
    let places: Vec<String> = settings
        .listeners
        .iter()
        .map(|listener| listener.written.place("listener.tls", "certificate"))
        .collect();
    assert_eq!(places, ["skein.toml:4: ", "skein.toml: "]);
}

/// A section for TLS that leaves something out never means MQTT in the clear, nor clients that
/// nobody checks.
#[test]
fn half_a_section_for_tls_is_refused() {
    let begin = "[[listener]]\naddress = \"127.0.0.1:1\"\n[listener.tls]\n";
    for (rest, expected) in [
        ("", "skein.toml:3: this listener has a section for TLS and no certificate"),
        ("key = \"b\"\n", "skein.toml:3: this listener has a section for TLS and no certificate"),
        ("certificate = []\nkey = \"b\"\n", "skein.toml:3: this listener has a section for TLS"),
        ("certificate = \"\"\n", "skein.toml:4: certificate: a path is empty"),
        ("certificate = \"a\"\n", "skein.toml:3: each certificate needs its key"),
        ("certificate = [\"a\", \"b\"]\nkey = \"c\"\n", "skein.toml:3: each certificate needs"),
        (
            "certificate = \"a\"\nkey = \"b\"\nclient_certificates = \"required\"\n",
            "skein.toml:3: clients are asked for certificates that nobody can check",
        ),
        (
            "certificate = \"a\"\nkey = \"b\"\nclient_ca = \"c\"\n",
            "skein.toml:3: client_ca and crl are for clients' certificates",
        ),
        (
            "certificate = \"a\"\nkey = \"b\"\nversions = \"1.1\"\n",
            "skein.toml:6: versions: unknown value \"1.1\"",
        ),
        ("certificate = \"a\"\nkey = \"b\"\nversions = []\n", "no version is left"),
        ("certificat = \"a\"\n", "unknown key \"certificat\" in [listener.tls]; did you mean"),
    ] {
        let refused = refused(&format!("{begin}{rest}"));
        assert!(refused.contains(expected), "{rest}: {refused}");
    }
}

#[test]
fn what_cannot_be_meant_is_refused() {
    let begin = "[[listener]]\naddress = \"127.0.0.1:1\"\n";
    for (rest, expected) in [
        ("tls = true\n", "skein.toml:3: tls is a section; write [listener.tls]"),
        ("[listener.websocket]\npath = \"/x\"\n", "skein.toml:3: this listener has a section for"),
        (
            "protocol = \"websocket\"\n[listener.websocket]\npath = \"x\"\n",
            "skein.toml:4: the path of a WebSocket begins with a slash",
        ),
        ("protocol = \"ws\"\n", "skein.toml:3: protocol: unknown value \"ws\""),
        ("proxy_protocol_from = [\"proxy\"]\n", "\"proxy\" is neither an IP address nor a network"),
    ] {
        let refused = refused(&format!("{begin}{rest}"));
        assert!(refused.contains(expected), "{rest}: {refused}");
    }
    let unix =
        refused("[[listener]]\naddress = \"unix:/s\"\nproxy_protocol_from = [\"10.0.0.0/8\"]\n");
    assert!(unix.starts_with("skein.toml:3: connections to a Unix socket"), "{unix}");
}
