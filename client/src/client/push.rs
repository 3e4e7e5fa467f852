//! Callbacks: messages that are pushed.

use std::fmt;
use std::future::{Future, IntoFuture};
use std::ops::{Deref, Index};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use skein_protocol::{QoS, ReasonCode, SubscriptionOptions};

use super::subscribing::{Asked, Leave, ask, granted};
use super::{Client, publishing, unsubscribe};
use crate::driver::{Handler, Received, Shared, Target, Ticket};
use crate::{Error, Operation, Publish, Result};

/// A message in a callback. It derefs to [`Message`](crate::Message), and `cx["name"]` is what a
/// name of the pattern stands for.
pub struct Context {
    received: Received,
    shared: Option<Arc<Shared>>,
}

impl Context {
    /// Publishes a response to a request: to its response topic, with its correlation data and
    /// its QoS.
    ///
    /// # Errors
    /// [`Error::BadTopic`] if the message asks for none; the others as for
    /// [`Publishing::send`](super::Publishing::send).
    pub fn reply(&self, payload: impl Into<Bytes>) -> Result<Ticket<ReasonCode>> {
        let shared = self.shared.as_ref().ok_or(Error::Closed)?;
        let topic = self.received.response_topic().unwrap_or_default();
        let mut publish = Publish::new(topic, payload).qos(self.received.qos());
        if let Some(correlation) = self.received.correlation_data() {
            publish = publish.correlation_data(correlation.clone());
        }
        shared.hooks().before_publish(&mut publish)?;
        Ok(publishing::ticket(shared.publish(publish)?))
    }
}

impl Deref for Context {
    type Target = Received;

    fn deref(&self) -> &Received {
        &self.received
    }
}

impl Index<&str> for Context {
    type Output = str;

    fn index(&self, name: &str) -> &str {
        &self.received.captures()[name]
    }
}

/// What calls a user's callback. A message is acknowledged when the callback has returned.
pub(super) fn handler(mut callback: impl FnMut(&Context) + Send + 'static) -> Handler {
    Handler::new(move |received| {
        let shared = received.owner();
        let context = Context { received, shared };
        callback(&context);
        context.received.ack();
    })
}

/// A callback that is about to be called for a pattern: [`wait`](Self::wait) or `.await`.
#[must_use = "nothing is subscribed to before `wait` or `.await`"]
pub struct Handling<'a> {
    client: &'a Client,
    pattern: String,
    options: SubscriptionOptions,
    handler: Handler,
    group: Option<&'a Mutex<Vec<Leave>>>,
}

impl<'a> Handling<'a> {
    pub(super) fn new(
        client: &'a Client,
        pattern: &str,
        callback: impl FnMut(&Context) + Send + 'static,
    ) -> Self {
        let (pattern, options) = (pattern.to_owned(), SubscriptionOptions::default());
        Self { client, pattern, options, handler: handler(callback), group: None }
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

    /// Asks the server and waits for SUBACK. Callbacks of one client run one after the other, in
    /// the order of arrival.
    ///
    /// # Errors
    /// A bad pattern, something the server does not have, a veto, or how the server refused it.
    pub fn wait(self) -> Result<Route> {
        let leave = self.send()?.wait()?;
        Ok(Route::new(leave, self.group))
    }

    fn send(&self) -> Result<Ticket<Leave>> {
        let target = Target::Callback(self.handler.clone());
        let asked = ask(self.client.shared(), &self.pattern, self.options, target)?;
        let Asked { slot, leave } = asked;
        Ok(Ticket::new(slot, Operation::Subscribe, move |outcome| {
            granted(outcome)?;
            Ok(leave)
        }))
    }
}

impl<'a> IntoFuture for Handling<'a> {
    type Output = Result<Route>;
    type IntoFuture = Pin<Box<dyn Future<Output = Result<Route>> + Send + 'a>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let leave = self.send()?.await?;
            Ok(Route::new(leave, self.group))
        })
    }
}

/// A callback that is called for a pattern, until it is cancelled. Dropping this changes nothing.
#[must_use = "this is what cancels the callback; dropping it lets the callback be called on"]
pub struct Route(Option<Leave>);

impl Route {
    fn new(leave: Leave, group: Option<&Mutex<Vec<Leave>>>) -> Self {
        match group {
            Some(group) => {
                group.lock().unwrap_or_else(PoisonError::into_inner).push(leave);
                Self(None)
            }
            None => Self(Some(leave)),
        }
    }

    /// The callback is not called again. When no other route has the filter, the server is asked
    /// to end the subscription.
    pub fn cancel(mut self) {
        if let Some(leave) = self.0.take() {
            cancel(&leave);
        }
    }
}

impl Drop for Route {
    fn drop(&mut self) {
        // The route outlives its handle; it ends with the client.
        if let Some(leave) = self.0.take() {
            leave.stay();
        }
    }
}

/// Callbacks that are cancelled together. Dropping it changes nothing.
pub struct Group<'a> {
    client: &'a Client,
    routes: Mutex<Vec<Leave>>,
}

impl<'a> Group<'a> {
    pub(super) fn new(client: &'a Client) -> Self {
        Self { client, routes: Mutex::new(Vec::new()) }
    }

    /// As [`Client::on`], for as long as the group lasts.
    pub fn on<'g>(
        &'g self,
        pattern: &str,
        callback: impl FnMut(&Context) + Send + 'static,
    ) -> Handling<'g>
    where
        'a: 'g,
    {
        let handling = Handling::new(self.client, pattern, callback);
        Handling { group: Some(&self.routes), ..handling }
    }

    /// No callback of the group is called again.
    pub fn cancel(self) {
        for leave in self.take() {
            cancel(&leave);
        }
    }

    fn take(&self) -> Vec<Leave> {
        std::mem::take(&mut self.routes.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Group<'_> {
    fn drop(&mut self) {
        self.take().into_iter().for_each(Leave::stay);
    }
}

fn cancel(leave: &Leave) {
    if leave.leave() {
        // A client that is closed has no subscriptions either.
        drop(unsubscribe(&leave.shared, Arc::clone(&leave.filter)));
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.received.fmt(f)
    }
}

impl fmt::Debug for Handling<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handling").field("pattern", &self.pattern).finish_non_exhaustive()
    }
}

impl fmt::Debug for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Route").field(&self.0).finish()
    }
}

impl fmt::Debug for Group<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Group").field("routes", &self.routes).finish_non_exhaustive()
    }
}
