//! Making the log small again: what sealed files add up to becomes a snapshot, which takes their
//! place. The shards have no part in it. Messages are copied from file to file: which of them are
//! wanted is in memory, and where they lie, and not what they say.

use std::collections::VecDeque;

use super::super::log::{Batch, Cursor, Log, LogError, Records, Sequence};
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
    /// A piece of a file a step.
    Reading(VecDeque<Cursor>, Box<State>),
    Writing(Box<Drain>),
}

impl Compaction {
    /// Of everything but the newest segment, which is written to; `None` if there is nothing else.
    pub(super) fn begin(log: &impl Log) -> Option<Self> {
        let mut sources = log.sources();
        sources.pop();
        let covers = sources.last()?.through;
        let files = sources.into_iter().map(Cursor::new).collect();
        let phase = Phase::Reading(files, Box::new(State::with_shelf(log.shelf())));
        Some(Self { covers, phase, batch: Batch::default() })
    }

    /// A bounded piece of work: the bytes that it has gone through; none when all is done.
    ///
    /// # Errors
    /// A file is broken, or the snapshot can not be written. The log is as it was.
    pub(super) fn step(&mut self, log: &mut impl Log) -> Result<Option<usize>, LogError> {
        match &mut self.phase {
            Phase::Reading(files, state) => {
                if let Some(file) = files.front_mut() {
                    let (bytes, goes_on) = read(log, file, state)?;
                    if !goes_on {
                        files.pop_front();
                    }
                    return Ok(Some(bytes));
                }
                let drain = std::mem::take(&mut **state).into_drain();
                log.begin_snapshot(self.covers)?;
                self.phase = Phase::Writing(Box::new(drain));
                Ok(Some(0))
            }
            Phase::Writing(drain) => {
                self.batch.clear();
                while self.batch.bytes() < STEP_BYTES
                    && drain.take_next(&mut self.batch).map_err(LogError::Changed)?
                {
                }
                if self.batch.is_empty() {
                    log.finish_snapshot()?;
                    return Ok(None);
                }
                log.add_to_snapshot(&self.batch)?;
                Ok(Some(self.batch.bytes()))
            }
        }
    }
}

/// Reads a piece of a file: how many bytes of records, and whether there is more.
fn read(
    log: &mut impl Log,
    file: &mut Cursor,
    state: &mut State,
) -> Result<(usize, bool), LogError> {
    let mut bytes = 0;
    let goes_on = log.replay_piece(file, &mut |_: Sequence, records: Records<'_>| {
        bytes += records.bytes();
        state.apply_all(records).map_err(|error| error.to_string())
    })?;
    Ok((bytes, goes_on))
}

#[cfg(test)]
mod tests {
    use skein_protocol::{QoS, Version};

    use super::*;
    use crate::record::{Record, Window};
    use crate::store::{
        disk::Files,
        log::{LogOptions, SegmentedLog},
    };

    const MESSAGES: u64 = 240;
    const PAYLOAD_BYTES: usize = 100_000;

    impl Compaction {
        /// Bytes of messages in memory.
        fn bytes_held(&self) -> usize {
            let phase = match &self.phase {
                Phase::Reading(files, state) => {
                    files.iter().map(Cursor::bytes).sum::<usize>() + state.message_bytes_held()
                }
                Phase::Writing(drain) => drain.message_bytes_held(),
            };
            phase + self.batch.bytes()
        }
    }

    fn payload(message: u64) -> Vec<u8> {
        (0..PAYLOAD_BYTES).map(|at| (at as u64 * message) as u8).collect()
    }

    fn message(message: u64) -> Record<'static> {
        Record::Message {
            message,
            topic: format!("topic/{}", message % 7).into(),
            properties: vec![1, 1].into(),
            payload: payload(message).into(),
            qos: QoS::AtLeastOnce,
            retain: true,
            expires_at_ms: None,
        }
    }

    fn connected() -> Record<'static> {
        Record::Connected {
            client_id: "sleeper".into(),
            owner: None,
            listener: "tcp".into(),
            version: Version::V5,
            expiry_s: 60,
            at_ms: 0,
        }
    }

    fn queued(message: u64) -> Record<'static> {
        Record::Queued {
            client_id: "sleeper".into(),
            entry: message,
            message,
            qos: QoS::AtLeastOnce,
            retain: false,
            identifiers: Vec::new(),
            share: None,
        }
    }

    fn append(log: &mut impl Log, records: &[Record<'_>]) {
        let mut batch = Batch::default();
        records.iter().for_each(|record| batch.push_with(|out| record.encode(out)));
        log.append(&batch).and_then(|_| log.sync()).expect("the disk works");
    }

    fn open(folder: &tempfile::TempDir) -> SegmentedLog<Files> {
        let files = Files::open(folder.path()).expect("the folder is free");
        let options = LogOptions { segment_bytes_max: 1 << 20, ..LogOptions::default() };
        SegmentedLog::open(files, options).expect("it is whole")
    }

    /// 24 MB wait for a client that is away.
    fn written(folder: &tempfile::TempDir) -> SegmentedLog<Files> {
        let mut log = open(folder);
        append(&mut log, &[connected()]);
        for number in 1..=MESSAGES {
            append(&mut log, &[message(number), queued(number)]);
        }
        let retained =
            |message| Record::Retained { message, author: None, user: None, listener: None };
        append(&mut log, &[retained(5), retained(12), retained(6)]);
        log
    }

    fn recover(log: &mut impl Log) -> State {
        let mut state = State::with_shelf(log.shelf());
        let replayed = log.replay(Sequence(0), &mut |_: Sequence, records: Records<'_>| {
            state.apply_all(records).map_err(|error| error.to_string())
        });
        replayed.expect("it is whole");
        state
    }

    #[test]
    fn what_messages_say_is_never_all_in_memory() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut log = written(&folder);
        for _ in 0..2 {
            // Of a log without a snapshot, and of one that has one.
            let mut compaction = Compaction::begin(&log).expect("there are segments");
            let mut most = 0;
            while compaction.step(&mut log).expect("the disk works").is_some() {
                most = most.max(compaction.bytes_held());
            }
            assert!((1 << 18..3 << 20).contains(&most), "{most} bytes were held");
        }
        assert!(log.sources().len() < 4, "segments have gone: {:?}", log.sources());
        let state = recover(&mut log);
        assert_eq!(state.message_bytes_held(), 0);
        let mut window = Window::default();
        for number in 1..=MESSAGES {
            let found = state.recall(number, &mut window).expect("it can be read");
            assert_eq!(found, Some(message(number)));
        }
        assert_eq!((state.counts().entries as u64, state.counts().retained), (MESSAGES, 2));
        let topics: Vec<_> = state.retained().map(|(topic, it)| (topic, it.message)).collect();
        assert_eq!(topics, [("topic/5", 12), ("topic/6", 6)]);
    }

    #[test]
    fn no_file_goes_as_long_as_somebody_reads() {
        let folder = tempfile::tempdir().expect("a folder");
        let log = written(&folder);
        assert!(!log.has_readers());
        let shelf = log.shelf();
        assert!(log.has_readers());
        drop(shelf);
        assert!(!log.has_readers());
    }
}
