//! Shared subscriptions (MQTT 5, 4.8.2): a member is picked for each message, and what a member
//! leaves behind goes to another.

use std::rc::Rc;

use skein_protocol::qos::QoS;

use super::{
    Shard, Turn,
    deliver::{Outgoing, Terms},
    metrics::DropReason,
};
use crate::{
    router::Routed,
    session::{Delivery, SessionKey, ShareOrigin},
    topic::{Pick, ShardSet},
};

impl Shard {
    /// This shard was picked for a message: one of its members gets it. If the last has left
    /// meanwhile, another shard is picked.
    pub(super) fn deliver_to_member(
        &mut self,
        share_key: u64,
        outgoing: &mut Outgoing<'_>,
        turn: &mut Turn<'_>,
    ) {
        let Some(share) = self.subscriptions.share_by_key(share_key) else {
            // The last member had left when the publisher's shard did not know it yet.
            match self.subscriptions.successor(share_key) {
                Some(share_key) => self.deliver_to_member(share_key, outgoing, turn),
                None => self.metrics.count_drop(DropReason::NoMemberLeft, outgoing.message.topic),
            }
            return;
        };
        let origin = Rc::clone(&share.origin);
        let (rights, topic) = (&self.rights, outgoing.message.topic);
        match share.pick_member(|member| !rights.deny(member, topic)) {
            Some(member) => {
                let grant = member.grant();
                let retain = outgoing.message.retain && grant.retain_as_published;
                let terms = Terms {
                    grant: &grant,
                    topic: None,
                    retain,
                    share: Some(&origin),
                    is_replay: false,
                };
                self.deliver(member.session, terms, outgoing, turn);
            }
            None => {
                if !self.deliver_to_pick(share_key, outgoing, turn) {
                    self.metrics.count_drop(DropReason::NoMemberLeft, outgoing.message.topic);
                }
            }
        }
    }

    /// A message that a session left behind goes to another member. False if there is none.
    pub(super) fn deliver_to_share(
        &mut self,
        origin: &Rc<ShareOrigin>,
        delivery: &Delivery,
        turn: &mut Turn<'_>,
    ) -> bool {
        let Some(filter) = self.subscriptions.find(&origin.pattern) else { return false };
        let Some(key) = self.subscriptions.share_key(filter, &origin.group) else { return false };
        self.frames.begin();
        // As it was published: the next member's options are its own.
        self.deliver_to_pick(key, &mut Outgoing::of_kept(&delivery.message), turn)
    }

    /// Picks a shard, and takes the message there. False if there is no member.
    fn deliver_to_pick(
        &mut self,
        share_key: u64,
        outgoing: &mut Outgoing<'_>,
        turn: &mut Turn<'_>,
    ) -> bool {
        let pick = self.subscriptions.share_by_key(share_key).map(|share| share.pick_shard());
        match pick {
            Some(Pick::Here) => self.deliver_to_member(share_key, outgoing, turn),
            Some(Pick::There(shard, key)) => {
                let publisher = outgoing.publisher.filter(|publisher| publisher.shard == self.id);
                let routed = Routed {
                    message: outgoing.message,
                    deliver: false,
                    store: false,
                    stamp: 0,
                    picks: &[key],
                    publisher: publisher.map(|publisher| publisher.connection),
                    author: None,
                    is_grouped: self.journal.is_on() && outgoing.message.qos != QoS::AtMostOnce,
                };
                if routed.is_grouped {
                    let mut told = ShardSet::EMPTY;
                    told.insert(shard);
                    self.journal.tell(told);
                }
                self.lanes.publish(shard, &routed);
            }
            Some(Pick::Nobody) | None => return false,
        }
        true
    }

    /// The session's members of shares have, or have lost, their connection: the weights that
    /// others pick by change.
    pub(super) fn set_shares_online(&mut self, key: SessionKey, is_online: bool) {
        let held = &self.sessions.at(key).subscriptions;
        let shares: Vec<_> = held.iter().filter(|held| held.group.is_some()).cloned().collect();
        for held in shares {
            let Some(group) = &held.group else { continue };
            self.change_share(held.filter, group, |share| share.set_online(key, is_online));
        }
    }
}
