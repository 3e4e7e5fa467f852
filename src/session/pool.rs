//! Emptied buffers that wait for their next use.

/// Buffers that one pool keeps.
const BUFFERS_MAX: usize = 256;

/// Emptied buffers of one shard, so that the steady state allocates nothing. What a busy hour has
/// left in it goes back to the allocator in the quiet one: see [`Pool::trim`].
#[derive(Debug, Default)]
pub struct Pool {
    /// The last one given is taken first, so those that nobody needs are at the front.
    buffers: Vec<Vec<u8>>,
    /// The fewest there were since the last trim.
    unused: usize,
}

impl Pool {
    /// An empty buffer, with the memory it grew to.
    pub fn take(&mut self) -> Option<Vec<u8>> {
        let buffer = self.buffers.pop();
        self.unused = self.unused.min(self.buffers.len());
        buffer
    }

    /// Keeps a buffer for the next who needs one, if there is room.
    pub fn give(&mut self, mut buffer: Vec<u8>) {
        if self.buffers.len() < BUFFERS_MAX {
            buffer.clear();
            self.buffers.push(buffer);
        }
    }

    /// Lets go of the buffers that were not needed since this was called last.
    pub fn trim(&mut self) {
        self.buffers.drain(..self.unused);
        self.unused = self.buffers.len();
    }

    /// Whether it keeps none.
    pub fn is_empty(&self) -> bool {
        self.buffers.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool_of(count: usize) -> Pool {
        let mut pool = Pool::default();
        (0..count).for_each(|_| pool.give(Vec::with_capacity(100)));
        pool
    }

    #[test]
    fn what_nobody_needed_between_two_trims_is_let_go() {
        let mut pool = pool_of(10);
        pool.trim();
        let taken: Vec<_> = (0..4).filter_map(|_| pool.take()).collect();
        taken.into_iter().for_each(|buffer| pool.give(buffer));
        pool.trim();
        assert_eq!(pool.buffers.len(), 4);
        pool.trim();
        assert!(pool.is_empty());
    }

    #[test]
    fn a_pool_is_bounded() {
        assert_eq!(pool_of(BUFFERS_MAX + 1).buffers.len(), BUFFERS_MAX);
    }
}
