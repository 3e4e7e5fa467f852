//! A model client: it keeps its session as the standard tells a client to, whatever the network
//! does, and tells the oracle what arrives.

mod connect;
mod hear;
mod speak;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use skein_protocol::{ReasonCode, Version};

use crate::{
    link::{End, Link, LinkId, Owner, Said},
    oracle::violated,
    plan::{Feature, Scarcity},
    rules::Rules,
    scene::Scene,
};

/// How far the connection has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Idle,
    /// CONNECT was sent.
    Connecting,
    /// CONNACK 0 came.
    Live,
}

/// A QoS 1 or 2 message that is not finished.
#[derive(Clone, Copy, Debug)]
struct Sent {
    packet_id: u16,
    message: usize,
    qos: u8,
    /// PUBREC came.
    is_released: bool,
    /// The connection its PUBLISH or PUBREL was sent on last.
    link: LinkId,
}

/// What lasts as long as a connection.
#[derive(Debug, Default)]
struct Conversation {
    /// Bytes that were read but not understood yet.
    unread: Vec<u8>,
    /// The broker's aliases.
    aliases_in: BTreeMap<u16, String>,
    /// Our aliases, by topic.
    aliases_out: BTreeMap<usize, u16>,
    alias_max: u16,
    /// SUBSCRIBE and UNSUBSCRIBE without answer.
    asked: BTreeSet<u16>,
    /// Acknowledgements that are sent later, in order.
    late: VecDeque<(Vec<u8>, Said)>,
    pings: usize,
    /// Bytes that were understood.
    heard_bytes: u64,
    /// The reason of a DISCONNECT that came.
    farewell: Option<u8>,
}

/// An earlier connection that still stands.
#[derive(Debug)]
struct Leftover {
    link: LinkId,
    unread: Vec<u8>,
    was_live: bool,
    farewell: Option<u8>,
}

/// One client.
#[derive(Debug)]
pub(crate) struct Client {
    number: usize,
    pub(crate) name: String,
    /// Who it is, where that counts.
    user: Option<usize>,
    version: Version,
    /// How it likes to connect.
    likes_clean: bool,
    stage: Stage,
    link: Option<LinkId>,
    conversation: Conversation,
    leftovers: Vec<Leftover>,
    /// The session, as the oracle numbers them.
    session: Option<usize>,
    /// The session: what was sent and is not finished, in order.
    sent: VecDeque<Sent>,
    /// The session: QoS 2 packet ids that were received and not released.
    received: BTreeSet<u16>,
    last_id: u16,
    /// Nothing is read for a while.
    is_slow: bool,
}

impl Client {
    pub(crate) fn new(number: usize, scene: &mut Scene) -> Self {
        let draw = &mut scene.draw;
        let version = match scene.plan.versions {
            0 => draw.pick(&[Version::V3_1_1, Version::V3_1_1, Version::V3_1]),
            1 => draw.pick(&[Version::V5, Version::V5, Version::V3_1_1, Version::V3_1]),
            _ => Version::V5,
        };
        let is_nameless = scene.plan.does(Feature::NoClientId, &mut scene.draw, 1, 8);
        let is_nameless = is_nameless && version != Version::V3_1;
        Self {
            number,
            name: if is_nameless { String::new() } else { format!("c{number}") },
            user: scene.rules.as_mut().and_then(Rules::draw_user),
            version,
            likes_clean: scene.draw.chance(1, 3),
            stage: Stage::Idle,
            link: None,
            conversation: Conversation::default(),
            leftovers: Vec::new(),
            session: None,
            sent: VecDeque::new(),
            received: BTreeSet::new(),
            last_id: scene.draw.pick(&[0, 0, 65_530]),
            is_slow: false,
        }
    }

    fn is_v5(&self) -> bool {
        self.version == Version::V5
    }

    /// One random thing.
    pub(crate) fn act(&mut self, scene: &mut Scene) {
        self.watch_leftovers(scene);
        let Some(link) = self.link else {
            if scene.draw.chance(1, 4) {
                self.connect(scene);
            }
            return;
        };
        if scene.draw.chance(1, 2) {
            self.read(link, scene, false);
            return;
        }
        let may_speak = match self.stage {
            Stage::Idle => false,
            Stage::Connecting => self.may_pipeline(scene),
            Stage::Live => true,
        };
        if may_speak {
            self.speak(link, scene);
        } else if scene.plan.does(Feature::Resets, &mut scene.draw, 1, 30) {
            self.reset(scene);
        } else if scene.plan.does(Feature::Races, &mut scene.draw, 1, 20) {
            self.connect_again(scene);
        } else if scene.plan.does(Feature::Impatience, &mut scene.draw, 1, 12) {
            self.leave_and_return(scene);
        }
    }

    /// Behaves as well as it can: reads everything, answers everything. True if anything happened.
    pub(crate) fn settle(&mut self, scene: &mut Scene) -> bool {
        self.is_slow = false;
        let mut happened = !self.leftovers.is_empty();
        for leftover in std::mem::take(&mut self.leftovers) {
            scene.link_mut(leftover.link).reset();
        }
        let Some(link) = self.link else { return happened };
        happened |= self.acknowledge_late(link, scene);
        happened |= self.read(link, scene, true);
        happened
    }

