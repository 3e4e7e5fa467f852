//! Subscriptions: asked for, confirmed, and made again when the server has forgotten them (3.8 to
//! 3.11).

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use skein_protocol::{
    Packet, PacketId, PacketType, QoS, ReasonCode, SubAck, SubscriptionOptions, TopicFilter,
    UnsubAck, Unsubscribe, UserProperties, Version,
};

use super::{Event, OUTPUT_BYTES_MAX, Outcome, Session, Token, own};
use crate::message::{borrow_pairs, check_pairs};
use crate::{Error, Operation, Result};

/// The highest subscription identifier (3.8.2.1.2).
const IDENTIFIER_MAX: u32 = 268_435_455;

/// What one SUBSCRIBE asks for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Subscribe {
    filters: Vec<(Arc<str>, SubscriptionOptions)>,
    user_properties: Vec<(String, String)>,
    /// The caller's choice, 0 for none; without one the session chooses.
    identifier: Option<u32>,
}

/// The subscriptions the server has confirmed, and will be asked for again.
#[derive(Debug, Default)]
pub(super) struct Subscriptions {
    confirmed: BTreeMap<Arc<str>, Confirmed>,
    last_identifier: u32,
}

#[derive(Clone, Copy, Debug)]
struct Confirmed {
    options: SubscriptionOptions,
    identifier: u32,
}

/// A SUBSCRIBE or UNSUBSCRIBE that is not answered yet.
#[derive(Debug)]
pub(super) struct Request {
    /// Who waits for the answer; nobody does for what is made again.
    token: Option<Token>,
    deadline: Option<Duration>,
    wish: Wish,
}

#[derive(Debug)]
enum Wish {
    Subscribe { subscribe: Subscribe, identifier: u32 },
    Unsubscribe { filters: Vec<Arc<str>>, user_properties: Vec<(String, String)> },
}

impl Subscribe {
    /// Asks for one filter.
    pub fn new(filter: impl Into<Arc<str>>, options: SubscriptionOptions) -> Self {
        Self::default().filter(filter, options)
    }

    /// Asks for another filter as well.
    pub fn filter(mut self, filter: impl Into<Arc<str>>, options: SubscriptionOptions) -> Self {
        self.filters.push((filter.into(), options));
        self
    }

    /// Adds a pair of text; order and duplicates are kept.
    pub fn user_property(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.user_properties.push((key.into(), value.into()));
        self
    }

    /// Uses this subscription identifier, 268,435,455 at most, or none at all, instead of one that
    /// the session chooses.
    pub fn identifier(mut self, identifier: Option<NonZeroU32>) -> Self {
        let number = identifier.map_or(0, NonZeroU32::get);
        self.identifier = Some(number.min(IDENTIFIER_MAX));
        self
    }

    /// What it asks for.
    pub fn filters(&self) -> &[(Arc<str>, SubscriptionOptions)] {
        &self.filters
    }

    fn check(&self) -> Result<()> {
        if self.filters.is_empty() {
            return Err(skein_protocol::Error::SubscribeEmpty.into());
        }
        for (filter, options) in &self.filters {
            if parse(filter)?.share().is_some() && options.no_local {
                return Err(skein_protocol::Error::NoLocalOnShared.into());
            }
        }
        check_pairs(&self.user_properties)
    }

    fn write(&self, id: PacketId, identifier: Option<NonZeroU32>, version: Version) -> Vec<u8> {
        let pairs = borrow_pairs(&self.user_properties);
        let filters = self.filters.iter();
        let packet = Packet::Subscribe(skein_protocol::Subscribe {
            packet_id: id,
            identifier,
            user_properties: UserProperties::from_pairs(&pairs),
            filters: filters.map(|(text, how)| (TopicFilter::assume_valid(text), *how)).collect(),
        });
        encode(&packet, version)
    }
}

impl Session {
    /// Asks for messages; [`Effect::Completed`](super::Effect::Completed) tells what was granted.
    /// Also gives the subscription identifier that messages for it will carry, if the server knows
    /// such: the one of [`Subscribe::identifier`], 0 for none, or else one of its own choice.
    ///
    /// # Errors
    /// A bad filter, something the server does not have, or a session that has ended.
    pub fn subscribe(&mut self, subscribe: Subscribe, now: Duration) -> Result<(Token, u32)> {
        self.check_open()?;
        subscribe.check()?;
        if self.is_up() {
            self.check_filters(&subscribe)?;
        }
        let own = subscribe.identifier;
        let identifier = own.unwrap_or_else(|| self.subscriptions.next_identifier());
        let token = self.request(Wish::Subscribe { subscribe, identifier }, now);
        Ok((token, identifier))
    }

