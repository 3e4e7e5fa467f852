//! Handshakes that go on from one server to another, step by step, as a bridge wants them.
//!
//! ```text
//!      one server        session ┊ session         other server
//!    PUBLISH 7 ─────────▶ Deliver ┊ relay_publish ─────▶ PUBLISH 7
//!     PUBREC 7 ◀───── acknowledge ┊ Step::Received ◀──── PUBREC 7
//!     PUBREL 7 ───▶ Step::Released ┊ relay_pubrel ─────▶ PUBREL 7
//!    PUBCOMP 7 ◀─── relay_pubcomp ┊ Completed ◀───────── PUBCOMP 7
//! ```
//!
//! Each step takes place at one server after it has at the other, and the identifier is the same at
//! both. So what a new process does when one server repeats a step, which it does in a session that is
//! resumed [MQTT-4.4.0-1], is to repeat it at the other, which knows by the identifier what it has had
//! [MQTT-4.3.3-10]: nothing has to be remembered in between, and a message of QoS 2 comes once.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use skein_protocol::{Ack, Packet, PacketId, QoS};

use super::queue::Outgoing;
use super::{Effect, Outcome, Session, Step, Token};
use crate::{Publish, Result};

/// What a message that is passed on has from the server it came from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Relayed {
    pub(super) id: PacketId,
    /// The server has sent it before, perhaps to an earlier process, which may have passed it on.
    pub(super) is_again: bool,
}

/// Where the handshakes that are relayed stand.
#[derive(Debug, Default)]
pub(super) struct Relay {
    /// PUBREC came, and the other server has not sent PUBREL.
    withheld: BTreeSet<PacketId>,
    /// PUBREL is sent for identifiers with which this process has sent no message.
    strays: BTreeMap<PacketId, Option<Token>>,
    /// PUBREL came, and PUBCOMP was not sent.
    released: BTreeSet<PacketId>,
}

impl Session {
    /// As [`publish`](Self::publish), with the packet identifier that the message has at the server it
    /// came from, if it has one, and whether that one has sent it before. For sessions with
    /// [`Options::is_relay`](crate::Options::is_relay). A message whose identifier is in use waits, and
    /// what is behind it. If the server that it meets takes no such QoS, or retains nothing, it goes with
    /// the highest QoS there is, and without RETAIN.
    ///
    /// # Errors
    /// Those of `publish`.
    pub fn relay_publish(
        &mut self,
        publish: Publish,
        id: Option<PacketId>,
        is_again: bool,
        now: Duration,
    ) -> Result<Token> {
        let id = id.filter(|_| publish.level() > QoS::AtMostOnce);
        self.take(publish, id.map(|id| Relayed { id, is_again }), now)
    }

    /// PUBREL has come at the other server: it goes on to this one. The operation with the token that
    /// this gives ends when the server has answered; it is that of the message, if this process has
    /// sent it, and `None` while the server has not even received it.
    pub fn relay_pubrel(&mut self, id: PacketId, now: Duration) -> Option<Token> {
        if let Some(outgoing) = self.released.get(&id) {
            let token = outgoing.token;
            if self.relay.withheld.remove(&id) {
                self.write_pubrel(id, now);
            }
            return Some(token);
        }
        if self.sender.has_exchange(id) {
            return None;
        }
        if let Some(Some(token)) = self.relay.strays.get(&id) {
            return Some(*token);
        }
        let token = self.next_token();
        if self.relay.strays.insert(id, Some(token)).is_none() {
            self.write_pubrel(id, now);
        }
        Some(token)
    }

    /// PUBCOMP has come at the other server: it goes on to this one, if this one waits for it. If the
    /// connection was lost meanwhile it repeats its PUBREL.
    pub fn relay_pubcomp(&mut self, id: PacketId, now: Duration) {
        if self.relay.released.remove(&id) {
            self.receiver.on_pubrel(id);
            if self.is_up() {
                self.write(&Packet::PubComp(Ack::success(id)), now);
            }
        }
    }

    /// Whether PUBREL has come for this identifier and waits for its answer.
    pub fn is_released(&self, id: PacketId) -> bool {
        self.relay.released.contains(&id)
    }

    /// The other server uses this identifier for a new message: whatever this one has had with it is
    /// finished. It is told so, for it would take the new message for one that it holds and that the
    /// other server has forgotten [MQTT-4.3.3-10]. Messages with this identifier wait until it has
    /// answered.
    pub fn relay_settle(&mut self, id: PacketId, now: Duration) {
        if self.relay.withheld.remove(&id) {
            self.write_pubrel(id, now);
        } else if !self.sender.has_exchange(id) && !self.relay.is_stray(id) {
            self.relay.strays.insert(id, None);
            self.write_pubrel(id, now);
        }
    }

