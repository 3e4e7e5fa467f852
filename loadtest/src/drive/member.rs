//! A connection of a run, from CONNECT on.
//!
//! ```text
//!   Connecting ── CONNACK ──▶ Subscribing ── every SUBACK ──▶ Ready        any ── error ──▶ Lost
//!        └─────────────────── CONNACK, nothing to subscribe ──▶┘
//! ```

use std::io;

use mio::{Registry, Token};
use skein_protocol::{Frame, Packet, PacketType, QoS, TopicName, Will, WillProperties};

use super::{desk::Desk, plan::Plan};
use crate::{
    client::{Accepted, Connection, Hello, Publisher, Subscriber, check_suback, encode_subscribe},
    report::latency::Clock,
};

/// Where a connection stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// CONNECT is on its way, since then.
    Connecting(u64),
    /// So many SUBACKs are missing; since then.
    Subscribing(usize, u64),
    /// It may publish and receive.
    Ready,
    /// It is closed.
    Lost,
}

/// A connection of a run.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) connection: Connection,
    pub(crate) duties: Duties,
    /// Whether the broker has closed its side: behind what is to be read stands the end.
    pub(crate) is_ending: bool,
}

/// What a connection has to do with what it receives.
#[derive(Debug)]
pub(crate) struct Duties {
    /// What it is, as a number of the topology's roles.
    role: usize,
    pub(crate) stage: Stage,
    pub(crate) publisher: Option<Publisher>,
    pub(crate) subscriber: Option<Subscriber>,
    /// How long it took to be ready.
    pub(crate) opening_ns: u64,
    opened_ns: u64,
}

impl Member {
    /// Begins to connect.
    pub(crate) fn open(
        desk: &Desk,
        role: usize,
        registry: &Registry,
        token: Token,
    ) -> io::Result<Self> {
        let Plan { load, topology, .. } = &*desk.plan;
        let mut connection = Connection::new(desk.plan.dialer.open(role)?);
        connection.register(registry, token)?;
        let hello = Hello {
            version: load.target.version,
            client_id: &load.target.client_id(role),
            clean_start: true,
            session_expiry_s: load.session_expiry,
            keep_alive_s: load.target.keep_alive(),
            user: load.target.user.as_deref(),
            password: load.target.password.as_deref(),
            will: load.target.has_will.then(will),
        };
        hello.encode(connection.outgoing());
        let does = &topology.roles[role];
        let publisher = (!does.streams.is_empty()).then(|| {
            let messages = desk.plan.messages();
            Publisher::new(
                topology,
                &does.streams,
                messages,
                load.target.version,
                load.publish_qos(),
            )
        });
        let unit_of = |unit| unit / load.threads;
        let subscriber = does.unit.map(|unit| Subscriber::new(load.target.version, unit_of(unit)));
        let stage = Stage::Connecting(desk.now_ns);
        let opened_ns = desk.now_ns;
        let duties = Duties { role, stage, publisher, subscriber, opening_ns: 0, opened_ns };
        Ok(Self { connection, duties, is_ending: false })
    }

