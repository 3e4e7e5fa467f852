//! From the settings of a bridge to the two clients that it is made of.

use std::fs;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use skein_client::transport::{Address, Dial, Dialed, Dialer, Tls};
use skein_client::{
    Backoff, Login, Options, QoS, QueueOptions, ReasonCode, Verdict, Version, Versions, WhenFull,
    Will,
};

use super::carry::Side;
use crate::config::{Bridge, BridgeStatus, BridgeVersion};
use crate::server::error::StartError;
use crate::server::rules::RulesError;

/// How often a bridge looks whether its own broker takes it again.
const INSIDE_RETRY: Duration = Duration::from_millis(500);

/// What one bridge is to do; its files have been read.
pub(super) struct Planned {
    pub(super) bridge: Bridge,
    pub(super) client_id: String,
    password: String,
    dial: Dial,
}

/// One bridge, ready to be started.
pub(in crate::server) struct Plan(pub(super) Planned);

/// Opens links to the other broker, with the certificates that were read last.
pub(super) struct Remote(Mutex<Dial>);

impl Remote {
    pub(super) fn new(plan: &Planned) -> Self {
        Self(Mutex::new(plan.dial.clone()))
    }

    /// The certificates may have changed.
    pub(super) fn renew(&self, plan: &Planned) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = plan.dial.clone();
    }
}

impl Dialer for Remote {
    fn dial(&self, server: &str, timeout: Duration) -> skein_client::Result<Dialed> {
        let dial = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        dial.dial(server, timeout)
    }
}

pub(super) fn plan_all(bridges: &[Bridge]) -> Result<Vec<Plan>, Vec<StartError>> {
    let mut plans: Vec<Plan> = Vec::new();
    let mut errors = Vec::new();
    for bridge in bridges {
        match plan(bridge) {
            Ok(planned) => {
                let twin = plans.iter().find(|Plan(other)| other.client_id == planned.client_id);
                if let Some(Plan(other)) = twin {
                    let text = format!(
                        "it has the client identifier of the bridge {:?}, {:?}; write another one",
                        other.bridge.name, other.client_id
                    );
                    errors.push(wrong(bridge, "bridge", "client_id", &text));
                } else {
                    plans.push(Plan(planned));
                }
            }
            Err(error) => errors.push(error),
        }
    }
    if errors.is_empty() { Ok(plans) } else { Err(errors) }
}

fn plan(bridge: &Bridge) -> Result<Planned, StartError> {
    for address in &bridge.addresses {
        Address::parse(address)
            .map_err(|error| wrong(bridge, "bridge", "addresses", &error.to_string()))?;
    }
    let password = match &bridge.password_file {
        None => bridge.password.clone(),
        Some(file) => {
            let text = fs::read_to_string(file).map_err(|error| {
                let text = format!("cannot read {}: {error}", file.display());
                wrong(bridge, "bridge", "password_file", &text)
            })?;
            text.lines().next().unwrap_or_default().to_owned()
        }
    };
    let dial = Dial::default()
        .tls(&tls(bridge))
        .map_err(|error| wrong(bridge, "bridge.tls", "certificate", &error.to_string()))?;
    let client_id = client_id(bridge);
    let password_key = if bridge.password_file.is_some() { "password_file" } else { "password" };
    for (key, text) in [
        ("client_id", &client_id),
        ("user", &bridge.user),
        (password_key, &password),
        ("local_user", &bridge.local_user),
    ] {
        // A password is bytes, of any kind.
        let is_text = key != password_key;
        check_field(text, is_text).map_err(|error| wrong(bridge, "bridge", key, error))?;
    }
    Ok(Planned { bridge: bridge.clone(), client_id, password, dial })
}

fn wrong(bridge: &Bridge, section: &'static str, key: &'static str, text: &str) -> StartError {
    let place = bridge.written.place(section, key);
    let text = format!("bridge {:?}: {key}: {text}", bridge.name);
    StartError::Rules(RulesError::File { place, text })
}

/// # Errors
/// What is wrong with what is to stand in CONNECT.
fn check_field(text: &str, is_text: bool) -> Result<(), &'static str> {
    if text.len() > usize::from(u16::MAX) {
        return Err("it is longer than 65,535 bytes, which no packet can carry");
    }
    if is_text && text.contains('\0') {
        return Err("it has a character U+0000, which no text of MQTT may have [MQTT-1.5.4-2]");
    }
    Ok(())
}

