//! Batches of several shards that belong together: the message that one shard has taken over from
//! its publisher and another one has queued. Either all of them are there after a crash, or none;
//! so they become one batch of the log.
//!
//! The batches of one shard stay in their order. What may be written is therefore a beginning of
//! each shard's queue, such that every group in it is whole. All of that becomes one batch, which
//! is why groups that cross each other can not block.

use std::collections::{BTreeMap, VecDeque};

use super::{Group, Persist};

/// How much of each queue may be written: as much as possible, and no group in part.
pub(super) fn writable(queues: &[VecDeque<Persist>]) -> Vec<usize> {
    let mut ends: Vec<usize> = queues.iter().map(VecDeque::len).collect();
    loop {
        let parts = count_parts(queues, &ends);
        let mut is_stable = true;
        for (queue, end) in queues.iter().zip(&mut ends) {
            let is_there = |group: &Group| parts.get(&group.number) >= Some(&group.parts);
            let is_whole = |persist: &Persist| persist.groups.iter().all(is_there);
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
    for group in within.flat_map(|persist| &persist.groups) {
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

    /// A queue of groups of two: each digit of a batch is one that it belongs to; 0 stands for none.
    fn queue(batches: &[u64]) -> VecDeque<Persist> {
        let groups = |digits: u64| [digits % 10, digits / 10].into_iter().filter(|it| *it > 0);
        let persist = |digits: &u64| Persist {
            from: 0,
            ticket: 0,
            batch: Batch::default(),
            durability: Durability::Disk,
            groups: groups(*digits).map(|number| Group { number, parts: 2 }).collect(),
        };
        batches.iter().map(persist).collect()
    }

    #[test]
    fn a_group_is_written_whole_or_not_at_all() {
        let cases: [(&[u64], &[u64], [usize; 2]); 8] = [
            (&[0, 0], &[0], [2, 1]),
            (&[0, 1, 0], &[0], [1, 1]),
            (&[0, 1, 0], &[0, 1], [3, 2]),
            // They cross each other: together they may go.
            (&[1, 2], &[2, 1], [2, 2]),
            // One that waits holds back what is behind it, and what belongs to that.
            (&[3, 1], &[0, 1, 0], [0, 1]),
            (&[1, 3, 2], &[2, 1], [0, 0]),
            // Of two groups both have to be whole.
            (&[12], &[1], [0, 0]),
            (&[12, 0], &[1, 2], [2, 2]),
        ];
        for (one, other, expected) in cases {
            assert_eq!(writable(&[queue(one), queue(other)]), expected, "{one:?} {other:?}");
        }
    }
}
