//! The journal of one shard: what changes durable state is recorded as it happens, and what leaves
//! the broker waits until that is safe.
//!
//! ```text
//!   record ─▶ open batch ──seal──▶ Persist ─ ─ ─(store)─ ─ ─▶ Durable
//!                 │ ticket                                      │
//!            Outbox::hold ◀────────── fences ──────────────▶ Outbox::release_held
//! ```
//!
//! A publish that needs the journal of several shards makes a group of their batches: the shard of
//! the publisher tells each of them its part, behind the publishes. A batch that holds something of
//! a group stays open until it knows all its groups, and belongs to all of them; so no group is torn,
//! in whatever order the shards get to their lanes. A shard tells its parts before it waits for
//! those of others, and begins no group while too many are not durable (`grouping`), so none waits
//! for ever.

use std::collections::{BTreeMap, VecDeque};

use super::{
    ConnectionId, Effects, Lanes, Message, Outbox, Persist, Shard, ShardId, Time, Turn,
    timers::Timer,
};
use crate::{
    record::{Batch, Durability, Group, Record},
    topic::ShardSet,
};

/// A batch that nobody waits for goes when it has grown to this size,
const LAZY_BYTES_MAX: usize = 64 * 1024;
/// or is this old.
const LAZY_MS_MAX: u64 = 100;
/// Groups are numbered by the shard that begins them, and its count.
const GROUP_BITS: u32 = 48;

/// A connection whose outbox has a fence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Fenced {
    ticket: u64,
    connection: ConnectionId,
    /// Whether an answer that promises something waits behind it, which ends the connection if the
    /// store fails.
    is_answer: bool,
}

/// What was recorded and is not durable yet. Off until the store's state has come: then nothing is
/// recorded, and nothing waits.
#[derive(Debug)]
pub(super) struct Journal {
    own: ShardId,
    is_on: bool,
    /// The start of the clock, milliseconds since 1970.
    unix_ms: u64,
    open: Batch,
    /// That of the open batch.
    ticket: u64,
    /// How safe the open batch has to be for somebody who waits for it.
    wanted: Option<Durability>,
    /// Whether a batch has gone since the last one that was to be on the disk: who waits for that
    /// waits for another one, which may be empty.
    is_unsynced: bool,
    /// When the open batch goes, though nobody waits for it.
    due_at: Option<Time>,
    is_due: bool,
    /// Those that the open batch belongs to.
    groups: Vec<Group>,
    /// Shards that were told something of which they have a part, and not yet which.
    told: ShardSet,
    /// Shards whose parts are still to come.
    unparted: ShardSet,
    group_count: u64,
    /// The batches that are not durable, by ticket, with their bytes.
    sealed: VecDeque<(u64, usize)>,
    /// Bytes of all of them.
    sealed_bytes: usize,
    fences: VecDeque<Fenced>,
    /// The number of the next message, and what lies between two of this shard.
    message: u64,
    message_stride: u64,
    /// The number of the last entry, of whichever session.
    entry: u64,
    /// Sessions whose end is not durable, by client id: the ticket of that, and the newest grant.
    /// Until it is, no other shard may become their home.
    ended: BTreeMap<Box<str>, (u64, u64)>,
    endings: VecDeque<(u64, Box<str>)>,
    pub(super) recovery: super::recover::Recovery,
    pub(super) trouble: super::trouble::Trouble,
    pub(super) grouping: super::grouping::Grouping,
}

impl Journal {
    pub(super) fn new(own: ShardId) -> Self {
        Self {
            own,
            is_on: false,
            unix_ms: 0,
            open: Batch::default(),
            ticket: 1,
            wanted: None,
            is_unsynced: false,
            due_at: None,
            is_due: false,
            groups: Vec::new(),
            told: ShardSet::EMPTY,
            unparted: ShardSet::EMPTY,
            group_count: 0,
            sealed: VecDeque::new(),
            sealed_bytes: 0,
            fences: VecDeque::new(),
            message: 0,
            message_stride: 1,
            entry: 0,
            ended: BTreeMap::new(),
            endings: VecDeque::new(),
            recovery: super::recover::Recovery::default(),
            trouble: super::trouble::Trouble::default(),
            grouping: super::grouping::Grouping::default(),
        }
    }

    /// Begins, above the numbers that the log has used.
    pub(super) fn begin(&mut self, unix_ms: u64, message_max: u64, entry_max: u64, shards: usize) {
        self.is_on = true;
        self.unix_ms = unix_ms;
        self.message = message_max + 1 + self.own.index() as u64;
        self.message_stride = shards as u64;
        self.entry = entry_max;
    }

    /// Whether there is a store.
    #[inline]
    pub(super) fn is_on(&self) -> bool {
        self.is_on
    }

