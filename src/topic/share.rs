//! One shared subscription (MQTT 5, 4.8.2) as one shard sees it: its own members, and how many
//! each other shard has. The publisher's shard picks a shard by these weights; the picked shard
//! picks a member.

use std::rc::Rc;

use super::Subscriber;
use crate::session::{SessionKey, ShardId, ShareOrigin};

/// How many members one shard has; travels with its interest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShareWeight {
    /// Members with a network connection.
    pub online: u32,
    /// All members.
    pub members: u32,
}

/// Who gets the next message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pick {
    /// One of our own members.
    Here,
    /// A member of another shard, which knows the share by this key.
    There(ShardId, u64),
    /// There is no member.
    Nobody,
}

#[derive(Debug)]
struct Member {
    subscriber: Subscriber,
    is_online: bool,
}

#[derive(Debug)]
struct Neighbour {
    shard: ShardId,
    key: u64,
    weight: ShareWeight,
}

/// One share name under one filter.
#[derive(Debug)]
pub struct Share {
    /// Names this share towards other shards; never used again in one shard.
    pub key: u64,
    /// Filter and share name, for the deliveries picked through it.
    pub origin: Rc<ShareOrigin>,
    /// The number of the own interest that told the other shards of the first member, or that
    /// there is none any more; see [`FilterEntry::barrier`](super::FilterEntry::barrier).
    pub barrier: u64,
    members: Vec<Member>,
    neighbours: Vec<Neighbour>,
    /// Counts the picks of a shard and of a member: both go round.
    shard_turn: usize,
    member_turn: usize,
}

impl Share {
    /// A share nobody is in yet.
    pub fn new(key: u64, origin: ShareOrigin) -> Self {
        Self {
            key,
            origin: Rc::new(origin),
            barrier: 0,
            members: Vec::new(),
            neighbours: Vec::new(),
            shard_turn: 0,
            member_turn: 0,
        }
    }

    /// Takes a member in, or changes its options. False if it was a member.
    pub fn join(&mut self, subscriber: Subscriber, is_online: bool) -> bool {
        match self.members.binary_search_by_key(&subscriber.session, |m| m.subscriber.session) {
            Ok(at) => {
                self.members[at] = Member { subscriber, is_online };
                false
            }
            Err(at) => {
                self.members.insert(at, Member { subscriber, is_online });
                true
            }
        }
    }

    /// Takes a member out. False if it was none.
    pub fn leave(&mut self, session: SessionKey) -> bool {
        let found = self.members.binary_search_by_key(&session, |m| m.subscriber.session);
        found.map(|at| self.members.remove(at)).is_ok()
    }

    /// Notes whether a member has a network connection.
    pub fn set_online(&mut self, session: SessionKey, is_online: bool) {
        if let Ok(at) = self.members.binary_search_by_key(&session, |m| m.subscriber.session) {
            self.members[at].is_online = is_online;
        }
    }

    /// Notes what another shard said of its members.
    pub fn set_neighbour(&mut self, shard: ShardId, key: u64, weight: ShareWeight) {
        self.neighbours.retain(|n| n.shard != shard);
        if weight.members > 0 {
            let at = self.neighbours.partition_point(|n| n.shard < shard);
            self.neighbours.insert(at, Neighbour { shard, key, weight });
        }
    }

    /// Our own members.
    pub fn weight(&self) -> ShareWeight {
        let online = self.members.iter().filter(|m| m.is_online).count();
        ShareWeight { online: online as u32, members: self.members.len() as u32 }
    }

    /// What another shard said last, if it has members.
    pub fn neighbour(&self, shard: ShardId) -> Option<ShareWeight> {
        self.neighbours.iter().find(|n| n.shard == shard).map(|n| n.weight)
    }

    /// The member with this session.
    pub fn member(&self, session: SessionKey) -> Option<&Subscriber> {
        let found = self.members.binary_search_by_key(&session, |m| m.subscriber.session);
        found.ok().map(|at| &self.members[at].subscriber)
    }

