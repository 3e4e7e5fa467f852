//! The publishes of one turn for one other shard: one lane slot, contiguous bytes, no allocation
//! for each of them. Large payloads travel by reference.

use std::{rc::Rc, sync::Arc};

use bytes::Bytes;
use skein_protocol::qos::QoS;
use thin_vec::ThinVec;

use crate::{
    access::Author,
    record::Group,
    session::{ApplicationRef, ConnectionId, Payload, Time},
};

/// What the receiving shard is to do with one publish.
#[derive(Clone, Copy, Debug)]
pub struct Routed<'a> {
    /// The message.
    pub message: ApplicationRef<'a>,
    /// Deliver it to the subscribers there.
    pub deliver: bool,
    /// Store (or, with an empty payload, delete) it as the retained message of its topic; the
    /// receiving shard is the topic's home.
    pub store: bool,
    /// Orders the retained messages of one publishing shard; zero unless published with RETAIN.
    pub stamp: u64,
    /// Shares, by the receiving shard's keys, of which a member there was picked.
    pub picks: &'a [u64],
    /// Who published it, to be paused when a subscriber does not keep up.
    pub publisher: Option<ConnectionId>,
    /// Whose it is, where that has to be known of a retained message.
    pub author: Option<&'a Arc<Author>>,
    /// Whether what the receiving shard records of it belongs to a group, which it is told behind
    /// this.
    pub is_grouped: bool,
}

#[derive(Clone, Copy, Debug)]
struct Item {
    publisher: Option<ConnectionId>,
    expires_at: Option<Time>,
    stamp: u64,
    topic_len: u16,
    picks: u32,
    properties_len: u32,
    payload_len: u32,
    qos: QoS,
    retain: bool,
    deliver: bool,
    store: bool,
    payload_is_shared: bool,
    has_author: bool,
    is_grouped: bool,
}

/// How much of each kind a batch has needed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Room {
    items: usize,
    topics: usize,
    bytes: usize,
}

/// Publishes for one other shard, in order.
#[derive(Debug, Default)]
pub struct Batch {
    items: Vec<Item>,
    /// All topics, one after the other; kept as text so that nothing has to be checked again.
    topics: String,
    /// All properties and inline payloads, one after the other.
    bytes: Vec<u8>,
    picks: Vec<u64>,
    shared: Vec<Bytes>,
    shared_len: usize,
    /// Of those that have one. Seldom any: a batch is moved often, and has to stay small.
    authors: ThinVec<Arc<Author>>,
    /// The group of those that belong to one, where these are the last that do.
    group: Option<Box<Group>>,
}

impl Batch {
    /// Closes it: what belongs to a group so far belongs to this one.
    pub fn close(&mut self, group: Group) {
        self.group = Some(Box::new(group));
    }

    /// The group that it closes; after that nothing is appended.
    pub fn group(&self) -> Option<Group> {
        self.group.as_deref().copied()
    }

    /// An empty batch with room for as much as another one needed: the next turn is mostly like the last.
    pub fn with_room_of(room: Room) -> Self {
        Self {
            items: Vec::with_capacity(room.items),
            topics: String::with_capacity(room.topics),
            bytes: Vec::with_capacity(room.bytes),
            ..Self::default()
        }
    }

    /// What it has needed.
    pub fn room(&self) -> Room {
        Room { items: self.items.len(), topics: self.topics.len(), bytes: self.bytes.len() }
    }

    /// Appends a publish.
    #[inline]
    pub fn push(&mut self, routed: &Routed<'_>) {
        let message = &routed.message;
        self.topics.push_str(message.topic);
        self.bytes.extend_from_slice(message.properties);
        let payload_is_shared = match message.payload {
            Payload::Inline(payload) => {
                self.bytes.extend_from_slice(payload);
                false
            }
            Payload::Shared(payload) => {
                self.shared.push(Bytes::clone(payload));
                self.shared_len += payload.len();
                true
            }
        };
        self.picks.extend_from_slice(routed.picks);
        if let Some(author) = routed.author {
            self.authors.push(Arc::clone(author));
        }
        self.items.push(Item {
            publisher: routed.publisher,
            expires_at: message.expires_at,
            stamp: routed.stamp,
            topic_len: message.topic.len() as u16,
            picks: routed.picks.len() as u32,
            properties_len: message.properties.len() as u32,
            payload_len: message.payload.len() as u32,
            qos: message.qos,
            retain: message.retain,
            deliver: routed.deliver,
            store: routed.store,
            payload_is_shared,
            has_author: routed.author.is_some(),
            is_grouped: routed.is_grouped,
        });
    }

