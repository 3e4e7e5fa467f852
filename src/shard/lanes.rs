//! What waits for the lanes to the other shards: in order, and nothing passes what came before
//! (law 3). A lane behind which too much waits is congested; who feeds it is paused.

use std::collections::VecDeque;

use super::Message;
use crate::{
    record::Group,
    router::{Batch, Room, Routed},
    session::{ConnectionId, ShardId, has_much_spare},
};

/// A batch with more bytes than this is closed and another begun: a lane takes a batch whole.
const BATCH_BYTES_MAX: usize = 64 * 1024;

#[derive(Debug, Default)]
struct Lane {
    waiting: VecDeque<Message>,
    /// Bytes of all but an open batch at the end.
    closed_bytes: usize,
    /// What the last batch that left has needed.
    room: Room,
    /// Connections that fed it while it was congested.
    paused: Vec<ConnectionId>,
}

impl Lane {
    fn bytes(&self) -> usize {
        let open = match self.waiting.back() {
            Some(Message::Publishes(batch)) => batch.bytes(),
            _ => 0,
        };
        self.closed_bytes + open
    }
}

/// Everything one shard has to say to the others.
#[derive(Debug)]
pub struct Lanes {
    lanes: Vec<Lane>,
    waiting_bytes_max: usize,
}

impl Lanes {
    /// One lane to each of `shards` shards; the one to itself stays empty.
    pub fn new(shards: usize, waiting_bytes_max: usize) -> Self {
        Self { lanes: (0..shards).map(|_| Lane::default()).collect(), waiting_bytes_max }
    }

    /// Appends a message.
    pub(super) fn send(&mut self, to: ShardId, message: Message) {
        let lane = &mut self.lanes[to.index()];
        if let Some(Message::Publishes(batch)) = lane.waiting.back() {
            lane.closed_bytes += batch.bytes();
        }
        if !matches!(message, Message::Publishes(_)) {
            lane.closed_bytes += message.bytes();
        }
        lane.waiting.push_back(message);
    }

    /// Appends a publish, to the batch at the end if there is one.
    #[inline]
    pub(super) fn publish(&mut self, to: ShardId, routed: &Routed<'_>) {
        let is_open = |last: &Message| match last {
            Message::Publishes(batch) => batch.bytes() < BATCH_BYTES_MAX && batch.group().is_none(),
            _ => false,
        };
        if !self.lanes[to.index()].waiting.back().is_some_and(is_open) {
            let batch = Batch::with_room_of(self.lanes[to.index()].room);
            self.send(to, Message::Publishes(batch));
        }
        if let Some(Message::Publishes(batch)) = self.lanes[to.index()].waiting.back_mut() {
            batch.push(routed);
        }
    }

    /// Tells a shard which group what it was told belongs to: with the last publishes, if nothing
    /// has come behind them.
    pub(super) fn tell_part(&mut self, to: ShardId, group: Group) {
        match self.lanes[to.index()].waiting.back_mut() {
            Some(Message::Publishes(batch)) if batch.group().is_none() => batch.close(group),
            _ => self.send(to, Message::Part { group }),
        }
    }

    /// The next message for this shard.
    pub fn front(&self, to: ShardId) -> Option<&Message> {
        self.lanes[to.index()].waiting.front()
    }

    /// Takes the next message for this shard out.
    pub fn pop(&mut self, to: ShardId) -> Option<Message> {
        let lane = &mut self.lanes[to.index()];
        let message = lane.waiting.pop_front()?;
        let was_open_batch = lane.waiting.is_empty() && matches!(message, Message::Publishes(_));
        if !was_open_batch {
            lane.closed_bytes -= match &message {
                Message::Publishes(batch) => batch.bytes(),
                other => other.bytes(),
            };
        }
        if let Message::Publishes(batch) = &message {
            lane.room = batch.room();
        }
        if has_much_spare(lane.waiting.len(), lane.waiting.capacity()) {
            lane.waiting.shrink_to(2 * lane.waiting.len());
        }
        Some(message)
    }

    /// How many messages wait for this shard.
    pub fn waiting(&self, to: ShardId) -> usize {
        self.lanes[to.index()].waiting.len()
    }

    /// Whether more than `lane_waiting_bytes_max` waits for this shard.
    #[inline]
    pub(super) fn is_congested(&self, to: ShardId) -> bool {
        self.lanes[to.index()].bytes() > self.waiting_bytes_max
    }

    /// Notes that this connection waits for the lane.
    pub(super) fn add_paused(&mut self, to: ShardId, connection: ConnectionId) {
        self.lanes[to.index()].paused.push(connection);
    }

    /// Who waited for the lane, once half of what may wait is gone; else nobody.
    pub(super) fn take_paused(&mut self, to: ShardId) -> Vec<ConnectionId> {
        let lane = &mut self.lanes[to.index()];
        if lane.bytes() > self.waiting_bytes_max / 2 {
            return Vec::new();
        }
        std::mem::take(&mut lane.paused)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TO: ShardId = ShardId::new(1);

    fn kinds(lanes: &mut Lanes) -> Vec<&'static str> {
        std::iter::from_fn(|| lanes.pop(TO))
            .map(|message| match message {
                Message::Publishes(_) => "publishes",
                _ => "other",
            })
            .collect()
    }

    fn routed() -> Routed<'static> {
        Routed {
            message: crate::session::ApplicationRef {
                topic: "a",
                properties: &[],
                payload: crate::session::Payload::Inline(&[0; 100]),
                qos: skein_protocol::qos::QoS::AtMostOnce,
                retain: false,
                expires_at: None,
            },
            deliver: true,
            store: false,
            stamp: 0,
            picks: &[],
            publisher: None,
            author: None,
            is_grouped: false,
        }
    }

    #[test]
    fn law_3_publishes_never_pass_other_messages() {
        let mut lanes = Lanes::new(2, 1_000);
        lanes.publish(TO, &routed());
        lanes.publish(TO, &routed());
        lanes.send(TO, Message::Fence { fence: 1 });
        lanes.publish(TO, &routed());
        assert_eq!(kinds(&mut lanes), ["publishes", "other", "publishes"]);
        assert_eq!(lanes.lanes[1].bytes(), 0);
    }

    #[test]
    fn a_lane_is_congested_until_half_of_what_may_wait_is_gone() {
        let mut lanes = Lanes::new(2, 1_000);
        while !lanes.is_congested(TO) {
            lanes.publish(TO, &routed());
            lanes.send(TO, Message::Fence { fence: 1 });
        }
        lanes.add_paused(TO, ConnectionId::new(7, 7));
        lanes.pop(TO);
        assert_eq!(lanes.take_paused(TO), []);
        while lanes.pop(TO).is_some() {}
        assert_eq!(lanes.take_paused(TO), [ConnectionId::new(7, 7)]);
        assert_eq!(lanes.lanes[1].bytes(), 0);
    }
}
