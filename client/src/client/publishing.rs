//! Publishing, one message at a time.

use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use skein_protocol::{QoS, ReasonCode};

use super::Client;
use crate::driver::{Slot, Ticket};
use crate::session::Outcome;
use crate::{Operation, Publish, Result};

/// A message that is about to be published: [`send`](Self::send) it, [`wait`](Self::wait) for its
/// acknowledgement, or `.await` that.
#[must_use = "nothing is published before `send`, `wait` or `.await`"]
#[derive(Debug)]
pub struct Publishing<'a> {
    client: &'a Client,
    publish: Publish,
}

impl<'a> Publishing<'a> {
    pub(super) fn new(client: &'a Client, publish: Publish) -> Self {
        Self { client, publish }
    }

    fn map(self, change: impl FnOnce(Publish) -> Publish) -> Self {
        Self { publish: change(self.publish), ..self }
    }

    /// How often it may arrive.
    pub fn qos(self, qos: QoS) -> Self {
        self.map(|publish| publish.qos(qos))
    }

    /// The server is to keep it for those who subscribe later.
    pub fn retain(self) -> Self {
        self.map(Publish::retain)
    }

    /// The MIME type of the payload.
    pub fn content_type(self, content_type: impl Into<String>) -> Self {
        self.map(|publish| publish.content_type(content_type))
    }

    /// How long it is worth delivering, in whole seconds.
    pub fn expires(self, after: Duration) -> Self {
        self.map(|publish| publish.expires(after))
    }

    /// Where the answer is expected.
    pub fn response_topic(self, topic: impl Into<String>) -> Self {
        self.map(|publish| publish.response_topic(topic))
    }

    /// What the answer is to carry along.
    pub fn correlation_data(self, data: impl Into<Bytes>) -> Self {
        self.map(|publish| publish.correlation_data(data))
    }

    /// Adds a pair of text.
    pub fn user_property(self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.map(|publish| publish.user_property(key, value))
    }

    /// Hands the message in. With [`WhenFull::Block`](crate::WhenFull::Block) this waits for room
    /// in the queue; it never waits for the server.
    ///
    /// # Errors
    /// The message cannot be written, the server does not take it, the queue is full, a hook
    /// vetoed it, or the client is closed.
    pub fn send(mut self) -> Result<Ticket<ReasonCode>> {
        let shared = self.client.shared();
        shared.hooks().before_publish(&mut self.publish)?;
        Ok(ticket(shared.publish(self.publish)?))
    }

    /// Hands the message in and waits until the server has acknowledged it; QoS 0 until it is
    /// written.
    ///
    /// # Errors
    /// As for [`send`](Self::send), and how the server refused it.
    pub fn wait(self) -> Result<ReasonCode> {
        self.send()?.wait()
    }
}

impl IntoFuture for Publishing<'_> {
    type Output = Result<ReasonCode>;
    type IntoFuture = PublishingFuture;

    fn into_future(self) -> PublishingFuture {
        PublishingFuture { client: self.client.clone(), state: State::New(self.publish) }
    }
}

/// A message on its way, for executors. It waits for room in the queue without holding a thread.
#[derive(Debug)]
pub struct PublishingFuture {
    client: Client,
    state: State,
}

#[derive(Debug)]
enum State {
    /// The hook has not seen it.
    New(Publish),
    /// There was no room.
    Waiting(Publish),
    Sent(Ticket<ReasonCode>),
    Ended,
}

impl Future for PublishingFuture {
    type Output = Result<ReasonCode>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<ReasonCode>> {
        let shared = Arc::clone(self.client.shared());
        let publish = match std::mem::replace(&mut self.state, State::Ended) {
            State::New(mut publish) => {
                shared.hooks().before_publish(&mut publish)?;
                publish
            }
            State::Waiting(publish) => publish,
            State::Sent(ticket) => return self.poll_ticket(ticket, context),
            State::Ended => return Poll::Ready(Err(crate::Error::Closed)),
        };
        match shared.poll_publish(publish, context.waker()) {
            Ok(slot) => self.poll_ticket(ticket(slot?), context),
            Err(back) => {
                self.state = State::Waiting(back);
                Poll::Pending
            }
        }
    }
}

impl PublishingFuture {
    fn poll_ticket(
        &mut self,
        mut ticket: Ticket<ReasonCode>,
        context: &mut Context<'_>,
    ) -> Poll<Result<ReasonCode>> {
        let poll = Pin::new(&mut ticket).poll(context);
        if poll.is_pending() {
            self.state = State::Sent(ticket);
        }
        poll
    }
}

/// What a published message came to.
pub(super) fn ticket(slot: Arc<Slot<Result<Outcome>>>) -> Ticket<ReasonCode> {
    Ticket::new(slot, Operation::Publish, |outcome| match outcome? {
        Outcome::Published(reason) => Ok(reason),
        _ => Ok(ReasonCode::Success),
    })
}