    /// How many publishes.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Bytes it holds, for the budget of its lane.
    pub fn bytes(&self) -> usize {
        self.items.len() * size_of::<Item>()
            + self.topics.len()
            + self.bytes.len()
            + self.shared_len
    }

    /// Shows each publish, in order.
    pub fn for_each(&self, mut visit: impl FnMut(Routed<'_>)) {
        let (mut topics, mut bytes, mut picks) = (&*self.topics, &*self.bytes, &*self.picks);
        let (mut shared, mut authors) = (self.shared.iter(), self.authors.iter());
        for item in &self.items {
            let (topic, rest) = topics.split_at(usize::from(item.topic_len));
            topics = rest;
            let (properties, rest) = bytes.split_at(item.properties_len as usize);
            bytes = rest;
            let (picked, rest) = picks.split_at(item.picks as usize);
            picks = rest;
            let large;
            let payload = if item.payload_is_shared {
                let payload = shared.next().expect("each shared payload was pushed with its item");
                large = Rc::new(Bytes::clone(payload));
                Payload::Shared(&large)
            } else {
                let (payload, rest) = bytes.split_at(item.payload_len as usize);
                bytes = rest;
                Payload::Inline(payload)
            };
            visit(Routed {
                message: ApplicationRef {
                    topic,
                    properties,
                    payload,
                    qos: item.qos,
                    retain: item.retain,
                    expires_at: item.expires_at,
                },
                deliver: item.deliver,
                store: item.store,
                stamp: item.stamp,
                picks: picked,
                publisher: item.publisher,
                author: if item.has_author { authors.next() } else { None },
                is_grouped: item.is_grouped,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_shows_what_was_pushed_in_order() {
        let large = Rc::new(Bytes::from(vec![9; 40_000]));
        let payloads = [Payload::Inline(b"one"), Payload::Shared(&large), Payload::Inline(b"")];
        let mut batch = Batch::default();
        for (number, payload) in payloads.into_iter().enumerate() {
            let topic = ["a", "b/c", "d"][number];
            let message = ApplicationRef {
                topic,
                properties: &[1, 1][..number],
                payload,
                qos: QoS::AtLeastOnce,
                retain: number == 1,
                expires_at: (number == 2).then_some(Time::from_millis(5)),
            };
            let (picks, stamp) = (&[4, 5][..number], number as u64);
            let publisher = Some(ConnectionId::new(number, 1));
            batch.push(&Routed {
                message,
                deliver: true,
                store: false,
                stamp,
                picks,
                publisher,
                author: None,
                is_grouped: number == 2,
            });
        }
        let mut seen = Vec::new();
        batch.for_each(|routed| {
            let message = routed.message;
            seen.push((message.topic.to_owned(), message.payload.len(), routed.picks.to_vec()));
            assert_eq!(message.properties.len() as u64, routed.stamp);
            assert_eq!(message.retain, routed.stamp == 1);
            assert_eq!(message.expires_at.is_some(), routed.stamp == 2);
            assert_eq!(routed.is_grouped, routed.stamp == 2);
        });
        let expected = [("a", 3, vec![]), ("b/c", 40_000, vec![4]), ("d", 0, vec![4, 5])];
        assert_eq!(seen, expected.map(|(topic, len, picks)| (topic.to_owned(), len, picks)));
        assert_eq!(batch.len(), 3);
    }

    /// A topic can match more shares than fit into 16 bits.
    #[test]
    fn many_picks_leave_those_of_the_next_publish_alone() {
        let message = ApplicationRef {
            topic: "a",
            properties: &[],
            payload: Payload::Inline(b""),
            qos: QoS::AtMostOnce,
            retain: false,
            expires_at: None,
        };
        let mut batch = Batch::default();
        let many: Vec<u64> = (0..70_000).collect();
        for picks in [&many[..], &[99]] {
            let (deliver, store, stamp, publisher) = (false, false, 0, None);
            let (author, is_grouped) = (None, false);
            let routed =
                Routed { message, deliver, store, stamp, picks, publisher, author, is_grouped };
            batch.push(&routed);
        }
        let mut seen = Vec::new();
        batch.for_each(|routed| seen.push(routed.picks.to_vec()));
        assert_eq!(seen, [many, vec![99]]);
    }
}
