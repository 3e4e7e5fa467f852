//! A long queue goes to disk and comes back. Only sessions that the store knows have such: what a
//! crash needs of their queues stands in the log.

use std::collections::BTreeMap;

use skein_protocol::ReasonCode;

use super::{Notice, NoticeLevel, Shard, Turn, respond::Violation};
use crate::{
    record::Batch,
    session::{Pushed, Queue, SessionKey, Spill},
};

/// What has become of a chunk.
#[derive(Debug)]
pub enum Spilled {
    /// It is on disk.
    Written,
    /// It could not be written: here it is again.
    NotWritten(Batch),
    /// It was read, and is on disk no more.
    Read(Vec<u8>),
    /// It could not be read. It is kept, perhaps it can be later.
    NotRead,
}

/// The chunks that are on disk, on their way there, or on their way back.
#[derive(Debug, Default)]
pub(super) struct Chunks {
    newest: u64,
    /// How many are on their way to disk, whoever wants them.
    on_their_way: usize,
    sessions: BTreeMap<u64, SessionKey>,
}

impl Chunks {
    pub(super) fn len(&self) -> usize {
        self.sessions.len()
    }

    /// How many are being written.
    #[inline]
    pub(super) fn on_their_way(&self) -> usize {
        self.on_their_way
    }
}

impl Shard {
    /// Something was pushed to the session's queue, or taken from it: what of it is to be in memory.
    #[inline]
    pub(super) fn spill(&mut self, key: SessionKey, turn: &mut Turn<'_>) {
        let session = self.sessions.at(key);
        if session.durability.is_some() || session.queue.is_spilled() {
            self.move_chunks(key, turn);
        }
    }

    fn move_chunks(&mut self, key: SessionKey, turn: &mut Turn<'_>) {
        let session = self.sessions.at_mut(key);
        if session.durability.is_some() {
            session.queue.spill_above(self.settings.limits.queue_memory_bytes);
        }
        while let Some(spill) = session.queue.next_spill(self.chunks.newest + 1) {
            if let Spill::Write { chunk, .. } = &spill {
                self.chunks.newest = *chunk;
                self.chunks.on_their_way += 1;
                self.chunks.sessions.insert(*chunk, key);
            }
            turn.effects.spills.push(spill);
        }
    }

    /// A session has ended: its chunks are worth nothing.
    pub(super) fn forget_chunks(&mut self, queue: &Queue, turn: &mut Turn<'_>) {
        for chunk in queue.chunks() {
            self.chunks.sessions.remove(&chunk);
            turn.effects.spills.push(Spill::Forget { chunk });
        }
    }

    #[cold]
    #[inline(never)]
    pub(super) fn on_spilled(&mut self, chunk: u64, outcome: Spilled, turn: &mut Turn<'_>) {
        if matches!(outcome, Spilled::Written | Spilled::NotWritten(_)) {
            self.chunks.on_their_way = self.chunks.on_their_way.saturating_sub(1);
        }
        let Some(&key) = self.chunks.sessions.get(&chunk) else {
            self.metrics.late_replies += 1;
            return;
        };
        let before = self.sessions.at(key).queue.memory_bytes();
        let queue = &mut self.sessions.at_mut(key).queue;
        let is_read = match outcome {
            Spilled::Written => {
                queue.on_written(chunk, None);
                self.metrics.chunks_written += 1;
                None
            }
            Spilled::NotWritten(bytes) => {
                queue.on_written(chunk, Some(&bytes));
                self.chunks.sessions.remove(&chunk);
                self.metrics.chunks_not_written += 1;
                let text = "a part of its queue could not be written to disk: it stays in memory";
                self.notice_of_chunk(key, "chunk-not-written", text, turn);
                None
            }
            Spilled::Read(bytes) => Some(queue.on_read(chunk, Some(&bytes))),
            Spilled::NotRead => Some(queue.on_read(chunk, None)),
        };
        self.memory.adjust(before, self.sessions.at(key).queue.memory_bytes());
        match is_read {
            None => self.spill(key, turn),
            Some(true) => {
                self.chunks.sessions.remove(&chunk);
                self.metrics.chunks_read += 1;
                self.use_chunk(key, turn);
            }
            Some(false) => {
                self.metrics.chunks_not_read += 1;
                self.suspend(key, turn);
            }
        }
    }

    /// A chunk has come back: what is to be dropped of it is, and the rest is sent.
    fn use_chunk(&mut self, key: SessionKey, turn: &mut Turn<'_>) {
        let limits = self.queue_limits(key);
        let dropped = self.sessions.at_mut(key).queue.take_over_limits(limits);
        for delivery in &dropped {
            self.memory.release(delivery.bytes());
        }
        self.on_pushed(key, Pushed::DroppedOldest(dropped), turn);
        self.look_for_room(key, turn);
        self.refill(key, turn);
        self.spill(key, turn);
    }

    /// What was to be sent next can not be read. Nothing passes it: the client is sent away, and it
    /// is tried again when it comes back. The log has it, whatever happens.
    fn suspend(&mut self, key: SessionKey, turn: &mut Turn<'_>) {
        let Some(id) = self.sessions.at(key).connection else { return };
        let text = "a part of its queue can not be read from disk: nothing behind it is sent until \
                    it can, or until the broker starts again and takes it from the log";
        self.notice_of_chunk(key, "chunk-not-read", text, turn);
        let text = "the queue can not be read";
        let violation = Violation::new(ReasonCode::ImplementationSpecificError, text);
        self.disconnect(id, &violation, turn);
    }

    fn notice_of_chunk(
        &mut self,
        key: SessionKey,
        kind: &'static str,
        text: &str,
        turn: &mut Turn<'_>,
    ) {
        let session = self.sessions.at(key);
        turn.effects.notices.push(Notice {
            level: NoticeLevel::Warning,
            kind,
            connection: session.connection,
            client: Some(Box::from(&*session.client_id)),
            text: text.to_owned(),
        });
    }
}
