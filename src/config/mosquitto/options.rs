//! Every option of Mosquitto, and what becomes of it. Adding one is adding a row.

use super::bridge;
use super::door;
use super::draft::Draft;
use super::lines::Line;
use super::obey;
use crate::config::access::CertificateName;
use crate::config::value::nearest;

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
}

use Meaning::{Closes, Instead, InsteadIfOff, InsteadIfOn, Moot, Obeyed};

const NO_PLUGINS: &str = "skein runs no plugins; what this one decides nobody would decide";
const NO_PSK: &str = "TLS with pre-shared keys is not spoken; use certificates";

#[rustfmt::skip] // One option a line.
const OPTIONS: &[(&str, Meaning)] = &[
    // Listeners.
    ("listener", Obeyed(obey::listener)),
    ("port", Obeyed(obey::port)),
    ("bind_address", Obeyed(obey::bind_address)),
    ("bind_interface", Closes("a listener is not bound to an interface; name its address in the listener line")),
    ("socket_domain", Obeyed(obey::socket_domain)),
    ("protocol", Obeyed(obey::protocol)),
    ("max_connections", Obeyed(obey::max_connections)),
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
    ("use_identity_as_username", Obeyed(|draft, line| obey::certificate_name(draft, line, CertificateName::Cn))),
    ("use_subject_as_username", Obeyed(|draft, line| obey::certificate_name(draft, line, CertificateName::Dn))),
    ("tls_version", Obeyed(obey::tls_version)),
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
    ("password_file", Obeyed(obey::password_file)),
    ("acl_file", Obeyed(obey::acl_file)),
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
    ("max_inflight_messages", Obeyed(obey::max_inflight_messages)),
    ("max_inflight_bytes", Instead("what is in flight is bounded by messages, not by bytes")),
    ("max_queued_messages", Obeyed(obey::max_queued_messages)),
    ("max_queued_bytes", Obeyed(obey::max_queued_bytes)),
    ("max_packet_size", Obeyed(|draft, line| obey::max_packet_size(draft, line, 0))),
    ("message_size_limit", Obeyed(|draft, line| obey::max_packet_size(draft, line, 65_536))),
    ("max_keepalive", Obeyed(|draft, line| { draft.settings.limits.keep_alive_s_max = obey::within(line, 0, u16::MAX)?; Ok(()) })),
    ("max_topic_alias", Obeyed(|draft, line| { draft.settings.limits.topic_alias_maximum = obey::within(line, 0, u16::MAX)?; Ok(()) })),
    ("max_topic_alias_broker", Obeyed(|draft, line| { draft.settings.limits.topic_alias_outgoing_max = obey::within(line, 0, u16::MAX)?; Ok(()) })),
    ("max_qos", Obeyed(obey::max_qos)),
    ("memory_limit", Obeyed(|draft, line| { draft.settings.limits.memory_bytes_max = obey::within(line, 0, 1_i64 << 48)?; Ok(()) })),
    ("global_max_connections", Obeyed(|draft, line| { draft.settings.limits.connections_max = obey::count(line, 0)?; Ok(()) })),
    ("global_max_clients", Obeyed(|draft, line| { draft.settings.limits.sessions_max = obey::count(line, 100_000_000)?; Ok(()) })),
    ("persistent_client_expiration", Obeyed(obey::persistent_client_expiration)),
    ("retain_available", Obeyed(|draft, line| { draft.settings.limits.retain_available = line.is_on()?; Ok(()) })),
    ("retain_expiry_interval", Instead("retained messages stay until they are deleted or expire by themselves")),
    ("queue_qos0_messages", InsteadIfOn("messages of QoS 0 do not wait for clients that are away")),
    ("upgrade_outgoing_qos", InsteadIfOn("a message keeps the QoS that it was published with")),
    ("allow_duplicate_messages", InsteadIfOn("a client gets one copy of a message, however many of its filters match")),
    // What is kept.
    ("persistence", Obeyed(|draft, line| { draft.is_persistent = line.is_on()?; Ok(()) })),
    ("persistence_location", Obeyed(|draft, line| { draft.persistence_location = line.path()?; Ok(()) })),
    ("persistence_file", Moot),
    ("autosave_interval", Moot),
    ("autosave_on_changes", Moot),
    ("retained_persistence", InsteadIfOff("retained messages are kept wherever sessions are")),
    // How it runs and what it says.
    ("user", Instead("the user does not change; let the service manager start skein as this user")),
    ("pid_file", Instead("no file is written; the service manager knows the process")),
    ("log_dest", Obeyed(obey::log_dest)),
    ("log_type", Obeyed(obey::log_type)),
    ("log_facility", Moot),
    ("log_timestamp", InsteadIfOff("log lines begin with the time")),
    ("log_timestamp_format", Instead("the time in log lines is in UTC, as in RFC 3339")),
    ("connection_messages", InsteadIfOff("connections are logged; log_type warning leaves them out")),
    ("sys_interval", Obeyed(|draft, line| { draft.settings.sys_interval_s = obey::within(line, 0, 86_400)?; Ok(()) })),
    // Options of Mosquitto 1 that do nothing in Mosquitto 2 either.
    ("retry_interval", Moot),
    ("store_clean_interval", Moot),
    // Bridges.
    ("connection", Obeyed(bridge::connection)),
];

