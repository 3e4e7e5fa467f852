//! The pure core from a PUBLISH that has come to the bytes that wait for its subscribers, with all
//! acknowledgements.

use std::{io::IoSlice, sync::Arc};

use skein::{
    access::Access,
    config::Settings,
    shard::{
        AcceptOrder, ConnectionId, Effects, Event, ListenerId, PeerAddress, Shard, ShardId, Time,
    },
};
use skein_protocol::{
    Packet, PacketType, QoS, TopicFilter, TopicName, Version,
    packet::{Connect, ConnectProperties, Publish, PublishProperties, Subscribe},
    qos::PacketId,
};

use super::{Run, codec::each_frame};

/// Messages that are published in one run; the window of a publisher of QoS 1 and 2.
pub(crate) const MESSAGES: u64 = 100;

const TOPIC: &str = "plant/7/sensor/4711";

pub(crate) fn qos_0_to_1() -> Run {
    fan_out(Plan { shards: 1, subscribers: 1, qos: QoS::AtMostOnce, payload: 64 })
}

pub(crate) fn qos_0_to_20() -> Run {
    fan_out(Plan { shards: 1, subscribers: 20, qos: QoS::AtMostOnce, payload: 64 })
}

pub(crate) fn qos_0_to_1_far() -> Run {
    fan_out(Plan { shards: 2, subscribers: 1, qos: QoS::AtMostOnce, payload: 64 })
}

pub(crate) fn qos_0_to_1_of_1024() -> Run {
    fan_out(Plan { shards: 1, subscribers: 1, qos: QoS::AtMostOnce, payload: 1024 })
}

pub(crate) fn qos_1_to_1() -> Run {
    fan_out(Plan { shards: 1, subscribers: 1, qos: QoS::AtLeastOnce, payload: 64 })
}

pub(crate) fn qos_1_to_20() -> Run {
    fan_out(Plan { shards: 1, subscribers: 20, qos: QoS::AtLeastOnce, payload: 64 })
}

pub(crate) fn qos_2_to_1() -> Run {
    fan_out(Plan { shards: 1, subscribers: 1, qos: QoS::ExactlyOnce, payload: 64 })
}

/// One publisher, on shard 0, and its subscribers, on the last shard.
#[derive(Clone, Copy)]
struct Plan {
    shards: usize,
    subscribers: usize,
    qos: QoS,
    payload: usize,
}

fn fan_out(plan: Plan) -> Run {
    let mut broker = Broker::new(plan.shards);
    for number in 0..plan.subscribers {
        let subscriber = broker.connect(plan.shards - 1, &format!("subscriber-{number}"));
        broker.send(subscriber, &encoded(&subscribe(plan.qos)));
    }
    let publisher = broker.connect(0, "publisher");
    let payload = vec![b'x'; plan.payload];
    let mut stream = Vec::new();
    for number in 1..=MESSAGES {
        let packet_id = PacketId::new(number as u16).filter(|_| plan.qos != QoS::AtMostOnce);
        let publish = publish(plan.qos, packet_id, &payload);
        Packet::Publish(publish).encode(Version::V3_1_1, &mut stream);
    }
    let deliveries = MESSAGES * plan.subscribers as u64;
    Box::new(move || {
        let before = broker.deliveries;
        broker.send(publisher, &stream);
        assert_eq!(broker.deliveries - before, deliveries, "everybody gets every message");
    })
}

/// A client, by its number.
#[derive(Clone, Copy)]
struct Peer(usize);

/// All shards, and clients that answer every message as they should.
struct Broker {
    shards: Vec<(Shard, Effects)>,
    peers: Vec<(usize, ConnectionId)>,
    /// PUBLISH packets that clients have got.
    deliveries: u64,
    /// What clients have to say to the packets that came.
    answers: Vec<(usize, ConnectionId, Vec<u8>)>,
}

impl Broker {
    fn new(shards: usize) -> Self {
        let settings = Settings::default();
        let access = Arc::new(Access::new(Vec::new(), &settings.access));
        let shard = |index| {
            let (settings, access) = (settings.clone(), Arc::clone(&access));
            Shard::new(ShardId::new(index), shards, settings, access, [1, 2, 3, 4])
        };
        let shards = (0..shards).map(|index| (shard(index), Effects::default())).collect();
        Self { shards, peers: Vec::new(), deliveries: 0, answers: Vec::new() }
    }

