//! From the open link to CONNACK (3.1, 3.2).

use std::num::{NonZeroU16, NonZeroU32};
use std::sync::Arc;
use std::time::Duration;

use skein_protocol::{
    ConnAck, ConnAckProperties, Connect, ConnectProperties, Frame, Packet, PacketType, ReasonCode,
    UserProperties, Version,
};

use super::alias::Outbound;
use super::keep_alive::KeepAlive;
use super::plan::Ending;
use super::{Effect, Event, Limits, Link, Phase, ServerInfo, Session, own};
use crate::message::{borrow_pairs, own_pairs};
use crate::{Error, Feature, Result, Verdict, Versions, Will};

/// A client identifier that every server of MQTT 3.1 takes has at most so many characters.
const CLIENT_ID_CHARS: usize = 20;

impl Session {
    /// The link is open. The random bytes go into the authentication and, where the server cannot
    /// choose one, into the client identifier; they must not be used twice.
    pub fn on_opened(&mut self, entropy: [u8; 32], now: Duration) {
        let Phase::Dialing { deadline } = self.phase else { return };
        self.input.clear();
        self.output.clear();
        let server = self.link.server.take();
        self.link = Link { server, ..Link::new(self.version, &self.options, now) };
        self.phase = Phase::Connecting { deadline };
        self.choose_client_id(entropy);
        if let Err(error) = self.send_connect(entropy, now) {
            self.effects.push_back(Effect::Close);
            self.end_with(error, Verdict::Stop, now);
        }
    }

    /// Nobody has begun to open the link that was asked for: the time that it may take begins now.
    pub fn postpone(&mut self, now: Duration) {
        if let Phase::Dialing { deadline } = &mut self.phase {
            *deadline = now + self.options.connect_timeout;
        }
    }

    /// Asks for a link to the server whose turn it is.
    pub(super) fn dial(&mut self, now: Duration) {
        let attempt = self.plan.attempt(&self.options);
        self.phase = Phase::Dialing { deadline: now + self.options.connect_timeout };
        self.event(Event::Connecting(attempt.clone()));
        self.effects.push_back(Effect::Dial(attempt));
    }

    /// What arrives before CONNACK: CONNACK, or a step of the authentication.
    pub(super) fn on_first_frame(
        &mut self,
        frame: Frame<'_>,
        now: Duration,
    ) -> Result<(), skein_protocol::Error> {
        let is_refused = match self.link.version {
            Version::V5 => is_refusal_of_version(&frame),
            Version::V3_1 | Version::V3_1_1 => is_refusal_in_v5(&frame),
        };
        if is_refused {
            self.on_refused(ReasonCode::UnsupportedProtocolVersion, None, None, now);
            return Ok(());
        }
        match frame.packet_type() {
            PacketType::ConnAck | PacketType::Auth => {}
            _ => return Err(skein_protocol::Error::FirstPacketNotConnAck),
        }
        match Packet::decode(frame, self.link.version)? {
            Packet::ConnAck(connack) if connack.reason == ReasonCode::Success => {
                self.on_accepted(&connack, now)
            }
            Packet::ConnAck(connack) => {
                let ConnAckProperties { reason_string, server_reference, .. } = connack.properties;
                self.on_refused(connack.reason, own(reason_string), own(server_reference), now);
                Ok(())
            }
            Packet::Auth(auth) => {
                self.on_auth(&auth, now);
                Ok(())
            }
            _ => Err(skein_protocol::Error::FirstPacketNotConnAck),
        }
    }

    /// Before MQTT 5.0 an empty identifier needs a clean session, and in 3.1 there is none.
    fn choose_client_id(&mut self, entropy: [u8; 32]) {
        let may_be_empty = match self.version {
            Version::V5 => true,
            Version::V3_1_1 => self.is_clean_start() && self.options.session_expiry_s == 0,
            Version::V3_1 => false,
        };
        if self.client_id.is_empty() && !may_be_empty {
            let digits = entropy.iter().rev().map(|byte| char::from(b'a' + byte % 26));
            self.client_id = "s".chars().chain(digits).take(CLIENT_ID_CHARS).collect();
        }
    }

