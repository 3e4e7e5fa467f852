//! Making the log small again: what sealed files add up to becomes a snapshot, which takes their
//! place. The shards have no part in it.

use std::collections::VecDeque;

use super::super::log::{Batch, Log, LogError, Records, Sequence, Source};
use crate::record::state::{Drain, State};

/// Bytes that one step writes.
const STEP_BYTES: usize = 256 << 10;

/// A compaction under way.
#[derive(Debug)]
pub(super) struct Compaction {
    covers: Sequence,
    phase: Phase,
    batch: Batch,
}

#[derive(Debug)]
enum Phase {
    /// One file a step.
    Reading(VecDeque<Source>, Box<State>),
    Writing(Box<Drain>),
}

impl Compaction {
    /// Of everything but the newest segment, which is written to; `None` if there is nothing else.
    pub(super) fn begin(log: &impl Log) -> Option<Self> {
        let mut sources = VecDeque::from(log.sources());
        sources.pop_back();
        let covers = sources.back()?.through;
        let phase = Phase::Reading(sources, Box::default());
        Some(Self { covers, phase, batch: Batch::default() })
    }

    /// A bounded piece of work; false when it is done.
    ///
    /// # Errors
    /// A file is broken, or the snapshot can not be written. The log is as it was.
    pub(super) fn step(&mut self, log: &mut impl Log) -> Result<bool, LogError> {
        match &mut self.phase {
            Phase::Reading(sources, state) => {
                if let Some(source) = sources.pop_front() {
                    read(log, &source, state)?;
                    return Ok(true);
                }
                let drain = std::mem::take(&mut **state).into_drain();
                log.begin_snapshot(self.covers)?;
                self.phase = Phase::Writing(Box::new(drain));
                Ok(true)
            }
            Phase::Writing(drain) => {
                self.batch.clear();
                let batch = &mut self.batch;
                while batch.bytes() < STEP_BYTES
                    && drain.take_next(|record| batch.push_with(|out| record.encode(out)))
                {
                }
                if self.batch.is_empty() {
                    log.finish_snapshot()?;
                    return Ok(false);
                }
                log.add_to_snapshot(&self.batch)?;
                Ok(true)
            }
        }
    }
}

fn read(log: &mut impl Log, source: &Source, state: &mut State) -> Result<(), LogError> {
    log.replay_source(source, &mut |_: Sequence, mut records: Records<'_>| {
        records.try_for_each(|record| state.apply_bytes(record)).map_err(|error| error.to_string())
    })
}
