//! The session proper: everything MQTT says a server keeps for a client id (MQTT 5, 4.1).

use skein_protocol::{
    Version,
    qos::{Receiver, Sender},
};
use thin_vec::ThinVec;

use super::{
    AcceptOrder, ConnectionId, Delivery, FilterId, ListenerId, Pressure, Queue, Time, Will,
};
use crate::{config::Overflow, record::Durability};

/// One subscription a session holds; its options stand with the filter, in the subscription trie.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HeldSubscription {
    /// The filter's node in the trie.
    pub filter: FilterId,
    /// The share name, for a shared subscription.
    pub group: Option<Box<str>>,
}

/// What a server keeps for one client id.
#[derive(Debug)]
pub struct Session {
    /// The client id.
    pub client_id: Box<str>,
    /// The registrar's count of grants for this client id: later means newer.
    pub epoch: u64,
    /// The place of its newest connection: one that was accepted before it comes too late.
    pub order: AcceptOrder,
    /// The version of the current or last connection.
    pub version: Version,
    /// The network connection, while there is one.
    pub connection: Option<ConnectionId>,
    /// Session Expiry Interval, seconds; `u32::MAX` never expires [MQTT-3.1.2-11].
    pub expiry_s: u32,
    /// When the session ends; only while it has no connection.
    pub expires_at: Option<Time>,
    /// The will, until it is published or deleted.
    pub will: Option<Box<Will>>,
    /// When the will is published; only while the session has no connection.
    pub will_at: Option<Time>,
    /// The subscriptions it holds, sorted.
    pub subscriptions: ThinVec<HeldSubscription>,
    /// QoS 1 and 2 messages sent to the client and not finished.
    pub sender: Sender<Delivery>,
    /// QoS 2 messages received from the client and not finished.
    pub receiver: Receiver,
    /// QoS 1 and 2 messages that wait for the client.
    pub queue: Queue,
    /// How safe it is kept for its client; `None` for a session that ends with the broker.
    pub durability: Option<Durability>,
    /// The listener that its newest connection came through, whose rules hold for it.
    pub listener: ListenerId,
    /// What happens when the queue is full: the policy of the listener it came through.
    pub overflow: Overflow,
    /// Present while it takes messages more slowly than they come.
    pub pressure: Option<Box<Pressure>>,
    /// Present once it has not kept up with what comes.
    pub arrears: Option<Box<Arrears>>,
    /// Whether its full queue was told to the filters it holds (policy `refuse`).
    pub is_full: bool,
    /// Messages dropped for it so far, or the most that this can count.
    pub dropped: u32,
}

// One for each client, whatever it does; with eight bytes more, glibc's allocator takes sixteen more.
const _: () = assert!(size_of::<Session>() <= 216);

/// What is known of a session that has not kept up with what comes.
#[derive(Debug, Default)]
pub struct Arrears {
    /// When it was found slow last.
    pub slow_at: Option<Time>,
    /// When its full queue is looked at again, because something in it expires.
    pub room_at: Option<Time>,
}

impl Session {
    /// A new session without connection, subscriptions or messages.
    pub fn new(client_id: Box<str>, epoch: u64, version: Version, overflow: Overflow) -> Self {
        Self {
            client_id,
            epoch,
            order: AcceptOrder::default(),
            version,
            connection: None,
            expiry_s: 0,
            expires_at: None,
            will: None,
            will_at: None,
            subscriptions: ThinVec::new(),
            arrears: None,
            sender: Sender::new(),
            receiver: Receiver::new(),
            queue: Queue::default(),
            durability: None,
            listener: ListenerId::default(),
            overflow,
            pressure: None,
            is_full: false,
            dropped: 0,
        }
    }

    /// Notes that it holds a subscription which it did not hold.
    pub fn hold(&mut self, subscription: HeldSubscription) {
        let at = self.subscriptions.partition_point(|other| *other < subscription);
        if self.subscriptions.is_empty() {
            // Many a client has one subscription and no more.
            self.subscriptions.reserve_exact(1);
        }
        self.subscriptions.insert(at, subscription);
    }

    /// Whether it ends with its network connection [MQTT-3.1.2-23].
    pub fn ends_with_connection(&self) -> bool {
        self.expiry_s == 0
    }

    /// When it ends after a connection lost at `now`; `None` for never.
    pub fn end_after_loss(&self, now: Time) -> Option<Time> {
        (self.expiry_s != u32::MAX).then(|| now.plus(u64::from(self.expiry_s) * 1000))
    }

    /// Whether its grace is over and its connection still does not keep up.
    pub fn is_slow(&self) -> bool {
        self.pressure.as_ref().is_some_and(|pressure| pressure.is_slow)
    }
}