    /// Whether the CONNECT is to forget an earlier session. Only the first one may: on a
    /// reconnect the session is what is to be saved.
    fn is_clean_start(&self) -> bool {
        match self.version {
            Version::V5 => self.options.clean_start && !self.had_session,
            // "Clean session" also means that the session ends with the connection.
            Version::V3_1 | Version::V3_1_1 => self.options.session_expiry_s == 0,
        }
    }

    fn send_connect(&mut self, entropy: [u8; 32], now: Duration) -> Result<()> {
        let first = match &mut self.authenticator {
            Some(_) if self.version != Version::V5 => {
                return Err(Error::Unsupported(Feature::EnhancedAuthentication));
            }
            Some(authenticator) => Some(authenticator.begin(entropy)?),
            None => None,
        };
        let options = self.options.clone();
        let pairs = borrow_pairs(&options.user_properties);
        let will_pairs = options.will.as_ref().map(Will::pairs).unwrap_or_default();
        let client_id = self.client_id.clone();
        let method = self.authenticator.as_ref().map(|it| it.method().to_owned());
        let connect = Connect {
            version: self.version,
            clean_start: self.is_clean_start(),
            keep_alive_s: options.keep_alive_s,
            client_id: &client_id,
            will: options.will.as_ref().map(|will| will.as_packet(&will_pairs)),
            user_name: options.login.user_name.as_deref(),
            password: options.login.password.as_deref(),
            properties: ConnectProperties {
                session_expiry_s: (options.session_expiry_s > 0)
                    .then_some(options.session_expiry_s),
                receive_maximum: NonZeroU16::new(options.receive_maximum),
                maximum_packet_size: NonZeroU32::new(options.packet_bytes_max),
                topic_alias_maximum: Some(options.topic_aliases_max),
                request_response_information: options.request_response_information.then_some(true),
                // Absent is yes.
                request_problem_information: (!options.request_problem_information)
                    .then_some(false),
                authentication_method: method.as_deref(),
                authentication_data: first.as_deref(),
                user_properties: UserProperties::from_pairs(&pairs),
            },
        };
        let start = self.output.len();
        self.write(&Packet::Connect(connect), now);
        if options.is_bridge && self.version != Version::V5 {
            mark_as_bridge(&mut self.output[start..], self.version);
        }
        Ok(())
    }

    fn on_accepted(
        &mut self,
        connack: &ConnAck<'_>,
        now: Duration,
    ) -> Result<(), skein_protocol::Error> {
        let was_clean = self.is_clean_start();
        if connack.session_present && was_clean {
            return Err(skein_protocol::Error::SessionPresentUnexpected);
        }
        if let Err(error) = self.check_proof(connack.properties.authentication_data) {
            self.give_up_on_server(error, now);
            return Ok(());
        }
        let server = self.adopt(&connack.properties, now);
        // MQTT 3.1 has no flag for it; it may be there if it was not to be forgotten.
        let is_3_1 = self.link.version == Version::V3_1;
        let present = connack.session_present || (is_3_1 && !was_clean);
        self.phase = Phase::Up { since: now };
        self.statistics.connections += 1;
        let was_there = std::mem::replace(&mut self.had_session, true);
        let session_present = connack.session_present || (is_3_1 && !was_clean && was_there);
        self.event(Event::Connected { session_present, server });
        self.begin_receiving(present);
        self.begin_sending(present, was_there, now);
        if self.is_up() && (!present || is_3_1) {
            self.subscribe_again();
        }
        Ok(())
    }

