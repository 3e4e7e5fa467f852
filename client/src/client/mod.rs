//! The client with a thread of its own.

mod builder;
mod publishing;
mod push;
mod request;
mod subscribing;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use skein_protocol::ReasonCode;

use crate::driver::{ClientStatistics, Shared, Ticket};
use crate::session::Outcome;
use crate::{Error, Operation, Publish, Result};

pub use builder::Builder;
pub use publishing::{Publishing, PublishingFuture};
pub use push::{Context, Group, Handling, Route};
pub use request::{Replying, Requesting};
pub use subscribing::{Subscribing, Subscription};

/// A client. Cheap to clone, and usable from every thread: all clones are one client.
///
/// Its own thread does the I/O and nothing else, so nothing that is done with it, in callbacks or
/// elsewhere, keeps pings from being answered. When the last clone is dropped the client says
/// DISCONNECT, after what is under way had some time to finish ([`Builder::drain`]);
/// [`close`](Self::close) does the same and tells what was not delivered.
///
/// ```no_run
/// use skein_client::{Client, QoS};
///
/// let client = Client::connect("mqtt://127.0.0.1")?;
/// client.publish("home/hall/temp", "21.5").qos(QoS::AtLeastOnce).wait()?; // PUBACK has come
/// client.close()?;
/// # Ok::<(), skein_client::Error>(())
/// ```
#[derive(Clone)]
pub struct Client(Arc<Handle>);

/// What all clones share; the client ends with it.
struct Handle {
    shared: Arc<Shared>,
    drain: Duration,
    requests: request::Requests,
}

impl Client {
    /// A client that is connected, with the defaults of [`Builder`].
    ///
    /// # Errors
    /// A bad address, or why the first try failed.
    pub fn connect(servers: &str) -> Result<Self> {
        Self::builder(servers).connect()
    }

    /// A client of these servers, separated by commas, that is yet to be configured.
    pub fn builder(servers: &str) -> Builder {
        Builder::new(servers)
    }

