//! Whether a retained message finds room, before its publisher is told that we have it.
//!
//! A home whose part of the limits is used up says so to all; still, a topic that it retains
//! already may be retained again. Only the home knows these, so the publisher waits while it is
//! asked: nothing more is read of it, and what it has sent is handled in order.
//!
//! ```text
//!   shard of the publisher                 full home
//!        │── RoomQuery(topic) ──────────────▶│
//!        │◀─ RoomReply(has room?) ───────────│
//!   the PUBLISH is handled
//! ```

use skein_protocol::{Frame, ReasonCode, Version, packet::Publish, qos::QoS};

use super::{
    Connection, ConnectionId, Message, Shard, ShardId, Turn, connect::whole_packet,
    respond::Violation,
};

/// A PUBLISH, its bytes, and what its topic's home has said of it.
#[derive(Debug)]
pub(super) struct Incoming<'a> {
    pub(super) publish: &'a Publish<'a>,
    pub(super) frame: Frame<'a>,
    pub(super) has_room: Option<bool>,
}

impl Shard {
    /// Asks the topic's home if it has to be asked. True if the PUBLISH waits now.
    pub(super) fn waits_for_room(
        &mut self,
        id: ConnectionId,
        topic: &str,
        incoming: &Incoming<'_>,
    ) -> bool {
        let Incoming { publish, frame, has_room } = incoming;
        if has_room.is_some() || !self.needs_room(id, publish) {
            return false;
        }
        let home = self.home_of(topic);
        if home == self.id || !self.retained.is_full(home) {
            return false;
        }
        let Some(connection) = self.connections.find_mut(id) else { return false };
        connection.pauses_mut().room = Some(whole_packet(*frame));
        self.metrics.publishes_waited += 1;
        self.lanes.send(home, Message::RoomQuery { topic: topic.into(), connection: id });
        true
    }

    /// Why the message would not be retained, for a publisher that can be told.
    pub(super) fn room_refusal(
        &self,
        id: ConnectionId,
        topic: &str,
        incoming: &Incoming<'_>,
    ) -> Option<Violation> {
        if !self.needs_room(id, incoming.publish) {
            return None;
        }
        let is_home = self.home_of(topic) == self.id;
        let has_room = if is_home { self.retained.has_room(topic) } else { true };
        if incoming.has_room.unwrap_or(has_room) {
            return None;
        }
        let text = "no further topic can be retained";
        Some(Violation::new(ReasonCode::QuotaExceeded, text))
    }

    /// Whether the message is to be retained, and its publisher can be told that it is not.
    fn needs_room(&self, id: ConnectionId, publish: &Publish<'_>) -> bool {
        publish.retain
            && publish.qos != QoS::AtMostOnce
            && !publish.payload.is_empty()
            && self.connections.find(id).is_some_and(|found| found.version == Version::V5)
    }

    pub(super) fn on_room_query(
        &mut self,
        from: ShardId,
        topic: &str,
        connection: ConnectionId,
        turn: &mut Turn<'_>,
    ) {
        let has_room = self.retained.has_room(topic);
        self.tell(from, Message::RoomReply { connection, has_room }, turn);
    }

    /// The PUBLISH that waited is handled. Not while the broker stops: what it tells other shards
    /// would come too late, so it must not be acknowledged.
    pub(super) fn on_room_reply(&mut self, id: ConnectionId, has_room: bool, turn: &mut Turn<'_>) {
        let mut waited = None;
        self.unpause(id, turn, |pauses| waited = pauses.room.take());
        let session = self.connections.find(id).and_then(Connection::session);
        let Some((packet, session)) = waited.zip(session) else {
            self.metrics.late_replies += 1;
            return;
        };
        if self.stop.has_begun() {
            return;
        }
        let frame = Frame::decode(&packet, usize::MAX);
        let (frame, _) = frame.ok().flatten().expect("a kept PUBLISH is a whole packet");
        let has_room = Some(has_room);
        let version = self.sessions.at(session).version;
        if let Err(violation) = self.on_publish(id, session, version, frame, has_room, turn) {
            self.punish(id, &violation, turn);
        }
    }
}
