//! A connection ends, and perhaps its session with it.

use std::borrow::Cow;

use skein_protocol::{Error, ReasonCode, packet::Disconnect};

use super::{
    CloseCause, Connection, ConnectionId, Message, NoticeLevel, Shard, ShardId, Turn,
    effect::Close, metrics::DropReason, respond::Violation, timers::Timer,
};
use crate::{
    record::Record,
    session::{Delivery, SessionKey},
};

/// How often the shards wait for each other when the broker stops. After each round this holds of
/// all of them:
///
/// 1. They read no more packets.
/// 2. They have said goodbye, which publishes wills and ends sessions.
/// 3. They know which sessions are left, so that no message goes to a member of a share that has
///    gone, to be passed on from there.
/// 4. They have had what was passed on before. Nothing comes that anybody would record.
const ROUNDS: u8 = 4;
/// The round in which a shard says goodbye.
const GOODBYE: u8 = 2;

/// How far the broker's stop is. A shard that ended before the others have told it all would leave
/// them with groups that are never whole, and all that was recorded since would be lost with those.
#[derive(Debug)]
pub(super) struct Stop {
    own: ShardId,
    /// By shard, how many rounds it has ended.
    rounds: Vec<u8>,
}

impl Stop {
    pub(super) fn new(own: ShardId, shards: usize) -> Self {
        Self { own, rounds: vec![0; shards] }
    }

    /// Whether this shard was told to stop: it reads no more packets.
    #[inline]
    pub(super) fn has_begun(&self) -> bool {
        self.rounds_here() > 0
    }

    /// Whether nobody is connected any more. Nothing happens from now on that others had to record.
    pub(super) fn has_said_goodbye(&self) -> bool {
        self.rounds_here() >= GOODBYE
    }

    fn rounds_here(&self) -> u8 {
        self.rounds[self.own.index()]
    }

    fn rounds_of_all(&self) -> u8 {
        self.rounds.iter().copied().min().unwrap_or_default()
    }

    /// Whether the others have ended the round that this shard has ended last.
    fn is_round_over(&self) -> bool {
        let here = self.rounds_here();
        here > 0 && here < ROUNDS && self.rounds_of_all() == here
    }
}

impl Shard {
    /// DISCONNECT from the client (3.14).
    pub(super) fn on_disconnect(
        &mut self,
        id: ConnectionId,
        key: SessionKey,
        disconnect: &Disconnect<'_>,
        turn: &mut Turn<'_>,
    ) -> Result<(), Violation> {
        if let Some(expiry_s) = disconnect.properties.session_expiry_s {
            let session = self.sessions.at_mut(key);
            if session.expiry_s == 0 && expiry_s != 0 {
                return Err(Error::SessionExpiryRaised.into());
            }
            session.expiry_s = expiry_s.min(self.settings.limits.session_expiry_s_max);
        }
        let publishes_will = disconnect.reason != ReasonCode::Success;
        let text = if publishes_will { "disconnected with will" } else { "disconnected" };
        self.notice_of(NoticeLevel::Info, "disconnected", id, text, turn);
        self.close(id, turn);
        self.lose(key, publishes_will, turn);
        Ok(())
    }

