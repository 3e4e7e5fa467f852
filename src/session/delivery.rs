//! One Application Message on its way to one session.

use std::{borrow::Cow, rc::Rc};

use skein_protocol::qos::QoS;
use thin_vec::ThinVec;

use super::Application;
use crate::record::Record;

/// What a session's matching subscriptions grant for one topic. Overlapping subscriptions make
/// one grant: the highest QoS [MQTT-3.3.4-2] and every identifier [MQTT-3.3.4-3].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The highest granted QoS.
    pub qos: QoS,
    /// Whether one of them keeps the RETAIN flag as published [MQTT-3.3.1-13].
    pub retain_as_published: bool,
    /// Their Subscription Identifiers.
    pub matched: Option<Rc<Matched>>,
}

impl Grant {
    /// Every Subscription Identifier, in the order the filters matched.
    pub fn identifiers(&self) -> &[u32] {
        identifiers(self.matched.as_ref())
    }

    /// Takes another matching subscription in.
    pub fn merge(&mut self, other: &Self) {
        self.qos = self.qos.max(other.qos);
        self.retain_as_published |= other.retain_as_published;
        self.matched = match (self.matched.take(), &other.matched) {
            (Some(mine), Some(theirs)) => {
                Matched::new(&[&mine.identifiers[..], &theirs.identifiers[..]].concat(), None)
            }
            (mine, theirs) => mine.or_else(|| theirs.clone()),
        };
    }
}

/// What of the matching subscriptions goes along with a message. Most have nothing of it, and a
/// delivery is small.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Matched {
    identifiers: ThinVec<u32>,
    share: Option<Rc<ShareOrigin>>,
}

impl Matched {
    /// These Subscription Identifiers, in the order the filters matched, and the shared
    /// subscription for which a message was picked; `None` if that is nothing.
    pub fn new(identifiers: &[u32], share: Option<Rc<ShareOrigin>>) -> Option<Rc<Self>> {
        let is_nothing = identifiers.is_empty() && share.is_none();
        (!is_nothing).then(|| Rc::new(Self { identifiers: identifiers.into(), share }))
    }
}

fn identifiers(matched: Option<&Rc<Matched>>) -> &[u32] {
    matched.map_or(&[], |matched| &matched.identifiers)
}

/// The shared subscription through which a message was picked for a session. When the session
/// ends first, the message goes to another member (MQTT 5, 4.8.2).
#[derive(Debug, PartialEq, Eq)]
pub struct ShareOrigin {
    /// The filter without `$share/name/`.
    pub pattern: Box<str>,
    /// The share name.
    pub group: Box<str>,
}

/// One Application Message on its way to one session: queued or in flight.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// The message.
    pub message: Rc<Application>,
    /// The QoS of this delivery: the lower of publish and grant [MQTT-3.8.4-8].
    pub qos: QoS,
    /// The RETAIN flag of this delivery.
    pub retain: bool,
    /// The Subscription Identifiers it carries, and the shared subscription it was picked for.
    pub matched: Option<Rc<Matched>>,
    /// Its number in the journal, which rises within a session; 0 without a store.
    pub entry: u64,
    /// Kept here, so that an acknowledgement need not look at the message.
    bytes: u32,
}

// Queues and windows are full of them: two to a line of the cache.
const _: () = assert!(size_of::<Delivery>() <= 32);

impl Delivery {
    /// A delivery without RETAIN, of which no subscription is told.
    pub fn new(message: Rc<Application>, qos: QoS) -> Self {
        // No packet, and so no message, is near 4 GiB.
        let bytes = u32::try_from(message.bytes()).unwrap_or(u32::MAX);
        Self { message, qos, retain: false, matched: None, entry: 0, bytes }
    }

    /// Bytes it is charged with in a budget.
    pub fn bytes(&self) -> usize {
        self.bytes as usize
    }

    /// It as a record of what waits for this client: a message by its number, and the share that it was
    /// picked for as the client names it.
    pub fn to_record<'a>(
        &self,
        client_id: &'a str,
        message: u64,
        share: Option<Cow<'a, str>>,
    ) -> Record<'a> {
        Record::Queued {
            client_id: Cow::Borrowed(client_id),
            entry: self.entry,
            message,
            qos: self.qos,
            retain: self.retain,
            identifiers: self.identifiers().to_vec(),
            share,
        }
    }

    /// The Subscription Identifiers it carries.
    pub fn identifiers(&self) -> &[u32] {
        identifiers(self.matched.as_ref())
    }

    /// The shared subscription it was picked for, if one.
    pub fn share(&self) -> Option<&Rc<ShareOrigin>> {
        self.matched.as_ref()?.share.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mqtt_3_3_4_2_and_3_3_4_3_overlapping_grants_make_one() {
        let grant = |qos, rap, ids: Option<&[u32]>| Grant {
            qos,
            retain_as_published: rap,
            matched: ids.and_then(|ids| Matched::new(ids, None)),
        };
        let mut merged = grant(QoS::AtMostOnce, false, Some(&[7]));
        merged.merge(&grant(QoS::ExactlyOnce, true, None));
        merged.merge(&grant(QoS::AtLeastOnce, false, Some(&[9])));
        assert_eq!(merged, grant(QoS::ExactlyOnce, true, Some(&[7, 9])));
    }
}
