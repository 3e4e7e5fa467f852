//! What waits for room in another thread's bounded queue, in order.

use std::collections::VecDeque;

use crate::session::Time;

/// How soon something is handed over again for which the queue had no room.
pub(super) const FULL_QUEUE_MS: u64 = 5;

/// What could not be handed over yet. Nothing overtakes it.
#[derive(Debug)]
pub(super) struct Backlog<T> {
    waiting: VecDeque<T>,
    retry_at: Option<Time>,
}

impl<T> Default for Backlog<T> {
    fn default() -> Self {
        Self { waiting: VecDeque::new(), retry_at: None }
    }
}

impl<T> Backlog<T> {
    /// When [`hand_over`](Self::hand_over) is wanted at the latest.
    pub(super) fn next_deadline(&self) -> Option<Time> {
        self.retry_at
    }

    /// How much waits.
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Hands over what waits and then what is new, until one comes back because there is no room.
    pub(super) fn hand_over(
        &mut self,
        new: &mut Vec<T>,
        now: Time,
        mut hand: impl FnMut(T) -> Result<(), T>,
    ) {
        self.waiting.extend(new.drain(..));
        self.retry_at = None;
        while let Some(first) = self.waiting.pop_front() {
            if let Err(back) = hand(first) {
                self.waiting.push_front(back);
                self.retry_at = Some(now.plus(FULL_QUEUE_MS));
                return;
            }
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn what_finds_no_room_waits_and_nothing_overtakes_it() {
        let at = Time::from_millis;
        let (mut backlog, mut taken) = (Backlog::default(), Vec::new());
        let mut hand_over = |backlog: &mut Backlog<u64>, new: &[u64], ms, room: usize| {
            let mut room = room;
            backlog.hand_over(&mut new.to_vec(), at(ms), |item| {
                room = room.checked_sub(1).ok_or(item)?;
                taken.push(item);
                Ok(())
            });
            taken.clone()
        };
        assert_eq!(hand_over(&mut backlog, &[1, 2, 3], 0, 2), [1, 2]);
        assert_eq!((backlog.next_deadline(), backlog.len()), (Some(at(FULL_QUEUE_MS)), 1));
        assert_eq!(hand_over(&mut backlog, &[4, 5], 1, 2), [1, 2, 3, 4]);
        assert_eq!(hand_over(&mut backlog, &[], 2, 2), [1, 2, 3, 4, 5]);
        assert_eq!((backlog.next_deadline(), backlog.is_empty()), (None, true));
    }
}
