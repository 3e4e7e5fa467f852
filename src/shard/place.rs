//! Where a connection belongs (law 6): ask the registrar, stay or move.
//!
//! ```text
//!   shard R (has the socket)      registrar G = hash(client id)        home X
//!        │── Locate ──────────────────▶│
//!        │◀─ Granted(epoch) ───────────│   no session, or R is its home: stay
//!        │◀─ MustMove ─────────────────│   it lives elsewhere:
//!        │── HandOver(socket) ────────▶│── HandOver(socket, epoch) ────▶│
//!                                      │◀─ Released(epoch) ─────────────│   when the session ends
//! ```
//!
//! A hand-over goes through the registrar, so that all grants for a client id reach its home in
//! the order of their epochs, over one lane.
//!
//! Still, of two connections the older may get there last: its shard was busy, or it had the longer
//! way. So each carries its place in the acceptor's order, and a session knows its newest one.

use skein_protocol::{
    ReasonCode,
    packet::{Connect, Packet},
};

use super::{
    Connection, ConnectionId, HandOver, Message, NoticeLevel, Shard, ShardId, Stage, Time, Turn,
    connection::{Admitted, PendingConnect},
    registrar::Located,
    respond::Violation,
    rights::EXPIRED,
};
use crate::{access::Identity, session::AcceptOrder};

/// How long a client has been there that has come to stay, milliseconds.
const SETTLED_MS_MIN: u64 = 1_000;

/// Who a connection's client is. It travels with it to the session's home.
#[derive(Debug)]
pub struct Admission {
    pub(super) identity: Identity,
    /// When that ends.
    pub(super) expires_at: Option<Time>,
    /// The Authentication Method.
    pub(super) method: Option<Box<str>>,
    /// The Authentication Data of CONNACK.
    pub(super) data: Option<Box<[u8]>>,
}

impl Admission {
    /// Of a client that was known at once.
    pub(super) fn of(identity: Identity) -> Self {
        Self { identity, expires_at: None, method: None, data: None }
    }
}

/// By what a connection claims the session of its client id.
#[derive(Clone, Copy, Debug)]
pub(super) struct Claim {
    /// The registrar's grant.
    pub(super) epoch: u64,
    /// Its place among all connections.
    pub(super) order: AcceptOrder,
}

impl Shard {
    /// The shard that knows where this client id lives.
    pub(super) fn registrar_of(&self, client_id: &str) -> ShardId {
        self.place_of(client_id)
    }

    /// The shard that keeps the retained message of this topic.
    pub(super) fn home_of(&self, topic: &str) -> ShardId {
        self.place_of(topic)
    }

    fn place_of(&self, text: &str) -> ShardId {
        if self.shards == 1 {
            return self.id;
        }
        ShardId::new((self.placement.hash_one(text) % self.shards as u64) as usize)
    }

    /// Whether no client has been let in on this connection yet.
    pub fn is_newcomer(&self, connection: ConnectionId) -> bool {
        let connection = self.connections.find(connection);
        connection.is_some_and(|found| !matches!(found.stage, Stage::Live(_)))
    }

    /// Whether this connection has a client that came a second ago or earlier.
    pub fn is_settled(&self, connection: ConnectionId, now: Time) -> bool {
        let session = self.connections.find(connection).and_then(Connection::session);
        session.is_some_and(|key| self.sessions.at(key).order.age_ms(now) >= SETTLED_MS_MIN)
    }

    /// Whether this connection has sent CONNECT and waits for an answer or its place. Nothing is read from it
    /// meanwhile; if the shell finds that its peer is gone, it need not wait.
    pub fn is_being_placed(&self, connection: ConnectionId) -> bool {
        let connection = self.connections.find(connection);
        connection.is_some_and(|found| {
            matches!(found.stage, Stage::AwaitingIdentity(_) | Stage::AwaitingGrant(_))
        })
    }

    /// Asks where the connection belongs.
    pub(super) fn locate(&mut self, id: ConnectionId, turn: &mut Turn<'_>) {
        let Some(admitted) = self.connections.find(id).and_then(admitted) else { return };
        let client_id = admitted.pending.client_id.clone();
        let registrar = self.registrar_of(&client_id);
        if registrar != self.id {
            self.lanes.send(registrar, Message::Locate { client_id, connection: id });
            return;
        }
        let (home, epoch) = self.registrar.grant(&client_id, self.id);
        if home == self.id {
            self.on_granted(id, &client_id, epoch, turn);
        } else {
            self.hand_over(id, home, Some(epoch));
        }
    }

