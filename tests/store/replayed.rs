//! What a log shows, to who goes on with it and to who only reads it.

use skein::store::log::{
    CutTail, Log, LogError, LogFiles, Records, SegmentedLog, Sequence, Source, Visit,
};

use crate::disk::SimDisk;

/// Everything that a log shows.
#[derive(Clone, Default, PartialEq)]
pub(crate) struct Replayed {
    /// The last batch that the snapshot stands for.
    pub(crate) covers: u64,
    pub(crate) snapshot: Vec<Vec<u8>>,
    pub(crate) batches: Vec<(u64, Vec<Vec<u8>>)>,
}

impl Replayed {
    /// # Errors
    /// The log is broken.
    pub(crate) fn of(log: &mut SegmentedLog<SimDisk>) -> Result<Self, LogError> {
        let mut replayed = Self::new(&log.sources());
        log.replay(Sequence(0), &mut replayed)?;
        Ok(replayed)
    }

    fn new(sources: &[Source]) -> Self {
        let snapshot = sources.first().filter(|it| it.name.starts_with("snapshot-"));
        Self { covers: snapshot.map_or(0, |it| it.through.0), ..Self::default() }
    }
}

impl Visit for Replayed {
    fn batch(&mut self, sequence: Sequence, records: Records<'_>) -> Result<(), String> {
        let records: Vec<Vec<u8>> = records.map(<[u8]>::to_vec).collect();
        if sequence.0 <= self.covers {
            self.snapshot.extend(records);
        } else {
            self.batches.push((sequence.0, records));
        }
        Ok(())
    }
}

/// What somebody finds who only reads: the last batch, what is left out behind it, and all that is
/// shown.
///
/// # Errors
/// The log is broken, or reading it has changed something.
pub(crate) fn read_only(disk: &SimDisk) -> Result<(Sequence, Option<CutTail>, Replayed), String> {
    let touches = disk.touches();
    let opened = LogFiles::open(disk.clone());
    let files = opened.map_err(|error| format!("cannot be read after a crash: {error}"))?;
    let mut replayed = Replayed::new(&files.sources());
    files.replay(&mut replayed).map_err(|error| format!("reading only: {error}"))?;
    if disk.touches() != touches {
        return Err("reading has touched the disk".to_owned());
    }
    Ok((files.last(), files.cut_tail().cloned(), replayed))
}
