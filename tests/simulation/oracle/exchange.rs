//! Packet ids towards a client: what each stands for, and when it is free again.

use super::{Delivery, Oracle, session::Session, violated};
use crate::{alphabet::is_share, link::LinkId};

/// One QoS 1 or 2 message on its way to a client.
#[derive(Clone, Copy, Debug)]
pub(super) struct Exchange {
    /// The message, if a model client made it.
    pub(super) message: Option<usize>,
    pub(super) qos: u8,
    /// The connection its PUBLISH came on last.
    pub(super) link: LinkId,
    /// The broker was given the PUBREC, or has sent PUBREL without.
    pub(super) is_released: bool,
    /// PUBREL was seen.
    pub(super) is_pubrel_seen: bool,
    /// It may not be sent again, and may be given up: QoS 1 is over then, QoS 2 is released.
    pub(super) is_given_up: bool,
}

impl Exchange {
    /// What is too large to be sent again, or not allowed any more, is given up. A message without a
    /// payload is small, but nobody knows of which topic it is.
    pub(super) fn reconsider(&mut self, has_law: bool, fits: impl Fn(&usize) -> bool) {
        let fits = self.message.map_or(!has_law, |message| fits(&message));
        self.is_given_up |= !self.is_released && !fits;
    }

    fn may_be_over(&self) -> bool {
        self.is_given_up && self.qos == 1
    }

    /// Whether it must be finished some time.
    pub(super) fn is_owed(&self) -> bool {
        !self.may_be_over()
    }
}

impl Session {
    /// The broker was given what ends the exchange.
    pub(super) fn finish_exchange(&mut self, packet_id: u16) {
        let ended = self.exchanges.remove(&packet_id).filter(|it| it.qos == 2 && !it.is_released);
        // PUBREC refused it, and a crash may undo that: then it comes again.
        if let Some(message) = ended.and_then(|exchange| exchange.message) {
            self.came_once.remove(&message);
        }
    }

    /// The broker was given the PUBREC.
    pub(super) fn release_exchange(&mut self, packet_id: u16) {
        if let Some(exchange) = self.exchanges.get_mut(&packet_id) {
            exchange.is_released = true;
        }
    }
}

/// A PUBLISH with a packet id, as a client received it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Numbered {
    pub(super) packet_id: u16,
    pub(super) qos: u8,
    pub(super) dup: bool,
    pub(super) message: Option<usize>,
    pub(super) link: LinkId,
}

impl Oracle {
    /// A PUBLISH with a packet id arrived. True if it is one more copy of what arrived before.
    pub(super) fn on_numbered(&mut self, number: usize, publish: &Numbered) -> bool {
        let session = &mut self.sessions[number];
        let name = &session.name;
        let Numbered { packet_id, qos, dup, message, link } = *publish;
        let before = session.exchanges.get(&packet_id);
        let before = before.filter(|before| {
            !before.may_be_over() || (dup && before.message == message && before.qos == qos)
        });
        let is_resend = match before {
            None => {
                if dup && session.connections < 2 {
                    violated!("DUP marks what was sent before", "{name} got id {packet_id} first");
                }
                false
            }
            Some(before) => {
                check_resend(name, before, publish);
                true
            }
        };
        let exchange = Exchange {
            message,
            qos,
            link,
            is_released: false,
            is_pubrel_seen: false,
            is_given_up: false,
        };
        session.exchanges.insert(packet_id, exchange);
        let open = session.exchanges.values().filter(|exchange| exchange.link == link).count();
        if open > session.receive_maximum {
            violated!(
                "the receive maximum is kept",
                "{} has {open} of {}",
                session.name,
                session.receive_maximum
            );
        }
        is_resend
    }

    /// What is sent again on one connection comes as it was published [MQTT-4.6.0-1], if nothing
    /// else can have changed the order.
    pub(super) fn check_order_of_resends(
        &mut self,
        number: usize,
        message: usize,
        delivery: &Delivery<'_>,
    ) {
        let known = &self.messages[message];
        let (Some(topic), [attempt]) = (known.facts.topic, known.attempts.as_slice()) else {
            return;
        };
        let session = &mut self.sessions[number];
        let mut filters = session.subs.iter().map(|sub| sub.filter);
        if known.facts.retain || known.facts.is_will || filters.any(is_share) {
            return;
        }
        let publisher = self.attempts[*attempt].session;
        let course = (delivery.link, publisher, topic, known.facts.qos, delivery.qos);
        let last = session.resent.insert(course, *attempt);
        if last.is_some_and(|last| last > *attempt) {
            let name = &session.name;
            violated!("what is sent again comes in its order", "{name}: {message} came late");
        }
    }

    /// PUBREL arrived.
    pub(crate) fn on_pubrel(&mut self, link: LinkId, session: Option<usize>, packet_id: u16) {
        let Some(session) = session.map(|number| &mut self.sessions[number]) else {
            violated!("PUBREL follows PUBREC", "{link:?} has no session");
        };
        if session.is_over || session.link != Some(link) {
            return;
        }
        let exchange = session.exchanges.get_mut(&packet_id);
        let is_right = match exchange.filter(|exchange| !exchange.may_be_over()) {
            Some(exchange) => {
                exchange.is_pubrel_seen = true;
                let was_released = std::mem::replace(&mut exchange.is_released, true);
                exchange.qos == 2 && (was_released || exchange.is_given_up)
            }
            // Its PUBLISH was lost.
            None => session.had_limit,
        };
        if !is_right {
            violated!("PUBREL follows PUBREC", "{} got it for {packet_id}", session.name);
        }
    }
}

fn check_resend(name: &str, before: &Exchange, publish: &Numbered) {
    let Numbered { packet_id, qos, dup, message, link } = *publish;
    if before.is_released {
        violated!("PUBREL is never restarted from PUBLISH", "{name}, id {packet_id}");
    }
    if before.message != message || before.qos != qos {
        violated!(
            "a packet id is used for one message at a time",
            "{name}, id {packet_id}: {:?} then {message:?}",
            before.message
        );
    }
    if before.link == link {
        violated!("nothing is sent again on one connection", "{name}, id {packet_id}");
    }
    if !dup {
        violated!("DUP marks what was sent before", "{name}, id {packet_id}");
    }
}
