//! Another shard, as one shard sees it: the lanes between them, bounded by items and by bytes.

use std::collections::VecDeque;
use std::sync::Arc;

use super::lane::{Consumer, Doorbell, Producer};
use super::mesh::Parcel;
use crate::session::ShardId;

/// Another shard and the lanes to and from it.
#[derive(Debug)]
pub(super) struct Neighbour {
    pub(super) id: ShardId,
    pub(super) incoming: Consumer<Parcel>,
    pub(super) doorbell: Arc<Doorbell>,
    outgoing: Producer<Parcel>,
    /// The size of each parcel that is not known to be taken, oldest first.
    sizes: VecDeque<usize>,
    /// Their sum.
    bytes: usize,
    /// A lane with this many bytes on the way takes no more.
    bytes_max: usize,
}

impl Neighbour {
    pub(super) fn new(
        id: ShardId,
        incoming: Consumer<Parcel>,
        outgoing: Producer<Parcel>,
        doorbell: Arc<Doorbell>,
        bytes_max: usize,
    ) -> Self {
        Self { id, incoming, doorbell, outgoing, sizes: VecDeque::new(), bytes: 0, bytes_max }
    }

    /// Whether the lane takes one more parcel. Only the neighbour can make room.
    pub(super) fn has_room(&mut self) -> bool {
        if self.bytes >= self.bytes_max {
            self.note_taken();
        }
        self.bytes < self.bytes_max && !self.outgoing.is_full()
    }

    /// Puts a parcel of `bytes` bytes into the lane, which has room.
    pub(super) fn send(&mut self, parcel: Parcel, bytes: usize) {
        let pushed = self.outgoing.push(parcel);
        debug_assert!(pushed.is_ok(), "only this shard fills the lane, and it had room");
        self.sizes.push_back(bytes);
        self.bytes += bytes;
    }

    /// Forgets the sizes of what the neighbour has taken.
    fn note_taken(&mut self) {
        let on_the_way = self.outgoing.len();
        while self.sizes.len() > on_the_way {
            self.bytes -= self.sizes.pop_front().unwrap_or_default();
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::super::lane::lane;
    use super::*;
    use crate::shard::Message;

    #[test]
    fn a_lane_is_full_by_bytes_or_by_items_until_the_reader_has_taken_some() {
        let (outgoing, mut reader) = lane(4);
        let (_, incoming) = lane(4);
        let doorbell = Arc::new(Doorbell::new(|| ()));
        let mut neighbour = Neighbour::new(ShardId::new(1), incoming, outgoing, doorbell, 100);
        let parcel = || Parcel::Message(Message::Fence { fence: 1 });
        for _ in 0..4 {
            assert!(neighbour.has_room());
            neighbour.send(parcel(), 1);
        }
        assert!(!neighbour.has_room());
        assert!(reader.pop().is_some());
        assert!(neighbour.has_room());
        neighbour.send(parcel(), 100);
        for _ in 0..3 {
            assert!(reader.pop().is_some());
            assert!(!neighbour.has_room());
        }
        assert!(reader.pop().is_some());
        assert!(neighbour.has_room());
        assert_eq!(neighbour.bytes, 0);
    }
}