    /// A time as it stands in records.
    pub(super) fn unix_ms(&self, at: Time) -> u64 {
        self.unix_ms.saturating_add(at.as_millis())
    }

    /// A time of records as it is on the broker's clock; its start, if that is later.
    pub(super) fn time(&self, unix_ms: u64) -> Time {
        Time::from_millis(unix_ms.saturating_sub(self.unix_ms))
    }

    /// Appends a record to the open batch.
    pub(super) fn push(&mut self, record: &Record<'_>) {
        debug_assert!(self.is_on, "without a store nothing is recorded");
        self.open.push_with(|out| record.encode(out));
    }

    /// The number of a new message.
    pub(super) fn next_message(&mut self) -> u64 {
        let message = self.message;
        self.message += self.message_stride;
        message
    }

    /// The number of a new entry.
    pub(super) fn next_entry(&mut self) -> u64 {
        self.entry += 1;
        self.entry
    }

    /// Bytes that were handed over, or will be, and are not durable.
    pub(super) fn waiting_bytes(&self) -> usize {
        self.sealed_bytes + self.open.bytes()
    }

    /// Somebody waits for what is recorded in the open batch, or will be; returns its ticket.
    pub(super) fn want(&mut self, durability: Durability) -> u64 {
        self.wanted = self.wanted.max(Some(durability));
        self.ticket
    }

    /// Somebody waits for everything so far; returns the ticket of that, or none if it is durable.
    pub(super) fn want_all(&mut self, durability: Durability) -> Option<u64> {
        let is_unsynced = self.is_unsynced && durability == Durability::Disk;
        if self.is_open_used() || is_unsynced {
            return Some(self.want(durability));
        }
        self.sealed.back().map(|(ticket, _)| *ticket)
    }

    /// Whether anything is or will be in the open batch, or somebody waits for it.
    pub(super) fn is_open_used(&self) -> bool {
        !self.open.is_empty()
            || self.wanted.is_some()
            || !self.groups.is_empty()
            || !self.told.is_empty()
            || !self.unparted.is_empty()
    }

    /// What is written to this outbox from now on waits for a batch.
    pub(super) fn hold(
        &mut self,
        ticket: u64,
        connection: ConnectionId,
        outbox: &mut Outbox,
        is_answer: bool,
    ) {
        let is_new = outbox.hold(ticket);
        let fenced = Fenced { ticket, connection, is_answer };
        if is_new || (is_answer && self.fences.back() != Some(&fenced)) {
            self.fences.push_back(fenced);
        }
    }

    /// This shard was told something that it will have a part of.
    #[inline]
    pub(super) fn await_part(&mut self, from: ShardId) {
        self.unparted.insert(from);
    }

    /// Everything that another shard has told so far, and that belongs to a group, belongs to this.
    pub(super) fn take_part(&mut self, from: ShardId, group: Group) {
        self.unparted.remove(from);
        self.groups.push(group);
    }

    /// These shards were told something that they have a part of.
    pub(super) fn tell(&mut self, shards: ShardSet) {
        self.told = self.told.union(shards);
    }

    /// Whether the open batch may go, and somebody waits for that.
    #[inline]
    pub(super) fn is_awaited(&self) -> bool {
        let is_asked = self.wanted.is_some() || !self.groups.is_empty();
        (is_asked && self.unparted.is_empty()) || !self.told.is_empty()
    }

    /// The connections behind whose fences an answer waits.
    pub(super) fn fenced_answers(&self) -> Vec<ConnectionId> {
        self.fences.iter().filter(|it| it.is_answer).map(|it| it.connection).collect()
    }

    /// A session has ended, which the open batch says. Its registrar hears of it when that is
    /// durable: another shard might record a new session before this one's end.
    pub(super) fn end_later(&mut self, client_id: &str, epoch: u64, durability: Durability) {
        let ticket = self.want(durability);
        self.ended.insert(client_id.into(), (ticket, epoch));
        self.endings.push_back((ticket, client_id.into()));
    }

    /// Whether the end of this client id's last session is not durable.
    pub(super) fn is_ending(&self, client_id: &str) -> bool {
        self.ended.contains_key(client_id)
    }

    /// Whether the end of this client id's last session is not durable: a newer grant waits for it.
    pub(super) fn defers_release(&mut self, client_id: &str, epoch: u64) -> bool {
        let found = self.ended.get_mut(client_id).map(|(_, newest)| {
            *newest = epoch.max(*newest);
        });
        found.is_some()
    }