    /// What is unfinished though everything is at rest.
    pub(crate) fn check_rest(&self) {
        if self.stage == Stage::Idle {
            return;
        }
        let name = &self.name;
        if self.stage == Stage::Connecting {
            violated!("every CONNECT is answered", "{name} waits");
        }
        if let Some(sent) = self.sent.front() {
            violated!("every PUBLISH is acknowledged", "{name} waits for {sent:?}");
        }
        let Conversation { asked, pings, .. } = &self.conversation;
        if !asked.is_empty() || *pings > 0 {
            violated!("every request is answered", "{name}: {asked:?}, {pings} pings");
        }
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.stage == Stage::Idle
    }

    /// Whether it lost its connection as a part of its queue could not be read.
    pub(crate) fn was_cut_off(&self, scene: &Scene) -> bool {
        let is_its = |link: &&Link| link.owner == Owner::Client(self.number);
        let last = scene.links.iter().rev().find(is_its);
        self.is_idle() && last.is_some_and(|link| link.is_unreadable)
    }

    /// Reads some of what has come.
    fn read(&mut self, id: LinkId, scene: &mut Scene, all: bool) -> bool {
        if self.is_slow {
            return false;
        }
        let waiting = scene.link(id).down.len();
        let most = if all { waiting } else { scene.draw.some_of(waiting) };
        if most == 0 && (waiting > 0 || scene.link(id).down_end == End::Open) {
            return false;
        }
        let link = &mut scene.links[id.0];
        self.conversation.unread.extend(link.down.drain(..most));
        self.hear(id, scene);
        if self.link == Some(id) {
            let link = scene.link(id);
            if link.down.is_empty() && link.down_end != End::Open {
                self.on_end(id, scene);
            }
        }
        true
    }

    /// The broker has closed the connection, or the network has.
    fn on_end(&mut self, id: LinkId, scene: &mut Scene) {
        let farewell = self.conversation.farewell;
        check_end(&self.name, id, self.stage == Stage::Live && self.is_v5(), farewell, scene);
        let is_whole = !scene.link(id).is_cut_short && scene.store.is_none();
        if is_whole && farewell == Some(ReasonCode::ServerShuttingDown as u8) {
            scene.oracle.check_farewell(id);
        }
        self.forget_link();
    }

    fn forget_link(&mut self) {
        self.link = None;
        self.stage = Stage::Idle;
        self.conversation = Conversation::default();
        self.is_slow = false;
    }

    /// The network breaks the connection.
    fn reset(&mut self, scene: &mut Scene) {
        if let Some(link) = self.link {
            scene.link_mut(link).reset();
            self.forget_link();
        }
    }

    /// The broker is killed. What it has written may still be there, or not.
    pub(crate) fn lose_broker(&mut self, reads: bool, scene: &mut Scene) {
        self.leftovers.clear();
        let Some(link) = self.link else { return };
        if reads {
            self.is_slow = false;
            self.read(link, scene, true);
        }
        if self.link == Some(link) {
            self.reset(scene);
        }
    }

    /// Reads on earlier connections, only for the broker's farewell.
    fn watch_leftovers(&mut self, scene: &mut Scene) {
        let version = self.version;
        let name = self.name.clone();
        self.leftovers.retain_mut(|leftover| {
            let link = &mut scene.links[leftover.link.0];
            leftover.unread.extend(link.down.drain(..));
            let farewell = hear::farewell_in(&mut leftover.unread, version);
            leftover.farewell = farewell.or(leftover.farewell);
            let has_ended = link.down_end != End::Open;
            if has_ended {
                let is_told = leftover.was_live && version == Version::V5;
                check_end(&name, leftover.link, is_told, leftover.farewell, scene);
            }
            !has_ended
        });
    }
}

/// A connection has ended: was its client told why?
fn check_end(name: &str, id: LinkId, is_told: bool, farewell: Option<u8>, scene: &Scene) {
    let link = scene.link(id);
    if link.is_cut_short || link.down_end != End::Closed || link.up_end != End::Open || !is_told {
        return;
    }
    let is_successor = |other: &&Link| {
        !std::ptr::eq(*other, link)
            && other.established_step.is_some()
            && other.established_step == link.closed_step
            && other.owner == link.owner
    };
    let was_taken_over = scene.links.iter().find(is_successor).is_some();
    let may_be_full = scene.was_troubled_since(link.established_step);
    let reasons: &[u8] = match (was_taken_over, scene.plan.scarcity) {
        (true, _) => &[0x8E],
        // A token has ended, or its user is not known any more.
        (false, _) if scene.rules.is_some() && farewell == Some(0x87) => &[0x87],
        (false, _) if may_be_full && matches!(farewell, Some(0x83 | 0x97)) => &[0x83, 0x97],
        (false, _) if link.is_unreadable && farewell == Some(0x83) => &[0x83],
        (false, Scarcity::TightQueues) => &[0x8D, 0x97, 0x8B],
        (false, _) => &[0x8D, 0x8B],
    };
    if !farewell.is_some_and(|reason| reasons.contains(&reason)) {
        violated!(
            "the broker says why it closes",
            "{name} was told {farewell:02x?} on {id:?}, taken over: {was_taken_over}"
        );
    }
}
