//! The `[[listener]]` blocks: each on its own, and beside the others.

use std::ops::Range;

use toml::de::DeTable;

use super::parse::{find, section_table};
use super::reader::{Reader, Source};
use super::table::{Listener, Tls, WebSocket};
use super::transport::{ClientCertificates, Protocol};
use super::value::{DurabilityMode, quote};
use super::{Address, Written};

/// What a section for TLS may not leave out: it must not mean MQTT in the clear.
const NO_CERTIFICATE: &str = "this listener has a section for TLS and no certificate; write \
    certificate = \"/etc/skein/broker.pem\" and key = \"/etc/skein/broker.key\" there";
/// The sections of a listener.
const SECTIONS: [&str; 2] = ["tls", "websocket"];

/// Every block, or the default listener when there is none. One that does not say its durability has
/// the given one.
pub(super) fn read(
    table: &DeTable<'_>,
    durability: DurabilityMode,
    source: &mut Source<'_>,
) -> Vec<Listener> {
    let Some((span, value)) = find(table, "listener") else {
        return vec![Listener { durability, ..Listener::default() }];
    };
    let Some(blocks) = value.get_ref().as_array() else {
        source.report(span, "there may be several listeners; write [[listener]]".to_owned());
        return Vec::new();
    };
    let mut listeners = Vec::new();
    for block in blocks.iter() {
        let Some(inner) = block.get_ref().as_table() else {
            source.report(block.span(), "a listener is a block; write [[listener]]".to_owned());
            continue;
        };
        let mut listener = read_one(inner, block.span(), source);
        if find(inner, "durability").is_none() {
            listener.durability = durability;
        }
        refuse_twin(&listener, &listeners, block.span(), source);
        listeners.push(listener);
    }
    listeners
}

fn read_one(table: &DeTable<'_>, span: Range<usize>, source: &mut Source<'_>) -> Listener {
    source.forget_lines("listener");
    let mut reader = Reader::new("listener", Some(table), source);
    reader.refuse_unknown_keys(&SECTIONS);
    let mut listener = Listener::read(&mut reader);
    if find(table, "address").is_none() {
        let text = "this listener has no address; write address = \"127.0.0.1:1883\"";
        source.report(span.clone(), text.to_owned());
    }
    if find(table, "name").is_none() {
        listener.name = listener.address.to_string();
    }
    let tls = section_table("listener.tls", "tls", table, source);
    let mut reader = Reader::new("listener.tls", tls, source);
    reader.refuse_unknown_keys(&[]);
    listener.tls = Tls::read(&mut reader);
    let websocket = section_table("listener.websocket", "websocket", table, source);
    let mut reader = Reader::new("listener.websocket", websocket, source);
    reader.refuse_unknown_keys(&[]);
    listener.websocket = WebSocket::read(&mut reader);
    let section_of = |key| find(table, key).map_or(span.clone(), |(span, _)| span);
    if tls.is_some_and(|tls| find(tls, "certificate").is_none()) {
        source.report(section_of("tls"), NO_CERTIFICATE.to_owned());
    } else {
        for (key, text) in contradictions(&listener) {
            source.report(section_of(key), text);
        }
    }
    listener.written = Written::of(source, "listener");
    listener
}

/// What cannot be meant, and the key or section of the listener that it is said of.
fn contradictions(listener: &Listener) -> Vec<(&'static str, String)> {
    let Listener { tls, websocket, .. } = listener;
    let mut found = Vec::new();
    let mut say = |is_wrong: bool, key: &'static str, text: &str| {
        if is_wrong {
            found.push((key, text.to_owned()));
        }
    };
    let asks = tls.client_certificates != ClientCertificates::None;
    let checks = !(tls.client_ca.is_empty() && tls.crl.is_empty());
    say(tls.certificate.is_empty() && *tls != Tls::default(), "tls", NO_CERTIFICATE);
    say(
        tls.certificate.len() != tls.key.len(),
        "tls",
        "each certificate needs its key; write as many files for key as for certificate",
    );
    say(
        asks && tls.client_ca.is_empty(),
        "tls",
        "clients are asked for certificates that nobody can check; write client_ca = \
         \"/etc/skein/clients.pem\"",
    );
    say(
        checks && !asks,
        "tls",
        "client_ca and crl are for clients' certificates, and clients are asked for none; write \
         client_certificates = \"required\" or \"optional\"",
    );
    say(
        *websocket != WebSocket::default() && listener.protocol == Protocol::Mqtt,
        "websocket",
        "this listener has a section for WebSocket and does not speak it; write protocol = \
         \"websocket\" in its block",
    );
    say(
        !websocket.path.starts_with('/'),
        "websocket",
        "the path of a WebSocket begins with a slash; write path = \"/mqtt\"",
    );
    say(
        matches!(listener.address, Address::Unix(_)) && !listener.proxy_protocol_from.is_empty(),
        "proxy_protocol_from",
        "connections to a Unix socket have no address that could be trusted; leave this out, and \
         let unix_mode say who may connect",
    );
    found
}

fn refuse_twin(
    listener: &Listener,
    others: &[Listener],
    span: Range<usize>,
    source: &mut Source<'_>,
) {
    let Listener { name, address, .. } = listener;
    if others.iter().any(|other| other.address == *address && address.is_fixed()) {
        let text = format!("a second listener on {address}; write another port");
        source.report(span, text);
    } else if others.iter().any(|other| other.name == *name && address.is_fixed()) {
        let text = format!("a second listener named {}; write another name", quote(name));
        source.report(span, text);
    }
}

#[cfg(test)]
mod tests;