    /// The peer closed, or the socket failed.
    pub(super) fn on_closed(&mut self, id: ConnectionId, cause: &CloseCause, turn: &mut Turn<'_>) {
        self.metrics.panics_contained += u64::from(*cause == CloseCause::Panicked);
        let Some(session) = self.connections.find(id).map(Connection::session) else { return };
        let lost_level = if session.is_some() { NoticeLevel::Info } else { NoticeLevel::Debug };
        let (level, kind, text) = match cause {
            CloseCause::EndOfStream => (
                lost_level,
                "connection-lost",
                "closed by the client without DISCONNECT".to_owned(),
            ),
            CloseCause::Failed(why) => {
                (lost_level, "connection-lost", format!("connection lost: {why}"))
            }
            CloseCause::Refused(why) => {
                self.metrics.transport_errors += 1;
                (NoticeLevel::Warning, "connection-refused", format!("connection refused: {why}"))
            }
            CloseCause::Crowded(why) => {
                self.metrics.connections_crowded += 1;
                (NoticeLevel::Warning, "connection-crowded", format!("connection refused: {why}"))
            }
            CloseCause::HandshakeTooSlow => {
                self.metrics.handshake_timeouts += 1;
                let text = "no end of the handshakes within tls_handshake_ms_max".to_owned();
                (NoticeLevel::Info, "handshake-timeout", text)
            }
            CloseCause::Panicked => {
                let text = "a bug: handling what it sent has panicked (the reason stands above); \
                            this connection is closed, the others go on";
                (NoticeLevel::Warning, "panic-contained", text.to_owned())
            }
            CloseCause::PacketStalled => return self.on_packet_stalled(id, turn),
        };
        self.notice_of(level, kind, id, &text, turn);
        self.close(id, turn);
        if let Some(session) = session {
            self.lose(session, true, turn);
        }
    }

    /// A client that keeps the half of a packet to itself makes us keep the other half.
    fn on_packet_stalled(&mut self, id: ConnectionId, turn: &mut Turn<'_>) {
        self.metrics.packets_stalled += 1;
        let text = "a packet was begun and not gone on with for packet_stalled_ms_max";
        self.notice_of(NoticeLevel::Info, "packet-stalled", id, text, turn);
        let reason = ReasonCode::ImplementationSpecificError;
        self.disconnect(id, &Violation::new(reason, text), turn);
    }

    /// Forgets a connection; the shell writes what waits and closes the socket.
    pub(super) fn close(&mut self, id: ConnectionId, turn: &mut Turn<'_>) -> Option<Connection> {
        self.arm_connection(id, super::Time::NEVER);
        self.forget_rate(id);
        let mut connection = self.connections.remove(id)?;
        self.memory.release(connection.charged);
        connection.outbox.drop_held();
        let rest = std::mem::take(&mut connection.outbox);
        turn.effects.closes.push(Close { connection: id, rest });
        Some(connection)
    }

    /// The session has lost its connection. The will is published now, later or not at all
    /// [MQTT-3.1.2-8], [MQTT-3.1.2-10]; the session ends now, later or never.
    pub(super) fn lose(&mut self, key: SessionKey, publishes_will: bool, turn: &mut Turn<'_>) {
        self.calm(key, turn);
        let session = self.sessions.at_mut(key);
        let id = session.connection.take();
        if !publishes_will && session.will.take().is_some() {
            self.record(key, |client_id| Record::WillCleared { client_id });
        }
        if let Some(id) = id {
            self.forget_login(id, key);
        }
        self.set_shares_online(key, false);
        self.replays.pause(key);
        self.schedule_will(key, turn);
        let session = self.sessions.at_mut(key);
        if session.ends_with_connection() {
            self.end_session(key, turn);
            return;
        }
        let (expires_at, expiry_s) = (session.end_after_loss(turn.now), session.expiry_s);
        session.expires_at = expires_at;
        self.record_at(key, turn.now, |client_id, at_ms| Record::Disconnected {
            client_id,
            expiry_s,
            at_ms,
        });
        if let Some(at) = expires_at {
            self.timers.arm(at, Timer::SessionEnds(key));
        }
    }

    pub(super) fn on_session_expired(&mut self, key: SessionKey, turn: &mut Turn<'_>) {
        self.sessions.at_mut(key).expires_at = None;
        if !self.stop.has_said_goodbye() {
            self.end_session(key, turn);
        }
    }

