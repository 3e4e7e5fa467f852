//! One network connection as the core sees it: no socket, only what MQTT says of it.

use std::collections::BTreeSet;

use skein_protocol::{Connect, Version};

use super::{ConnectionId, place::Admission};
use crate::{
    access::scram::Exchange,
    session::{
        AcceptOrder, IncomingAliases, ListenerId, Outbox, OutgoingAliases, PeerAddress, SessionKey,
        ShardId, Time, has_much_spare,
    },
    topic::ShardSet,
};

/// How far a connection has come.
///
/// ```text
///   AwaitingConnect ──CONNECT──▶ AwaitingGrant ──registrar──▶ Live
///         │  │                     ▲      │                     │
///         │  └▶ AwaitingIdentity ──┘      │                     │
///         │  │          ▲                 │                     │
///         │  └▶ Authenticating            │                     │
///         └────── refused, closed ────────┴─ handed over, closed ┴▶ (forgotten)
/// ```
#[derive(Debug)]
pub(super) enum Stage {
    /// Nothing has come yet [MQTT-3.1.0-1]; its place among all connections.
    AwaitingConnect(AcceptOrder),
    /// The client was asked for the next step of its enhanced authentication (4.12).
    Authenticating(Box<(PendingConnect, Exchange)>),
    /// The shell was asked who the client is.
    AwaitingIdentity(Box<PendingConnect>),
    /// The client is known, and the registrar was asked where the client id lives.
    AwaitingGrant(Box<Admitted>),
    /// CONNACK 0 was sent.
    Live(SessionKey),
}

/// A CONNECT whose client is allowed in, and who that is.
#[derive(Debug)]
pub(super) struct Admitted {
    pub(super) pending: PendingConnect,
    pub(super) admission: Admission,
}

/// A CONNECT that waits for its place. Kept as bytes: it may go to another shard, and is parsed
/// again where the session lives.
#[derive(Debug)]
pub(super) struct PendingConnect {
    /// The whole packet, but without user name, password and Authentication Method: nothing that is
    /// secret stays here.
    pub(super) connect: Box<[u8]>,
    /// The client id, chosen by us if the client sent none.
    pub(super) client_id: Box<str>,
    /// The connection's place among all, as of its CONNECT.
    pub(super) order: AcceptOrder,
    /// The Authentication Method.
    pub(super) method: Option<Box<str>>,
}

/// Why nothing is read from a connection.
#[derive(Debug, Default)]
pub(super) struct Pauses {
    /// Full lanes it feeds.
    pub(super) lanes: ShardSet,
    /// Slow consumers it feeds: their shard, and the pressure's number there.
    pub(super) pressures: BTreeSet<(ShardId, u64)>,
    /// The memory budget is used up.
    pub(super) memory: bool,
    /// Too many groups that it has begun are not durable.
    pub(super) groups: bool,
    /// It has published too much until then.
    pub(super) rate_until: Option<Time>,
    /// This PUBLISH of it, whole, waits for the answer of its topic's home.
    pub(super) room: Option<Box<[u8]>>,
}

impl Pauses {
    fn is_empty(&self) -> bool {
        self.lanes.is_empty()
            && self.pressures.is_empty()
            && !self.memory
            && !self.groups
            && self.rate_until.is_none()
            && self.room.is_none()
    }
}

/// One network connection.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) id: ConnectionId,
    pub(super) peer: PeerAddress,
    pub(super) listener: ListenerId,
    pub(super) stage: Stage,
    pub(super) version: Version,
    /// Whether reason strings may be sent outside CONNACK and DISCONNECT [MQTT-3.1.2-29].
    pub(super) problem_information: bool,
    /// Whether CONNACK said that the session is present: the client may resend what it has not
    /// heard the end of.
    pub(super) is_resumed: bool,
    /// Whether CONNACK may not leave yet. Nothing may come before it [MQTT-3.2.0-1].
    pub(super) is_connack_held: bool,
    /// Bytes that wait to be written.
    pub(super) outbox: Outbox,
    /// Bytes of the outbox that the memory account knows of.
    pub(super) charged: usize,
    /// The client's Maximum Packet Size [MQTT-3.1.2-24].
    pub(super) packet_bytes_max: u32,
    /// One and a half keep-alive intervals; zero for none.
    pub(super) silence_ms_max: u32,
    /// When a packet came last.
    pub(super) heard_at: Time,
    /// When its timer is armed for; [`Time::NEVER`] if it is not.
    pub(super) timer_at: Time,
    pub(super) incoming_aliases: Option<Box<IncomingAliases>>,
    pub(super) outgoing_aliases: Option<Box<OutgoingAliases>>,
    pauses: Option<Box<Pauses>>,
}

