//! The messages a session waits for: bounded by number and bytes, with a policy for what does
//! not fit. Of a long queue only both ends are in memory; see `spilled`.

use super::{
    Delivery, Time,
    segments::Segments,
    spilled::{CHUNKS_IN_HEAD, CHUNKS_IN_MEMORY, Spill, Spilled},
};
use crate::{config::Overflow, record::Batch};

/// How much one session may keep.
#[derive(Clone, Copy, Debug)]
pub struct QueueLimits {
    /// `queue_messages_max`.
    pub messages_max: usize,
    /// `queue_bytes_max`.
    pub bytes_max: usize,
}

/// What became of a delivery that was to be queued.
#[derive(Debug)]
pub enum Pushed {
    /// It waits.
    Queued,
    /// It did not fit and is given back (`drop-newest`, `refuse`).
    DroppedNewest(Delivery),
    /// It waits; these had to go for it (`drop-oldest`).
    DroppedOldest(Vec<Delivery>),
    /// It did not fit, and the session's connection is to be closed (`disconnect`).
    Overflowed(Delivery),
}

/// QoS 1 and 2 messages that wait for a session, oldest first.
#[derive(Debug, Default)]
pub struct Queue {
    /// What is sent next. It is empty only if the queue is, or if a chunk has to be read first.
    head: Segments<Delivery>,
    /// Of all that wait.
    bytes: usize,
    /// No message that waits in memory expires before.
    expires_from: Option<Time>,
    /// What is behind the head of a long queue; never empty for long.
    spilled: Option<Box<Spilled>>,
}

impl Queue {
    /// How many wait.
    pub fn len(&self) -> usize {
        self.head.len() + self.spilled.as_ref().map_or(0, |spilled| spilled.len())
    }

    /// Whether fewer than this wait.
    #[inline]
    pub fn is_below(&self, count: usize) -> bool {
        match &self.spilled {
            None => self.head.are_below(count),
            Some(_) => self.len() < count,
        }
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.head.is_empty() && self.spilled.as_ref().is_none_or(|spilled| spilled.len() == 0)
    }

    /// Bytes they are charged with, wherever they are.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Bytes that those are charged with which are in memory.
    pub fn memory_bytes(&self) -> usize {
        self.bytes - self.spilled.as_ref().map_or(0, |spilled| spilled.away_bytes())
    }

    /// Whether one more delivery of this size fits.
    pub fn fits(&self, bytes: usize, limits: QueueLimits) -> bool {
        self.is_below(limits.messages_max) && self.bytes + bytes <= limits.bytes_max
    }

    /// Whether a delivery of this size is queued, perhaps over older ones.
    pub fn takes(&self, bytes: usize, limits: QueueLimits, overflow: Overflow) -> bool {
        let makes_room = overflow == Overflow::DropOldest && self.makes_room(bytes, limits);
        self.fits(bytes, limits) || makes_room
    }

    /// Whether older ones can be dropped for a delivery of this size. As long as those have to be
    /// read first, no more than a chunk is taken over the limits.
    fn makes_room(&self, bytes: usize, limits: QueueLimits) -> bool {
        if bytes > limits.bytes_max || limits.messages_max == 0 {
            return false;
        }
        self.spilled.as_ref().is_none_or(|spilled| {
            let fits_behind =
                spilled.len() < limits.messages_max && spilled.bytes() + bytes <= limits.bytes_max;
            fits_behind || spilled.over_bytes + bytes <= spilled.chunk_bytes()
        })
    }

    /// Appends a delivery, or does what the policy says when it does not fit.
    pub fn push(&mut self, delivery: Delivery, limits: QueueLimits, overflow: Overflow) -> Pushed {
        if self.fits(delivery.bytes(), limits) {
            self.push_unbounded(delivery);
            return Pushed::Queued;
        }
        match overflow {
            Overflow::DropNewest | Overflow::Refuse => Pushed::DroppedNewest(delivery),
            Overflow::Disconnect => Pushed::Overflowed(delivery),
            Overflow::DropOldest => self.push_over_oldest(delivery, limits),
        }
    }

    fn push_over_oldest(&mut self, delivery: Delivery, limits: QueueLimits) -> Pushed {
        if !self.makes_room(delivery.bytes(), limits) {
            return Pushed::DroppedNewest(delivery);
        }
        let mut dropped = Vec::new();
        while !self.fits(delivery.bytes(), limits) {
            let Some(oldest) = self.pop() else { break };
            dropped.push(oldest);
        }
        if !self.fits(delivery.bytes(), limits)
            && let Some(spilled) = &mut self.spilled
        {
            spilled.over_bytes += delivery.bytes();
        }
        self.push_unbounded(delivery);
        Pushed::DroppedOldest(dropped)
    }

    /// Appends a delivery whatever the limits: for retained replies, which come in bounded steps
    /// and are never cut short.
    pub fn push_unbounded(&mut self, delivery: Delivery) {
        if let Some(at) = delivery.message.borrow().expires_at {
            self.expires_from = Some(self.expires_from.map_or(at, |from| from.min(at)));
        }
        self.bytes += delivery.bytes();
        match &mut self.spilled {
            None => self.head.push_back(delivery),
            Some(spilled) => spilled.push_back(delivery),
        }
    }

    /// When [`Queue::take_expired`] may find something, at the earliest.
    pub fn expires_from(&self) -> Option<Time> {
        self.expires_from
    }