    /// Publishes to a topic; see [`Publishing`] for how.
    pub fn publish(&self, topic: impl Into<Arc<str>>, payload: impl Into<Bytes>) -> Publishing<'_> {
        self.publish_message(Publish::new(topic, payload))
    }

    /// Publishes a message that was made before.
    pub fn publish_message(&self, publish: Publish) -> Publishing<'_> {
        Publishing::new(self, publish)
    }

    /// Publishes a value in the format of this content type, which the message tells; see
    /// [`format`](crate::format).
    ///
    /// # Errors
    /// [`Error::Format`]: the content type is not known, or has nothing for this value.
    #[cfg(feature = "serde")]
    pub fn publish_as<T: serde::Serialize + ?Sized>(
        &self,
        topic: impl Into<Arc<str>>,
        content_type: &str,
        value: &T,
    ) -> Result<Publishing<'_>> {
        let formats = &self.shared().hooked.formats;
        Ok(self.publish_message(Publish::encode_with(formats, topic, content_type, value)?))
    }

    /// Hands a message in without ever waiting.
    ///
    /// # Errors
    /// [`Error::QueueFull`] gives the message back, whatever the queue's policy; the others as
    /// for [`publish`](Self::publish).
    pub fn try_publish(&self, mut publish: Publish) -> Result<Ticket<ReasonCode>> {
        let shared = self.shared();
        shared.hooks().before_publish(&mut publish)?;
        Ok(publishing::ticket(shared.try_publish(publish)?))
    }

    /// Subscribes to a filter, whose messages are then pulled; see [`Subscribing`] for how.
    pub fn subscribe(&self, filter: &str) -> Subscribing<'_> {
        Subscribing::new(self, filter)
    }

    /// Has a callback called for each message of a pattern, in order; see [`Handling`].
    pub fn on(
        &self,
        pattern: &str,
        callback: impl FnMut(&Context) + Send + 'static,
    ) -> Handling<'_> {
        Handling::new(self, pattern, callback)
    }

    /// Routes that are cancelled together.
    pub fn group(&self) -> Group<'_> {
        Group::new(self)
    }

    /// Publishes a request and waits for its response; see [`Requesting`] for how.
    pub fn request(&self, topic: impl Into<Arc<str>>, payload: impl Into<Bytes>) -> Requesting<'_> {
        Requesting::new(self, Publish::new(topic, payload))
    }

    /// Ends the server's subscription to a filter, whatever routes there are.
    ///
    /// # Errors
    /// A bad filter, a veto, or a client that is closed.
    pub fn unsubscribe(&self, filter: impl Into<Arc<str>>) -> Result<Ticket<()>> {
        unsubscribe(self.shared(), filter.into())
    }

    /// Authenticates anew on the connection that is up (4.12.1).
    ///
    /// # Errors
    /// There is no method, no connection, or no MQTT 5.0.
    pub fn reauthenticate(&self) -> Result<Ticket<()>> {
        let mut entropy = [0; 32];
        getrandom::fill(&mut entropy)
            .map_err(|error| Error::Authentication(error.to_string().into()))?;
        let slot = self.shared().begin(|session, now| session.reauthenticate(entropy, now))?;
        Ok(Ticket::new(slot, Operation::Authenticate, |outcome| outcome.map(drop)))
    }

    /// Waits until the client is connected.
    ///
    /// # Errors
    /// It has given up, or is closed, or it took longer than this.
    pub fn wait_connected(&self, within: Duration) -> Result<()> {
        let timeout = Error::Timeout { operation: Operation::Connect, after: within };
        self.shared().connected().wait_for(within)?.unwrap_or(Err(timeout))
    }

    /// Whether the client is connected now; the next moment it may not be.
    pub fn is_connected(&self) -> bool {
        self.shared().with_session(|session, _| session.is_up())
    }

    /// The client identifier: the one that was given, or the server's choice.
    pub fn client_id(&self) -> String {
        self.shared().with_session(|session, _| session.client_id().to_owned())
    }

    /// What the client has done, and what it holds.
    pub fn statistics(&self) -> ClientStatistics {
        self.shared().statistics()
    }

    /// Ends the client: what is under way has as long to finish as [`Builder::drain`] said.
    ///
    /// # Errors
    /// [`Error::Undelivered`] says how many messages were not acknowledged.
    pub fn close(self) -> Result<()> {
        self.shared().hooks().before_disconnect();
        let drain = self.0.drain;
        self.shared().with_session(|session, now| session.close(drain, now));
        self.wait_ended()
    }

    /// Ends the client at once with this reason, for instance
    /// [`DisconnectWithWill`](ReasonCode::DisconnectWithWill), and this expiry of the session.
    ///
    /// # Errors
    /// As for [`close`](Self::close).
    pub fn disconnect(self, reason: ReasonCode, session_expiry_s: Option<u32>) -> Result<()> {
        self.shared().hooks().before_disconnect();
        self.shared()
            .with_session(|session, now| session.disconnect(reason, session_expiry_s, now));
        self.wait_ended()
    }

    fn wait_ended(&self) -> Result<()> {
        match self.shared().ended.wait() {
            // Another clone has taken the number, or it is none.
            Ok(0) | Err(Error::Closed) => Ok(()),
            Ok(undelivered) => Err(Error::Undelivered(undelivered)),
            Err(error) => Err(error),
        }
    }

    fn shared(&self) -> &Arc<Shared> {
        &self.0.shared
    }
}

/// Asks the server to end a subscription.
fn unsubscribe(shared: &Shared, filter: Arc<str>) -> Result<Ticket<()>> {
    shared.hooks().before_unsubscribe(&filter)?;
    let slot = shared.begin(|session, now| session.unsubscribe(vec![filter], now))?;
    Ok(Ticket::new(slot, Operation::Unsubscribe, |outcome| match outcome? {
        Outcome::Unsubscribed(mut results) => results.pop().unwrap_or(Ok(())),
        _ => Ok(()),
    }))
}

impl Drop for Handle {
    fn drop(&mut self) {
        let drain = self.drain;
        self.shared.with_session(|session, now| session.close(drain, now));
        // What closing takes besides draining: a last word. On a thread of the client itself there
        // is nothing to wait for.
        const FAREWELL: Duration = Duration::from_secs(1);
        let _ = self.shared.ended.wait_for(drain + FAREWELL);
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("client_id", &self.client_id()).finish_non_exhaustive()
    }
}
