//! Points at which a test has the process end, as if it were killed there.

use std::env;

use rustix::process::{Signal, getpid, kill_process};

use super::super::log::{Batch, Cursor, Log, LogError, Sequence, Shelf, Source, Visit};
use crate::record::Record;

/// The variable that names one: `MOMENT-RECORD:COUNT`, like `synced-held:3`. The process ends when
/// the batch with the so-many-th record of this kind is there.
const VARIABLE: &str = "SKEIN_FAILPOINT";

/// How far the batch is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Moment {
    /// In memory.
    Appended,
    /// In the file.
    Written,
    /// On the disk, and nobody has been told.
    Synced,
}

/// A log, and the point at which the process ends.
#[derive(Debug)]
pub(super) struct Trapped<L> {
    log: L,
    moment: Moment,
    /// The kind of record, by the name that it has in JSON.
    record: String,
    /// How many of them are still to come.
    left: usize,
}

impl<L: Log> Trapped<L> {
    /// The log as it is, unless a test has asked for a point; never in a release build.
    pub(super) fn new(log: L) -> Result<Self, L> {
        let asked = env::var(VARIABLE).ok().filter(|_| cfg!(debug_assertions));
        match asked.as_deref().and_then(parse) {
            Some((moment, record, left)) => {
                tracing::warn!(moment = ?moment, record, left, "a test has set a failpoint");
                Ok(Self { log, moment, record: record.to_owned(), left })
            }
            None => Err(log),
        }
    }

    fn reach(&self, moment: Moment) {
        if self.left == 0 && self.moment == moment {
            let _ = kill_process(getpid(), Signal::KILL);
        }
    }

    fn is_meant(&self, record: &[u8]) -> bool {
        let json = Record::decode(record).ok().and_then(|it| serde_json::to_value(it).ok());
        json.is_some_and(|json| json["record"] == *self.record)
    }
}

fn parse(text: &str) -> Option<(Moment, &str, usize)> {
    let (point, count) = text.split_once(':')?;
    let (moment, record) = point.split_once('-')?;
    let moment = match moment {
        "appended" => Moment::Appended,
        "written" => Moment::Written,
        "synced" => Moment::Synced,
        _ => return None,
    };
    Some((moment, record, count.parse().ok()?))
}

impl<L: Log> Log for Trapped<L> {
    fn append(&mut self, batch: &Batch) -> Result<Sequence, LogError> {
        let sequence = self.log.append(batch)?;
        let meant = batch.records().filter(|record| self.is_meant(record)).count();
        self.left = self.left.saturating_sub(meant);
        self.reach(Moment::Appended);
        Ok(sequence)
    }

    fn write(&mut self) -> Result<Sequence, LogError> {
        let written = self.log.write();
        self.reach(Moment::Written);
        written
    }

    fn sync(&mut self) -> Result<Sequence, LogError> {
        self.write()?;
        let synced = self.log.sync();
        self.reach(Moment::Synced);
        synced
    }

    fn durable(&self) -> Sequence {
        self.log.durable()
    }

    fn rest(&mut self) {
        self.log.rest();
    }

    fn replay(&mut self, from: Sequence, visit: &mut dyn Visit) -> Result<(), LogError> {
        self.log.replay(from, visit)
    }

    fn begin_snapshot(&mut self, covers: Sequence) -> Result<(), LogError> {
        self.log.begin_snapshot(covers)
    }

    fn add_to_snapshot(&mut self, batch: &Batch) -> Result<(), LogError> {
        self.log.add_to_snapshot(batch)
    }

    fn finish_snapshot(&mut self) -> Result<(), LogError> {
        self.log.finish_snapshot()
    }

    fn sources(&self) -> Vec<Source> {
        self.log.sources()
    }

    fn replay_piece(&mut self, at: &mut Cursor, visit: &mut dyn Visit) -> Result<bool, LogError> {
        self.log.replay_piece(at, visit)
    }

    fn shelf(&self) -> Box<dyn Shelf> {
        self.log.shelf()
    }

    fn has_readers(&self) -> bool {
        self.log.has_readers()
    }

    fn bytes(&self) -> u64 {
        self.log.bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_is_a_moment_a_record_and_a_count() {
        assert_eq!(parse("synced-held:3"), Some((Moment::Synced, "held", 3)));
        assert_eq!(parse("written-will_set:1"), Some((Moment::Written, "will_set", 1)));
        for wrong in ["", "synced-held", "synced:3", "later-held:3", "synced-held:x"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
