//! A session takes messages more slowly than they come: whoever publishes to it is paused, for
//! at most the grace; see [`Pressure`]. A full lane pauses those who feed it, too.

use skein_protocol::ReasonCode;

use super::{
    ConnectionId, Message, Shard, ShardId, Turn, connection::Pauses, memory::MemoryLevel,
    respond::Violation, timers::Timer,
};
use crate::session::{Pressure, Publisher, SessionKey, grace_ms};

impl Shard {
    /// The session is above its high-water mark because of a message of this publisher.
    pub(super) fn press(
        &mut self,
        key: SessionKey,
        publisher: Option<Publisher>,
        turn: &mut Turn<'_>,
    ) {
        let session = self.sessions.at_mut(key);
        if session.pressure.is_none() {
            let grace_ms_max = self.settings.limits.slow_consumer_grace_ms;
            let slow_at = session.arrears.as_ref().and_then(|arrears| arrears.slow_at);
            let grace_ends = turn.now.plus(grace_ms(grace_ms_max, slow_at, turn.now));
            self.pressures += 1;
            session.pressure = Some(Box::new(Pressure::new(self.pressures, grace_ends)));
            self.timers.arm(grace_ends, Timer::GraceEnds(key));
        }
        let own = session.connection.map(|connection| Publisher { shard: self.id, connection });
        if let Some(connection) = session.connection.and_then(|id| self.connections.find_mut(id)) {
            // Nobody flushes what a client does not take: what piles up is charged here.
            self.memory.adjust(connection.charged, connection.outbox.len());
            connection.charged = connection.outbox.len();
        }
        let Some(pressure) = &mut session.pressure else { return };
        // A client is not kept from sending because it does not read: its acknowledgements come
        // the same way as its publishes.
        if let Some(publisher) = publisher.filter(|publisher| own != Some(*publisher))
            && pressure.add(publisher)
        {
            let serial = pressure.serial;
            let pause = Message::Pause { connection: publisher.connection, pressure: serial };
            self.tell(publisher.shard, pause, turn);
        }
    }

    /// A connected session's queue presses as well, once half of what it may hold is used.
    pub(super) fn press_for_queue(
        &mut self,
        key: SessionKey,
        publisher: Option<Publisher>,
        turn: &mut Turn<'_>,
    ) {
        if self.sessions.at(key).connection.is_some() && self.queue_is_above(key, 2) {
            self.press(key, publisher, turn);
        }
    }

    /// Whether more than one `part`th of the queue's limits is used.
    fn queue_is_above(&self, key: SessionKey, part: usize) -> bool {
        let (queue, limits) = (&self.sessions.at(key).queue, self.queue_limits(key));
        !queue.is_below(limits.messages_max / part + 1) || queue.bytes() > limits.bytes_max / part
    }

    /// Ends the pressure once the session is below its low-water mark.
    #[inline]
    pub(super) fn ease(&mut self, key: SessionKey, turn: &mut Turn<'_>) {
        let session = self.sessions.at(key);
        if session.pressure.is_none() {
            return;
        }
        let connection = session.connection.and_then(|id| self.connections.find(id));
        let waiting = connection.map_or(0, |connection| connection.outbox.len());
        if waiting <= self.settings.limits.outbox_low_water_bytes && !self.queue_is_above(key, 4) {
            self.calm(key, turn);
        }
    }

    /// Ends the pressure.
    pub(super) fn calm(&mut self, key: SessionKey, turn: &mut Turn<'_>) {
        let Some(mut pressure) = self.sessions.at_mut(key).pressure.take() else { return };
        if !pressure.is_slow {
            self.timers.cancel(pressure.grace_ends, Timer::GraceEnds(key));
        }
        self.let_go(&mut pressure, turn);
    }

    /// The grace is over: nobody waits for this session any more.
    pub(super) fn on_grace_over(&mut self, key: SessionKey, turn: &mut Turn<'_>) {
        let session = self.sessions.at_mut(key);
        let Some(mut pressure) = session.pressure.take() else { return };
        pressure.is_slow = true;
        session.arrears.get_or_insert_default().slow_at = Some(turn.now);
        self.metrics.consumers_slow += 1;
        self.let_go(&mut pressure, turn);
        let session = self.sessions.at_mut(key);
        session.pressure = Some(pressure);
        if let Some(id) = session.connection {
            let text = "slow consumer: nobody waits for it any more until it has caught up";
            self.notice_of(super::NoticeLevel::Warning, "slow-consumer", id, text, turn);
        }
    }

