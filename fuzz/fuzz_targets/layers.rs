#![no_main]
//! What lies below MQTT: a PROXY header, TLS, the HTTP request of a WebSocket and its frames. The
//! first byte chooses the layers, the second how the bytes are cut. However they are cut, the same
//! bytes of MQTT come out, and the same end.

use std::sync::{Arc, LazyLock};

use libfuzzer_sys::fuzz_target;
use rustls::ServerConfig;
use skein::net::{Layers, WebSocketTerms, receive_in_pieces};

const REQUEST: &[u8] = b"GET /mqtt HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n";

static TLS: LazyLock<Arc<ServerConfig>> = LazyLock::new(|| {
    let signed = rcgen::generate_simple_self_signed(["broker".to_owned()]).expect("it signs");
    let key = signed.signing_key.into();
    let config = ServerConfig::builder().with_no_client_auth();
    Arc::new(config.with_single_cert(vec![signed.cert.into()], key).expect("they fit"))
});

fuzz_target!(|bytes: &[u8]| {
    let [choice, cut, rest @ ..] = bytes else { return };
    let terms = WebSocketTerms {
        path: "/mqtt".into(),
        origins: Box::new(["https://example.org".into()]),
        frame_bytes_max: 1 << 16,
    };
    let layers = Layers {
        proxy: choice & 1 != 0,
        websocket: (choice & 2 != 0).then(|| Arc::new(terms)),
        tls: (choice & 4 != 0).then(|| Arc::clone(&TLS)),
    };
    // With this bit the request stands in front, so that the frames behind it are met.
    let is_upgraded = choice & 0x0E == 0x0A;
    let head = if is_upgraded { REQUEST } else { b"" };
    let input = [head, rest].concat();
    let whole = receive_in_pieces(&layers, &input, input.len().max(1));
    let pieces = receive_in_pieces(&layers, &input, usize::from(*cut).max(1));
    assert!(whole.bytes.len() <= input.len());
    assert_eq!(whole.bytes, pieces.bytes);
    assert_eq!(whole.end, pieces.end);
});