    /// Ends subscriptions; they count until the server has confirmed that.
    ///
    /// # Errors
    /// A bad filter, none at all, or a session that has ended.
    pub fn unsubscribe(&mut self, filters: Vec<Arc<str>>, now: Duration) -> Result<Token> {
        self.unsubscribe_with(filters, Vec::new(), now)
    }

    /// As [`unsubscribe`](Self::unsubscribe), with user properties.
    ///
    /// # Errors
    /// As for it, and a property that no packet can carry.
    pub fn unsubscribe_with(
        &mut self,
        filters: Vec<Arc<str>>,
        user_properties: Vec<(String, String)>,
        now: Duration,
    ) -> Result<Token> {
        self.check_open()?;
        check_pairs(&user_properties)?;
        if filters.is_empty() {
            return Err(skein_protocol::Error::UnsubscribeEmpty.into());
        }
        filters.iter().try_for_each(|filter| parse(filter).map(drop))?;
        Ok(self.request(Wish::Unsubscribe { filters, user_properties }, now))
    }

    /// The filters the server has confirmed.
    pub fn subscriptions(&self) -> impl Iterator<Item = &str> {
        self.subscriptions.confirmed.keys().map(|filter| &**filter)
    }

    /// The server has forgotten the session: everything it had confirmed is asked for again,
    /// before what is new. One SUBSCRIBE for each identifier, as a packet has only one.
    pub(super) fn subscribe_again(&mut self) {
        self.requests.retain(|request| request.token.is_some());
        let mut again: BTreeMap<u32, Subscribe> = BTreeMap::new();
        for (filter, confirmed) in &self.subscriptions.confirmed {
            let subscribe = again.entry(confirmed.identifier).or_default();
            subscribe.filters.push((Arc::clone(filter), confirmed.options));
        }
        for (identifier, subscribe) in again.into_iter().rev() {
            let wish = Wish::Subscribe { subscribe, identifier };
            self.requests.push_front(Request { token: None, deadline: None, wish });
        }
    }

    pub(super) fn send_requests(&mut self, now: Duration) {
        while self.output.len() < OUTPUT_BYTES_MAX {
            let Some(request) = self.requests.pop_front() else { return };
            let relay = &self.relay;
            let Some(id) = self.sender.reserve_unless(|id| relay.is_stray(id)) else {
                // All ids are in use; the next acknowledgement frees one.
                return self.requests.push_front(request);
            };
            match self.encode_request(&request, id) {
                Ok(packet) => self.send_request(request, id, &packet, now),
                Err(error) => {
                    self.sender.release(id);
                    self.refuse(request, &error);
                }
            }
        }
    }

    /// SUBACK came (3.9).
    pub(super) fn on_suback(&mut self, suback: &SubAck<'_>) -> Result<(), skein_protocol::Error> {
        let Some(request) = self.answered(suback.packet_id) else { return Ok(()) };
        let Wish::Subscribe { subscribe, identifier } = &request.wish else {
            return Err(skein_protocol::Error::AckMismatched(PacketType::SubAck));
        };
        if suback.reasons.len() != subscribe.filters.len() {
            return Err(skein_protocol::Error::AckCountMismatched(PacketType::SubAck));
        }
        let text = own(suback.properties.reason_string);
        let mut results = Vec::with_capacity(suback.reasons.len());
        for ((filter, options), reason) in subscribe.filters.iter().zip(&suback.reasons) {
            let result = granted(*reason, text.clone());
            if result.is_ok() {
                let confirmed = Confirmed { options: *options, identifier: *identifier };
                self.subscriptions.confirmed.insert(Arc::clone(filter), confirmed);
            } else {
                self.subscriptions.confirmed.remove(filter);
            }
            if request.token.is_none() {
                let filter = Arc::clone(filter);
                self.event(Event::Resubscribed { filter, result: result.clone() });
            }
            results.push(result);
        }
        if let Some(token) = request.token {
            self.complete(token, Ok(Outcome::Subscribed(results)));
        }
        Ok(())
    }

