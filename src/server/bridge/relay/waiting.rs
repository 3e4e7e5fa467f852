//! What cannot be published now.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::Passing;
use crate::server::backoff::Backoff;

/// How often a full queue is tried again, if nothing else happens, and how long it takes at first before
/// a broker that has no room for a message is asked again.
const RETRY_STEP: Duration = Duration::from_millis(500);
/// How long it takes at most.
const RETRY_STEP_MAX: Duration = Duration::from_secs(8);

/// Messages in the order in which they came: the queue is full, or the broker does not take more for now.
pub(super) struct Waiting {
    messages: VecDeque<Passing>,
    backoff: Backoff,
}

impl Waiting {
    pub(super) fn new() -> Self {
        let backoff = Backoff::between(RETRY_STEP, RETRY_STEP_MAX);
        Self { messages: VecDeque::new(), backoff }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Passing> {
        self.messages.iter_mut()
    }

    /// A message that waits behind all others.
    pub(super) fn push(&mut self, passing: Passing) {
        self.messages.push_back(passing);
    }

    /// The message whose turn it was could not be queued.
    pub(super) fn put_back(&mut self, passing: Passing) {
        self.messages.push_front(passing);
    }

    /// The broker has no room for this message: it is asked again after a pause, each time a longer one.
    pub(super) fn on_refused(&mut self, passing: Passing, now: Instant) {
        let place = self.messages.partition_point(|other| other.delivery < passing.delivery);
        self.messages.insert(place, passing);
        // Those that were refused together have one pause.
        if self.backoff.wait_until(now).is_none() {
            self.backoff.fail(now);
        }
    }

    /// The broker has taken a message.
    pub(super) fn on_taken(&mut self) {
        if self.messages.is_empty() {
            self.backoff.succeed();
        }
    }

    /// A new connection: what was said on another one counts no longer.
    pub(super) fn on_connected(&mut self) {
        self.backoff.succeed();
    }

    /// The message whose turn it is.
    pub(super) fn next(&mut self, now: Instant) -> Option<Passing> {
        match self.backoff.wait_until(now) {
            Some(_) => None,
            None => self.messages.pop_front(),
        }
    }

    /// When to try again, if nothing else happens.
    pub(super) fn next_step(&self, now: Instant) -> Option<Duration> {
        let pause = self.backoff.wait_until(now).map(|until| until - now);
        (!self.is_empty()).then(|| pause.unwrap_or(RETRY_STEP))
    }
}

#[cfg(test)]
mod tests {
    use skein_client::{Message, Publish, QoS};

    use super::super::tests::messages;
    use super::*;

    /// Messages of QoS 1 that are passed on as they are.
    fn passing(count: u8) -> Vec<Passing> {
        let publish = |it: &Message| Publish::new("a", it.payload().clone()).qos(QoS::AtLeastOnce);
        messages(count).iter().map(|it| Passing::new(publish(it), it)).collect()
    }

    fn next(waiting: &mut Waiting, now: Instant) -> Option<u8> {
        waiting.next(now).and_then(|passing| passing.publish.payload().first().copied())
    }

    #[test]
    fn who_has_no_room_is_asked_again_after_a_pause_and_each_time_a_longer_one() {
        let mut waiting = Waiting::new();
        let [message] = passing(1).try_into().ok().expect("one");
        let mut message = Some(message);
        let mut now = Instant::now();
        for pause_ms in [500, 1_000, 2_000, 4_000, 8_000, 8_000] {
            waiting.on_refused(message.take().expect("it was given back"), now);
            let pause = Duration::from_millis(pause_ms);
            assert_eq!(waiting.next_step(now), Some(pause));
            assert!(waiting.next(now + pause - Duration::from_millis(1)).is_none());
            now += pause;
            message = waiting.next(now);
        }
        waiting.on_taken();
        assert_eq!(waiting.next_step(now), None);
        waiting.on_refused(message.expect("its turn has come"), now);
        assert_eq!(waiting.next_step(now), Some(RETRY_STEP), "it had room in between");
        waiting.on_connected();
        assert_eq!(next(&mut waiting, now), Some(0), "another connection knows nothing of it");
    }

    #[test]
    fn what_was_refused_keeps_its_place_before_what_came_later() {
        let mut waiting = Waiting::new();
        let [zero, one, two, three] = passing(4).try_into().ok().expect("four");
        let now = Instant::now();
        waiting.push(two);
        waiting.push(three);
        waiting.on_refused(one, now);
        waiting.on_refused(zero, now);
        waiting.on_taken();
        assert_eq!(waiting.next_step(now), Some(RETRY_STEP), "one pause for both, and it goes on");
        let later = now + RETRY_STEP;
        let order: Vec<u8> = std::iter::from_fn(|| next(&mut waiting, later)).collect();
        assert_eq!(order, [0, 1, 2, 3]);
    }

    #[test]
    fn a_full_queue_is_tried_again_in_order() {
        let mut waiting = Waiting::new();
        let now = Instant::now();
        passing(2).into_iter().for_each(|message| waiting.push(message));
        let first = waiting.next(now).expect("it waits");
        waiting.put_back(first);
        assert_eq!(waiting.next_step(now), Some(RETRY_STEP));
        assert_eq!([next(&mut waiting, now), next(&mut waiting, now)], [Some(0), Some(1)]);
    }
}
