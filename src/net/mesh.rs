//! How the threads of one broker are joined: a lane for each ordered pair of shards, one from the
//! acceptor to each shard, a doorbell for each shard.
//!
//! ```text
//!   acceptor ──commands──▶ shard 0 ◀──parcels──▶ shard 1 ◀──commands── acceptor
//!      ▲                      │                     │
//!      └──────tallies─────────┴─────────────────────┘
//! ```

use std::io;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;

use mio::net::TcpStream;
use mio::{Poll, Token, Waker};

use super::addresses::{Addresses, Seat};
use super::keeper::{KeeperDesk, Keeping};
use super::lane::{Consumer, Doorbell, Producer, Tally, lane};
use super::logins::{LoginDesk, LoginRequest, Logins};
use super::neighbour::Neighbour;
use super::reporting::ReportDesk;
use super::spilling::{SpillDesk, Spilling};
use super::transport::{Layers, Transport};
use crate::access::Access;
use crate::config::Settings;
use crate::session::{AcceptOrder, ListenerId, PeerAddress, ShardId};
use crate::shard::{Announcement, HandOver, Message};

/// The token of a shard's waker: no connection id has all its bits set.
const WAKER: Token = Token(usize::MAX);

/// Less than this on the way would cost a wake-up for each few messages.
const BYTES_ON_THE_WAY_LEAST: usize = 16 * 1024;
/// More than this on the way makes messages older, not faster.
const BYTES_ON_THE_WAY_MOST: usize = 256 * 1024;

/// Items in the lane from the acceptor to one shard. When it is full the acceptor waits, and the
/// kernel holds the new connections meanwhile.
const COMMAND_SLOTS: usize = 1_024;

/// Items in the lane from the workers to one shard, and from the keeper. When it is full they wait.
const ANSWER_SLOTS: usize = 1_024;

/// Items in the lane from the thread that keeps parts of long queues: each may be such a part.
const SPILL_SLOTS: usize = 64;

/// Listeners that reloads may add; a removed one that comes back counts once.
const LISTENERS_SPARE: usize = 64;

/// One item in the lane between two shards.
#[derive(Debug)]
pub(super) enum Parcel {
    /// A message of the core.
    Message(Message),
    /// A connection that moves, with everything the shell holds of it.
    HandOver(Box<Moving>),
}

impl Parcel {
    /// About how much memory it takes.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Message(message) => message.bytes(),
            Self::HandOver(moving) => {
                size_of::<Moving>() + moving.handed.connect.len() + moving.unread.len()
            }
        }
    }
}

/// A connection between two shards: registered with neither.
#[derive(Debug)]
pub(super) struct Moving {
    /// What the core knows of it.
    pub(super) handed: Box<HandOver>,
    pub(super) transport: Transport,
    /// What was read from it and not handled.
    pub(super) unread: Vec<u8>,
    pub(super) listener: ListenerId,
}

/// A connection that the acceptor has accepted.
#[derive(Debug)]
pub struct Accepted {
    /// Its stream, of TCP or of the Unix domain.
    pub stream: TcpStream,
    /// What lies between it and MQTT, if anything does.
    pub layers: Option<Arc<Layers>>,
    /// Its other end.
    pub peer: PeerAddress,
    /// The listener it came through.
    pub listener: ListenerId,
    /// Its place among all connections of the broker.
    pub order: AcceptOrder,
    /// Its place in the count of its address, if that is known and counted.
    pub seat: Option<Seat>,
}

/// What the acceptor tells a shard.
#[derive(Debug)]
pub enum Command {
    /// Serve this connection.
    Open(Accepted),
    /// Say goodbye to everybody and end.
    ShutDown,
    /// Write the counters to the log.
    ReportMetrics,
    /// Look at all sessions and hand in what they and the counters say.
    Report(ReportDesk),
    /// Give this to everybody who wants it.
    Announce(Arc<[Announcement]>),
    /// These rules hold from now on.
    ChangeAccess(Arc<Access>),
    /// These settings hold from now on, as far as a running shard can change them.
    ChangeSettings(Arc<Settings>),
}

/// What a shard lets the acceptor know: numbers that only grow or shrink by its own doing.
#[derive(Debug)]
pub struct Tallies {
    /// Connections that arrived from other shards, less those handed over to them; below zero it
    /// wraps around.
    pub moved: Tally,
    /// Messages that came from clients which have been here for a while.
    pub publishes: Tally,
    /// Microseconds that were spent on connections without a client.
    pub newcomers_us: Tally,
    /// Connections that were closed, by listener. A connection is closed where it lives then.
    pub closed: Vec<Tally>,
}

/// The acceptor's side of one shard.
#[derive(Debug)]
pub struct Door {
    /// Commands go in here; ring afterwards.
    pub commands: Producer<Command>,
    /// Wakes the shard.
    pub doorbell: Arc<Doorbell>,
    /// What the shard lets the acceptor know.
    pub tallies: Arc<Tallies>,
    /// The connections of each address, of the whole broker.
    pub addresses: Arc<Addresses>,
}

/// One shard's place among the others; its event loop is built from it, in its own thread.
#[derive(Debug)]
pub struct Place {
    pub(super) id: ShardId,
    pub(super) poll: Poll,
    pub(super) doorbell: Arc<Doorbell>,
    pub(super) commands: Consumer<Command>,
    pub(super) neighbours: Vec<Neighbour>,
    pub(super) tallies: Arc<Tallies>,
    pub(super) logins: Logins,
    pub(super) keeping: Keeping,
    pub(super) spilling: Spilling,
    pub(super) addresses: Arc<Addresses>,
}

