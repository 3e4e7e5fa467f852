//! What the options do that more than a line is needed for.

use skein_protocol::QoS;

use super::door::{Door, Family};
use super::draft::Draft;
use super::lines::Line;
use crate::config::access::CertificateName;
use crate::config::transport::Protocol;
use crate::config::value::LogLevel;

/// A number of this range.
pub(super) fn within<T: TryFrom<i64>>(
    line: &Line,
    least: i64,
    most: impl Into<i64>,
) -> Result<T, String> {
    let (number, most) = (line.number()?, most.into());
    let out = || format!("{}: {number} is out of range; write {least} to {most}", line.key);
    if number < least || number > most {
        return Err(out());
    }
    T::try_from(number).map_err(|_| out())
}

/// A number of things, of which `no_limit` stands for "as many as there are".
pub(super) fn count(line: &Line, no_limit: usize) -> Result<usize, String> {
    match line.number()? {
        -1 | 0 => Ok(no_limit),
        _ => within(line, 1, (1 << 24) - 1),
    }
}

pub(super) fn listener(draft: &mut Draft, line: &Line) -> Result<(), String> {
    draft.add(Door::parse(line)?);
    Ok(())
}

pub(super) fn port(draft: &mut Draft, line: &Line) -> Result<(), String> {
    if draft.is_at_listener() {
        return Err("port belongs before the first listener; remove it".to_owned());
    }
    draft.has_default_door = true;
    let door = draft.door();
    door.port = within(line, 1, u16::MAX)?;
    door.place = line.place.clone();
    Ok(())
}

pub(super) fn bind_address(draft: &mut Draft, line: &Line) -> Result<(), String> {
    draft.has_default_door = true;
    let host = line.word()?.to_owned();
    let door = draft.door();
    door.host = Some(host);
    door.place = line.place.clone();
    Ok(())
}

pub(super) fn socket_domain(draft: &mut Draft, line: &Line) -> Result<(), String> {
    draft.door().family = Some(match line.word()? {
        "ipv4" => Family::V4,
        "ipv6" => Family::V6,
        other => return Err(format!("socket_domain: {other:?} is none; write ipv4 or ipv6")),
    });
    Ok(())
}

pub(super) fn protocol(draft: &mut Draft, line: &Line) -> Result<(), String> {
    draft.door().protocol = match line.word()? {
        "mqtt" => Protocol::Mqtt,
        "websockets" => Protocol::WebSocket,
        other => return Err(format!("protocol: {other:?} is none; write mqtt or websockets")),
    };
    Ok(())
}

pub(super) fn max_connections(draft: &mut Draft, line: &Line) -> Result<(), String> {
    draft.door().connections_max = count(line, 0)?;
    Ok(())
}

pub(super) fn certificate_name(
    draft: &mut Draft,
    line: &Line,
    name: CertificateName,
) -> Result<(), String> {
    if line.is_on()? {
        draft.door().certificate_name = Some(name);
    }
    Ok(())
}

pub(super) fn tls_version(draft: &mut Draft, line: &Line) -> Result<(), String> {
    if let Some(warning) = draft.door().set_tls_version(line.word()?)? {
        draft.warn(line, warning);
    }
    Ok(())
}

pub(super) fn password_file(draft: &mut Draft, line: &Line) -> Result<(), String> {
    let file = line.path()?;
    let guard = draft.guard();
    guard.password_file = Some(file);
    guard.lines.insert(("listener", "password_file"), line.place.clone());
    Ok(())
}

pub(super) fn acl_file(draft: &mut Draft, line: &Line) -> Result<(), String> {
    let file = line.path()?;
    let guard = draft.guard();
    guard.acl_file = Some(file);
    guard.lines.insert(("listener", "acl_file"), line.place.clone());
    Ok(())
}

pub(super) fn max_inflight_messages(draft: &mut Draft, line: &Line) -> Result<(), String> {
    let most: u16 = within(line, 0, u16::MAX)?;
    let most = if most == 0 { u16::MAX } else { most };
    draft.settings.limits.in_flight_max = most;
    draft.settings.limits.receive_maximum = most;
    Ok(())
}

pub(super) fn max_queued_messages(draft: &mut Draft, line: &Line) -> Result<(), String> {
    const MOST: i64 = 100_000_000;
    let most: usize = within(line, 0, MOST)?;
    draft.settings.limits.queue_messages_max = if most == 0 { MOST as usize } else { most };
    Ok(())
}

pub(super) fn max_queued_bytes(draft: &mut Draft, line: &Line) -> Result<(), String> {
    const MOST: i64 = 1 << 48;
    let most: usize = within(line, 0, MOST)?;
    let most = if most == 0 { MOST as usize } else { most };
    draft.settings.limits.queue_bytes_max = most.max(1_024);
    Ok(())
}

/// The longest packet; `more` is what a packet may be longer than what the option counts.
pub(super) fn max_packet_size(draft: &mut Draft, line: &Line, more: usize) -> Result<(), String> {
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

pub(super) fn max_qos(draft: &mut Draft, line: &Line) -> Result<(), String> {
    draft.settings.limits.maximum_qos = match within::<u8>(line, 0, 2)? {
        0 => QoS::AtMostOnce,
        1 => QoS::AtLeastOnce,
        _ => QoS::ExactlyOnce,
    };
    Ok(())
}

/// A number with its unit: `14d`.
pub(super) fn persistent_client_expiration(draft: &mut Draft, line: &Line) -> Result<(), String> {
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

pub(super) fn log_dest(draft: &mut Draft, line: &Line) -> Result<(), String> {
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
pub(super) fn log_type(draft: &mut Draft, line: &Line) -> Result<(), String> {
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
