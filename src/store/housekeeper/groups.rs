//! Batches of several shards that belong together: the message that one shard has taken over from
//! its publisher and another one has queued. Either all of them are there after a crash, or none;
//! so they become one batch of the log.
//!
//! The batches of one shard stay in their order. What may be written is therefore a beginning of
//! each shard's queue, such that every group in it is whole. All of that becomes one batch, which
//! is why groups that cross each other can not block.

use std::collections::{BTreeMap, VecDeque};

use super::Persist;

/// A batch is one of several that are there after a crash together or not at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Group {
    /// The number of the group, which no other group has meanwhile.
    pub number: u64,
    /// How many batches belong to it. As long as one is missing, those behind the others wait.
    pub parts: u32,
}

/// How much of each queue may be written: as much as possible, and no group in part.
pub(super) fn writable(queues: &[VecDeque<Persist>]) -> Vec<usize> {
    let mut ends: Vec<usize> = queues.iter().map(VecDeque::len).collect();
    loop {
        let parts = count_parts(queues, &ends);
        let mut is_stable = true;
        for (queue, end) in queues.iter().zip(&mut ends) {
            let is_whole = |persist: &Persist| {
                persist.group.is_none_or(|group| parts.get(&group.number) >= Some(&group.parts))
            };
            let whole = queue.iter().take(*end).take_while(|persist| is_whole(persist)).count();
            is_stable &= whole == *end;
            *end = whole;
        }
        if is_stable {
            return ends;
        }
    }
}

fn count_parts(queues: &[VecDeque<Persist>], ends: &[usize]) -> BTreeMap<u64, u32> {
    let mut parts = BTreeMap::new();
    let within = queues.iter().zip(ends).flat_map(|(queue, end)| queue.iter().take(*end));
    for group in within.filter_map(|persist| persist.group) {
        *parts.entry(group.number).or_default() += 1;
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::{
        super::{super::log::Batch, Durability},
        *,
    };

    /// A queue of groups of two; 0 stands for a batch without a group.
    fn queue(groups: &[u64]) -> VecDeque<Persist> {
        let persist = |number: &u64| Persist {
            from: 0,
            ticket: 0,
            batch: Batch::default(),
            durability: Durability::Disk,
            group: (*number > 0).then_some(Group { number: *number, parts: 2 }),
        };
        groups.iter().map(persist).collect()
    }

    #[test]
    fn a_group_is_written_whole_or_not_at_all() {
        let cases: [(&[u64], &[u64], [usize; 2]); 6] = [
            (&[0, 0], &[0], [2, 1]),
            (&[0, 1, 0], &[0], [1, 1]),
            (&[0, 1, 0], &[0, 1], [3, 2]),
            // They cross each other: together they may go.
            (&[1, 2], &[2, 1], [2, 2]),
            // One that waits holds back what is behind it, and what belongs to that.
            (&[3, 1], &[0, 1, 0], [0, 1]),
            (&[1, 3, 2], &[2, 1], [0, 0]),
        ];
        for (one, other, expected) in cases {
            assert_eq!(writable(&[queue(one), queue(other)]), expected, "{one:?} {other:?}");
        }
    }
}