/// Does what becomes of one line.
pub(super) fn apply(line: &Line, draft: &mut Draft) -> Result<(), String> {
    let key = line.key.as_str();
    // What a plugin is told, whatever it calls it.
    if key.starts_with("plugin_opt_") || key.starts_with("auth_opt_") {
        return Ok(());
    }
    if bridge::apply(line, draft)? {
        return Ok(());
    }
    let Some((_, meaning)) = OPTIONS.iter().find(|(name, _)| *name == key) else {
        let of_bridges = bridge::OPTIONS.iter().map(|(name, _)| *name);
        let near = nearest(key, OPTIONS.iter().map(|(name, _)| *name).chain(of_bridges));
        let hint = near.map_or(String::new(), |near| format!("; did you mean {near}?"));
        return Err(format!("unknown option {key:?}{hint}"));
    };
    match meaning {
        Obeyed(obey) => obey(draft, line)?,
        Moot => {}
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

/// What becomes of each option, for those who come from Mosquitto: `docs/mosquitto.md`.
#[must_use]
pub fn mosquitto_documentation() -> String {
    const HEAD: &str = "\
# A configuration of Mosquitto

<!-- Made from src/config/mosquitto: cargo xtask pages -->

```
skein check-config --mosquitto /etc/mosquitto/mosquitto.conf
skein serve --mosquitto-conf /etc/mosquitto/mosquitto.conf
```

runs a configuration of Mosquitto 2 as it stands, with the files it includes, its password files and
its access lists; SIGHUP has all of it read again. What is not done as the file asks is said at the
start, with its line. A limit that the file does not set is skein's own
([reference](configuration.md)), not Mosquitto's.

An option that keeps clients out, or apart, in a way that skein has not, closes the listeners that it
is about: nobody gets in by an oversight. If none is left, the broker does not start.

With `persistence true`, what is acknowledged is kept in the folder `skein` of
`persistence_location`, at once and on the disk ([what is promised](durability.md)); with
`persistence false`, which is the default, in memory. What Mosquitto has kept is taken over by

```
skein store import /var/lib/mosquitto/skein --from /var/lib/mosquitto/mosquitto.db
```

`mosquitto_passwd` and `skein passwd` write files of one format, with the same flags. What `skein
passwd` writes by itself (Argon2id) Mosquitto reads from 2.1 on; `-H sha512-pbkdf2` is for older ones. Its
`-c` makes a file and never replaces one.

Mosquitto that is started by root becomes the user `mosquitto`; skein stays who it is, so have the
service manager start it as a user of its own ([how](security.md#how-to-run-it)).

A session belongs to the user who made it, and one that was made without a user name to nobody who has
one: when passwords come, a client that had its session before is refused (the log says so, with
5.4.2). Where the devices stay the same, hand their sessions over while no broker runs:

```
skein store export OLD | sed 's/\"owner\":null/\"owner\":\"bob\"/' | skein store import NEW
```

A line of a password file that has no colon is skipped with a warning, as Mosquitto does; in a configuration
of skein's own it is an error. But when such a file, read again, leaves a listener without users that had
some, it was more likely cut than meant: nothing is taken over, the users that were there stay, and the log
says so. To have none, restart the broker.

| option | what becomes of it |
|---|---|
";
    let mut page = HEAD.to_owned();
    for (name, meaning) in OPTIONS {
        let what = match meaning {
            Obeyed(_) if *name == "log_dest" => {
                "stdout, stderr and none are obeyed; else the log goes to the standard output"
            }
            Obeyed(_) => "obeyed",
            Moot => "nothing to do",
            Instead(text) => text,
            InsteadIfOn(text) => &format!("if it is true: {text}"),
            InsteadIfOff(text) => &format!("if it is false: {text}"),
            Closes(text) => &format!("not opened: {text}"),
        };
        page.push_str(&format!("| `{name}` | {what} |\n"));
    }
    page + "\nBehind a `connection` line, which begins a [bridge](bridge.md):\n\n\
            | option | what becomes of it |\n|---|---|\n"
        + &bridge::rows()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_option_has_one_row() {
        let of_bridges = bridge::OPTIONS.iter().map(|(name, _)| *name);
        let names: Vec<_> = OPTIONS.iter().map(|(name, _)| *name).chain(of_bridges).collect();
        for (index, name) in names.iter().enumerate() {
            assert!(names[..index].iter().all(|other| other != name), "{name}");
        }
    }
}
