//! One client of the broker whose messages can be awaited one by one.

use std::time::Instant;

use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::PublishProperties;
use crate::inbox::{self, ConnAck, Inboxes, Senders, take};
use crate::link::{self, Connection, Requests};
use crate::report::{Outcome, PATIENCE, expect, expect_that, unique};

pub use crate::setup::{Message, Setup, Subscription, VERSIONS, Version, Will};

/// A client with the connection it has, or had.
pub struct Peer {
    name: String,
    /// What the last CONNACK said.
    pub session_present: bool,
    /// The client id the broker assigned, if it did.
    pub assigned_client_id: Option<String>,
    manual_acks: bool,
    requests: Requests,
    state: State,
    notices: Senders,
    inboxes: Inboxes,
}

enum State {
    /// A task polls the connection until it ends or is told to cut it.
    Polled { task: JoinHandle<(Connection, Option<String>)>, cut: oneshot::Sender<()> },
    /// Not connected; what the client knows of its session is kept.
    Apart(Connection),
    /// Between the two.
    Moving,
}

impl Setup {
    /// Connects.
    ///
    /// # Errors
    /// No CONNACK came, or it refused.
    pub async fn connect(self) -> Outcome<Peer> {
        let (requests, connection) = link::open(&self);
        let (notices, inboxes) = inbox::channels();
        let mut peer = Peer {
            name: self.client_id,
            session_present: false,
            assigned_client_id: None,
            manual_acks: self.manual_acks,
            requests,
            state: State::Apart(connection),
            notices,
            inboxes,
        };
        peer.connect().await?;
        Ok(peer)
    }
}

impl Peer {
    /// Connects, again after a cut: same client, same session.
    ///
    /// # Errors
    /// No CONNACK came.
    pub async fn connect(&mut self) -> Outcome {
        let State::Apart(connection) = std::mem::replace(&mut self.state, State::Moving) else {
            return Err(format!("{} is connected already", self.name));
        };
        let (cut, told_to_cut) = oneshot::channel();
        let task = tokio::spawn(poll(connection, self.notices.clone(), told_to_cut));
        self.state = State::Polled { task, cut };
        let connack: ConnAck = take(&mut self.inboxes.connacks, "a CONNACK").await?;
        self.session_present = connack.session_present;
        self.assigned_client_id = connack.assigned_client_id;
        Ok(())
    }

    /// Subscribes with a QoS and nothing else; the granted QoS.
    ///
    /// # Errors
    /// No SUBACK came, or it refused.
    pub async fn subscribe(&mut self, filter: &str, qos: u8) -> Outcome<u8> {
        self.subscribe_with(Subscription { filter, qos, ..Subscription::default() }).await
    }

    /// Subscribes; the granted QoS.
    ///
    /// # Errors
    /// No SUBACK came, or it refused.
    pub async fn subscribe_with(&mut self, subscription: Subscription<'_>) -> Outcome<u8> {
        let filter = subscription.filter.to_owned();
        self.requests.subscribe(subscription).await?;
        let granted = take(&mut self.inboxes.subacks, "a SUBACK").await?;
        granted.ok_or(format!("{filter} was refused"))
    }

    /// Unsubscribes; the reasons of the UNSUBACK, none before MQTT 5.
    ///
    /// # Errors
    /// No UNSUBACK came.
    pub async fn unsubscribe(&mut self, filter: &str) -> Outcome<Vec<String>> {
        self.requests.unsubscribe(filter).await?;
        take(&mut self.inboxes.unsubacks, "an UNSUBACK").await
    }

    /// Hands a message to the client without waiting for its acknowledgement.
    ///
    /// # Errors
    /// The client does not take it.
    pub async fn send(&self, topic: &str, payload: impl Into<Vec<u8>>, qos: u8) -> Outcome {
        self.requests.publish(topic, payload.into(), qos, false, None).await
    }

    /// Publishes and, unless it has QoS 0, waits until the message is acknowledged: the reason.
    ///
    /// # Errors
    /// No acknowledgement came.
    pub async fn publish(&mut self, topic: &str, payload: &str, qos: u8) -> Outcome<String> {
        self.publish_with(topic, payload, qos, false, None).await
    }

    /// Publishes a retained message; as `publish`.
    ///
    /// # Errors
    /// No acknowledgement came.
    pub async fn retain(&mut self, topic: &str, payload: &str, qos: u8) -> Outcome<String> {
        self.publish_with(topic, payload, qos, true, None).await
    }

    /// Publishes with everything there is; as `publish`.
    ///
    /// # Errors
    /// No acknowledgement came.
    pub async fn publish_with(
        &mut self,
        topic: &str,
        payload: &str,
        qos: u8,
        retain: bool,
        properties: Option<PublishProperties>,
    ) -> Outcome<String> {
        self.requests.publish(topic, payload.into(), qos, retain, properties).await?;
        if qos == 0 {
            return Ok("Success".to_owned());
        }
        take(&mut self.inboxes.acknowledgements, &format!("the acknowledgement of {topic}")).await
    }

    /// Waits until so many sent messages are acknowledged.
    ///
    /// # Errors
    /// One did not come.
    pub async fn await_acknowledged(&mut self, count: usize) -> Outcome {
        for number in 1..=count {
            let what = format!("acknowledgement {number} of {count}");
            take(&mut self.inboxes.acknowledgements, &what).await?;
        }
        Ok(())
    }