    /// Takes over what the server says about this connection.
    fn adopt(&mut self, properties: &ConnAckProperties<'_>, now: Duration) -> Arc<ServerInfo> {
        if let Some(assigned) = properties.assigned_client_id {
            self.client_id = assigned.to_owned();
        }
        let keep_alive_s = properties.server_keep_alive_s.unwrap_or(self.options.keep_alive_s);
        if self.link.version == Version::V5 {
            self.link.limits = Limits::new(properties);
        }
        let aliases = self.link.limits.topic_alias_maximum.min(self.options.topic_aliases_max);
        self.link.outbound = Outbound::new(aliases);
        // [MQTT-3.2.2-21]: the server's value holds instead of ours.
        let interval = Duration::from_secs(u64::from(keep_alive_s));
        self.link.keep_alive = KeepAlive::new(interval, now);
        let server = Arc::new(ServerInfo {
            version: self.link.version,
            client_id: self.client_id.clone(),
            limits: self.link.limits,
            keep_alive_s,
            session_expiry_s: properties.session_expiry_s.unwrap_or(self.options.session_expiry_s),
            response_information: properties.response_information.map(str::to_owned),
            user_properties: own_pairs(&properties.user_properties),
        });
        self.link.server = Some(Arc::clone(&server));
        server
    }

    fn on_refused(
        &mut self,
        reason: ReasonCode,
        text: Option<Arc<str>>,
        reference: Option<Arc<str>>,
        now: Duration,
    ) {
        self.effects.push_back(Effect::Close);
        let may_fall_back = self.options.versions == Versions::NewestFirst
            && self.version == Version::V5
            && self.authenticator.is_none();
        if reason == ReasonCode::UnsupportedProtocolVersion && may_fall_back {
            self.version = Version::V3_1_1;
            self.forget_connection(&Error::Refused { reason, text });
            self.event(Event::FellBack(self.version));
            // The same server, at once: it said clearly what was wrong.
            self.dial(now);
            return;
        }
        if reason == ReasonCode::UnsupportedProtocolVersion
            && self.options.is_bridge
            && self.version != Version::V5
        {
            self.options.is_bridge = false;
            self.forget_connection(&Error::Refused { reason, text });
            self.event(Event::FellBack(self.version));
            self.dial(now);
            return;
        }
        let verdict = self.options.verdict(reason);
        let redirect = reference.and_then(|reference| first_server(&reference));
        let ending = Ending { verdict, lasted: None, redirect };
        self.end_as(Error::Refused { reason, text }, ending, now);
    }
}

/// Sets the bit of a bridge in the protocol level, which stands behind the protocol's name.
fn mark_as_bridge(connect: &mut [u8], version: Version) {
    const BRIDGE: u8 = 0x80;
    let name = version.protocol_name().as_bytes();
    let found = connect.windows(name.len()).position(|bytes| bytes == name);
    if let Some(level) = found.and_then(|at| connect.get_mut(at + name.len())) {
        *level |= BRIDGE;
    }
}

/// Whether a frame is the CONNACK with which a server of MQTT 3.1.1 refuses a version it does not
/// know [MQTT-3.1.2-2]: return code 1, which no CONNACK of MQTT 5.0 carries.
fn is_refusal_of_version(frame: &Frame<'_>) -> bool {
    frame.packet_type() == PacketType::ConnAck && matches!(frame.body, [_, 1])
}

/// Whether a frame is the CONNACK with which a server of MQTT 5.0 refuses a version it does not know,
/// as it may (3.1.2.2): it does not know in which version to say so.
fn is_refusal_in_v5(frame: &Frame<'_>) -> bool {
    const REASON: u8 = ReasonCode::UnsupportedProtocolVersion as u8;
    frame.packet_type() == PacketType::ConnAck && matches!(frame.body, [_, REASON, ..])
}

/// A Server Reference is a list with spaces in between (4.11); the first is as good as any.
pub(super) fn first_server(reference: &str) -> Option<Arc<str>> {
    reference.split_whitespace().next().map(Into::into)
}
