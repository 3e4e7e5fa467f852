//! The steps of the handshakes behind PUBLISH, each on one side after it was on the other.

use std::time::{Duration, Instant};

use skein_client::reactor::{Reactor, Seat};
use skein_client::session::Token;
use skein_client::{Delivery, Message, QoS, ReasonCode};
use skein_protocol::PacketId;

use super::{Relay, Side};

/// How long a broker may take to release what the other one has received, before that is done without
/// it, if everything waits for it.
const STALL: Duration = Duration::from_secs(2);

impl Relay {
    /// The broker of this side owns a message of QoS 2, which it is asked to keep until it is released.
    pub(super) fn on_received(&mut self, side: Side, token: Token, reactor: &mut Reactor) {
        let Some(passing) = self.end(side).passing.get(&token) else { return };
        let (delivery, id, is_forgotten) = (passing.delivery, passing.id, passing.is_forgotten);
        self.acknowledge(side.other(), delivery, reactor);
        // Nobody is left who would release it.
        if let (true, Some(id), Some(mut seat)) =
            (is_forgotten, id, reactor.seat(self.end(side).id))
        {
            seat.relay_pubrel(id);
        }
    }

    /// The broker of this side has released a message of QoS 2, of this process or of an earlier one.
    pub(super) fn on_released(&mut self, side: Side, id: PacketId, reactor: &mut Reactor) {
        let is_asked = |seat: Seat<'_>| seat.session().is_released(id);
        if !reactor.seat(self.end(side).id).is_some_and(is_asked) {
            return;
        }
        if !self.takes_exactly_once(side.other(), reactor) {
            return self.finish(side, Some(id), reactor);
        }
        let to = self.end(side.other());
        if let Some(token) = reactor.seat(to.id).and_then(|mut seat| seat.relay_pubrel(id))
            && !to.passing.contains_key(&token)
        {
            to.strays.insert(token, id);
        }
    }

    /// An identifier that is used for a new message is free on this side, too: if the other broker has
    /// forgotten its session, this one may still hold a message with it [MQTT-4.3.3-10].
    pub(super) fn settle(&mut self, to: Side, message: &Message, reactor: &mut Reactor) {
        // Of QoS 2, one that is sent again may be the one that is held.
        let is_new = !message.is_duplicate() || message.qos() == QoS::AtLeastOnce;
        let is_held = self.plan.has_exactly_once(to) && self.takes_exactly_once(to, reactor);
        let end = self.end(to);
        if let Some(id) = message.packet_id().filter(|_| is_new && is_held)
            && end.settled.insert(id)
            && let Some(mut seat) = reactor.seat(end.id)
        {
            seat.relay_settle(id);
        }
    }

    /// Whether the broker of this side can hold messages of QoS 2; some hang up on who asks.
    fn takes_exactly_once(&mut self, side: Side, reactor: &mut Reactor) -> bool {
        let seat = reactor.seat(self.end(side).id);
        let highest = seat.and_then(|seat| Some(seat.session().server()?.limits.maximum_qos));
        highest.is_none_or(|highest| highest == QoS::ExactlyOnce)
    }

    /// A broker that sends in another order on a new connection, as Mosquitto 2.0 does, may wait for
    /// what waits behind what it has not released.
    pub(super) fn look_for_stall(&mut self, side: Side, now: Instant, reactor: &mut Reactor) {
        let end = self.end(side);
        let Some(mut seat) = reactor.seat(end.id).filter(|seat| seat.session().is_stalled()) else {
            end.stalled_at = None;
            return;
        };
        if *end.stalled_at.get_or_insert(now) + STALL <= now {
            end.stalled_at = None;
            seat.end_stall();
        }
    }

    /// The broker of this side has begun a new session.
    pub(super) fn on_forgotten(&mut self, side: Side, reactor: &mut Reactor) {
        let to = self.end(side.other());
        to.settled.clear();
        to.waiting.iter_mut().for_each(|passing| passing.is_forgotten = true);
        for passing in to.passing.values_mut() {
            passing.is_forgotten = true;
            if let (Some(id), Some(mut seat)) = (passing.id, reactor.seat(to.id)) {
                // What is not received yet is released when it is.
                seat.relay_pubrel(id);
            }
        }
    }

    pub(super) fn acknowledge(
        &mut self,
        side: Side,
        delivery: Option<Delivery>,
        reactor: &mut Reactor,
    ) {
        if let (Some(delivery), Some(mut seat)) = (delivery, reactor.seat(self.end(side).id)) {
            seat.acknowledge(delivery, ReasonCode::Success);
        }
    }

    pub(super) fn finish(&mut self, side: Side, id: Option<PacketId>, reactor: &mut Reactor) {
        if let (Some(id), Some(mut seat)) = (id, reactor.seat(self.end(side).id)) {
            seat.relay_pubcomp(id);
        }
    }
}
