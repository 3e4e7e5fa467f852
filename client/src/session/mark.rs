//! What the next process has to know to go on in the server's session, besides the messages.

use std::time::Duration;

use skein_protocol::{PacketId, QoS};

use super::queue::Outgoing;
use super::{Session, Token};
use crate::{Publish, Result};

/// One step of a session that outlives the process [MQTT-4.1.0-1]. `M` names a message: a [`Token`]
/// in a session, a number in a [`Store`](crate::Store).
///
/// A mark has to be kept before the bytes it stands for leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark<M> {
    /// The server has begun a new session: no packet identifier means anything any more, what was
    /// sent counts as never sent.
    Began,
    /// The message was sent with this packet identifier.
    Sent(M, PacketId),
    /// The server owns the message (PUBREC); only PUBREL is owed.
    Released(M),
    /// A message of QoS 2 that came with this identifier is the client's from now on; it is not
    /// handed out again [MQTT-4.3.3-10].
    Taken(PacketId),
    /// PUBREL came for this identifier, which is free again [MQTT-4.3.3-12].
    Finished(PacketId),
}

/// How far a message had come when the process ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Progress {
    /// It was not sent in the present session.
    #[default]
    Queued,
    /// It was sent with this identifier, and neither PUBACK nor PUBREC had come.
    Sent(PacketId),
    /// The server owns it; PUBCOMP had not come.
    Released(PacketId),
}

impl<M> Mark<M> {
    /// The same step with another name for the message; `None` if there is none.
    pub fn rename<N>(self, name: impl FnOnce(M) -> Option<N>) -> Option<Mark<N>> {
        Some(match self {
            Self::Began => Mark::Began,
            Self::Sent(message, id) => Mark::Sent(name(message)?, id),
            Self::Released(message) => Mark::Released(name(message)?),
            Self::Taken(id) => Mark::Taken(id),
            Self::Finished(id) => Mark::Finished(id),
        })
    }
}

impl Session {
    /// Notes each step from now on; who asks for it has to take them, see
    /// [`take_marks`](Self::take_marks).
    pub fn keep_marks(&mut self) {
        self.marks.get_or_insert_default();
    }

    /// The steps since the last call, in order. They have to be kept before what
    /// [`output`](Self::output) holds now is written.
    pub fn take_marks(&mut self) -> Vec<Mark<Token>> {
        self.marks.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Takes a message that an earlier process left, whatever the limits of the queue say: it had
    /// been accepted then. What was sent before is sent again as it was, or what it still wants is,
    /// if the server still has the session [MQTT-4.4.0-1]; otherwise it is sent as a new message.
    ///
    /// Only before [`start`](Self::start), and in the order in which messages were first sent.
    ///
    /// # Errors
    /// The message cannot be written.
    pub fn restore(
        &mut self,
        publish: Publish,
        progress: Progress,
        now: Duration,
    ) -> Result<Token> {
        publish.check()?;
        let token = self.next_token();
        let (qos, outgoing) = (publish.level(), Outgoing::new(token, publish, now));
        match progress {
            Progress::Sent(id) if self.may_restore(id, qos) => {
                self.sender.restore(id, qos, Some(outgoing));
            }
            Progress::Released(id) if self.may_restore(id, qos) => {
                self.sender.restore(id, qos, None);
                self.released.insert(id, outgoing);
            }
            _ => self.queue.push_restored(outgoing),
        }
        Ok(token)
    }

    /// An earlier process has taken a message of QoS 2 with this identifier, and no PUBREL had come
    /// for it. As for [`restore`](Self::restore), this is the first thing that is done to a session.
    pub fn restore_taken(&mut self, id: PacketId) {
        self.receiver.restore(id);
    }

    /// Everything that is open in the server's session was restored: no identifier has to be
    /// settled.
    pub fn restore_whole(&mut self) {
        self.knows_ids = true;
    }

    pub(super) fn mark(&mut self, mark: Mark<Token>) {
        if let Some(marks) = &mut self.marks {
            marks.push(mark);
        }
    }

    /// Only a store that somebody else wrote to has one identifier twice.
    fn may_restore(&self, id: PacketId, qos: QoS) -> bool {
        qos > QoS::AtMostOnce && !self.sender.is_in_use(id)
    }
}