    /// Whether nothing moves before the other server sends PUBREL for something: this one takes no more,
    /// and has received all that was sent.
    pub fn is_stalled(&self) -> bool {
        let wants = |next: &Outgoing| {
            next.publish.level() > QoS::AtMostOnce
                && (self.sender.quota() == 0 || !self.is_free_for(next))
        };
        let is_waiting = self.is_up() && self.queue.front().is_some_and(wants);
        is_waiting
            && !self.relay.withheld.is_empty()
            && self.relay.withheld.len() == self.sender.in_flight()
    }

    /// Ends a stall that the other server does not end, as it sends its messages in another order than
    /// before its connection broke: this one is told PUBREL for all that it has received. It is not told
    /// twice when PUBREL comes at last; only a new process would not know.
    pub fn end_stall(&mut self, now: Duration) {
        for id in std::mem::take(&mut self.relay.withheld) {
            self.write_pubrel(id, now);
        }
    }

    /// Whether a message of QoS 1 or 2 may be sent: one that is passed on with its identifier, any other
    /// one when no identifier is the server's to finish.
    pub(super) fn is_free_for(&self, outgoing: &Outgoing) -> bool {
        match outgoing.relayed {
            Some(Relayed { id, .. }) => !self.sender.is_in_use(id) && !self.relay.is_stray(id),
            None => self.relay.strays.is_empty(),
        }
    }

    /// # Errors
    /// Gives the message back that cannot be sent now.
    pub(super) fn begin_exchange(
        &mut self,
        qos: QoS,
        outgoing: Outgoing,
    ) -> Result<PacketId, Outgoing> {
        match outgoing.relayed {
            Some(Relayed { id, .. }) => self.sender.send_as(id, qos, outgoing).map(|()| id),
            None => self.sender.send(qos, outgoing),
        }
    }

    /// PUBREC came; says whether PUBREL has to wait for the other server.
    pub(super) fn withhold(&mut self, id: PacketId, outgoing: &Outgoing) -> bool {
        if outgoing.relayed.is_none() {
            return false;
        }
        self.effects.push_back(Effect::Step(Step::Received(outgoing.token)));
        self.relay.withheld.insert(id)
    }

    /// PUBCOMP came; says whether it was for a PUBREL without a message.
    pub(super) fn on_pubcomp_of_stray(&mut self, id: PacketId) -> bool {
        let Some(token) = self.relay.strays.remove(&id) else { return false };
        if let Some(token) = token {
            self.complete(token, Ok(Outcome::Published(skein_protocol::ReasonCode::Success)));
        }
        true
    }

    /// PUBREL came; says whether it goes on to the other server.
    pub(super) fn passes_on_pubrel(&mut self, id: PacketId) -> bool {
        if self.options.is_relay {
            self.relay.released.insert(id);
            self.effects.push_back(Effect::Step(Step::Released(id)));
        }
        self.options.is_relay
    }

    /// The server holds nothing that a PUBREL would be for.
    pub(super) fn complete_strays(&mut self) {
        for token in self.relay.take_strays() {
            self.complete(token, Ok(Outcome::Published(skein_protocol::ReasonCode::Success)));
        }
    }

    /// A new connection in the old session: what was not answered is asked again.
    pub(super) fn release_strays(&mut self, now: Duration) {
        for id in self.relay.strays.keys().copied().collect::<Vec<_>>() {
            self.write_pubrel(id, now);
        }
    }

    /// What cannot be written now is owed on the next connection.
    fn write_pubrel(&mut self, id: PacketId, now: Duration) {
        if self.is_up() {
            self.write(&Packet::PubRel(Ack::success(id)), now);
        }
    }
}

impl Relay {
    /// Whether somebody waits for an answer to PUBREL.
    pub(super) fn has_stray_tokens(&self) -> bool {
        self.strays.values().any(Option::is_some)
    }

    /// Forgets what the server is asked to finish; gives the operations that wait for it.
    pub(super) fn take_strays(&mut self) -> impl Iterator<Item = Token> + use<> {
        std::mem::take(&mut self.strays).into_values().flatten()
    }

    /// Whether the server is asked to finish what it may hold with this identifier.
    pub(super) fn is_stray(&self, id: PacketId) -> bool {
        self.strays.contains_key(&id)
    }

    /// Whether PUBREL has to wait for the other server.
    pub(super) fn withholds(&self, id: PacketId) -> bool {
        self.withheld.contains(&id)
    }

    /// The server has a new session: it waits for no PUBREL.
    pub(super) fn forget_withheld(&mut self) {
        self.withheld.clear();
    }

    /// The connection is lost: the server asks again for what it still waits for.
    pub(super) fn forget_released(&mut self) {
        self.released.clear();
    }
}
