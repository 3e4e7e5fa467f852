//! The store does not work, or not fast enough. What would promise something is refused, and what
//! was promised waits; what promises nothing goes on.

use skein_protocol::ReasonCode;

use super::{ConnectionId, Metrics, Notice, NoticeLevel, Shard, Turn, respond::Violation};

/// Bytes of one shard that may wait to be durable. Above it nobody is read until half of them are.
pub(super) const JOURNAL_WAITING_BYTES_MAX: usize = 16 * 1024 * 1024;

/// What is wrong with the store.
#[derive(Debug, Default)]
pub(super) struct Trouble {
    /// Nothing can be made durable; whether it is room on the disk that is missing.
    failure: Option<bool>,
    /// More waits than may.
    is_behind: bool,
}

impl Trouble {
    /// Whether nothing can be made durable for now.
    #[inline]
    pub(super) fn has_failed(&self) -> bool {
        self.failure.is_some()
    }

    /// Whether nobody is read, because too much waits to be durable.
    #[inline]
    pub(super) fn is_behind(&self) -> bool {
        self.is_behind
    }

    /// So many bytes wait: nobody is read while those are too many.
    pub(super) fn note_waiting(&mut self, bytes: usize, metrics: &mut Metrics) {
        if !self.is_behind && bytes > JOURNAL_WAITING_BYTES_MAX {
            self.is_behind = true;
            metrics.store_pauses += 1;
        }
    }

    /// What those are told whom nothing can be promised; none if the store works.
    #[inline]
    pub(super) fn violation(&self) -> Option<Violation> {
        self.failure?;
        Some(match self.failure? {
            true => Violation::new(ReasonCode::QuotaExceeded, "the disk of the store is full"),
            false => {
                Violation::new(ReasonCode::ImplementationSpecificError, "the store does not work")
            }
        })
    }
}

impl Shard {
    /// Nothing can be made durable. Who waits for an answer that promises something is told.
    pub(super) fn on_store_failed(&mut self, is_disk_full: bool, turn: &mut Turn<'_>) {
        let was_known = self.journal.trouble.failure.replace(is_disk_full).is_some();
        let Some(violation) = self.journal.trouble.violation() else { return };
        if !was_known {
            self.metrics.store_failures += 1;
            self.notice_of_store("store-failed", &violation.text, turn);
        }
        // Whether it works again shows by a batch that becomes durable.
        self.journal.want(crate::record::Durability::Disk);
        self.locate_deferred(turn);
        for id in self.journal.fenced_answers() {
            if self
                .connections
                .find(id)
                .is_some_and(|found| found.outbox.released() < found.outbox.len())
            {
                self.metrics.acknowledgements_withheld += 1;
                self.disconnect(id, &violation, turn);
            }
        }
    }

    /// Something has become durable.
    pub(super) fn recover_from_trouble(&mut self, turn: &mut Turn<'_>) {
        if self.journal.trouble.failure.take().is_some() {
            self.notice_of_store("store-works", "the store works again", turn);
        }
        let left = self.journal.waiting_bytes();
        if self.journal.trouble.is_behind && left <= JOURNAL_WAITING_BYTES_MAX / 2 {
            self.journal.trouble.is_behind = false;
            for id in self.connections.ids() {
                // While we did not read, its silence was ours.
                if let Some(connection) = self.connections.find_mut(id) {
                    connection.heard_at = turn.now;
                }
                turn.effects.resumes.push(id);
            }
        }
    }

    fn notice_of_store(&self, kind: &'static str, text: &str, turn: &mut Turn<'_>) {
        let (level, text) = (NoticeLevel::Warning, text.to_owned());
        turn.effects.notices.push(Notice { level, kind, connection: None, client: None, text });
    }

    /// Refuses a publish that nothing can be promised of by ending its connection: before 5.0 there
    /// is no other way. The client sends it again.
    pub(super) fn close_unsafe_publisher(
        &mut self,
        id: ConnectionId,
        violation: &Violation,
        turn: &mut Turn<'_>,
    ) {
        self.metrics.publishes_refused += 1;
        self.notice_of(NoticeLevel::Warning, "publish-refused", id, &violation.text, turn);
        self.disconnect(id, violation, turn);
    }
}