    /// Takes out what has expired in memory [MQTT-3.3.2-5]; looks at nothing as long as nothing can
    /// have.
    pub fn take_expired(&mut self, now: Time) -> Vec<Delivery> {
        if self.expires_from.is_none_or(|from| now < from) {
            return Vec::new();
        }
        self.take(|delivery| delivery.message.borrow().is_expired(now))
    }

    /// Takes out what is like this at both ends of the queue; the rest keeps its order. Of what is
    /// not in memory nothing is known.
    pub fn take(&mut self, is_like_this: impl Fn(&Delivery) -> bool) -> Vec<Delivery> {
        let mut taken = Vec::new();
        for delivery in std::mem::take(&mut self.head) {
            if is_like_this(&delivery) {
                taken.push(delivery);
            } else {
                self.head.push_back(delivery);
            }
        }
        if let Some(spilled) = &mut self.spilled {
            spilled.take_of_tail(&is_like_this, &mut taken);
        }
        self.bytes -= taken.iter().map(Delivery::bytes).sum::<usize>();
        let tail = self.spilled.iter().flat_map(|spilled| spilled.tail());
        let left = self.head.iter().chain(tail);
        self.expires_from = left.filter_map(|d| d.message.borrow().expires_at).min();
        self.fill_head();
        taken
    }

    /// What waits in memory, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &Delivery> {
        self.head.iter().chain(self.spilled.iter().flat_map(|spilled| spilled.iter()))
    }

    /// Takes the oldest out; none, if it has to be read first.
    pub fn pop(&mut self) -> Option<Delivery> {
        let delivery = self.head.pop_front()?;
        self.bytes -= delivery.bytes();
        if self.head.is_empty() {
            self.fill_head();
        }
        Some(delivery)
    }

    /// Takes out all that is in memory, oldest first, and forgets the rest.
    pub fn drain(&mut self) -> impl Iterator<Item = Delivery> + use<> {
        let Self { head, spilled, .. } = std::mem::take(self);
        head.into_iter().chain(spilled.into_iter().flat_map(|spilled| spilled.into_memory()))
    }
}

/// What of a long queue is on disk.
impl Queue {
    /// Whether only both ends are in memory.
    pub fn is_spilled(&self) -> bool {
        self.spilled.is_some()
    }

    /// More than this may not be in memory for long: if the queue is longer, what comes now goes to
    /// its other end.
    pub fn spill_above(&mut self, memory_bytes: usize) {
        if self.spilled.is_none() && self.bytes > memory_bytes / CHUNKS_IN_MEMORY * CHUNKS_IN_HEAD {
            self.spilled = Some(Box::new(Spilled::new(memory_bytes)));
        }
    }

    /// What is to be done now with the part that is not in memory, if anything; a new chunk is to
    /// have this number. To be asked again until nothing is.
    pub fn next_spill(&mut self, number: u64) -> Option<Spill> {
        self.fill_head();
        let head_bytes = self.head_bytes();
        let spilled = self.spilled.as_mut()?;
        spilled.write_next(number).or_else(|| spilled.read_next(head_bytes))
    }

    /// The chunks that are on disk, or on their way.
    pub fn chunks(&self) -> impl Iterator<Item = u64> {
        self.spilled.iter().flat_map(|spilled| spilled.away())
    }

    /// This chunk is on disk; or it could not be written, and its bytes are back.
    pub fn on_written(&mut self, chunk: u64, back: Option<&Batch>) {
        if let Some(spilled) = &mut self.spilled {
            spilled.on_written(chunk, back);
        }
    }

    /// This chunk was read. False if it could not be: it is not asked for any more, and nothing
    /// behind it is sent, until [`Queue::retry`].
    pub fn on_read(&mut self, chunk: u64, bytes: Option<&[u8]>) -> bool {
        self.spilled.as_mut().is_none_or(|spilled| spilled.on_read(chunk, bytes))
    }

    /// What could not be read may be asked for again.
    pub fn retry(&mut self) {
        if let Some(spilled) = &mut self.spilled {
            spilled.retry();
        }
    }

    /// After a chunk was read: takes out the oldest for which newer ones were taken over the limits.
    pub fn take_over_limits(&mut self, limits: QueueLimits) -> Vec<Delivery> {
        let mut dropped = Vec::new();
        let is_owed = self.spilled.as_ref().is_some_and(|spilled| spilled.over_bytes > 0);
        self.fill_head();
        if !is_owed {
            return dropped;
        }
        let is_over =
            |queue: &Self| queue.len() > limits.messages_max || queue.bytes > limits.bytes_max;
        while is_over(self) {
            let Some(oldest) = self.pop() else { return dropped };
            dropped.push(oldest);
        }
        if let Some(spilled) = &mut self.spilled {
            spilled.over_bytes = 0;
        }
        dropped
    }

    fn head_bytes(&self) -> usize {
        self.bytes - self.spilled.as_ref().map_or(0, |spilled| spilled.bytes())
    }

    /// Moves what is in front and in memory to a head that is short of it.
    fn fill_head(&mut self) {
        while let Some(spilled) = &mut self.spilled {
            if self.bytes - spilled.bytes() >= spilled.chunk_bytes() {
                return;
            }
            let Some(next) = spilled.pop_front() else {
                if spilled.len() > 0 {
                    return;
                }
                self.spilled = None;
                break;
            };
            for delivery in next {
                let expires_at = delivery.message.borrow().expires_at;
                self.expires_from = [self.expires_from, expires_at].into_iter().flatten().min();
                self.head.push_back(delivery);
            }
        }
        if self.head.is_empty() {
            self.expires_from = None;
        }
    }
}

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;
