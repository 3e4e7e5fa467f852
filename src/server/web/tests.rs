//! Whom a web server has to be signed by to be believed.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread;

use rustls::{ServerConfig, ServerConnection, StreamOwned};
use skein_test_authority::Authority;

use super::*;

const PATIENCE: Duration = Duration::from_secs(20);

/// An authority, and a web server with a certificate of it that answers always the same.
fn secure_server(answer: &'static str) -> (String, String) {
    let authority = Authority::new("authority");
    let (certificate, key) = authority.server(&["localhost"]).into_parts();
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("there are some")
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .expect("the key belongs to it");
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("it is bound").port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(stream) = stream else { return };
            let connection = ServerConnection::new(Arc::clone(&config)).expect("it is right");
            let mut tls = StreamOwned::new(connection, stream);
            // Whoever does not believe the certificate has gone.
            let _ = tls.read(&mut [0; 4_096]);
            let _ = tls.write_all(answer.as_bytes());
        }
    });
    (format!("https://localhost:{port}/"), authority.pem())
}

#[test]
fn a_server_is_believed_that_an_authority_of_ours_has_signed() {
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}";
    let (url, authority) = secure_server(answer);
    let file = |name: &str, text: &str| {
        let path = std::env::temp_dir().join(format!("skein-web-{name}-{}", std::process::id()));
        fs::write(&path, text).expect("room for a file");
        path
    };
    let (own, empty) = (file("own", &authority), file("empty", ""));
    let (_, stranger) = secure_server(answer);
    let stranger = file("stranger", &stranger);
    let fetch = |file: &Path| Web::new(&url, Some(file))?.document(&url, PATIENCE);
    assert_eq!(fetch(&own), Ok(b"{}".to_vec()));
    assert!(fetch(&stranger).expect_err("somebody else signed it").contains("certificate"));
    assert!(fetch(&empty).expect_err("it is empty").contains("no certificate in PEM is in it"));
    assert!(fetch(Path::new("/missing")).expect_err("it is missing").contains("/missing"));
    for file in [own, empty, stranger] {
        fs::remove_file(file).expect("it was written");
    }
}

#[test]
fn only_a_whole_document_is_one() {
    for (answer, error) in [
        ("HTTP/1.1 404 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", "status 404"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\nConnection: close\r\n\r\n{}", ""),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("http://{}/", listener.local_addr().expect("it is bound"));
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("it comes");
            let _ = stream.read(&mut [0; 4_096]);
            let _ = stream.write_all(answer.as_bytes());
        });
        let web = Web::new(&url, None).expect("without TLS nothing is needed");
        let text = web.document(&url, PATIENCE).expect_err("it is none");
        assert!(text.contains(error), "{text}");
    }
}
