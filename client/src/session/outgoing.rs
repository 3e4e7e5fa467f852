//! Messages on their way to the server (3.3, 4.3).

use std::borrow::Cow;
use std::time::Duration;

use skein_protocol::qos::{AckError, Received, Resend};
use skein_protocol::{
    Ack, Packet, PacketId, PacketType, PublishProperties, QoS, ReasonCode, TopicName, Version,
};

use super::alias::{Outbound, Written};
use super::queue::{Outgoing, Pushed};
use super::relay::Relayed;
use super::{Event, Mark, OUTPUT_BYTES_MAX, Outcome, Session, Token, own};
use crate::{Error, Offline, Operation, Publish, Result};

impl Session {
    /// Takes a message to send it in its turn; [`Effect::Completed`](super::Effect::Completed)
    /// tells its fate.
    ///
    /// # Errors
    /// The message cannot be written, the server does not take it, the queue is full, or the
    /// session has ended. Nothing has changed then.
    pub fn publish(&mut self, publish: Publish, now: Duration) -> Result<Token> {
        self.take(publish, None, now)
    }

    pub(super) fn take(
        &mut self,
        publish: Publish,
        relayed: Option<Relayed>,
        now: Duration,
    ) -> Result<Token> {
        self.check_open()?;
        publish.check()?;
        if self.is_up() {
            self.check_message(&self.lower(&publish))?;
        } else if publish.level() == QoS::AtMostOnce
            && self.options.queue.offline == Offline::Refuse
        {
            return Err(Error::NotConnected);
        }
        let token = Token(self.last_token + 1);
        match self.queue.push(Outgoing { relayed, ..Outgoing::new(token, publish, now) }) {
            Pushed::Queued(evicted) => {
                self.last_token = token.0;
                self.overflowed(evicted);
            }
            Pushed::Dropped(new) => {
                self.last_token = token.0;
                self.overflowed(vec![new]);
            }
            Pushed::Full(back) => return Err(Error::QueueFull(Box::new(back.publish))),
        }
        self.pump(now);
        Ok(token)
    }

    /// Whether a message of so many bytes would find room in the queue now.
    pub fn has_room(&self, publish: &Publish) -> bool {
        self.queue.has_room(publish.size())
    }

    pub(super) fn send_queue(&mut self, now: Duration) {
        while self.output.len() < OUTPUT_BYTES_MAX {
            let Some(next) = self.queue.front() else { return };
            let level = next.publish.level().min(self.link.limits.maximum_qos);
            let needs_id = level > QoS::AtMostOnce;
            let is_ready = self.sender.quota() > 0 && self.is_free_for(next);
            if needs_id && (self.is_settling(now) || !is_ready) {
                return;
            }
            let Some(outgoing) = self.queue.pop() else { return };
            self.send(outgoing, now);
        }
    }

    /// Sends again what the last connection left unacknowledged, in order [MQTT-4.4.0-1].
    pub(super) fn resend(&mut self, now: Duration) {
        while self.output.len() < OUTPUT_BYTES_MAX {
            let start = self.output.len();
            match self.sender.next_resend() {
                None => return,
                Some(Resend::PubRel(id)) if self.relay.withholds(id) => continue,
                Some(Resend::PubRel(id)) => {
                    self.write(&Packet::PubRel(Ack::success(id)), now);
                    continue;
                }
                Some(Resend::Publish(id, outgoing)) => {
                    // What has expired meanwhile is sent all the same: its id is in use at the
                    // server, which is the one to drop it.
                    let expiry_s = left(outgoing, now).unwrap_or(Some(0));
                    PublishPacket { id: Some(id), dup: true, expiry_s }.write(
                        &outgoing.publish,
                        &mut self.link.outbound,
                        self.link.version,
                        &mut self.output,
                    );
                }
            }
            self.on_written(start, now);
            self.statistics.messages_sent += 1;
            self.statistics.messages_resent += 1;
        }
    }

    /// PUBACK came (3.4).
    pub(super) fn on_puback(&mut self, ack: &Ack<'_>) -> Result<(), skein_protocol::Error> {
        match self.sender.on_puback(ack.packet_id) {
            Ok(outgoing) => self.acknowledged(&outgoing, ack),
            Err(error) => self.on_ack_error(error, PacketType::PubAck)?,
        }
        Ok(())
    }

