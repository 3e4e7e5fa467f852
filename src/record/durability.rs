//! How safe a batch is to be, and which batches belong together.

/// When a batch is as safe as its listener demands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Durability {
    /// With the system: it survives the end of this process.
    Os,
    /// On the disk: it survives a power cut.
    Disk,
}

/// A batch is one of several that are there after a crash together or not at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Group {
    /// The number of the group, which no other group has meanwhile.
    pub number: u64,
    /// How many batches belong to it. As long as one is missing, those behind the others wait.
    pub parts: u32,
}
