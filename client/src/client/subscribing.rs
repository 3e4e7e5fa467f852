//! Subscriptions whose messages are pulled.

use std::future::{Future, IntoFuture, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use skein_protocol::{QoS, RetainHandling, SubscriptionOptions};

use super::{Client, unsubscribe};
use crate::driver::{Inbox, Overflow, Received, Shared, Target, Ticket};
use crate::router::{Pattern, RouteId};
use crate::session::{Outcome, Subscribe};
use crate::{Operation, Result};

/// A subscription that is about to be made: [`wait`](Self::wait) for it or `.await` it.
#[must_use = "nothing is subscribed to before `wait` or `.await`"]
#[derive(Debug)]
pub struct Subscribing<'a> {
    client: &'a Client,
    pattern: String,
    options: SubscriptionOptions,
    capacity: usize,
    overflow: Overflow,
    is_manual: bool,
}

impl<'a> Subscribing<'a> {
    pub(super) fn new(client: &'a Client, pattern: &str) -> Self {
        /// Enough for a burst, little enough to be forgotten about.
        const CAPACITY: usize = 1024;
        Self {
            client,
            pattern: pattern.to_owned(),
            options: SubscriptionOptions::default(),
            capacity: CAPACITY,
            overflow: Overflow::default(),
            is_manual: false,
        }
    }

    /// The highest QoS of a delivery.
    pub fn qos(mut self, qos: QoS) -> Self {
        self.options.qos = qos;
        self
    }

    /// Leaves out what this client publishes itself; needs MQTT 5.0.
    pub fn no_local(mut self) -> Self {
        self.options.no_local = true;
        self
    }

    /// Delivers the RETAIN flag as it was published; needs MQTT 5.0.
    pub fn retain_as_published(mut self) -> Self {
        self.options.retain_as_published = true;
        self
    }

    /// Which retained messages are delivered at once; needs MQTT 5.0.
    pub fn retain_handling(mut self, handling: RetainHandling) -> Self {
        self.options.retain_handling = handling;
        self
    }

    /// How many messages may wait to be pulled, and what happens when there are more.
    pub fn buffer(mut self, messages: usize, overflow: Overflow) -> Self {
        self.capacity = messages;
        self.overflow = overflow;
        self
    }

    /// Acknowledges only what [`Received::ack`] was called for, instead of what was pulled.
    pub fn manual_ack(mut self) -> Self {
        self.is_manual = true;
        self
    }

    /// Asks the server, and gives the ticket that ends with the subscription.
    ///
    /// # Errors
    /// A bad filter, something the server does not have, a veto, or a client that is closed.
    pub fn send(self) -> Result<Ticket<Subscription>> {
        let inbox = Arc::new(Inbox::new(self.capacity, self.overflow, self.is_manual));
        let target = Target::Inbox(Arc::clone(&inbox));
        let asked = ask(self.client.shared(), &self.pattern, self.options, target)?;
        let Asked { slot, leave } = asked;
        Ok(Ticket::new(slot, Operation::Subscribe, move |outcome| {
            let granted = granted(outcome)?;
            Ok(Subscription { inbox, leave, granted })
        }))
    }

    /// Asks the server and waits for SUBACK.
    ///
    /// # Errors
    /// As for [`send`](Self::send), and how the server refused it.
    pub fn wait(self) -> Result<Subscription> {
        self.send()?.wait()
    }
}

impl<'a> IntoFuture for Subscribing<'a> {
    type Output = Result<Subscription>;
    type IntoFuture = Pin<Box<dyn Future<Output = Result<Subscription>> + Send + 'a>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move { self.send()?.await })
    }
}

/// A subscription: messages wait in a bounded queue of its own until they are pulled.
///
/// Dropping it ends the pulling but not the subscription, for at the end of a process a session
/// that is kept is to keep its subscriptions; [`unsubscribe`](Self::unsubscribe) ends both.
#[derive(Debug)]
pub struct Subscription {
    inbox: Arc<Inbox>,
    leave: Leave,
    granted: QoS,
}

impl Subscription {
    /// The QoS the server has granted, perhaps less than was asked for.
    pub fn granted(&self) -> QoS {
        self.granted
    }