    /// PUBREC came (3.5).
    pub(super) fn on_pubrec(
        &mut self,
        ack: &Ack<'_>,
        now: Duration,
    ) -> Result<(), skein_protocol::Error> {
        let id = ack.packet_id;
        let mut reason = ReasonCode::Success;
        match self.sender.on_pubrec(id, ack.reason.is_error()) {
            Ok(Received::Refused(outgoing)) => {
                self.acknowledged(&outgoing, ack);
                return Ok(());
            }
            Ok(Received::Release(outgoing)) => {
                self.mark(Mark::Released(outgoing.token));
                let is_withheld = self.withhold(id, &outgoing);
                self.released.insert(id, outgoing);
                if is_withheld {
                    return Ok(());
                }
            }
            Ok(Received::Again) if self.relay.withholds(id) => return Ok(()),
            Ok(Received::Again) => {}
            Err(error) => {
                self.on_ack_error(error, PacketType::PubRec)?;
                // The server holds an id that we know nothing of; this frees it (3.6.2.1).
                reason = ReasonCode::PacketIdentifierNotFound;
            }
        }
        self.write(&Packet::PubRel(Ack::with_reason(id, reason)), now);
        Ok(())
    }

    /// PUBCOMP came (3.7).
    pub(super) fn on_pubcomp(&mut self, ack: &Ack<'_>) -> Result<(), skein_protocol::Error> {
        if self.on_settled(ack.packet_id) || self.on_pubcomp_of_stray(ack.packet_id) {
            return Ok(());
        }
        match self.sender.on_pubcomp(ack.packet_id) {
            Ok(()) => {
                if let Some(outgoing) = self.released.remove(&ack.packet_id) {
                    self.unwatch(&outgoing);
                    self.complete(outgoing.token, Ok(Outcome::Published(ReasonCode::Success)));
                }
            }
            Err(error) => self.on_ack_error(error, PacketType::PubComp)?,
        }
        Ok(())
    }

    /// An acknowledgement of nothing is counted and forgotten: it may be late, and tearing the
    /// connection down would cost more than it is worth. One of the wrong kind breaks the
    /// handshake.
    fn on_ack_error(
        &mut self,
        error: AckError,
        packet: PacketType,
    ) -> Result<(), skein_protocol::Error> {
        self.statistics.acks_unknown += 1;
        match error {
            AckError::Unknown => Ok(()),
            AckError::Mismatched => Err(skein_protocol::Error::AckMismatched(packet)),
        }
    }

    fn acknowledged(&mut self, outgoing: &Outgoing, ack: &Ack<'_>) {
        self.unwatch(outgoing);
        let (reason, text) = (ack.reason, own(ack.properties.reason_string));
        let result = if reason.is_error() {
            Err(Error::Rejected { operation: Operation::Publish, reason, text })
        } else {
            Ok(Outcome::Published(reason))
        };
        self.complete(outgoing.token, result);
    }

    fn send(&mut self, mut outgoing: Outgoing, now: Duration) {
        let Some(expiry_s) = left(&outgoing, now) else {
            self.statistics.messages_expired += 1;
            self.event(Event::Dropped { why: Error::Expired, count: 1 });
            return self.complete(outgoing.token, Err(Error::Expired));
        };
        // What was queued without a connection meets the server's limits only now.
        if let Cow::Owned(lowered) = self.lower(&outgoing.publish) {
            outgoing.publish = lowered;
        }
        if let Err(error) = self.check_message(&outgoing.publish) {
            return self.complete(outgoing.token, Err(error));
        }
        let (token, qos, publish) =
            (outgoing.token, outgoing.publish.level(), outgoing.publish.clone());
        let is_again = outgoing.relayed.is_some_and(|relayed| relayed.is_again);
        let id = match qos {
            QoS::AtMostOnce => None,
            _ => {
                // A message sent again as a new one keeps the deadline it had.
                outgoing.deadline = outgoing.deadline.or_else(|| self.watch(token, now));
                match self.begin_exchange(qos, outgoing) {
                    Ok(id) => {
                        self.mark(Mark::Sent(token, id));
                        Some(id)
                    }
                    // Checked by the caller; whatever the reason, the message is not lost.
                    Err(back) => return self.queue.put_back(std::iter::once(back)),
                }
            }
        };
        let start = self.output.len();
        // [MQTT-3.3.1-2]
        let dup = is_again && id.is_some();
        let packet = PublishPacket { id, dup, expiry_s };
        packet.write(&publish, &mut self.link.outbound, self.link.version, &mut self.output);
        self.on_written(start, now);
        self.statistics.messages_sent += 1;
        if id.is_none() {
            self.complete(token, Ok(Outcome::Sent));
        }
    }