    /// The reason of the next PUBREC, in the order they came.
    ///
    /// # Errors
    /// None came.
    pub async fn received_reason(&mut self) -> Outcome<String> {
        take(&mut self.inboxes.pubrecs, "a PUBREC").await
    }

    /// The next message.
    ///
    /// # Errors
    /// None came.
    pub async fn receive(&mut self, what: &str) -> Outcome<Message> {
        take(&mut self.inboxes.messages, what).await
    }

    /// The payloads of the next messages as text.
    ///
    /// # Errors
    /// One did not come.
    pub async fn texts(&mut self, count: usize) -> Outcome<Vec<String>> {
        let mut texts = Vec::with_capacity(count);
        for number in 1..=count {
            texts.push(self.receive(&format!("message {number} of {count}")).await?.text());
        }
        Ok(texts)
    }

    /// Acknowledges a message by hand.
    ///
    /// # Errors
    /// The client does not take it.
    pub async fn acknowledge(&self, message: &Message) -> Outcome {
        self.requests.acknowledge(message).await
    }

    /// All messages before a fence that goes twice through the broker.
    ///
    /// # Errors
    /// The fence did not come back.
    pub async fn until_fence(&mut self) -> Outcome<Vec<Message>> {
        let fence = format!("{}/fence", self.name);
        self.subscribe(&fence, 1).await?;
        let mut seen = Vec::new();
        for _ in 0..2 {
            self.publish(&fence, "fence", 1).await?;
            loop {
                let message = self.receive("the fence").await?;
                if message.topic == fence {
                    if self.manual_acks {
                        self.acknowledge(&message).await?;
                    }
                    break;
                }
                seen.push(message);
            }
        }
        self.unsubscribe(&fence).await?;
        Ok(seen)
    }

    /// Waits until the broker has read every acknowledgement of what was received so far.
    ///
    /// # Errors
    /// It does not answer.
    pub async fn settle(&mut self) -> Outcome {
        self.subscribe(&unique("settle"), 0).await?;
        self.unsubscribe(&unique("settle")).await.map(drop)
    }

    /// Fails if a message came or comes before two round trips through the broker are over.
    ///
    /// # Errors
    /// The messages that came.
    pub async fn expect_nothing_more(&mut self) -> Outcome {
        let seen: Vec<_> =
            self.until_fence().await?.into_iter().map(|message| message.topic).collect();
        expect(seen, Vec::new(), "messages before the fence")
    }

    /// Breaks the connection without a DISCONNECT.
    ///
    /// # Errors
    /// There is none.
    pub async fn cut(&mut self) -> Outcome {
        match std::mem::replace(&mut self.state, State::Moving) {
            State::Polled { task, cut } => {
                // A connection that is over already needs no cut.
                let _ = cut.send(());
                self.state = State::Apart(joined(task).await?.0);
                Ok(())
            }
            other => {
                self.state = other;
                Err(format!("{} is not connected", self.name))
            }
        }
    }

    /// Sends DISCONNECT and waits until the connection is closed.
    ///
    /// # Errors
    /// It did not end.
    pub async fn disconnect(&mut self) -> Outcome {
        self.requests.disconnect().await?;
        self.await_end().await.map(drop)
    }

    /// Waits until the connection ends; why, as the client tells it.
    ///
    /// # Errors
    /// It did not end.
    pub async fn await_end(&mut self) -> Outcome<String> {
        let State::Polled { task, cut } = std::mem::replace(&mut self.state, State::Moving) else {
            return Err(format!("{} is not connected", self.name));
        };
        let (connection, why) = joined(task).await?;
        drop(cut);
        self.state = State::Apart(connection);
        Ok(why.unwrap_or_default())
    }
}

/// Waits until nobody subscribes a topic: the sessions that did have ended.
///
/// # Errors
/// Somebody still does.
pub async fn await_no_subscriber(topic: &str) -> Outcome {
    let deadline = Instant::now() + PATIENCE;
    let mut prober = Setup::new("prober", Version::V5).connect().await?;
    while prober.publish(topic, "?", 1).await? != "NoMatchingSubscribers" {
        expect_that(Instant::now() < deadline, || format!("somebody still subscribes {topic}"))?;
    }
    prober.disconnect().await
}

/// Ends a session and leaves nothing behind in a broker that goes on running.
///
/// # Errors
/// It could not connect.
pub async fn end_session(name: &str, version: Version) -> Outcome {
    Setup::new(name, version).connect().await?.disconnect().await
}

/// Polls a connection until it ends or is to be cut; gives it back with why it ended.
async fn poll(
    mut connection: Connection,
    notices: Senders,
    mut cut: oneshot::Receiver<()>,
) -> (Connection, Option<String>) {
    loop {
        tokio::select! {
            // Told so, or the peer is gone.
            _ = &mut cut => {
                connection.cut();
                return (connection, None);
            }
            notice = connection.poll() => match notice {
                Ok(notice) => notices.hand_out(notice),
                Err(why) => return (connection, Some(why)),
            },
        }
    }
}

async fn joined(
    task: JoinHandle<(Connection, Option<String>)>,
) -> Outcome<(Connection, Option<String>)> {
    let ended =
        timeout(PATIENCE, task).await.map_err(|_| "the connection did not end".to_owned())?;
    ended.map_err(|error| format!("the client broke: {error}"))
}