    /// Waits for the next message; `None` when the client is closed and all were pulled.
    ///
    /// # Errors
    /// [`Error::OnClientThread`](crate::Error::OnClientThread) where waiting would never end.
    pub fn receive(&self) -> Result<Option<Received>> {
        self.inbox.receive()
    }

    /// The next message, if one waits.
    pub fn try_receive(&self) -> Option<Received> {
        self.inbox.receive_for(Duration::ZERO)
    }

    /// Waits for the next message for so long at most.
    pub fn receive_for(&self, duration: Duration) -> Option<Received> {
        self.inbox.receive_for(duration)
    }

    /// The next message, for executors; `None` as for [`receive`](Self::receive).
    pub async fn next(&self) -> Option<Received> {
        poll_fn(|context| self.inbox.poll(context)).await
    }

    /// All messages until the client is closed.
    pub fn iter(&self) -> impl Iterator<Item = Received> {
        std::iter::from_fn(|| self.receive().ok().flatten())
    }

    /// The messages of this span of time.
    pub fn iter_for(&self, duration: Duration) -> impl Iterator<Item = Received> {
        let end = Instant::now() + duration;
        let next = move || self.receive_for(end.saturating_duration_since(Instant::now()));
        std::iter::from_fn(next)
    }

    /// How many messages wait to be pulled.
    pub fn waiting(&self) -> usize {
        self.inbox.len()
    }

    /// Ends the subscription; messages come until the server has confirmed it.
    ///
    /// # Errors
    /// A veto, or a client that is closed.
    pub fn unsubscribe(self) -> Result<Ticket<()>> {
        unsubscribe(&self.leave.shared, Arc::clone(&self.leave.filter))
    }
}

/// Takes a route out when it is dropped.
pub(super) struct Leave {
    pub(super) shared: Arc<Shared>,
    pub(super) filter: Arc<str>,
    route: RouteId,
    /// The route is to outlive this.
    stays: bool,
}

impl Leave {
    /// Lets the route be, until the client ends.
    pub(super) fn stay(mut self) {
        self.stays = true;
    }

    /// Takes the route out now; true if no other has its filter.
    pub(super) fn leave(&self) -> bool {
        let (target, is_last) = self.shared.routes().remove(self.route, &self.filter);
        // Without the lock: messages that wait in it are let go of.
        drop(target);
        is_last
    }
}

impl Drop for Leave {
    fn drop(&mut self) {
        if !self.stays {
            self.leave();
        }
    }
}

impl std::fmt::Debug for Leave {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.filter.fmt(f)
    }
}

/// A subscription that was asked for.
pub(super) struct Asked {
    pub(super) slot: Arc<crate::driver::Slot<Result<Outcome>>>,
    pub(super) leave: Leave,
}

/// Makes a route and asks the server for its messages, in this order, so that none is missed.
pub(super) fn ask(
    shared: &Arc<Shared>,
    pattern: &str,
    options: SubscriptionOptions,
    target: Target,
) -> Result<Asked> {
    let filter = Pattern::new(pattern)?.text();
    let mut subscribe = Subscribe::new(Arc::clone(&filter), options);
    shared.hooks().before_subscribe(&mut subscribe)?;
    let (mut added, owner) = (None, Arc::downgrade(shared));
    let slot = shared.begin(|session, now| {
        let (token, identifier) = session.subscribe(subscribe, now)?;
        added = Some(shared.routes().add(pattern, Some(identifier), target, &owner)?);
        Ok(token)
    })?;
    let Some((route, early)) = added else { return Err(crate::Error::Closed) };
    early.hand_over(&shared.dispatcher);
    Ok(Asked { slot, leave: Leave { shared: Arc::clone(shared), filter, route, stays: false } })
}

/// What the server has granted to the one filter that was asked for.
pub(super) fn granted(outcome: Result<Outcome>) -> Result<QoS> {
    match outcome? {
        Outcome::Subscribed(mut results) => results.pop().unwrap_or(Ok(QoS::AtMostOnce)),
        _ => Ok(QoS::AtMostOnce),
    }
}