    /// Of a batch whose parts all are known: what the shell is to hand over, if it is time.
    fn close_open(&mut self, timers: &mut super::timers::Timers) -> Persist {
        if let Some(at) = self.due_at.take() {
            timers.cancel(at, Timer::JournalDue);
        }
        self.is_due = false;
        let persist = Persist {
            ticket: self.ticket,
            batch: std::mem::take(&mut self.open),
            durability: self.wanted.take().unwrap_or(Durability::Os),
            groups: std::mem::take(&mut self.groups),
        };
        self.ticket += 1;
        self.is_unsynced = persist.durability == Durability::Os;
        self.sealed.push_back((persist.ticket, persist.batch.bytes()));
        self.sealed_bytes += persist.batch.bytes();
        persist
    }

    /// Tells the others their parts of what this shard has told them since the last time.
    fn tell_parts(&mut self, lanes: &mut Lanes) {
        let told = std::mem::take(&mut self.told);
        if told.is_empty() {
            return;
        }
        self.group_count += 1;
        let number = (self.own.index() as u64) << GROUP_BITS | self.group_count;
        let parts = 1 + told.iter().count() as u32;
        let group = Group { number, parts };
        for shard in told.iter() {
            lanes.tell_part(shard, group);
        }
        self.groups.push(group);
        self.grouping.note_begun(self.ticket);
    }
}

impl Shard {
    /// Makes a batch of what was recorded since the last one, if somebody waits for it. The shell
    /// calls it at the end of a turn, before it flushes anything.
    #[inline]
    pub fn seal(&mut self, now: Time, effects: &mut Effects) {
        if self.journal.is_on {
            self.seal_open(&mut Turn { now, effects });
        }
    }

    fn seal_open(&mut self, turn: &mut Turn<'_>) {
        let journal = &mut self.journal;
        journal.tell_parts(&mut self.lanes);
        journal.trouble.note_waiting(journal.waiting_bytes(), &mut self.metrics);
        if !journal.is_open_used() || !journal.unparted.is_empty() {
            return;
        }
        let is_asked =
            journal.wanted.is_some() || !journal.groups.is_empty() || self.stop.has_begun();
        if !is_asked && !journal.is_due && journal.open.bytes() < LAZY_BYTES_MAX {
            if journal.due_at.is_none() {
                let at = turn.now.plus(LAZY_MS_MAX);
                journal.due_at = Some(at);
                self.timers.arm(at, Timer::JournalDue);
            }
            return;
        }
        let was_unsynced = journal.is_unsynced;
        let persist = journal.close_open(&mut self.timers);
        let says_nothing = persist.batch.is_empty() && persist.groups.is_empty() && !was_unsynced;
        if says_nothing && journal.sealed.len() == 1 && !journal.trouble.has_failed() {
            // What somebody thought to wait for was not recorded after all.
            self.on_durable(persist.ticket, turn);
        } else {
            self.metrics.journal_batches += 1;
            self.metrics.journal_bytes += persist.batch.bytes() as u64;
            turn.effects.persists.push(persist);
        }
    }

    /// The open batch is old enough.
    pub(super) fn on_journal_due(&mut self) {
        self.journal.due_at = None;
        self.journal.is_due = true;
    }

    /// What waited for these batches may leave.
    pub(super) fn on_durable(&mut self, ticket: u64, turn: &mut Turn<'_>) {
        let journal = &mut self.journal;
        let count = journal.sealed.partition_point(|(sealed, _)| *sealed <= ticket);
        journal.sealed_bytes -=
            journal.sealed.drain(..count).map(|(_, bytes)| bytes).sum::<usize>();
        journal.grouping.note_durable(ticket);
        let count = journal.fences.partition_point(|fenced| fenced.ticket <= ticket);
        self.metrics.outboxes_held += count as u64;
        for fenced in journal.fences.drain(..count) {
            let Some(connection) = self.connections.find_mut(fenced.connection) else { continue };
            let waited = connection.outbox.released() == 0;
            connection.outbox.release_held(ticket);
            connection.is_connack_held = false;
            if waited && connection.outbox.released() > 0 {
                turn.effects.dirty.push(fenced.connection);
            }
        }
        self.release_ended(ticket, turn);
        self.recover_from_trouble(turn);
        self.resume_grouping(turn);
    }

    /// The ends of these sessions are durable.
    fn release_ended(&mut self, ticket: u64, turn: &mut Turn<'_>) {
        let count = self.journal.endings.partition_point(|(ended, _)| *ended <= ticket);
        let endings: Vec<_> = self.journal.endings.drain(..count).collect();
        for (_, client_id) in endings {
            let is_over = self.journal.ended.get(&client_id).is_some_and(|(at, _)| *at <= ticket);
            if is_over && let Some((_, epoch)) = self.journal.ended.remove(&client_id) {
                let registrar = self.registrar_of(&client_id);
                self.tell(registrar, Message::Released { client_id, epoch }, turn);
            }
        }
    }
}
