//! How long single connections needed.

use super::member::Duties;
use crate::client::{Publisher, Subscriber};

/// The longest times that single connections needed, as SurgeMQ's benchmark of 2014 counts them.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Spans {
    /// A publisher: to connect, and from its first to its last message.
    pub(crate) published_ns: u64,
    /// A subscriber: from its first to its last message.
    pub(crate) delivered_ns: u64,
}

impl Spans {
    /// The longer ones of two.
    pub(crate) fn max(self, other: Self) -> Self {
        Self {
            published_ns: self.published_ns.max(other.published_ns),
            delivered_ns: self.delivered_ns.max(other.delivered_ns),
        }
    }

    /// Takes in one connection.
    pub(crate) fn add(&mut self, duties: &Duties) {
        let published_ns = duties.publisher.as_ref().map_or(0, Publisher::span_ns);
        let delivered_ns = duties.subscriber.as_ref().map_or(0, Subscriber::span_ns);
        let published_ns = published_ns + duties.opening_ns;
        *self = self.max(Self { published_ns, delivered_ns });
    }
}