    /// What is passed on from another server goes as this one takes it, whatever that one had.
    fn lower<'a>(&self, publish: &'a Publish) -> Cow<'a, Publish> {
        match self.options.is_relay {
            true => self.link.limits.lower(publish),
            false => Cow::Borrowed(publish),
        }
    }

    /// Whether the server takes this message.
    fn check_message(&self, publish: &Publish) -> Result<()> {
        self.link.limits.check_publish(publish)?;
        // Most messages are far from the limit, and then they need not be measured.
        if publish.size() + SIZE_SLACK < self.link.limits.packet_bytes_max {
            return Ok(());
        }
        let id = PacketId::new(1).filter(|_| publish.level() > QoS::AtMostOnce);
        let packet = PublishPacket { id, dup: false, expiry_s: None };
        let mut out = Vec::new();
        packet.write(publish, &mut self.link.outbound.measure(), self.link.version, &mut out);
        self.link.limits.check_size(out.len())
    }

    fn overflowed(&mut self, dropped: Vec<Outgoing>) {
        if dropped.is_empty() {
            return;
        }
        self.statistics.messages_overflowed += dropped.len() as u64;
        self.event(Event::Dropped { why: Error::Overflowed, count: dropped.len() });
        for outgoing in dropped {
            self.complete(outgoing.token, Err(Error::Overflowed));
        }
    }
}

/// More than what a packet has besides the fields that [`Publish::size`] counts, per message; user
/// properties and the like are counted there.
const SIZE_SLACK: usize = 64;

/// How much of its expiry interval a message has left: `None` when nothing is, `Some(None)` when
/// it has none.
#[expect(clippy::option_option, reason = "three cases, two of them without a number")]
fn left(outgoing: &Outgoing, now: Duration) -> Option<Option<u32>> {
    let interval = outgoing.publish.properties().and_then(|own| own.message_expiry_s);
    let Some(interval) = interval else { return Some(None) };
    let waited = now.saturating_sub(outgoing.since).as_secs();
    let waited = u32::try_from(waited).unwrap_or(u32::MAX);
    interval.checked_sub(waited).filter(|left| *left > 0 || interval == 0).map(Some)
}

/// What a PUBLISH packet has that its message does not.
struct PublishPacket {
    id: Option<PacketId>,
    dup: bool,
    expiry_s: Option<u32>,
}

impl PublishPacket {
    fn write(
        &self,
        publish: &Publish,
        aliases: &mut Outbound,
        version: Version,
        out: &mut Vec<u8>,
    ) {
        let written = aliases.write(publish.topic());
        let pairs = publish.properties().map(|own| own.pairs()).unwrap_or_default();
        let own = publish.properties().map(|own| own.as_packet(&pairs)).unwrap_or_default();
        let (topic, topic_alias) = match written {
            Written::Topic => (Some(publish.topic()), None),
            Written::Both(alias) => (Some(publish.topic()), Some(alias)),
            Written::Alias(alias) => (None, Some(alias)),
        };
        let packet = skein_protocol::Publish {
            dup: self.dup,
            qos: publish.level(),
            retain: publish.is_retained(),
            topic: topic.map(TopicName::assume_valid),
            packet_id: self.id,
            properties: PublishProperties { topic_alias, message_expiry_s: self.expiry_s, ..own },
            payload: publish.payload(),
        };
        packet.encode(version, out);
    }
}