    /// Whether nobody is in, here or elsewhere.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty() && self.neighbours.is_empty()
    }

    /// Picks the shard for the next message, in proportion to connected members; only when none
    /// is connected anywhere, in proportion to all members.
    pub fn pick_shard(&mut self) -> Pick {
        let own = self.weight();
        let online = own.online + self.neighbours.iter().map(|n| n.weight.online).sum::<u32>();
        let weigh = |w: ShareWeight| if online > 0 { w.online } else { w.members };
        let total = weigh(own) + self.neighbours.iter().map(|n| weigh(n.weight)).sum::<u32>();
        if total == 0 {
            return Pick::Nobody;
        }
        let mut at = (self.shard_turn % total as usize) as u32;
        self.shard_turn = self.shard_turn.wrapping_add(1);
        if at < weigh(own) {
            return Pick::Here;
        }
        at -= weigh(own);
        for neighbour in &self.neighbours {
            if at < weigh(neighbour.weight) {
                return Pick::There(neighbour.shard, neighbour.key);
            }
            at -= weigh(neighbour.weight);
        }
        unreachable!("the turn is below the sum of the weights")
    }

    /// Picks one of our own members that may have the message: connected ones in turn, else all in
    /// turn. If none may have it, one that may not.
    pub fn pick_member(&mut self, may_have: impl Fn(SessionKey) -> bool) -> Option<Subscriber> {
        let is_allowed = |member: &Member| may_have(member.subscriber.session);
        let conditions: [&dyn Fn(&Member) -> bool; 3] =
            [&|member| member.is_online && is_allowed(member), &is_allowed, &|_| true];
        let count =
            |is_it: &dyn Fn(&Member) -> bool| self.members.iter().filter(|m| is_it(m)).count();
        let (is_it, among) = conditions
            .into_iter()
            .map(|is_it| (is_it, count(is_it)))
            .find(|(_, count)| *count > 0)?;
        let turn = self.member_turn % among;
        self.member_turn = self.member_turn.wrapping_add(1);
        self.members.iter().filter(|m| is_it(m)).nth(turn).map(|m| m.subscriber)
    }
}

#[cfg(test)]
mod tests {
    use skein_protocol::qos::QoS;

    use super::*;

    fn share() -> Share {
        Share::new(1, ShareOrigin { pattern: "a".into(), group: "g".into() })
    }

    fn subscriber(slot: usize) -> Subscriber {
        Subscriber {
            session: SessionKey::new(slot),
            qos: QoS::AtLeastOnce,
            no_local: false,
            retain_as_published: false,
            is_durable: false,
            identifier: None,
        }
    }

    #[test]
    fn members_take_turns_and_connected_ones_come_first() {
        let mut share = share();
        for (slot, is_online) in [(0, true), (1, false), (2, true)] {
            assert!(share.join(subscriber(slot), is_online));
        }
        let picked: Vec<_> = (0..4).filter_map(|_| share.pick_member(|_| true)).collect();
        let slots: Vec<_> = picked.iter().map(|s| s.session.slot()).collect();
        assert_eq!(slots, [0, 2, 0, 2]);
    }

    #[test]
    fn shards_are_picked_in_proportion_to_their_connected_members() {
        let mut share = share();
        share.join(subscriber(0), true);
        share.set_neighbour(ShardId::new(3), 9, ShareWeight { online: 3, members: 5 });
        let picks: Vec<_> = (0..8).map(|_| share.pick_shard()).collect();
        assert_eq!(picks.iter().filter(|p| **p == Pick::Here).count(), 2);
        assert!(picks.contains(&Pick::There(ShardId::new(3), 9)));
    }

    #[test]
    fn absent_members_are_picked_only_when_nobody_is_connected() {
        let mut share = share();
        share.join(subscriber(0), false);
        assert_eq!(share.pick_shard(), Pick::Here);
        share.set_neighbour(ShardId::new(1), 9, ShareWeight { online: 1, members: 1 });
        assert!((0..4).all(|_| share.pick_shard() == Pick::There(ShardId::new(1), 9)));
    }

    #[test]
    fn an_empty_share_picks_nobody() {
        assert_eq!(share().pick_shard(), Pick::Nobody);
        assert_eq!(share().pick_member(|_| true), None);
    }
}
