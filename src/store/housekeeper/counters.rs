//! What a housekeeper has done.

use std::time::Duration;

macro_rules! counters {
    ($($(#[doc = $doc:literal])+ $name:ident,)+) => {
        /// What a housekeeper has done since its start.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Counters {
            $($(#[doc = $doc])+ pub $name: u64,)+
        }

        impl Counters {
            /// Every counter with its name.
            pub fn rows(&self) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($name), self.$name),)+]
            }

            /// Every counter's name and what it counts, for the documentation.
            pub fn descriptions() -> Vec<(&'static str, String)> {
                vec![$((stringify!($name), [$($doc),+].map(str::trim).join(" ")),)+]
            }
        }
    };
}

counters! {
    /// Batches of records that the shards handed over and that were taken into the log.
    batches,
    /// Bytes of these records.
    bytes,
    /// Times that the disk was asked to make durable what was written (fdatasync).
    syncs,
    /// Times that something was written or synced, with all that waited for it.
    commits,
    /// Microseconds that these took together.
    commit_us,
    /// Microseconds that the longest of them took.
    commit_us_max,
    /// Times that the disk was full or did not work. What had been handed over was kept and tried
    /// again.
    failures,
    /// Times that the log was made small again.
    compactions,
}

impl Counters {
    /// A commit took so long.
    pub(super) fn note_commit(&mut self, took: Duration) {
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.commit_us = self.commit_us.saturating_add(us);
        self.commit_us_max = self.commit_us_max.max(us);
    }
}