    /// As registrar: another shard asks.
    pub(super) fn on_locate(
        &mut self,
        from: ShardId,
        client_id: Box<str>,
        connection: ConnectionId,
        turn: &mut Turn<'_>,
    ) {
        let answer = match self.registrar.locate(&client_id, from) {
            Located::Here(epoch) => Message::Granted { client_id, connection, epoch },
            Located::There(_) => Message::MustMove { connection },
        };
        self.tell(from, answer, turn);
    }

    /// The registrar says that the connection stays.
    pub(super) fn on_granted(
        &mut self,
        id: ConnectionId,
        client_id: &str,
        epoch: u64,
        turn: &mut Turn<'_>,
    ) {
        let Some(connection) = self.connections.find_mut(id) else {
            self.metrics.late_replies += 1;
            self.return_grant(client_id, epoch, turn);
            return;
        };
        let stage = std::mem::replace(
            &mut connection.stage,
            Stage::AwaitingConnect(AcceptOrder::default()),
        );
        let Stage::AwaitingGrant(admitted) = stage else {
            unreachable!("only a connection that waits for its grant is granted")
        };
        self.establish_admitted(id, *admitted, epoch, turn);
    }

    /// The registrar says that the session lives elsewhere.
    pub(super) fn on_must_move(&mut self, registrar: ShardId, id: ConnectionId) {
        if self.connections.find(id).is_some() {
            self.hand_over(id, registrar, None);
        } else {
            self.metrics.late_replies += 1;
        }
    }

    /// Sends the connection away; the shell puts its socket into the same lane slot.
    fn hand_over(&mut self, id: ConnectionId, to: ShardId, epoch: Option<u64>) {
        self.arm_connection(id, Time::NEVER);
        let Some(connection) = self.connections.remove(id) else { return };
        let Stage::AwaitingGrant(admitted) = connection.stage else {
            unreachable!("only a connection that waits for its grant moves")
        };
        let Admitted { pending, admission } = *admitted;
        self.metrics.connections_handed_over += 1;
        let handed = HandOver {
            connection: id,
            client_id: pending.client_id,
            connect: pending.connect,
            peer: connection.peer,
            listener: connection.listener,
            order: pending.order,
            admission: Box::new(admission),
            epoch,
        };
        self.lanes.send(to, Message::HandOver(Box::new(handed)));
    }

    /// A connection arrived from another shard: here is its registrar, or its home.
    pub(super) fn on_arrived(&mut self, id: ConnectionId, handed: HandOver, turn: &mut Turn<'_>) {
        let HandOver { client_id, connect, peer, listener, order, admission, epoch, .. } = handed;
        let mut connection = Connection::new(id, peer, listener, order, turn.now);
        let pending = PendingConnect { connect, client_id, order, method: None };
        connection.version = decode_connect(&pending.connect).version;
        if self.stop.has_begun() {
            self.refuse_arrival(connection, &pending, epoch, turn);
            return;
        }
        match epoch {
            Some(epoch) => {
                self.connections.insert(connection);
                let admitted = Admitted { pending, admission: *admission };
                self.establish_admitted(id, admitted, epoch, turn);
            }
            None => {
                let admitted = Admitted { pending, admission: *admission };
                connection.stage = Stage::AwaitingGrant(Box::new(admitted));
                self.connections.insert(connection);
                self.locate(id, turn);
            }
        }
    }

    /// Nobody comes in while the broker stops.
    fn refuse_arrival(
        &mut self,
        connection: Connection,
        pending: &PendingConnect,
        epoch: Option<u64>,
        turn: &mut Turn<'_>,
    ) {
        let (id, version) = (connection.id, connection.version);
        self.connections.insert(connection);
        let text = "the broker is shutting down";
        let violation = Violation::new(ReasonCode::ServerUnavailable, text);
        self.refuse_connect(id, version, &violation, turn);
        if let Some(epoch) = epoch {
            self.return_grant(&pending.client_id, epoch, turn);
        }
    }

    /// The socket was lost while its connection moved: only a grant is left to give back.
    pub(super) fn on_lost_on_the_way(&mut self, handed: &HandOver, turn: &mut Turn<'_>) {
        if let Some(epoch) = handed.epoch {
            self.return_grant(&handed.client_id, epoch, turn);
        }
    }

