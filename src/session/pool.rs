//! What was used and waits for its next use.

/// Memory of one shard that was used and is not any more, so that the steady state allocates
/// nothing. What a busy hour has left in it goes back to the allocator in the quiet one: see
/// [`Pool::trim`]. Of more than `MAX` things the rest is let go at once.
#[derive(Debug)]
pub struct Pool<T, const MAX: usize> {
    /// The last one given is taken first, so those that nobody needs are at the front.
    spares: Vec<T>,
    /// The fewest there were since the last trim.
    unused: usize,
}

impl<T, const MAX: usize> Default for Pool<T, MAX> {
    fn default() -> Self {
        Self { spares: Vec::new(), unused: 0 }
    }
}

impl<T, const MAX: usize> Pool<T, MAX> {
    /// One that was given, as it was given.
    pub fn take(&mut self) -> Option<T> {
        let spare = self.spares.pop();
        self.unused = self.unused.min(self.spares.len());
        spare
    }

    /// Keeps it for the next who needs one, if there is room.
    pub fn give(&mut self, spare: T) {
        if self.spares.len() < MAX {
            self.spares.push(spare);
        }
    }

    /// Lets go of what was not needed since this was called last.
    pub fn trim(&mut self) {
        self.spares.drain(..self.unused);
        self.unused = self.spares.len();
    }

    /// Whether it keeps none.
    pub fn is_empty(&self) -> bool {
        self.spares.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool_of(count: usize) -> Pool<Vec<u8>, 20> {
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
        assert_eq!(pool.spares.len(), 4);
        pool.trim();
        assert!(pool.is_empty());
    }

    #[test]
    fn a_pool_is_bounded() {
        assert_eq!(pool_of(21).spares.len(), 20);
    }
}