    /// Reads until nothing has come; true if that would take too long at once.
    pub(crate) fn on_readable(
        &mut self,
        desk: &mut Desk,
        buffer: &mut Vec<u8>,
    ) -> io::Result<bool> {
        let Self { connection, duties, is_ending } = self;
        for _ in 0..READS_PER_TURN {
            let Some(filled) = connection.fill(buffer)? else { return Ok(false) };
            desk.look_at_clock();
            let before = desk.recorder.delivered;
            let cut =
                connection.cut(&buffer[..filled], |frame, out| duties.on_frame(desk, frame, out));
            desk.end_read(before, duties.subscriber.as_mut());
            cut?;
            // A read that could have taken more has emptied the socket, unless its end, for which
            // there is no other event, came with the bytes.
            if filled < buffer.len() && !*is_ending && connection.is_bare() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The connection is closed.
    pub(crate) fn lose(&mut self) {
        self.duties.stage = Stage::Lost;
        if let Some(publisher) = &mut self.duties.publisher {
            publisher.stop();
        }
    }

    /// Whether it may publish and receive.
    #[inline]
    pub(crate) fn is_ready(&self) -> bool {
        self.duties.stage == Stage::Ready
    }

    /// What it publishes, if it may.
    #[inline]
    pub(crate) fn publisher(&mut self) -> Option<(&mut Publisher, &mut Connection)> {
        if self.duties.stage != Stage::Ready {
            return None;
        }
        Some((self.duties.publisher.as_mut()?, &mut self.connection))
    }
}

impl Duties {
    #[inline]
    fn on_frame(&mut self, desk: &mut Desk, frame: Frame<'_>, out: &mut Vec<u8>) -> io::Result<()> {
        if frame.packet_type() == PacketType::Publish {
            let Some(subscriber) = &mut self.subscriber else {
                return Err(io::Error::other("the broker publishes to who did not subscribe"));
            };
            return desk.on_publish(subscriber, frame, out).map_err(io::Error::other);
        }
        let packet =
            Packet::decode(frame, desk.plan.load.target.version).map_err(io::Error::other)?;
        self.on_packet(desk, &packet, out)
    }

    fn on_packet(
        &mut self,
        desk: &mut Desk,
        packet: &Packet<'_>,
        out: &mut Vec<u8>,
    ) -> io::Result<()> {
        match (packet, &mut self.publisher, &mut self.subscriber) {
            (Packet::PubAck(ack), Some(publisher), _) => {
                if let Some(since) = publisher.on_puback(ack.packet_id, ack.reason.is_error()) {
                    desk.on_acknowledged(Clock::PublishToPuback, since);
                }
            }
            (Packet::PubRec(ack), Some(publisher), _) => {
                publisher.on_pubrec(ack.packet_id, ack.reason.is_error(), out);
            }
            (Packet::PubComp(ack), Some(publisher), _) => {
                if let Some(since) = publisher.on_pubcomp(ack.packet_id) {
                    desk.on_acknowledged(Clock::PublishToPubcomp, since);
                }
            }
            (Packet::PubRel(ack), _, Some(subscriber)) => {
                subscriber.on_pubrel(ack.packet_id, out);
            }
            (Packet::ConnAck(connack), ..) => {
                self.on_accepted(desk, Accepted::new(connack)?, out)?;
            }
            (Packet::SubAck(suback), ..) => {
                check_suback(suback, desk.plan.load.subscribe_qos())?;
                self.on_subscribed(desk);
            }
            (Packet::PingResp, ..) => {}
            _ => return Err(io::Error::other(format!("the broker sends {packet}"))),
        }
        Ok(())
    }

    fn on_accepted(
        &mut self,
        desk: &mut Desk,
        accepted: Accepted,
        out: &mut Vec<u8>,
    ) -> io::Result<()> {
        let Stage::Connecting(since) = self.stage else {
            return Err(io::Error::other("the broker sends a second CONNACK"));
        };
        desk.recorder.record(Clock::ConnectToConnack, since, desk.now_ns);
        let load = &desk.plan.load;
        let qos = load.publish_qos();
        if let Some(publisher) = &mut self.publisher {
            if qos > accepted.maximum_qos {
                return Err(io::Error::other(format!("the broker does not take QoS {qos}")));
            }
            publisher.begin(load.inflight.min(accepted.receive_maximum));
        }
        let filters = desk.plan.topology.filters(self.role);
        let packets = encode_subscribe(load.target.version, &filters, load.subscribe_qos(), out)?;
        self.opening_ns = desk.now_ns - self.opened_ns;
        self.stage =
            if packets == 0 { Stage::Ready } else { Stage::Subscribing(packets, desk.now_ns) };
        Ok(())
    }

    fn on_subscribed(&mut self, desk: &mut Desk) {
        if let Stage::Subscribing(left, since) = self.stage {
            desk.recorder.record(Clock::SubscribeToSuback, since, desk.now_ns);
            self.stage = if left == 1 { Stage::Ready } else { Stage::Subscribing(left - 1, since) };
        }
    }
}

/// That of SurgeMQ's benchmark.
fn will() -> Will<'static> {
    Will {
        qos: QoS::AtLeastOnce,
        retain: false,
        topic: TopicName::assume_valid("will"),
        payload: b"send me home",
        properties: WillProperties::default(),
    }
}

/// A connection that has more to read than so many buffers waits for the others.
const READS_PER_TURN: usize = 8;
