//! Who a connection's client is (3.1.4, 4.12): what can be said at once is said here, the rest is
//! asked of the shell, which answers with [`Event::Authenticated`](super::Event::Authenticated).
//!
//! ```text
//!   CONNECT ──decide──▶ allow ──────────────────────────────▶ place
//!        │         └──▶ later ──▶ Login ──▶ Authenticated ──▶ place, or CONNACK that refuses
//!        └─method──challenge──▶ AUTH out, AUTH in ──▶ Login ──▶ as above
//! ```

use std::sync::Arc;

use skein_protocol::{
    Error, Frame, ReasonCode, Version,
    packet::{Auth, AuthProperties, Connect, ConnectProperties, Packet, PacketType},
};

use super::{
    ConnectionId, Login, NoticeLevel, Shard, Stage, Time, Turn,
    connection::{Connection, PendingConnect},
    place::{Admission, decode_connect},
    respond::Violation,
};
use crate::{
    access::{
        Credentials, Denial, ListenerAccess, Secret,
        provider::{Decision, Outcome, Work},
        scram::Exchange,
    },
    session::AcceptOrder,
};

impl Shard {
    /// Finds out who sends this CONNECT, which is well-formed and within all limits.
    pub(super) fn authenticate(
        &mut self,
        id: ConnectionId,
        connect: &Connect<'_>,
        order: AcceptOrder,
        turn: &mut Turn<'_>,
    ) {
        let client_id = if connect.client_id.is_empty() {
            self.new_client_id()
        } else {
            connect.client_id.into()
        };
        let method = connect.properties.authentication_method.map(Box::from);
        let connect_bytes = without_secrets(connect);
        let pending = PendingConnect { connect: connect_bytes, client_id, order, method };
        if let Some(method) = connect.properties.authentication_method {
            let data = connect.properties.authentication_data.unwrap_or_default();
            self.challenge_first(id, pending, method, data, turn);
            return;
        }
        let Some(connection) = self.connections.find(id) else { return };
        let user_name = connect.user_name.map(Box::from);
        let password = connect.password.map(Secret::new);
        let shown =
            Credentials { user_name, password, ..seen_below(connection, &pending.client_id) };
        match self.access.of(connection.listener).providers.decide(shown) {
            Decision::Allow(identity) => {
                self.admit_client(id, pending, connect, Admission::of(identity), turn);
            }
            Decision::Deny(denial) => self.refuse_login(id, &pending.client_id, &denial, turn),
            Decision::Later(work) => self.ask(id, pending, work, turn),
        }
    }

    /// The answer of whoever looked at a login. Apart from the way of messages, as all events come
    /// through one place.
    #[cold]
    #[inline(never)]
    pub(super) fn on_authenticated(
        &mut self,
        id: ConnectionId,
        outcome: Outcome,
        expires_at: Option<Time>,
        turn: &mut Turn<'_>,
    ) {
        let connection = self.connections.find_mut(id);
        let stage = connection.map(|connection| match &connection.stage {
            Stage::AwaitingIdentity(_) => {
                let started = Stage::AwaitingConnect(AcceptOrder::default());
                std::mem::replace(&mut connection.stage, started)
            }
            Stage::Live(session) => Stage::Live(*session),
            _ => Stage::AwaitingConnect(AcceptOrder::default()),
        });
        match stage {
            Some(Stage::AwaitingIdentity(pending)) => {
                self.finish_login(id, *pending, outcome, expires_at, turn);
            }
            Some(Stage::Live(session)) => {
                self.finish_reauthentication(id, session, outcome, expires_at, turn);
            }
            // It has gone meanwhile, or was told to.
            _ => self.metrics.late_replies += 1,
        }
    }

    fn finish_login(
        &mut self,
        id: ConnectionId,
        pending: PendingConnect,
        outcome: Outcome,
        expires_at: Option<Time>,
        turn: &mut Turn<'_>,
    ) {
        match outcome.result {
            Err(denial) => self.refuse_login(id, &pending.client_id, &denial, turn),
            Ok(identity) => {
                let connect = Box::clone(&pending.connect);
                let method = pending.method.clone();
                let admission = Admission { identity, expires_at, method, data: outcome.data };
                self.admit_client(id, pending, &decode_connect(&connect), admission, turn);
            }
        }
    }

    /// Nothing more is read of the connection until the shell has answered.
    fn ask(&mut self, id: ConnectionId, pending: PendingConnect, work: Work, turn: &mut Turn<'_>) {
        let Some(connection) = self.connections.find_mut(id) else { return };
        let listener = connection.listener;
        connection.stage = Stage::AwaitingIdentity(Box::new(pending));
        turn.effects.logins.push(Login { connection: id, listener, work });
    }

    /// CONNECT names an Authentication Method: AUTH asks for the proof [MQTT-4.12.0-2].
    fn challenge_first(
        &mut self,
        id: ConnectionId,
        pending: PendingConnect,
        method: &str,
        data: &[u8],
        turn: &mut Turn<'_>,
    ) {
        let (exchange, question) = match self.challenge(id, method, data) {
            Ok(challenge) => challenge,
            Err(denial) => return self.refuse_login(id, &pending.client_id, &denial, turn),
        };
        let auth = auth(ReasonCode::ContinueAuthentication, method, Some(&question));
        if let Err(violation) = self.check_answer(id, &auth) {
            self.refuse_connect(id, Version::V5, &violation, turn);
            return;
        }
        self.write(id, &auth, turn);
        if let Some(connection) = self.connections.find_mut(id) {
            connection.stage = Stage::Authenticating(Box::new((pending, exchange)));
        }
    }

