//! The messages that cannot be sent yet, bounded in number and bytes.

use std::collections::VecDeque;
use std::time::Duration;

use super::Token;
use super::relay::Relayed;
use crate::{Publish, QueueOptions, WhenFull};

/// A message on its way out, and whom to tell about its fate.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub(super) token: Token,
    pub(super) publish: Publish,
    /// When it was handed in.
    pub(super) since: Duration,
    /// When its acknowledgement is overdue; set when it is sent.
    pub(super) deadline: Option<Duration>,
    /// Where it came from, if it is passed on.
    pub(super) relayed: Option<Relayed>,
}

impl Outgoing {
    pub(super) fn new(token: Token, publish: Publish, now: Duration) -> Self {
        Self { token, publish, since: now, deadline: None, relayed: None }
    }
}

/// Outgoing messages in order.
#[derive(Debug)]
pub(super) struct Queue {
    messages: VecDeque<Outgoing>,
    bytes: usize,
    options: QueueOptions,
}

/// What became of a message that was to be queued.
#[derive(Debug)]
pub(super) enum Pushed {
    /// It is the last one now, and these had to make room for it.
    Queued(Vec<Outgoing>),
    /// There is no room; it comes back.
    Full(Outgoing),
    /// There is no room, and the policy is to drop what is new.
    Dropped(Outgoing),
}

impl Queue {
    pub(super) fn new(options: QueueOptions) -> Self {
        Self { messages: VecDeque::new(), bytes: 0, options }
    }

    pub(super) fn len(&self) -> usize {
        self.messages.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn front(&self) -> Option<&Outgoing> {
        self.messages.front()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Outgoing> {
        self.messages.iter()
    }

    /// Whether a message of so many bytes finds room. The first one always does.
    pub(super) fn has_room(&self, bytes: usize) -> bool {
        self.messages.is_empty()
            || (self.messages.len() < self.options.messages_max
                && self.bytes + bytes <= self.options.bytes_max)
    }

    /// Puts a message behind all others, as far as the policy allows.
    pub(super) fn push(&mut self, outgoing: Outgoing) -> Pushed {
        let size = outgoing.publish.size();
        let mut evicted = Vec::new();
        while !self.has_room(size) {
            match self.options.when_full {
                WhenFull::Block | WhenFull::Fail => return Pushed::Full(outgoing),
                WhenFull::DropNewest => return Pushed::Dropped(outgoing),
                WhenFull::DropOldest => evicted.extend(self.pop()),
            }
        }
        self.bytes += size;
        self.messages.push_back(outgoing);
        Pushed::Queued(evicted)
    }

    /// Puts a message behind all others, whatever the limits say.
    pub(super) fn push_restored(&mut self, outgoing: Outgoing) {
        self.bytes += outgoing.publish.size();
        self.messages.push_back(outgoing);
    }

    /// Puts messages in front of all others, in their order. They had been accepted before, so
    /// they find room whatever the limits say.
    pub(super) fn put_back(&mut self, outgoing: impl DoubleEndedIterator<Item = Outgoing>) {
        for outgoing in outgoing.rev() {
            self.bytes += outgoing.publish.size();
            self.messages.push_front(outgoing);
        }
    }

    pub(super) fn pop(&mut self) -> Option<Outgoing> {
        let outgoing = self.messages.pop_front()?;
        self.bytes -= outgoing.publish.size();
        Some(outgoing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(when_full: WhenFull) -> Queue {
        Queue::new(QueueOptions { messages_max: 2, when_full, ..QueueOptions::default() })
    }

    fn outgoing(number: u64) -> Outgoing {
        Outgoing::new(Token(number), Publish::new("t", ""), Duration::ZERO)
    }

    fn numbers(queue: &Queue) -> Vec<u64> {
        queue.iter().map(|outgoing| outgoing.token.0).collect()
    }

    #[test]
    fn each_policy_does_what_its_name_says() {
        for when_full in
            [WhenFull::Block, WhenFull::Fail, WhenFull::DropNewest, WhenFull::DropOldest]
        {
            let mut queue = queue(when_full);
            for number in 1..=2 {
                assert!(
                    matches!(queue.push(outgoing(number)), Pushed::Queued(evicted) if evicted.is_empty())
                );
            }
            match (when_full, queue.push(outgoing(3))) {
                (WhenFull::Block | WhenFull::Fail, Pushed::Full(back)) => {
                    assert_eq!(back.token, Token(3));
                }
                (WhenFull::DropNewest, Pushed::Dropped(new)) => assert_eq!(new.token, Token(3)),
                (WhenFull::DropOldest, Pushed::Queued(evicted)) => {
                    assert_eq!(evicted[0].token, Token(1));
                    assert_eq!(numbers(&queue), [2, 3]);
                }
                (policy, other) => panic!("{policy:?}: {other:?}"),
            }
            assert_eq!(queue.len(), 2);
        }
    }

    #[test]
    fn bytes_are_bounded_too_but_one_message_always_fits() {
        let options =
            QueueOptions { bytes_max: 100, when_full: WhenFull::Fail, ..Default::default() };
        let mut queue = Queue::new(options);
        let large = || Outgoing::new(Token(0), Publish::new("t", vec![0; 200]), Duration::ZERO);
        assert!(matches!(queue.push(large()), Pushed::Queued(_)));
        assert!(matches!(queue.push(large()), Pushed::Full(_)));
        queue.pop();
        assert_eq!((queue.len(), queue.bytes()), (0, 0));
    }

    #[test]
    fn what_comes_back_stands_in_front_in_order() {
        let mut queue = queue(WhenFull::Fail);
        queue.push(outgoing(3));
        queue.put_back([outgoing(1), outgoing(2)].into_iter());
        assert_eq!(numbers(&queue), [1, 2, 3]);
    }
}