    /// UNSUBACK came (3.11). Before MQTT 5.0 it has no reasons, and cannot fail.
    pub(super) fn on_unsuback(
        &mut self,
        unsuback: &UnsubAck<'_>,
    ) -> Result<(), skein_protocol::Error> {
        let Some(request) = self.answered(unsuback.packet_id) else { return Ok(()) };
        let Wish::Unsubscribe { filters, .. } = request.wish else {
            return Err(skein_protocol::Error::AckMismatched(PacketType::UnsubAck));
        };
        let reasons = &unsuback.reasons;
        if self.link.version == Version::V5 && reasons.len() != filters.len() {
            return Err(skein_protocol::Error::AckCountMismatched(PacketType::UnsubAck));
        }
        let text = own(unsuback.properties.reason_string);
        let mut results = Vec::with_capacity(filters.len());
        for (index, filter) in filters.iter().enumerate() {
            let reason = reasons.get(index).copied().unwrap_or_default();
            if reason.is_error() {
                let (operation, text) = (Operation::Unsubscribe, text.clone());
                results.push(Err(Error::Rejected { operation, reason, text }));
            } else {
                self.subscriptions.confirmed.remove(filter);
                results.push(Ok(()));
            }
        }
        if let Some(token) = request.token {
            self.complete(token, Ok(Outcome::Unsubscribed(results)));
        }
        Ok(())
    }

    fn request(&mut self, wish: Wish, now: Duration) -> Token {
        let token = self.next_token();
        self.requests.push_back(Request { token: Some(token), deadline: None, wish });
        self.pump(now);
        token
    }

    fn send_request(&mut self, mut request: Request, id: PacketId, packet: &[u8], now: Duration) {
        if let (Some(token), None) = (request.token, request.deadline) {
            request.deadline = self.watch(token, now);
        }
        let start = self.output.len();
        self.output.extend_from_slice(packet);
        self.on_written(start, now);
        self.open.insert(id, request);
    }

    fn encode_request(&self, request: &Request, id: PacketId) -> Result<Vec<u8>> {
        let version = self.link.version;
        let packet = match &request.wish {
            Wish::Subscribe { subscribe, identifier } => {
                self.check_filters(subscribe)?;
                let identifier = NonZeroU32::new(*identifier)
                    .filter(|_| self.link.limits.subscription_identifiers);
                subscribe.write(id, identifier, version)
            }
            Wish::Unsubscribe { filters, user_properties } => encode(
                &Packet::Unsubscribe(Unsubscribe {
                    packet_id: id,
                    user_properties: UserProperties::from_pairs(&borrow_pairs(user_properties)),
                    filters: filters.iter().map(|it| TopicFilter::assume_valid(it)).collect(),
                }),
                version,
            ),
        };
        self.link.limits.check_size(packet.len())?;
        Ok(packet)
    }

    fn check_filters(&self, subscribe: &Subscribe) -> Result<()> {
        let mut filters = subscribe.filters.iter();
        filters.try_for_each(|(filter, _)| self.link.limits.check_filter(parse(filter)?))
    }

    /// The server could not even be asked.
    fn refuse(&mut self, request: Request, error: &Error) {
        match (request.token, request.wish) {
            (Some(token), _) => self.complete(token, Err(error.clone())),
            (None, Wish::Subscribe { subscribe, .. }) => {
                for (filter, _) in subscribe.filters {
                    self.event(Event::Resubscribed { filter, result: Err(error.clone()) });
                }
            }
            (None, Wish::Unsubscribe { .. }) => {}
        }
    }

    fn answered(&mut self, id: PacketId) -> Option<Request> {
        let Some(request) = self.open.remove(&id) else {
            self.statistics.acks_unknown += 1;
            return None;
        };
        self.sender.release(id);
        if let (Some(deadline), Some(token)) = (request.deadline, request.token) {
            self.deadlines.remove(&(deadline, token));
        }
        Some(request)
    }
}

impl Subscriptions {
    fn next_identifier(&mut self) -> u32 {
        self.last_identifier = self.last_identifier % IDENTIFIER_MAX + 1;
        self.last_identifier
    }
}

impl Request {
    /// Who waits for the answer, if anybody does.
    pub(super) fn token(&self) -> Option<Token> {
        self.token
    }

    /// What it asks the server to do.
    pub(super) fn operation(&self) -> Operation {
        match self.wish {
            Wish::Subscribe { .. } => Operation::Subscribe,
            Wish::Unsubscribe { .. } => Operation::Unsubscribe,
        }
    }
}

fn parse(filter: &str) -> Result<TopicFilter<'_>> {
    TopicFilter::new(filter).map_err(|error| Error::bad_topic(filter, error))
}

fn granted(reason: ReasonCode, text: Option<Arc<str>>) -> Result<QoS> {
    match reason {
        ReasonCode::Success => Ok(QoS::AtMostOnce),
        ReasonCode::GrantedQoS1 => Ok(QoS::AtLeastOnce),
        ReasonCode::GrantedQoS2 => Ok(QoS::ExactlyOnce),
        reason => Err(Error::Rejected { operation: Operation::Subscribe, reason, text }),
    }
}

fn encode(packet: &Packet<'_>, version: Version) -> Vec<u8> {
    let mut out = Vec::new();
    packet.encode(version, &mut out);
    out
}
