//! Every option of Mosquitto, and what becomes of it. Adding one is adding a row.

use skein_protocol::QoS;

use super::door::{self, Door, Family};
use super::draft::Draft;
use super::lines::Line;
use crate::config::access::CertificateName;
use crate::config::transport::Protocol;
use crate::config::value::{LogLevel, nearest};

/// What becomes of an option.
enum Meaning {
    /// It is obeyed.
    Obeyed(fn(&mut Draft, &Line) -> Result<(), String>),
    /// There is nothing to do: skein always does what it asks, or what it tunes is not there.
    Moot,
    /// Something else is done.
    Instead(&'static str),
    /// Something else is done unless it is off, which is what skein does.
    InsteadIfOn(&'static str),
    /// Something else is done if it is off; skein always does it.
    InsteadIfOff(&'static str),
    /// It keeps clients out, or apart, in a way that skein has not: what it is about is not opened.
    Closes(&'static str),
    /// A part of the description of a bridge.
    OfBridge,
}

use Meaning::{Closes, Instead, InsteadIfOff, InsteadIfOn, Moot, Obeyed, OfBridge};

const NO_PLUGINS: &str = "skein runs no plugins; what this one decides nobody would decide";
const NO_PSK: &str = "TLS with pre-shared keys is not spoken; use certificates";
const MEMORY_ONLY: &str = "sessions and retained messages are kept in memory, not on disk";

#[rustfmt::skip] // One option a line.
const OPTIONS: &[(&str, Meaning)] = &[
    // Listeners.
    ("listener", Obeyed(|draft, line| { draft.add(Door::parse(line)?); Ok(()) })),
    ("port", Obeyed(port)),
    ("bind_address", Obeyed(bind_address)),
    ("bind_interface", Closes("a listener is not bound to an interface; name its address in the listener line")),
    ("socket_domain", Obeyed(socket_domain)),
    ("protocol", Obeyed(protocol)),
    ("max_connections", Obeyed(max_connections)),
    ("mount_point", Closes("topics are not moved below a mount point")),
    ("http_dir", Instead("no files are served over HTTP")),
    ("websockets_headers_size", Moot),
    ("websockets_log_level", Moot),
    ("websockets_origin", Closes("write the origins into [listener.websocket] of a skein.toml")),
    ("use_username_as_clientid", Closes("client ids are what clients say they are")),
    ("set_tcp_nodelay", Moot),
    ("cafile", Obeyed(|draft, line| { let file = line.path()?; draft.door().tls.client_ca.push(file); Ok(()) })),
    ("capath", Obeyed(|draft, line| { let files = door::certificates_in(&line.path()?)?; draft.door().tls.client_ca.extend(files); Ok(()) })),
    ("certfile", Obeyed(|draft, line| { let file = line.path()?; draft.door().tls.certificate = vec![file]; Ok(()) })),
    ("keyfile", Obeyed(|draft, line| { let file = line.path()?; draft.door().tls.key = vec![file]; Ok(()) })),
    ("crlfile", Obeyed(|draft, line| { let file = line.path()?; draft.door().tls.crl.push(file); Ok(()) })),
    ("require_certificate", Obeyed(|draft, line| { draft.door().requires_certificate = line.is_on()?; Ok(()) })),
    ("use_identity_as_username", Obeyed(|draft, line| certificate_name(draft, line, CertificateName::Cn))),
    ("use_subject_as_username", Obeyed(|draft, line| certificate_name(draft, line, CertificateName::Dn))),
    ("tls_version", Obeyed(tls_version)),
    ("ciphers", Instead("the ciphers are rustls's, which are all strong")),
    ("ciphers_tls1.3", Instead("the ciphers are rustls's, which are all strong")),
    ("dhparamfile", Moot),
    ("tls_engine", Closes("keys are read from files only")),
    ("tls_engine_kpass_sha1", Moot),
    ("tls_keyform", Instead("keys are read from PEM files only")),
    ("psk_file", Closes(NO_PSK)),
    ("psk_hint", Closes(NO_PSK)),
    // Who may come in.
    ("per_listener_settings", Obeyed(|_, line| line.is_on().map(drop))),
    ("allow_anonymous", Obeyed(|draft, line| { draft.guard().allow_anonymous = Some(line.is_on()?); Ok(()) })),
    ("listener_allow_anonymous", Obeyed(|draft, line| { draft.door().guard.allow_anonymous = Some(line.is_on()?); Ok(()) })),
    ("password_file", Obeyed(password_file)),
    ("acl_file", Obeyed(acl_file)),
    ("auth_plugin", Closes(NO_PLUGINS)),
    ("plugin", Closes(NO_PLUGINS)),
    ("global_plugin", Closes(NO_PLUGINS)),
    ("plugin_load", Closes(NO_PLUGINS)),
    ("plugin_use", Closes(NO_PLUGINS)),
    ("auth_plugin_deny_special_chars", Moot),
    ("clientid_prefixes", Closes("clients are not told apart by a prefix of their id; write rules for %c into acl_file")),
    ("allow_zero_length_clientid", InsteadIfOff("clients without an id are given one")),
    ("auto_id_prefix", Instead("the ids that are given out begin with skein-")),
    ("check_retain_source", InsteadIfOff("retained messages of those who may no longer publish them are not delivered")),
    // Limits.
    ("max_inflight_messages", Obeyed(max_inflight_messages)),
    ("max_inflight_bytes", Instead("what is in flight is bounded by messages, not by bytes")),
    ("max_queued_messages", Obeyed(max_queued_messages)),
    ("max_queued_bytes", Obeyed(max_queued_bytes)),
    ("max_packet_size", Obeyed(|draft, line| max_packet_size(draft, line, 0))),
    ("message_size_limit", Obeyed(|draft, line| max_packet_size(draft, line, 65_536))),
    ("max_keepalive", Obeyed(|draft, line| { draft.settings.limits.keep_alive_s_max = within(line, 0, u16::MAX)?; Ok(()) })),
    ("max_topic_alias", Obeyed(|draft, line| { draft.settings.limits.topic_alias_maximum = within(line, 0, u16::MAX)?; Ok(()) })),
    ("max_topic_alias_broker", Obeyed(|draft, line| { draft.settings.limits.topic_alias_outgoing_max = within(line, 0, u16::MAX)?; Ok(()) })),
    ("max_qos", Obeyed(max_qos)),
    ("memory_limit", Obeyed(|draft, line| { draft.settings.limits.memory_bytes_max = within(line, 0, 1_i64 << 48)?; Ok(()) })),
    ("global_max_connections", Obeyed(|draft, line| { draft.settings.limits.connections_max = count(line, 0)?; Ok(()) })),
    ("global_max_clients", Obeyed(|draft, line| { draft.settings.limits.sessions_max = count(line, 100_000_000)?; Ok(()) })),
    ("persistent_client_expiration", Obeyed(persistent_client_expiration)),
    ("retain_available", Obeyed(|draft, line| { draft.settings.limits.retain_available = line.is_on()?; Ok(()) })),
    ("retain_expiry_interval", Instead("retained messages stay until they are deleted or expire by themselves")),
    ("queue_qos0_messages", InsteadIfOn("messages of QoS 0 do not wait for clients that are away")),
    ("upgrade_outgoing_qos", InsteadIfOn("a message keeps the QoS that it was published with")),
    ("allow_duplicate_messages", InsteadIfOn("a client gets one copy of a message, however many of its filters match")),
    // What is kept.
    ("persistence", InsteadIfOn(MEMORY_ONLY)),
    ("persistence_location", Moot),
    ("persistence_file", Moot),
    ("autosave_interval", Moot),
    ("autosave_on_changes", Moot),
    ("retained_persistence", Moot),
    // How it runs and what it says.
    ("user", Obeyed(|draft, line| { draft.warn(line, "the user does not change; let the service manager start skein as this user"); Ok(()) })),
    ("pid_file", Instead("no file is written; the service manager knows the process")),
    ("log_dest", Obeyed(log_dest)),
    ("log_type", Obeyed(log_type)),
    ("log_facility", Moot),
    ("log_timestamp", InsteadIfOff("log lines begin with the time")),
    ("log_timestamp_format", Instead("the time in log lines is in UTC, as in RFC 3339")),
    ("connection_messages", InsteadIfOff("connections are logged; log_type warning leaves them out")),
    ("sys_interval", Instead("nothing is published below $SYS")),
    // Options of Mosquitto 1 that do nothing in Mosquitto 2 either.
    ("retry_interval", Moot),
    ("store_clean_interval", Moot),
    // Bridges.
    ("connection", Obeyed(bridge)),
    ("address", OfBridge), ("addresses", OfBridge), ("topic", OfBridge), ("remote_username", OfBridge),
    ("username", OfBridge), ("remote_password", OfBridge), ("password", OfBridge),
    ("remote_clientid", OfBridge), ("clientid", OfBridge), ("local_username", OfBridge),
    ("local_password", OfBridge), ("local_clientid", OfBridge), ("cleansession", OfBridge),
    ("local_cleansession", OfBridge), ("start_type", OfBridge), ("restart_timeout", OfBridge),
    ("keepalive_interval", OfBridge), ("notifications", OfBridge),
    ("notifications_local_only", OfBridge), ("notification_topic", OfBridge),
    ("try_private", OfBridge), ("round_robin", OfBridge), ("idle_timeout", OfBridge),
    ("threshold", OfBridge), ("bridge_protocol_version", OfBridge),
    ("bridge_attempt_unsubscribe", OfBridge), ("bridge_bind_address", OfBridge),
    ("bridge_cafile", OfBridge), ("bridge_capath", OfBridge), ("bridge_certfile", OfBridge),
    ("bridge_keyfile", OfBridge), ("bridge_insecure", OfBridge),
    ("bridge_require_ocsp", OfBridge), ("bridge_tls_version", OfBridge), ("bridge_alpn", OfBridge),
    ("bridge_psk", OfBridge), ("bridge_identity", OfBridge), ("bridge_max_packet_size", OfBridge),
    ("bridge_max_topic_alias", OfBridge), ("bridge_outgoing_retain", OfBridge),
    ("bridge_tcp_keepalive", OfBridge), ("bridge_tcp_user_timeout", OfBridge),
];

/// Does what becomes of one line.
pub(super) fn apply(line: &Line, draft: &mut Draft) -> Result<(), String> {
    let key = line.key.as_str();
    // What a plugin is told, whatever it calls it.
    if key.starts_with("plugin_opt_") || key.starts_with("auth_opt_") {
        return Ok(());
    }
    let Some((_, meaning)) = OPTIONS.iter().find(|(name, _)| *name == key) else {
        let near = nearest(key, OPTIONS.iter().map(|(name, _)| *name));
        let hint = near.map_or(String::new(), |near| format!("; did you mean {near}?"));
        return Err(format!("unknown option {key:?}{hint}"));
    };
    match meaning {
        Obeyed(obey) => obey(draft, line)?,
        Moot => {}
        OfBridge if draft.in_bridge => {}
        OfBridge => {
            return Err(format!("{key} belongs behind a connection line, which begins a bridge"));
        }
        Instead(text) => draft.warn(line, text),
        InsteadIfOn(text) if line.is_on()? => draft.warn(line, text),
        InsteadIfOff(text) if !line.is_on()? => draft.warn(line, text),
        InsteadIfOn(_) | InsteadIfOff(_) => {}
        Closes(why) if is_of_door(key) => draft.close_door(line, why),
        Closes(why) => draft.close(line, why),
    }
    Ok(())
}

/// Whether an option is about one listener even when `per_listener_settings` is off.
fn is_of_door(key: &str) -> bool {
    let of_door = ["bind_interface", "mount_point", "psk_hint", "plugin_use", "tls_engine"];
    of_door.contains(&key) || key == "use_username_as_clientid" || key == "websockets_origin"
}

/// A number of this range.
fn within<T: TryFrom<i64>>(line: &Line, least: i64, most: impl Into<i64>) -> Result<T, String> {
    let (number, most) = (line.number()?, most.into());
    let out = || format!("{}: {number} is out of range; write {least} to {most}", line.key);
    if number < least || number > most {
        return Err(out());
    }
    T::try_from(number).map_err(|_| out())
}

/// A number of things, of which `no_limit` stands for "as many as there are".
fn count(line: &Line, no_limit: usize) -> Result<usize, String> {
    match line.number()? {
        -1 | 0 => Ok(no_limit),
        _ => within(line, 1, (1 << 24) - 1),
    }
}

fn port(draft: &mut Draft, line: &Line) -> Result<(), String> {
    if draft.is_at_listener() {
        return Err("port belongs before the first listener; remove it".to_owned());
    }
    draft.has_default_door = true;
    let door = draft.door();
    door.port = within(line, 1, u16::MAX)?;
    door.place = line.place.clone();
    Ok(())
}

fn bind_address(draft: &mut Draft, line: &Line) -> Result<(), String> {
    draft.has_default_door = true;
    let host = line.word()?.to_owned();
    let door = draft.door();
    door.host = Some(host);
    door.place = line.place.clone();
    Ok(())
}

fn socket_domain(draft: &mut Draft, line: &Line) -> Result<(), String> {
    draft.door().family = Some(match line.word()? {
        "ipv4" => Family::V4,
        "ipv6" => Family::V6,
        other => return Err(format!("socket_domain: {other:?} is none; write ipv4 or ipv6")),
    });
    Ok(())
}

fn protocol(draft: &mut Draft, line: &Line) -> Result<(), String> {
    draft.door().protocol = match line.word()? {
        "mqtt" => Protocol::Mqtt,
        "websockets" => Protocol::WebSocket,
        other => return Err(format!("protocol: {other:?} is none; write mqtt or websockets")),
    };
    Ok(())
}

fn max_connections(draft: &mut Draft, line: &Line) -> Result<(), String> {
    draft.door().connections_max = count(line, 0)?;
    Ok(())
}

fn certificate_name(draft: &mut Draft, line: &Line, name: CertificateName) -> Result<(), String> {
    if line.is_on()? {
        draft.door().certificate_name = Some(name);
    }
    Ok(())
}

fn tls_version(draft: &mut Draft, line: &Line) -> Result<(), String> {
    if let Some(warning) = draft.door().set_tls_version(line.word()?)? {
        draft.warn(line, warning);
    }
    Ok(())
}

fn password_file(draft: &mut Draft, line: &Line) -> Result<(), String> {
    let file = line.path()?;
    let guard = draft.guard();
    guard.password_file = Some(file);
    guard.lines.insert(("listener", "password_file"), line.place.clone());
    Ok(())
}

fn acl_file(draft: &mut Draft, line: &Line) -> Result<(), String> {
    let file = line.path()?;
    let guard = draft.guard();
    guard.acl_file = Some(file);
    guard.lines.insert(("listener", "acl_file"), line.place.clone());
    Ok(())
}

fn max_inflight_messages(draft: &mut Draft, line: &Line) -> Result<(), String> {
    let most: u16 = within(line, 0, u16::MAX)?;
    let most = if most == 0 { u16::MAX } else { most };
    draft.settings.limits.in_flight_max = most;
    draft.settings.limits.receive_maximum = most;
    Ok(())
}

fn max_queued_messages(draft: &mut Draft, line: &Line) -> Result<(), String> {
    const MOST: i64 = 100_000_000;
    let most: usize = within(line, 0, MOST)?;
    draft.settings.limits.queue_messages_max = if most == 0 { MOST as usize } else { most };
    Ok(())
}

fn max_queued_bytes(draft: &mut Draft, line: &Line) -> Result<(), String> {
    const MOST: i64 = 1 << 48;
    let most: usize = within(line, 0, MOST)?;
    let most = if most == 0 { MOST as usize } else { most };
    draft.settings.limits.queue_bytes_max = most.max(1_024);
    Ok(())
}

/// The longest packet; `more` is what a packet may be longer than what the option counts.
fn max_packet_size(draft: &mut Draft, line: &Line, more: usize) -> Result<(), String> {
    const MOST: i64 = 268_435_455;
    let asked: usize = within(line, 0, MOST)?;
    let most = if asked == 0 { MOST as usize } else { asked };
    let limits = &mut draft.settings.limits;
    limits.packet_bytes_max = (most + more).clamp(1_024, MOST as usize);
    limits.packet_bytes_before_connect_max =
        limits.packet_bytes_before_connect_max.min(limits.packet_bytes_max);
    if most < 1_024 {
        draft.warn(line, "packets may have 1024 bytes, as less is too little for CONNECT");
    } else if more > 0 {
        draft.warn(line, "it is taken for the size of whole packets, with 64 KiB for the rest");
    }
    Ok(())
}

fn max_qos(draft: &mut Draft, line: &Line) -> Result<(), String> {
    draft.settings.limits.maximum_qos = match within::<u8>(line, 0, 2)? {
        0 => QoS::AtMostOnce,
        1 => QoS::AtLeastOnce,
        _ => QoS::ExactlyOnce,
    };
    Ok(())
}

/// A number with its unit: `14d`.
fn persistent_client_expiration(draft: &mut Draft, line: &Line) -> Result<(), String> {
    const DAY_S: u64 = 86_400;
    let word = line.word()?;
    let wrong = || {
        format!("persistent_client_expiration: {word:?} is no time; write 14d (h, d, w, m or y)")
    };
    let unit = word.chars().next_back().ok_or_else(wrong)?;
    let unit_s = match unit {
        'h' => 3_600,
        'd' => DAY_S,
        'w' => 7 * DAY_S,
        'm' => 30 * DAY_S,
        'y' => 365 * DAY_S,
        _ => return Err(wrong()),
    };
    let number: u64 = word.trim_end_matches(unit).parse().map_err(|_| wrong())?;
    let seconds = number.saturating_mul(unit_s);
    draft.settings.limits.session_expiry_s_max = u32::try_from(seconds).unwrap_or(u32::MAX);
    Ok(())
}

fn log_dest(draft: &mut Draft, line: &Line) -> Result<(), String> {
    match line.word()? {
        "stdout" | "stderr" => {}
        "none" => draft.settings.log.level = LogLevel::Error,
        "file" | "syslog" | "topic" | "dlt" => {
            draft.warn(line, "the log goes to the standard output; the service manager keeps it");
        }
        other => return Err(format!("log_dest: {other:?} is none; write stdout")),
    }
    Ok(())
}

/// Each line adds a kind; skein's levels are a ladder, so the most talkative one decides.
fn log_type(draft: &mut Draft, line: &Line) -> Result<(), String> {
    let level = match line.word()? {
        "error" | "none" => LogLevel::Error,
        "warning" => LogLevel::Warn,
        "notice" | "information" | "subscribe" | "unsubscribe" | "websockets" | "internal" => {
            LogLevel::Info
        }
        "debug" | "all" => LogLevel::Debug,
        other => return Err(format!("log_type: {other:?} is none; write notice or all")),
    };
    draft.log_at_least(level);
    Ok(())
}

/// A bridge begins; it ends with the next bridge or listener.
fn bridge(draft: &mut Draft, line: &Line) -> Result<(), String> {
    line.word()?;
    draft.in_bridge = true;
    draft.warn(line, "skein has no bridges yet; nothing goes to or comes from this one");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_option_has_one_row() {
        for (index, (name, _)) in OPTIONS.iter().enumerate() {
            assert!(OPTIONS[..index].iter().all(|(other, _)| other != name), "{name}");
        }
    }
}