    fn let_go(&mut self, pressure: &mut Pressure, turn: &mut Turn<'_>) {
        for publisher in pressure.release() {
            let connection = publisher.connection;
            let release = Message::Release { connection, pressure: pressure.serial };
            self.tell(publisher.shard, release, turn);
        }
    }

    /// A session on `from` asks to pause a publisher here.
    pub(super) fn on_pause(&mut self, from: ShardId, id: ConnectionId, pressure: u64) {
        if let Some(connection) = self.connections.find_mut(id) {
            self.metrics.publishers_paused += 1;
            connection.pauses_mut().pressures.insert((from, pressure));
        }
    }

    pub(super) fn on_release(
        &mut self,
        from: ShardId,
        id: ConnectionId,
        pressure: u64,
        turn: &mut Turn<'_>,
    ) {
        self.unpause(id, turn, |pauses| {
            pauses.pressures.remove(&(from, pressure));
        });
    }

    /// Changes why a connection is not read; if nothing is left, it is read again. What it has
    /// sent meanwhile still waits to be read, so its silence begins now.
    pub(super) fn unpause(
        &mut self,
        id: ConnectionId,
        turn: &mut Turn<'_>,
        change: impl FnOnce(&mut Pauses),
    ) {
        let Some(connection) = self.connections.find_mut(id) else { return };
        if connection.unpause(change) {
            connection.heard_at = turn.now;
            turn.effects.resumes.push(id);
        }
    }

    /// Pauses a connection that has fed a congested lane.
    #[inline]
    pub(super) fn pause_for_lane(&mut self, id: ConnectionId, to: ShardId) {
        if !self.lanes.is_congested(to) {
            return;
        }
        if let Some(connection) = self.connections.find_mut(id)
            && connection.pauses_mut().lanes.insert(to)
        {
            self.metrics.publishers_paused += 1;
            self.lanes.add_paused(to, id);
        }
    }

    /// Pauses a connection whose subscriptions have fed congested lanes.
    pub(super) fn pause_for_lanes(&mut self, id: ConnectionId) {
        for shard in self.others() {
            self.pause_for_lane(id, shard);
        }
    }

    /// The lane to another shard has moved.
    pub(super) fn on_lane_moved(&mut self, to: ShardId, turn: &mut Turn<'_>) {
        for id in self.lanes.take_paused(to) {
            self.unpause(id, turn, |pauses| {
                pauses.lanes.remove(to);
            });
        }
    }

    /// Pauses a connection that publishes although the memory budget is used up. It may go on
    /// after the time of a grace, to be paused again: it is slowed down, and never stopped for
    /// good by messages that nobody fetches.
    #[inline]
    pub(super) fn pause_for_memory(&mut self, id: ConnectionId, turn: &mut Turn<'_>) {
        if self.memory.level() < MemoryLevel::PausePublishers {
            return;
        }
        let Some(connection) = self.connections.find_mut(id) else { return };
        connection.pauses_mut().memory = true;
        self.metrics.publishers_paused += 1;
        if self.memory_paused.is_empty() {
            let ends_at = turn.now.plus(self.settings.limits.slow_consumer_grace_ms);
            self.timers.arm(ends_at, Timer::MemoryPauseEnds);
        }
        self.memory_paused.push(id);
    }

    pub(super) fn on_memory_pause_over(&mut self, turn: &mut Turn<'_>) {
        for id in std::mem::take(&mut self.memory_paused) {
            self.unpause(id, turn, |pauses| pauses.memory = false);
        }
    }

    /// Closes the connections of sessions whose queue overflowed (policy `disconnect`).
    pub(super) fn close_doomed(&mut self, turn: &mut Turn<'_>) {
        while let Some(id) = self.doomed.pop() {
            let text = "the session's queue is full (overflow = disconnect)";
            self.disconnect(id, &Violation::new(ReasonCode::QuotaExceeded, text), turn);
        }
    }
}