    /// A grant came for a connection that is gone. If the session lives here it takes the epoch,
    /// so that its end is known as the newest; else the registrar forgets the client id.
    pub(super) fn return_grant(&mut self, client_id: &str, epoch: u64, turn: &mut Turn<'_>) {
        match self.sessions.find_by_client_id(client_id) {
            Some(session) => self.sessions.at_mut(session).epoch = epoch,
            None => self.release(client_id, epoch, turn),
        }
    }

    /// Tells the registrar that the session of this grant is over.
    pub(super) fn release(&mut self, client_id: &str, epoch: u64, turn: &mut Turn<'_>) {
        if self.journal.defers_release(client_id, epoch) {
            return;
        }
        let registrar = self.registrar_of(client_id);
        self.tell(registrar, Message::Released { client_id: client_id.into(), epoch }, turn);
    }

    fn establish_admitted(
        &mut self,
        id: ConnectionId,
        admitted: Admitted,
        epoch: u64,
        turn: &mut Turn<'_>,
    ) {
        let Some(admitted) = self.defer_for_groups(id, admitted, epoch, turn) else { return };
        let Admitted { pending, admission } = admitted;
        if let Some(text) = self.objection(id, &pending.client_id, &admission, turn) {
            self.metrics.logins_refused += 1;
            self.metrics.connections_refused += 1;
            let client = Some(pending.client_id.clone());
            self.notice(NoticeLevel::Warning, "login-refused", id, client, text, turn);
            self.say_no(id, &Violation::new(ReasonCode::NotAuthorized, text), turn);
            self.return_grant(&pending.client_id, epoch, turn);
            return;
        }
        let session = self.sessions.find_by_client_id(&pending.client_id);
        if session.is_some_and(|session| pending.order < self.sessions.at(session).order) {
            self.refuse_overtaken(id, &pending, epoch, turn);
            return;
        }
        let connect = decode_connect(&pending.connect);
        let claim = Claim { epoch, order: pending.order };
        self.establish(id, &pending.client_id, &connect, admission, claim, turn);
    }

    /// Why the client may not have the session of this client id, here and now. A session belongs
    /// to the user who made it (5.4.2): others may not take it, nor end it by a clean start.
    fn objection(
        &self,
        id: ConnectionId,
        client_id: &str,
        admission: &Admission,
        turn: &Turn<'_>,
    ) -> Option<&'static str> {
        let identity = &admission.identity;
        let session = self.sessions.find_by_client_id(client_id);
        let user_name = identity.user_name.as_deref();
        if let Some(owner) = session.map(|key| self.owner(key)).filter(|owner| *owner != user_name)
        {
            return Some(match owner {
                Some(_) => "[5.4.2] the session of this client id belongs to another user",
                None => "[5.4.2] the session of this client id was made without a user name",
            });
        }
        if admission.expires_at.is_some_and(|at| at <= turn.now) {
            return Some(EXPIRED);
        }
        // The rules may have changed on its way, and this shard heard of it before it came.
        self.revocation(id, identity)
    }

    /// The session has had a newer connection. This one would have been taken over by it
    /// [MQTT-3.1.4-3] had it come in time; but it has had no CONNACK, so 0x8E is not to be said
    /// [MQTT-3.14.0-1]. The session is not touched, even if the newer one has gone again.
    fn refuse_overtaken(
        &mut self,
        id: ConnectionId,
        pending: &PendingConnect,
        epoch: u64,
        turn: &mut Turn<'_>,
    ) {
        self.metrics.connections_overtaken += 1;
        let text = "[MQTT-3.1.4-3] a newer connection with the same client id came before it";
        let client = Some(pending.client_id.clone());
        self.notice(NoticeLevel::Info, "overtaken", id, client, text, turn);
        let violation = Violation::new(ReasonCode::ImplementationSpecificError, text);
        self.say_no(id, &violation, turn);
        self.return_grant(&pending.client_id, epoch, turn);
    }
}

fn admitted(connection: &Connection) -> Option<&Admitted> {
    match &connection.stage {
        Stage::AwaitingGrant(admitted) => Some(admitted),
        _ => None,
    }
}

/// Parses a CONNECT that was parsed before, by this shard or another.
pub(super) fn decode_connect(bytes: &[u8]) -> Connect<'_> {
    let frame = skein_protocol::Frame::decode(bytes, usize::MAX);
    let (frame, _) = frame.ok().flatten().expect("a kept CONNECT is a whole packet");
    match Packet::decode(frame, skein_protocol::Version::V5) {
        Ok(Packet::Connect(connect)) => connect,
        _ => unreachable!("a kept CONNECT was well-formed when it came"),
    }
}
