//! The packet identifiers of a session that an earlier process has left.
//!
//! Which messages of QoS 2 that process had sent, nobody knows any more, unless a store does. The
//! server may hold some of their identifiers, and would take a new message with such an identifier
//! for the old one, sent again [MQTT-4.3.3-10]: it would acknowledge it and deliver nothing; one of
//! QoS 1 it would refuse [MQTT-2.2.1-3]. PUBREL frees an identifier that is held, and does nothing
//! to one that is not: either way PUBCOMP comes back [MQTT-4.3.3-11]. So before the first message
//! leaves, the identifiers that are going to be used are settled in that way; the others are not
//! used.

use std::collections::BTreeSet;
use std::time::Duration;

use skein_protocol::{Ack, Packet, PacketId, QoS};

use super::Session;

/// So many identifiers are settled where the options do not say: half as many messages may be in
/// flight then, and it takes 4 KB.
const SETTLED: u16 = 1024;

/// After so many connections that ended without a single answer, messages are sent without one.
/// A server that knows no QoS 2 may hang up on PUBREL, and holds nothing.
const ATTEMPTS_MAX: u8 = 2;

/// How far it has come.
#[derive(Debug, Default)]
pub(super) enum Settling {
    /// What an identifier stands for is known.
    #[default]
    Done,
    /// The session is an earlier process's, and nothing was sent in it.
    Owed,
    /// PUBREL was sent for these.
    Asked {
        open: BTreeSet<PacketId>,
        /// Who is silent until then holds nothing that could be settled.
        deadline: Duration,
        /// How many connections have been asked on without an answer.
        attempts: u8,
    },
}

impl Session {
    /// A connection begins; `present` says whether the server has the session, `is_first` whether
    /// it is this process's first one.
    pub(super) fn settle(&mut self, present: bool, is_first: bool, now: Duration) {
        match &mut self.settling {
            _ if !present => {
                self.settling = Settling::Done;
                self.sender.limit_ids(self.options.packet_ids_max.unwrap_or(u16::MAX));
            }
            Settling::Asked { attempts, .. } if *attempts >= ATTEMPTS_MAX => {
                self.settling = Settling::Done;
            }
            Settling::Asked { .. } => self.ask_to_settle(now),
            // Who takes no QoS 2 holds none [MQTT-3.2.2-9].
            _ if self.link.limits.maximum_qos < QoS::ExactlyOnce => {}
            _ if is_first && !self.knows_ids => self.settling = Settling::Owed,
            _ => {}
        }
    }

    /// Whether the next message has to wait for it; if nobody has begun, that is done now.
    pub(super) fn is_settling(&mut self, now: Duration) -> bool {
        if matches!(self.settling, Settling::Owed) {
            let ids_max = self.options.packet_ids_max.unwrap_or(SETTLED);
            self.sender.limit_ids(ids_max);
            let ids = (1..=ids_max).filter_map(PacketId::new);
            // What this process or its store has begun is known. What only asks for a subscription says
            // nothing about what the server holds.
            let open = ids.filter(|id| !self.sender.has_exchange(*id)).collect();
            self.settling = Settling::Asked { open, deadline: now, attempts: 0 };
            self.ask_to_settle(now);
        }
        matches!(self.settling, Settling::Asked { .. })
    }

    fn ask_to_settle(&mut self, now: Duration) {
        let Settling::Asked { open, deadline, attempts } = &mut self.settling else { return };
        *deadline = now + self.options.connect_timeout;
        *attempts += 1;
        for id in open.clone() {
            self.write(&Packet::PubRel(Ack::success(id)), now);
        }
    }

    /// PUBCOMP came; says whether it was the answer to one of these.
    pub(super) fn on_settled(&mut self, id: PacketId) -> bool {
        let Settling::Asked { open, attempts, .. } = &mut self.settling else { return false };
        if !open.remove(&id) {
            return false;
        }
        *attempts = 0;
        if open.is_empty() {
            self.settling = Settling::Done;
        }
        true
    }

    pub(super) fn settling_deadline(&self) -> Option<Duration> {
        match self.settling {
            Settling::Asked { deadline, .. } if self.is_up() => Some(deadline),
            _ => None,
        }
    }

    /// A server that does not answer is not waited for any longer.
    pub(super) fn expire_settling(&mut self, now: Duration) {
        if self.settling_deadline().is_some_and(|deadline| now >= deadline) {
            self.settling = Settling::Done;
            self.pump(now);
        }
    }
}
