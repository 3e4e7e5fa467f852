//! Certificates and TLS clients for the tests of the layers.

use std::io::Read;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::server::WebPkiClientVerifier;
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, ServerConfig, SupportedProtocolVersion,
};
use skein_test_authority::{Authority, Identity};

use super::Flow;
use super::tls::{Tls, TlsError};

/// A server named `broker`, which asks for certificates of this authority if it is told to.
pub(super) fn server_config(authority: &Authority, asks: bool) -> Arc<ServerConfig> {
    let (certificate, key) = authority.server(&["broker"]).into_parts();
    let builder = ServerConfig::builder();
    let builder = match asks {
        true => builder.with_client_cert_verifier(
            WebPkiClientVerifier::builder(roots(authority)).build().expect("a good authority"),
        ),
        false => builder.with_no_client_auth(),
    };
    let mut config = builder.with_single_cert(vec![certificate], key).expect("the key fits");
    config.alpn_protocols = vec![b"mqtt".to_vec()];
    Arc::new(config)
}

/// A client of `broker`, by this authority, that speaks these versions.
pub(super) fn client_of(
    authority: &Authority,
    versions: &[&'static SupportedProtocolVersion],
    identity: Option<Identity>,
) -> ClientConnection {
    let builder = ClientConfig::builder_with_protocol_versions(versions);
    let builder = builder.with_root_certificates(roots(authority));
    let config = match identity.map(Identity::into_parts) {
        Some((certificate, key)) => {
            builder.with_client_auth_cert(vec![certificate], key).expect("the key fits")
        }
        None => builder.with_no_client_auth(),
    };
    let name = ServerName::try_from("broker").expect("a name");
    ClientConnection::new(Arc::new(config), name).expect("a good configuration")
}

fn roots(authority: &Authority) -> Arc<RootCertStore> {
    let mut roots = RootCertStore::empty();
    roots.add(authority.certificate()).expect("it is a certificate");
    Arc::new(roots)
}

/// What the client has for the server, in TLS records.
pub(super) fn take_records(client: &mut ClientConnection) -> Vec<u8> {
    let mut records = Vec::new();
    while client.wants_write() {
        client.write_tls(&mut records).expect("a Vec takes everything");
    }
    records
}

/// Lets the client read what the server said; returns the plain bytes of it.
pub(super) fn give_records(
    client: &mut ClientConnection,
    mut records: &[u8],
) -> Result<Vec<u8>, rustls::Error> {
    let mut plain = Vec::new();
    while !records.is_empty() {
        client.read_tls(&mut records).expect("a slice gives everything");
        client.process_new_packets()?;
        // Without more bytes it would block: what has come is there.
        let _ = client.reader().read_to_end(&mut plain);
    }
    Ok(plain)
}

/// Lets both ends speak until neither has anything to say, in pieces of `step` bytes towards the
/// server. Returns what the server received.
pub(super) fn converse(
    tls: &mut Tls,
    client: &mut ClientConnection,
    step: usize,
) -> Result<(Flow, Vec<u8>), TlsError> {
    let (mut above, mut flow) = (Vec::new(), Flow::Going);
    loop {
        let mut records = take_records(client);
        if records.is_empty() {
            return Ok((flow, above));
        }
        for piece in records.chunks_mut(step) {
            let mut below = Vec::new();
            let received = tls.receive(piece, &mut above, &mut below);
            let given = give_records(client, &below);
            flow = received?;
            given.expect("the client accepts what the server says");
        }
    }
}