/// Where the answers for one shard are handed in.
#[derive(Debug)]
pub struct Desks {
    /// By the workers.
    pub logins: LoginDesk,
    /// By the keeper.
    pub keeper: KeeperDesk,
    /// By the thread that keeps parts of long queues.
    pub spills: SpillDesk,
}

/// Joins the shards of a broker with these settings; they ask about logins by `requests`. Returns
/// each shard's place, the acceptor's door to it and the desks for it, by shard.
///
/// # Errors
/// When the kernel gives no poll or no waker: no more file descriptors.
pub fn mesh(
    settings: &Settings,
    requests: &SyncSender<LoginRequest>,
) -> io::Result<Vec<(Place, Door, Desks)>> {
    let shards = settings.shards;
    let addresses = Arc::new(Addresses::new(&settings.limits));
    let mut pairs = Vec::with_capacity(shards);
    for index in 0..shards {
        let poll = Poll::new()?;
        let waker = Waker::new(poll.registry(), WAKER)?;
        // A waker fails only when its counter is full, and then the loop is awake anyway.
        let doorbell = Arc::new(Doorbell::new(move || drop(waker.wake())));
        let (producer, consumer) = lane(COMMAND_SLOTS);
        let (answers, answered) = lane(ANSWER_SLOTS);
        let (kept, heard) = lane(ANSWER_SLOTS);
        let (spilled, spills) = lane(SPILL_SLOTS);
        // The last one is of the connections from inside.
        let closed = (0..=listeners_max(settings)).map(|_| Tally::new()).collect();
        let tallies = Arc::new(Tallies {
            moved: Tally::new(),
            publishes: Tally::new(),
            newcomers_us: Tally::new(),
            closed,
        });
        let place = Place {
            id: ShardId::new(index),
            poll,
            doorbell: Arc::clone(&doorbell),
            commands: consumer,
            neighbours: Vec::with_capacity(shards),
            tallies: Arc::clone(&tallies),
            logins: Logins { requests: requests.clone(), answers: answered },
            keeping: Keeping::new(heard),
            spilling: Spilling::new(spills),
            addresses: Arc::clone(&addresses),
        };
        let desks = Desks {
            logins: LoginDesk { answers, doorbell: Arc::clone(&doorbell) },
            keeper: KeeperDesk { answers: kept, doorbell: Arc::clone(&doorbell) },
            spills: SpillDesk { answers: spilled, doorbell: Arc::clone(&doorbell) },
        };
        let addresses = Arc::clone(&addresses);
        pairs.push((place, Door { commands: producer, doorbell, tallies, addresses }, desks));
    }
    for low in 0..shards {
        for high in low + 1..shards {
            let (first, second) = pairs.split_at_mut(high);
            acquaint(&mut first[low].0, &mut second[0].0, settings);
        }
    }
    Ok(pairs)
}

/// How many listeners a broker can have had when it ends: those it begins with, and some that reloads
/// add. The connections of each are counted for as long as the broker runs.
pub fn listeners_max(settings: &Settings) -> usize {
    settings.listeners.len() + LISTENERS_SPARE
}

/// Joins two shards with a lane in each direction.
fn acquaint(one: &mut Place, other: &mut Place, settings: &Settings) {
    let slots = settings.limits.lane_slots;
    let bytes_max = bytes_on_the_way_max(settings);
    let (to_other, from_one) = lane(slots);
    let (to_one, from_other) = lane(slots);
    let doorbell = Arc::clone(&other.doorbell);
    one.neighbours.push(Neighbour::new(other.id, from_other, to_other, doorbell, bytes_max));
    let doorbell = Arc::clone(&one.doorbell);
    other.neighbours.push(Neighbour::new(one.id, from_one, to_one, doorbell, bytes_max));
}

/// How many bytes one lane may hold. A parcel may hold all that a turn has read, so the number of
/// items alone is no bound. What is on the way when a slow consumer's publishers are paused still
/// reaches its outbox, so all lanes to one shard together hold no more than a quarter of one.
fn bytes_on_the_way_max(settings: &Settings) -> usize {
    let share = settings.limits.outbox_bytes_max / (4 * settings.shards);
    share.clamp(BYTES_ON_THE_WAY_LEAST, BYTES_ON_THE_WAY_MOST)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::sync::mpsc::sync_channel;

    use super::*;

    #[test]
    fn every_ordered_pair_of_shards_has_a_lane_of_its_own() {
        let mut pairs = mesh(&Settings { shards: 3, ..Settings::default() }, &sync_channel(0).0)
            .expect("a few file descriptors");
        for (sender, (place, ..)) in pairs.iter_mut().enumerate() {
            for neighbour in &mut place.neighbours {
                let fence = (10 * sender + neighbour.id.index()) as u64;
                assert!(neighbour.has_room());
                neighbour.send(Parcel::Message(Message::Fence { fence }), 8);
            }
        }
        for (receiver, (place, ..)) in pairs.iter_mut().enumerate() {
            assert_eq!(place.neighbours.len(), 2);
            for neighbour in &mut place.neighbours {
                let expected = (10 * neighbour.id.index() + receiver) as u64;
                let Some(Parcel::Message(Message::Fence { fence })) = neighbour.incoming.pop()
                else {
                    panic!("one message waits")
                };
                assert_eq!(fence, expected);
                assert!(neighbour.incoming.pop().is_none());
            }
        }
    }
}