    /// The question that answers a client's first data.
    pub(super) fn challenge(
        &mut self,
        id: ConnectionId,
        method: &str,
        data: &[u8],
    ) -> Result<(Exchange, Box<[u8]>), Denial> {
        let nonce = self.nonces.next_nonce();
        self.access_of(id).providers.challenge(method, data, &nonce)
    }

    /// A packet between CONNECT and CONNACK: AUTH, or the client gives up [MQTT-3.1.2-30].
    pub(super) fn on_packet_of_login(
        &mut self,
        id: ConnectionId,
        frame: Frame<'_>,
        turn: &mut Turn<'_>,
    ) {
        match frame.packet_type() {
            PacketType::Auth => {}
            PacketType::Disconnect => {
                let text = "disconnected while it logged in";
                self.notice_of(NoticeLevel::Info, "disconnected", id, text, turn);
                self.close(id, turn);
                return;
            }
            other => {
                let violation = Error::PacketDuringAuthentication(other).into();
                return self.refuse_broken_login(id, &violation, turn);
            }
        }
        let data = match self.data_of_login(id, frame) {
            Ok(data) => data,
            Err(violation) => return self.refuse_broken_login(id, &violation, turn),
        };
        let Some(connection) = self.connections.find_mut(id) else { return };
        let started = Stage::AwaitingConnect(AcceptOrder::default());
        let Stage::Authenticating(login) = std::mem::replace(&mut connection.stage, started) else {
            unreachable!("only a connection that is asked for its proof gives one")
        };
        let (pending, exchange) = *login;
        let credentials = seen_below(connection, &pending.client_id);
        let work = Work::prove(exchange, data, credentials);
        self.ask(id, pending, work, turn);
    }

    /// The data of an AUTH that goes on with a login.
    fn data_of_login<'a>(&self, id: ConnectionId, frame: Frame<'a>) -> Result<&'a [u8], Violation> {
        let Packet::Auth(auth) = Packet::decode(frame, Version::V5)? else {
            unreachable!("a packet of type AUTH decodes to one")
        };
        let connection = self.connections.find(id);
        let method = connection.and_then(|connection| match &connection.stage {
            Stage::Authenticating(login) => login.0.method.as_deref(),
            _ => None,
        });
        if auth.properties.method != method {
            return Err(Error::AuthMethodChanged.into());
        }
        if auth.reason != ReasonCode::ContinueAuthentication {
            return Err(Error::AuthUnexpected.into());
        }
        self.check_user_properties(auth.properties.user_properties)?;
        Ok(auth.properties.data.unwrap_or_default())
    }

    /// The client broke a rule before it had its CONNACK, which tells it so [MQTT-4.12.0-4].
    fn refuse_broken_login(
        &mut self,
        id: ConnectionId,
        violation: &Violation,
        turn: &mut Turn<'_>,
    ) {
        self.metrics.protocol_errors += 1;
        self.refuse_connect(id, Version::V5, violation, turn);
    }

    /// The client may not come in: why stands in the log, and the client hears what it may know.
    pub(super) fn refuse_login(
        &mut self,
        id: ConnectionId,
        client_id: &str,
        denial: &Denial,
        turn: &mut Turn<'_>,
    ) {
        self.metrics.connections_refused += 1;
        self.metrics.logins_refused += 1;
        match denial {
            Denial::Throttled(_) => self.metrics.logins_throttled += 1,
            Denial::Overloaded => self.metrics.logins_overloaded += 1,
            _ => {}
        }
        let (text, client) = (denial.to_string(), Some(client_id.into()));
        self.notice(NoticeLevel::Warning, "login-refused", id, client, &text, turn);
        self.say_no(id, &Violation::new(denial.reason_code(), denial.reason()), turn);
    }

    /// The rules of the listener that a connection came through.
    pub(super) fn access_of(&self, id: ConnectionId) -> &ListenerAccess {
        let listener = self.connections.find(id).map(|connection| connection.listener);
        self.access.of(listener.unwrap_or_default())
    }
}

/// AUTH with this reason and data.
pub(super) fn auth<'a>(reason: ReasonCode, method: &'a str, data: Option<&'a [u8]>) -> Packet<'a> {
    let method = Some(method);
    Packet::Auth(Auth { reason, properties: AuthProperties { method, data, ..Default::default() } })
}

/// What a client shows without saying anything.
pub(super) fn seen_below(connection: &Connection, client_id: &str) -> Credentials {
    Credentials {
        client_id: client_id.into(),
        user_name: None,
        password: None,
        certificate: connection.peer.certificates().first().map(|der| Arc::from(&**der)),
        address: connection.peer.ip(),
    }
}

/// The packet for later or for another shard, without what is only for whoever vouches.
fn without_secrets(connect: &Connect<'_>) -> Box<[u8]> {
    let properties = ConnectProperties {
        authentication_method: None,
        authentication_data: None,
        ..connect.properties.clone()
    };
    let (user_name, password) = (None, None);
    let bare = Connect { user_name, password, properties, ..connect.clone() };
    let mut bytes = Vec::new();
    Packet::Connect(bare).encode(connect.version, &mut bytes);
    bytes.into()
}
