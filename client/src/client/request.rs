//! Requests and their responses (4.10).

use std::collections::BTreeSet;
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use skein_protocol::{QoS, SubscriptionOptions, Version};

use super::subscribing::ask;
use super::{Client, publishing};
use crate::driver::{Received, Replies, Shared, Slot, Target, Waiting};
use crate::{Error, Feature, Publish, Result};

/// What a client remembers about its requests.
#[derive(Default)]
pub(super) struct Requests {
    /// The topic that responses come to when none was named.
    own: Mutex<Option<Arc<str>>>,
    /// The topics that are subscribed to for responses.
    topics: Mutex<BTreeSet<Arc<str>>>,
    last: AtomicU64,
}

/// A request that is about to be made: [`wait`](Self::wait) for its response, or `.await` it.
///
/// The response topic is subscribed to with the first request, and stays so.
#[must_use = "nothing is requested before `send`, `wait` or `.await`"]
#[derive(Debug)]
pub struct Requesting<'a> {
    client: &'a Client,
    publish: Publish,
    timeout: Duration,
    reply_to: Option<Arc<str>>,
}

impl<'a> Requesting<'a> {
    pub(super) fn new(client: &'a Client, publish: Publish) -> Self {
        /// Longer than a person waits.
        const TIMEOUT: Duration = Duration::from_secs(30);
        Self { client, publish, timeout: TIMEOUT, reply_to: None }
    }

    /// How often the request may arrive, and its response.
    pub fn qos(mut self, qos: QoS) -> Self {
        self.publish = self.publish.qos(qos);
        self
    }

    /// How long to wait for the response.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// The topic of the response. Before MQTT 5.0, where a request cannot name it, responder and
    /// requester have to agree on it, and it must be named here.
    pub fn reply_to(mut self, topic: impl Into<Arc<str>>) -> Self {
        self.reply_to = Some(topic.into());
        self
    }

    /// Publishes the request.
    ///
    /// # Errors
    /// As for [`Publishing::send`](super::Publishing::send) and
    /// [`Subscribing::send`](super::Subscribing::send), and [`Error::Unsupported`] where MQTT has
    /// no response topics and none was named.
    pub fn send(self) -> Result<Replying> {
        let Self { client, mut publish, timeout, reply_to } = self;
        let (shared, requests) = (client.shared(), &client.0.requests);
        let topic = match reply_to {
            Some(topic) => topic,
            None => requests.own_topic(shared)?,
        };
        requests.subscribe(shared, &topic, publish.level())?;
        let number = requests.last.fetch_add(1, Ordering::Relaxed);
        let correlation = Bytes::copy_from_slice(&number.to_be_bytes());
        publish = publish.response_topic(&*topic).correlation_data(correlation.clone());
        shared.hooks().before_publish(&mut publish)?;
        let (slot, deadline) = (Slot::new(), shared.now() + timeout);
        let waiting = Waiting { slot: Arc::clone(&slot), topic, deadline, timeout };
        shared.replies.add(correlation.clone(), waiting);
        let replying = Replying { slot, correlation, replies: Arc::clone(&shared.replies) };
        // What the request itself comes to is told by its response, or by the lack of one.
        drop(publishing::ticket(shared.publish(publish)?));
        Ok(replying)
    }

    /// Publishes the request and waits for the response.
    ///
    /// # Errors
    /// As for [`send`](Self::send), and [`Error::Timeout`].
    pub fn wait(self) -> Result<Received> {
        let replying = self.send()?;
        replying.slot.wait()?
    }
}

impl<'a> IntoFuture for Requesting<'a> {
    type Output = Result<Received>;
    type IntoFuture = Pin<Box<dyn Future<Output = Result<Received>> + Send + 'a>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move { self.send()?.await })
    }
}

/// A response that is awaited; a future, for any executor. Dropping it stops the waiting.
pub struct Replying {
    slot: Arc<Slot<Result<Received>>>,
    correlation: Bytes,
    replies: Arc<Replies>,
}

impl Replying {
    /// Waits for the response.
    ///
    /// # Errors
    /// [`Error::Timeout`], or a client that is closed.
    pub fn wait(self) -> Result<Received> {
        self.slot.wait()?
    }
}

impl Future for Replying {
    type Output = Result<Received>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<Received>> {
        self.slot.poll(context)
    }
}

impl Drop for Replying {
    fn drop(&mut self) {
        self.replies.remove(&self.correlation);
    }
}

impl std::fmt::Debug for Replying {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Replying").field("done", &self.slot.is_done()).finish()
    }
}

impl Requests {
    /// A topic that nobody else has: below what the server names as the basis, if it does.
    fn own_topic(&self, shared: &Shared) -> Result<Arc<str>> {
        let mut own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = &*own {
            return Ok(Arc::clone(own));
        }
        let (version, basis) = shared.with_session(|session, _| {
            let basis = session.server().and_then(|server| server.response_information.clone());
            (session.version(), basis)
        });
        if version != Version::V5 {
            return Err(Error::Unsupported(Feature::ResponseTopics));
        }
        let mut bytes = [0; 8];
        getrandom::fill(&mut bytes).map_err(|error| Error::Lost(error.to_string().into()))?;
        let basis = basis.as_deref().unwrap_or("skein/reply");
        let topic = format!("{basis}/{:016x}", u64::from_be_bytes(bytes));
        Ok(Arc::clone(own.insert(topic.into())))
    }

    /// Subscribes to a response topic, once. The request may follow at once: the server takes
    /// packets in order.
    fn subscribe(&self, shared: &Arc<Shared>, topic: &Arc<str>, qos: QoS) -> Result<()> {
        let mut topics = self.topics.lock().unwrap_or_else(PoisonError::into_inner);
        if !topics.contains(topic) {
            let target = Target::Replies(Arc::clone(&shared.replies));
            ask(shared, topic, SubscriptionOptions::with_qos(qos), target)?.leave.stay();
            topics.insert(Arc::clone(topic));
        }
        Ok(())
    }
}