    /// Forgets a session without connection: a will that still waits is published
    /// [MQTT-3.1.2-8], its shared messages go to other members, its registrar is told.
    pub(super) fn end_session(&mut self, key: SessionKey, turn: &mut Turn<'_>) {
        self.publish_will(key, turn);
        if let Some(at) = self.sessions.at_mut(key).expires_at.take() {
            self.timers.cancel(at, Timer::SessionEnds(key));
        }
        self.set_session_full(key, false);
        self.replays.forget(key);
        let held = std::mem::take(&mut self.sessions.at_mut(key).subscriptions);
        for subscription in &held {
            self.drop_subscription(key, subscription);
        }
        self.rights.remove(key);
        let mut session = self.sessions.remove(key);
        self.metrics.sessions_ended += 1;
        self.memory.release(session.queue.memory_bytes());
        self.forget_chunks(&session.queue, turn);
        let unacknowledged: Vec<_> = session.sender.drain().collect();
        for (_, delivery) in &unacknowledged {
            self.memory.release(delivery.bytes());
        }
        // Of QoS 2, what has left belongs to this session alone [MQTT-4.8.2-5].
        let in_flight = unacknowledged.into_iter().map(|(_, delivery)| delivery);
        let in_flight = in_flight.filter(|d| d.qos != skein_protocol::qos::QoS::ExactlyOnce);
        for delivery in in_flight.chain(session.queue.drain()) {
            self.pass_on(&delivery, turn);
        }
        // Behind what was passed on: a member has it, or this session has it still.
        if let Some(durability) = session.durability {
            let client_id = Cow::Borrowed(&*session.client_id);
            self.journal.push(&Record::Ended { client_id });
            self.journal.end_later(&session.client_id, session.epoch, durability);
        } else {
            self.release(&session.client_id, session.epoch, turn);
        }
    }

    /// A message for a session that has ended: one of a shared subscription goes to another
    /// member (MQTT 5, 4.8.2), others have nobody left.
    pub(super) fn pass_on(&mut self, delivery: &Delivery, turn: &mut Turn<'_>) {
        let Some(origin) = delivery.share().cloned() else { return };
        if delivery.message.borrow().is_expired(turn.now) {
            self.metrics.count_drop(DropReason::Expired, delivery.message.topic());
        } else if !self.deliver_to_share(&origin, delivery, turn) {
            self.metrics.count_drop(DropReason::NoMemberLeft, delivery.message.topic());
        }
    }

    /// The broker stops. First all shards stop reading, so that every message that was read, and
    /// perhaps acknowledged, reaches its connected receivers before they are told.
    pub(super) fn on_shut_down(&mut self, turn: &mut Turn<'_>) {
        if !self.stop.has_begun() {
            self.end_round();
            self.go_on_stopping(turn);
        }
    }

    pub(super) fn on_stopping(&mut self, from: ShardId, turn: &mut Turn<'_>) {
        self.stop.rounds[from.index()] += 1;
        self.go_on_stopping(turn);
    }

    /// Whether a shard that was told to stop may end, once its connections have: it has handed over all
    /// that it will ever record, the others tell it nothing more that it would record, and nothing that
    /// it has told them, that it stops above all, waits for room in a lane.
    pub fn has_stopped(&self) -> bool {
        self.stop.rounds_of_all() == ROUNDS
            && !self.journal.is_open_used()
            && self.others().all(|shard| self.lanes.waiting(shard) == 0)
    }

    /// Does what belongs to the rounds that all others are ready for.
    fn go_on_stopping(&mut self, turn: &mut Turn<'_>) {
        while self.stop.is_round_over() {
            if !self.stop.has_said_goodbye() {
                self.say_goodbye(turn);
            }
            self.end_round();
        }
    }

    fn end_round(&mut self) {
        self.stop.rounds[self.id.index()] += 1;
        for shard in self.others() {
            self.lanes.send(shard, Message::Stopping);
        }
    }

    /// Once no shard reads any more, everybody is told; who has had no CONNACK, by the end alone
    /// [MQTT-3.14.0-1].
    fn say_goodbye(&mut self, turn: &mut Turn<'_>) {
        let violation =
            Violation::new(ReasonCode::ServerShuttingDown, "the broker is shutting down");
        for id in self.connections.ids() {
            self.disconnect(id, &violation, turn);
        }
    }
}