fn tls(bridge: &Bridge) -> Tls {
    let settings = &bridge.tls;
    let mut tls = match (&settings.ca, settings.verify) {
        (_, false) => Tls::unverified(),
        (Some(file), true) => Tls::roots(file),
        (None, true) => Tls::platform_roots(),
    };
    if let (Some(certificate), Some(key)) = (&settings.certificate, &settings.key) {
        tls = tls.client_cert(certificate, key);
    }
    if !settings.server_name.is_empty() {
        tls = tls.server_name(settings.server_name.as_str());
    }
    tls
}

/// The client identifier, that of the settings or what stands for none.
pub(super) fn client_id(bridge: &Bridge) -> String {
    match bridge.client_id.as_str() {
        "" => format!("{}.{}", host_name(), bridge.name),
        own => own.to_owned(),
    }
}

fn host_name() -> String {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    if name.is_empty() { "skein".to_owned() } else { name }
}

impl Planned {
    /// Whether both would do the same, but for what is in files of certificates.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.bridge == other.bridge
            && self.client_id == other.client_id
            && self.password == other.password
    }

    /// Whether messages of QoS 2 are brought to this side.
    pub(super) fn has_exactly_once(&self, to: Side) -> bool {
        self.bridge.topics.iter().any(|topic| {
            let is_right = match to {
                Side::Local => topic.direction.is_in(),
                Side::Remote => topic.direction.is_out(),
            };
            is_right && topic.qos == QoS::ExactlyOnce
        })
    }

    /// The client of this broker.
    pub(super) fn local_options(&self) -> Options {
        let user = self.bridge.local_user.as_str();
        let user_name = (!user.is_empty()).then(|| user.to_owned());
        Options {
            login: Login { user_name, password: None },
            versions: Versions::Only(Version::V5),
            keep_alive_s: 0,
            reconnect: Some(Backoff::exponential(INSIDE_RETRY, INSIDE_RETRY)),
            ..self.options(["inside"])
        }
    }

    /// The client of the other broker.
    pub(super) fn remote_options(&self) -> Options {
        let bridge = &self.bridge;
        let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let login =
            Login { user_name: text(&bridge.user), password: text(&self.password).map(Into::into) };
        let [first, longest] =
            [bridge.restart_min_ms, bridge.restart_max_ms].map(Duration::from_millis);
        let jitter = f64::from(bridge.restart_jitter_percent) / 100.0;
        let will = Will::new(&bridge.state_topic(), "0").qos(QoS::AtLeastOnce).retain();
        Options {
            login,
            versions: match bridge.version {
                BridgeVersion::Auto => Versions::NewestFirst,
                BridgeVersion::V5 => Versions::Only(Version::V5),
                BridgeVersion::V3_1_1 => Versions::Only(Version::V3_1_1),
                BridgeVersion::V3_1 => Versions::Only(Version::V3_1),
            },
            is_bridge: bridge.private,
            will: (bridge.status == BridgeStatus::Both).then_some(will),
            keep_alive_s: bridge.keep_alive_s,
            connect_timeout: Duration::from_millis(bridge.connect_timeout_ms),
            packet_bytes_max: bridge.packet_bytes_max,
            reconnect: Some(Backoff::exponential(first, longest).jitter(jitter)),
            ..self.options(bridge.addresses.iter().map(|address| &**address))
        }
    }

    /// What both have in common.
    fn options<'a>(&self, servers: impl IntoIterator<Item = &'a str>) -> Options {
        let bridge = &self.bridge;
        Options {
            client_id: self.client_id.clone(),
            clean_start: bridge.clean_start,
            session_expiry_s: bridge.session_expiry_s,
            receive_maximum: bridge.in_flight_max,
            is_relay: true,
            packet_bytes_max: u32::MAX,
            queue: QueueOptions {
                messages_max: usize::MAX,
                bytes_max: bridge.unwritten_bytes_max,
                when_full: WhenFull::Fail,
                ..QueueOptions::default()
            },
            verdicts: persistent(),
            ..Options::new(servers)
        }
    }
}

/// Nobody is there to start a bridge again, and what is wrong may be put right at the other broker:
/// nothing makes it give up.
fn persistent() -> Vec<(ReasonCode, Verdict)> {
    use ReasonCode as R;
    let reasons = [
        R::BadUserNameOrPassword,
        R::NotAuthorized,
        R::Banned,
        R::BadAuthenticationMethod,
        R::ClientIdentifierNotValid,
        R::SessionTakenOver,
        R::UnsupportedProtocolVersion,
        R::MalformedPacket,
        R::ProtocolError,
        R::PacketTooLarge,
        R::TopicNameInvalid,
        R::TopicFilterInvalid,
        R::PayloadFormatInvalid,
        R::RetainNotSupported,
        R::QoSNotSupported,
        R::UseAnotherServer,
        R::ServerMoved,
    ];
    reasons.map(|reason| (reason, Verdict::Retry)).to_vec()
}