// One for each client, whatever it does; with nine bytes more, glibc's allocator takes sixteen more.
const _: () = assert!(size_of::<Connection>() <= 160);

impl Connection {
    pub(super) fn new(
        id: ConnectionId,
        peer: PeerAddress,
        listener: ListenerId,
        order: AcceptOrder,
        now: Time,
    ) -> Self {
        Self {
            id,
            peer,
            listener,
            stage: Stage::AwaitingConnect(order),
            version: Version::V3_1_1,
            problem_information: true,
            is_resumed: false,
            is_connack_held: false,
            outbox: Outbox::default(),
            charged: 0,
            packet_bytes_max: u32::MAX,
            silence_ms_max: 0,
            heard_at: now,
            timer_at: Time::NEVER,
            incoming_aliases: None,
            outgoing_aliases: None,
            pauses: None,
        }
    }

    /// What the client takes, which holds for a refusal too.
    pub(super) fn take_terms(&mut self, connect: &Connect<'_>) {
        let properties = &connect.properties;
        self.version = connect.version;
        self.problem_information = properties.request_problem_information.unwrap_or(true);
        self.packet_bytes_max =
            properties.maximum_packet_size.map_or(u32::MAX, std::num::NonZeroU32::get);
    }

    /// Whether a packet is not longer than the client allows [MQTT-3.1.2-24].
    pub(super) fn takes_bytes(&self, packet_bytes: usize) -> bool {
        packet_bytes <= self.packet_bytes_max as usize
    }

    pub(super) fn session(&self) -> Option<SessionKey> {
        match self.stage {
            Stage::Live(session) => Some(session),
            _ => None,
        }
    }

    pub(super) fn is_paused(&self) -> bool {
        self.pauses.is_some()
    }

    /// Until when it is not read because it has published too much.
    pub(super) fn rate_until(&self) -> Option<Time> {
        self.pauses.as_ref().and_then(|pauses| pauses.rate_until)
    }

    pub(super) fn pauses_mut(&mut self) -> &mut Pauses {
        self.pauses.get_or_insert_default()
    }

    /// Changes the pauses; true if that was the last one.
    pub(super) fn unpause(&mut self, change: impl FnOnce(&mut Pauses)) -> bool {
        let Some(pauses) = &mut self.pauses else { return false };
        change(pauses);
        let is_over = pauses.is_empty();
        if is_over {
            self.pauses = None;
        }
        is_over
    }
}

/// The connections of one shard, by slot; a slot belongs to whoever has the newest serial.
#[derive(Debug, Default)]
pub(super) struct Connections {
    slots: Vec<Option<Box<Connection>>>,
    count: usize,
}

impl Connections {
    pub(super) fn insert(&mut self, connection: Connection) {
        let slot = connection.id.slot();
        if self.slots.len() <= slot {
            self.slots.resize_with(slot + 1, || None);
        }
        debug_assert!(self.slots[slot].is_none(), "the shell reuses a slot only after its close");
        self.slots[slot] = Some(Box::new(connection));
        self.count += 1;
    }

    #[inline]
    pub(super) fn find(&self, id: ConnectionId) -> Option<&Connection> {
        self.slots.get(id.slot())?.as_deref().filter(|connection| connection.id == id)
    }

    #[inline]
    pub(super) fn find_mut(&mut self, id: ConnectionId) -> Option<&mut Connection> {
        self.slots.get_mut(id.slot())?.as_deref_mut().filter(|connection| connection.id == id)
    }

    pub(super) fn remove(&mut self, id: ConnectionId) -> Option<Connection> {
        let slot = self.slots.get_mut(id.slot())?;
        if slot.as_ref().is_none_or(|connection| connection.id != id) {
            return None;
        }
        self.count -= 1;
        let connection = slot.take();
        if has_much_spare(self.count, self.slots.capacity()) {
            let last = self.slots.iter().rposition(Option::is_some);
            self.slots.truncate(last.map_or(0, |last| last + 1));
            self.slots.shrink_to_fit();
        }
        connection.map(|connection| *connection)
    }

    pub(super) fn len(&self) -> usize {
        self.count
    }

    /// Every id, by slot.
    pub(super) fn ids(&self) -> Vec<ConnectionId> {
        self.slots.iter().flatten().map(|connection| connection.id).collect()
    }
}
