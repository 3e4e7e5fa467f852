//! A `connection` block: a bridge as Mosquitto's configuration writes it, and what it is in skein's.

use std::collections::BTreeMap;

use skein_protocol::QoS;

use super::draft::Draft;
use super::lines::{Line, Place};
use super::obey::within;
use crate::config::bridge::{Bridge, BridgeStatus, BridgeTopic, BridgeVersion, Direction};
use crate::config::written::Written;

/// What becomes of an option of a bridge.
pub(super) enum Part {
    /// It is obeyed.
    Obeyed(fn(&mut Connection, &Line) -> Result<(), String>),
    /// There is nothing to do.
    Moot,
    /// Something else is done.
    Instead(&'static str),
    /// Something else is done unless it is off, which is what skein does.
    InsteadIfOn(&'static str),
    /// Something else is done if it is off; skein always does it.
    InsteadIfOff(&'static str),
    /// It makes sure of something in a way that skein has not: the bridge is left out.
    LeftOut(&'static str),
}

use Part::{Instead, InsteadIfOff, InsteadIfOn, LeftOut, Moot, Obeyed};

/// A bridge in the making.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) place: Place,
    bridge: Bridge,
    /// As they are written.
    addresses: Vec<(String, Option<u16>)>,
    has_tls: bool,
    tells_nobody: bool,
    tells_local: bool,
    local_cleansession: Option<bool>,
    lines: BTreeMap<(&'static str, &'static str), usize>,
    /// What is otherwise than it asks.
    notes: Vec<String>,
    /// Why it must not be started.
    left_out: Option<(Place, String)>,
}

#[rustfmt::skip] // One option a line.
pub(super) const OPTIONS: &[(&str, Part)] = &[
    ("address", Obeyed(addresses)),
    ("addresses", Obeyed(addresses)),
    ("topic", Obeyed(topic)),
    ("remote_username", Obeyed(user)),
    ("username", Obeyed(user)),
    ("remote_password", Obeyed(password)),
    ("password", Obeyed(password)),
    ("remote_clientid", Obeyed(client_id)),
    ("clientid", Obeyed(client_id)),
    ("local_username", Obeyed(|it, line| { it.bridge.local_user = line.text()?.to_owned(); Ok(()) })),
    ("local_password", Moot),
    ("local_clientid", Instead("the bridge has the client identifier at this broker that it has at the other one")),
    ("cleansession", Obeyed(|it, line| { it.bridge.clean_start = line.is_on()?; Ok(()) })),
    ("local_cleansession", Obeyed(|it, line| { it.local_cleansession = Some(line.is_on()?); Ok(()) })),
    ("start_type", Obeyed(start_type)),
    ("restart_timeout", Obeyed(restart_timeout)),
    ("keepalive_interval", Obeyed(|it, line| { it.bridge.keep_alive_s = within(line, 0, u16::MAX)?; Ok(()) })),
    ("notifications", Obeyed(|it, line| { it.tells_nobody = !line.is_on()?; Ok(()) })),
    ("notifications_local_only", Obeyed(|it, line| { it.tells_local = line.is_on()?; Ok(()) })),
    ("notification_topic", Obeyed(|it, line| { it.bridge.status_topic = line.text()?.to_owned(); Ok(()) })),
    ("try_private", Obeyed(|it, line| { it.bridge.private = line.is_on()?; Ok(()) })),
    ("round_robin", InsteadIfOff("the addresses are tried in turn, and the bridge stays at the one that it found")),
    ("idle_timeout", Moot),
    ("threshold", Moot),
    ("bridge_protocol_version", Obeyed(version)),
    ("bridge_attempt_unsubscribe", Moot),
    ("bridge_bind_address", Instead("the system chooses the address that the bridge connects from")),
    ("bridge_cafile", Obeyed(|it, line| { it.has_tls = true; it.bridge.tls.ca = Some(line.path()?); Ok(()) })),
    ("bridge_capath", LeftOut("authorities are read from one file; write bridge_cafile")),
    ("bridge_tls_use_os_certs", Obeyed(|it, line| { it.has_tls |= line.is_on()?; Ok(()) })),
    ("bridge_certfile", Obeyed(|it, line| { it.has_tls = true; it.bridge.tls.certificate = Some(line.path()?); Ok(()) })),
    ("bridge_keyfile", Obeyed(|it, line| { it.bridge.tls.key = Some(line.path()?); Ok(()) })),
    ("bridge_insecure", InsteadIfOn("the other broker's certificate has to be for the name of its address, all the same")),
    ("bridge_require_ocsp", LeftOut("whether a certificate was revoked is not asked by OCSP")),
    ("bridge_tls_version", Instead("TLS 1.2 and 1.3 are spoken")),
    ("bridge_alpn", Instead("no protocol is named by ALPN")),
    ("bridge_psk", LeftOut("TLS with pre-shared keys is not spoken; use certificates")),
    ("bridge_identity", Moot),
    ("bridge_max_packet_size", Obeyed(packet_size)),
    ("bridge_max_topic_alias", Moot),
    ("bridge_outgoing_retain", InsteadIfOff("what is retained here goes out as retained")),
    ("bridge_tcp_keepalive", Instead("keepalive_interval finds out that a connection is gone")),
    ("bridge_tcp_user_timeout", Instead("keepalive_interval finds out that a connection is gone")),
];

/// Does what becomes of one line of a bridge; false if it is about none.
pub(super) fn apply(line: &Line, draft: &mut Draft) -> Result<bool, String> {
    let key = line.key.as_str();
    let Some((_, part)) = OPTIONS.iter().find(|(name, _)| *name == key) else { return Ok(false) };
    let Some(connection) = draft.connections.last_mut().filter(|_| draft.in_bridge) else {
        return Err(format!("{key} belongs behind a connection line, which begins a bridge"));
    };
    match part {
        Obeyed(obey) => obey(connection, line)?,
        Moot => {}
        Instead(text) => draft.warn(line, text),
        InsteadIfOn(text) if line.is_on()? => draft.warn(line, text),
        InsteadIfOff(text) if !line.is_on()? => draft.warn(line, text),
        InsteadIfOn(_) | InsteadIfOff(_) => {}
        LeftOut(why) => {
            connection.left_out = Some((line.place.clone(), format!("{key}: {why}")));
        }
    }
    Ok(true)
}

/// A bridge begins; it ends with the next bridge or listener.
pub(super) fn connection(draft: &mut Draft, line: &Line) -> Result<(), String> {
    let name = line.text()?;
    if draft.connections.iter().any(|known| &*known.bridge.name == name) {
        return Err(format!("connection: a second bridge named {name:?}; write another name"));
    }
    draft.in_bridge = true;
    draft.connections.push(Connection::new(name, line.place.clone()));
    Ok(())
}

impl Connection {
    fn new(name: &str, place: Place) -> Self {
        let bridge = Bridge {
            name: name.into(),
            // What Mosquitto does where a block does not say.
            version: BridgeVersion::V3_1_1,
            restart_min_ms: 5_000,
            restart_max_ms: 30_000,
            ..Bridge::default()
        };
        Self {
            place,
            bridge,
            addresses: Vec::new(),
            has_tls: false,
            tells_nobody: false,
            tells_local: false,
            local_cleansession: None,
            lines: BTreeMap::new(),
            notes: Vec::new(),
            left_out: None,
        }
    }

    /// The bridge, or why there is none; and what is otherwise than it asks.
    ///
    /// # Errors
    /// What Mosquitto would not start with either.
    pub(super) fn finish(self, warnings: &mut Vec<String>) -> Result<Option<Bridge>, String> {
        let (place, mut bridge) = (self.place, self.bridge);
        let name = bridge.name.clone();
        warnings.extend(self.notes);
        if let Some((place, why)) = self.left_out {
            warnings.push(format!("{place}: {why}; the bridge {name} is not started"));
            return Ok(None);
        }
        if self.addresses.is_empty() {
            return Err(format!(
                "{place}: the bridge {name} has no address; write address HOST:PORT"
            ));
        }
        if bridge.topics.is_empty() {
            warnings.push(format!("{place}: the bridge {name} has no topic and is not started"));
            return Ok(None);
        }
        if let Some(fault) = bridge.topics.iter().find_map(BridgeTopic::fault) {
            return Err(format!("{place}: the bridge {name}: {fault}"));
        }
        let scheme = if self.has_tls { "mqtts" } else { "mqtt" };
        let url = |(host, port): &(String, Option<u16>)| {
            let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
            format!("{scheme}://{host}:{}", port.unwrap_or(1883)).into()
        };
        bridge.addresses = self.addresses.iter().map(url).collect();
        if self.local_cleansession.is_some_and(|clean| clean != bridge.clean_start) {
            warnings.push(format!(
                "{place}: local_cleansession: the sessions at both brokers are kept, or neither, as \
                 cleansession says"
            ));
        }
        if bridge.clean_start {
            bridge.session_expiry_s = 0;
        }
        bridge.status = match (self.tells_nobody, self.tells_local) {
            (true, _) => BridgeStatus::None,
            (false, true) => BridgeStatus::Local,
            (false, false) => BridgeStatus::Both,
        };
        if bridge.status_topic.is_empty() && !bridge.client_id.is_empty() {
            bridge.status_topic = format!("$SYS/broker/connection/{}/state", bridge.client_id);
        }
        bridge.written = Written::at(&place.file, self.lines);
        Ok(Some(bridge))
    }

    fn note(&mut self, key: &'static str, line: &Line) {
        self.lines.insert(("bridge", key), line.place.line);
    }
}

fn addresses(it: &mut Connection, line: &Line) -> Result<(), String> {
    it.note("addresses", line);
    for word in line.text()?.split(' ').filter(|word| !word.is_empty()) {
        let bracketed = word.strip_prefix('[').and_then(|rest| rest.split_once(']'));
        let (host, port) = match (bracketed, word.split_once(':')) {
            (Some((host, port)), _) => (host, port.strip_prefix(':')),
            // An IPv6 address without a port.
            (None, Some((_, rest))) if rest.contains(':') => (word, None),
            (None, Some((host, port))) => (host, Some(port)),
            (None, None) => (word, None),
        };
        let wrong = |port| format!("{}: {port:?} is not a port of 1 to 65535", line.key);
        let port = port.map(|port| port.parse().map_err(|_| wrong(port))).transpose()?;
        it.addresses.push((host.to_owned(), port));
    }
    Ok(())
}

/// `topic PATTERN [[[out|in|both] QOS] LOCAL_PREFIX REMOTE_PREFIX]`.
fn topic(it: &mut Connection, line: &Line) -> Result<(), String> {
    let mut words = line.text()?.split(' ').filter(|word| !word.is_empty());
    let mut text = || words.next().map(|word| if word == "\"\"" { "" } else { word }.to_owned());
    let filter = text().unwrap_or_default();
    let direction = match text().as_deref() {
        None | Some("out") => Direction::Out,
        Some("in") => Direction::In,
        Some("both") => Direction::Both,
        Some(other) => {
            return Err(format!("topic: {other:?} is no direction; write out, in or both"));
        }
    };
    let qos = match text().as_deref() {
        None | Some("0") => QoS::AtMostOnce,
        Some("1") => QoS::AtLeastOnce,
        Some("2") => QoS::ExactlyOnce,
        Some(other) => return Err(format!("topic: {other:?} is no QoS; write 0, 1 or 2")),
    };
    let local_prefix = text().unwrap_or_default();
    let remote_prefix = text().unwrap_or_default();
    it.bridge.topics.push(BridgeTopic { filter, direction, qos, local_prefix, remote_prefix });
    Ok(())
}

fn user(it: &mut Connection, line: &Line) -> Result<(), String> {
    it.bridge.user = line.text()?.to_owned();
    Ok(())
}

fn password(it: &mut Connection, line: &Line) -> Result<(), String> {
    it.bridge.password = line.text()?.to_owned();
    Ok(())
}

fn client_id(it: &mut Connection, line: &Line) -> Result<(), String> {
    it.note("client_id", line);
    it.bridge.client_id = line.text()?.to_owned();
    Ok(())
}

fn start_type(it: &mut Connection, line: &Line) -> Result<(), String> {
    match line.word()? {
        "automatic" => {}
        "lazy" | "once" | "manual" => {
            let place = &line.place;
            it.notes.push(format!("{place}: start_type: the bridge connects at once, and stays"));
        }
        other => return Err(format!("start_type: {other:?} is none; write automatic")),
    }
    Ok(())
}

/// `restart_timeout SECONDS`, always the same, or `restart_timeout BASE CAP`.
fn restart_timeout(it: &mut Connection, line: &Line) -> Result<(), String> {
    let mut words = line.text()?.split(' ').filter(|word| !word.is_empty());
    let mut next_ms = || match words.next().map(str::parse::<u32>) {
        None => Ok(None),
        Some(Ok(seconds @ 1..=3_600)) => Ok(Some(u64::from(seconds) * 1_000)),
        Some(_) => {
            Err("restart_timeout: write one or two numbers of seconds, 1 to 3600".to_owned())
        }
    };
    let (base, cap) = (next_ms()?, next_ms()?);
    let base_ms = base.unwrap_or(it.bridge.restart_min_ms);
    it.bridge.restart_min_ms = base_ms;
    it.bridge.restart_max_ms = cap.unwrap_or(base_ms).max(base_ms);
    it.bridge.restart_jitter_percent = if cap.is_some() { 100 } else { 0 };
    Ok(())
}

fn version(it: &mut Connection, line: &Line) -> Result<(), String> {
    it.bridge.version = match line.word()? {
        "mqttv31" => BridgeVersion::V3_1,
        "mqttv311" => BridgeVersion::V3_1_1,
        "mqttv50" => BridgeVersion::V5,
        other => {
            return Err(format!("bridge_protocol_version: {other:?} is none; write mqttv50"));
        }
    };
    Ok(())
}

fn packet_size(it: &mut Connection, line: &Line) -> Result<(), String> {
    const MOST: i64 = 268_435_455;
    let asked: u32 = within(line, 0, MOST)?;
    it.bridge.packet_bytes_max = if asked == 0 { MOST as u32 } else { asked.max(1_024) };
    Ok(())
}

/// What becomes of each option, as rows of the page for those who come from Mosquitto.
pub(super) fn rows() -> String {
    let mut rows = String::new();
    for (name, part) in OPTIONS {
        let what = match part {
            Obeyed(_) => "obeyed",
            Moot => "nothing to do",
            Instead(text) => text,
            InsteadIfOn(text) => &format!("if it is true: {text}"),
            InsteadIfOff(text) => &format!("if it is false: {text}"),
            LeftOut(text) => &format!("the bridge is not started: {text}"),
        };
        rows.push_str(&format!("| `{name}` | {what} |\n"));
    }
    rows
}

#[cfg(test)]
mod tests;
