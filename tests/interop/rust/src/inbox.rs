//! Where what a client's task hears waits for the script, one queue for each kind.

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::timeout;

use crate::link::Notice;
use crate::report::{Outcome, PATIENCE};
use crate::setup::Message;

/// The next of a queue; fails when it does not come.
pub(crate) async fn take<T>(inbox: &mut UnboundedReceiver<T>, what: &str) -> Outcome<T> {
    let late = || format!("{what} did not come within {} s", PATIENCE.as_secs());
    timeout(PATIENCE, inbox.recv()).await.ok().flatten().ok_or_else(late)
}

/// Whether the session was present, and the client id that was assigned.
pub(crate) struct ConnAck {
    pub(crate) session_present: bool,
    pub(crate) assigned_client_id: Option<String>,
}

/// The ends the task writes to.
#[derive(Clone)]
pub(crate) struct Senders {
    connacks: UnboundedSender<ConnAck>,
    messages: UnboundedSender<Message>,
    subacks: UnboundedSender<Option<u8>>,
    unsubacks: UnboundedSender<Vec<String>>,
    acknowledgements: UnboundedSender<String>,
    pubrecs: UnboundedSender<String>,
}

/// The ends the script reads from.
pub(crate) struct Inboxes {
    pub(crate) connacks: UnboundedReceiver<ConnAck>,
    pub(crate) messages: UnboundedReceiver<Message>,
    pub(crate) subacks: UnboundedReceiver<Option<u8>>,
    pub(crate) unsubacks: UnboundedReceiver<Vec<String>>,
    pub(crate) acknowledgements: UnboundedReceiver<String>,
    pub(crate) pubrecs: UnboundedReceiver<String>,
}

/// Both ends of all queues.
pub(crate) fn channels() -> (Senders, Inboxes) {
    let (connacks, connacks_in) = unbounded_channel();
    let (messages, messages_in) = unbounded_channel();
    let (subacks, subacks_in) = unbounded_channel();
    let (unsubacks, unsubacks_in) = unbounded_channel();
    let (acknowledgements, acknowledgements_in) = unbounded_channel();
    let (pubrecs, pubrecs_in) = unbounded_channel();
    let inboxes = Inboxes {
        connacks: connacks_in,
        messages: messages_in,
        subacks: subacks_in,
        unsubacks: unsubacks_in,
        acknowledgements: acknowledgements_in,
        pubrecs: pubrecs_in,
    };
    (Senders { connacks, messages, subacks, unsubacks, acknowledgements, pubrecs }, inboxes)
}

impl Senders {
    /// Nobody listening is fine: the script has gone on without this client.
    pub(crate) fn hand_out(&self, notice: Notice) {
        let _ = match notice {
            Notice::Connected(connack) => self.connacks.send(connack).is_ok(),
            Notice::Message(message) => self.messages.send(message).is_ok(),
            Notice::Subscribed(granted) => self.subacks.send(granted).is_ok(),
            Notice::Unsubscribed(reasons) => self.unsubacks.send(reasons).is_ok(),
            Notice::Acknowledged(reason) => self.acknowledgements.send(reason).is_ok(),
            Notice::Received(reason) => self.pubrecs.send(reason).is_ok(),
            Notice::Nothing => true,
        };
    }
}