    fn connect(&mut self, shard: usize, client_id: &str) -> Peer {
        let number = self.peers.len();
        let connection = ConnectionId::new(number, number as u64);
        self.peers.push((shard, connection));
        let peer = PeerAddress::new(client_id.to_owned());
        let (listener, order) = (ListenerId(0), AcceptOrder::default().next(number as u64));
        self.handle(shard, Event::Opened { connection, peer, listener, order });
        let connect = Connect {
            version: Version::V3_1_1,
            clean_start: true,
            keep_alive_s: 0,
            client_id,
            will: None,
            user_name: None,
            password: None,
            properties: ConnectProperties::default(),
        };
        self.send(Peer(number), &encoded(&Packet::Connect(connect)));
        Peer(number)
    }

    /// The client sends whole packets, and everything that follows happens.
    fn send(&mut self, peer: Peer, stream: &[u8]) {
        let (shard, connection) = self.peers[peer.0];
        self.receive(shard, connection, stream);
        while self.carry() || self.flush() {
            while let Some((shard, connection, stream)) = self.answers.pop() {
                self.receive(shard, connection, &stream);
            }
        }
    }

    fn receive(&mut self, shard: usize, connection: ConnectionId, stream: &[u8]) {
        each_frame(stream, |frame| self.handle(shard, Event::Packet { connection, frame }));
    }

    fn handle(&mut self, shard: usize, event: Event<'_>) {
        let (core, effects) = &mut self.shards[shard];
        core.handle(event, Time::from_millis(1), effects);
    }

    /// Empties the lanes. False if nothing was in them.
    fn carry(&mut self) -> bool {
        let mut has_moved = false;
        for from in 0..self.shards.len() {
            for to in 0..self.shards.len() {
                while let Some(message) = self.shards[from].0.lanes().pop(ShardId::new(to)) {
                    self.handle(to, Event::Message { from: ShardId::new(from), message });
                    has_moved = true;
                }
            }
        }
        has_moved
    }

    /// Empties the outboxes; the clients make their answers. False if they were empty.
    fn flush(&mut self) -> bool {
        let mut has_written = false;
        for shard in 0..self.shards.len() {
            let mut dirty = std::mem::take(&mut self.shards[shard].1.dirty);
            for connection in dirty.drain(..) {
                has_written = true;
                self.flush_one(shard, connection);
            }
            self.shards[shard].1.dirty.append(&mut dirty);
        }
        has_written
    }

    fn flush_one(&mut self, shard: usize, connection: ConnectionId) {
        let Some(outbox) = self.shards[shard].0.outbox(connection) else { return };
        let mut slices = [IoSlice::new(&[]); 64];
        let filled = outbox.slices(&mut slices);
        let mut answer = Vec::new();
        for slice in &slices[..filled] {
            each_frame(slice, |frame| {
                self.deliveries += u64::from(frame.packet_type() == PacketType::Publish);
                answer_to(frame.header, frame.body, &mut answer);
            });
        }
        let written = outbox.len();
        outbox.advance(written);
        self.handle(shard, Event::Flushed { connection, written });
        if !answer.is_empty() {
            self.answers.push((shard, connection, answer));
        }
    }
}

/// What a client answers, by the bytes alone: the client is not what is measured.
fn answer_to(header: u8, body: &[u8], answer: &mut Vec<u8>) {
    let mut acknowledge = |first_byte, id: &[u8]| {
        answer.extend_from_slice(&[first_byte, 2, id[0], id[1]]);
    };
    match (header >> 4, header >> 1 & 3) {
        (3, 1) => acknowledge(0x40, &body[2 + TOPIC.len()..]),
        (3, 2) => acknowledge(0x50, &body[2 + TOPIC.len()..]),
        (5, _) => acknowledge(0x62, body),
        (6, _) => acknowledge(0x70, body),
        _ => {}
    }
}

fn encoded(packet: &Packet<'_>) -> Vec<u8> {
    let mut stream = Vec::new();
    packet.encode(Version::V3_1_1, &mut stream);
    stream
}

fn publish(qos: QoS, packet_id: Option<PacketId>, payload: &[u8]) -> Publish<'_> {
    Publish {
        dup: false,
        qos,
        retain: false,
        topic: TopicName::new(TOPIC).ok(),
        packet_id,
        properties: PublishProperties::default(),
        payload,
    }
}

fn subscribe(qos: QoS) -> Packet<'static> {
    let filter = TopicFilter::new(TOPIC).expect("a topic without wildcards is a filter");
    let options = skein_protocol::packet::SubscriptionOptions { qos, ..Default::default() };
    Packet::Subscribe(Subscribe {
        packet_id: PacketId::new(1).expect("1 is not 0"),
        identifier: None,
        user_properties: Default::default(),
        filters: [(filter, options)].into_iter().collect(),
    })
}
