//! What matters of all that a store was told.

use std::collections::{BTreeMap, BTreeSet};

use skein_protocol::PacketId;

use super::record::Record;
use super::{Contents, Stored};
use crate::Publish;
use crate::session::{Mark, Progress};

/// What the records come to.
#[derive(Debug, Default)]
pub(super) struct Live {
    messages: BTreeMap<u64, (Publish, Progress)>,
    taken: BTreeSet<PacketId>,
    is_whole: bool,
}

impl Live {
    pub(super) fn contents(&self) -> Contents {
        let messages = self.messages.iter().map(|(number, (publish, progress))| {
            let (number, publish, progress) = (*number, publish.clone(), *progress);
            Stored { number, publish, progress }
        });
        let taken = self.taken.iter().copied().collect();
        Contents { messages: messages.collect(), taken, is_whole: self.is_whole }
    }

    pub(super) fn apply(&mut self, record: Record) {
        match record {
            Record::Message(number, publish) => {
                self.messages.insert(number, (publish, Progress::Queued));
            }
            Record::Struck(number) => {
                self.messages.remove(&number);
            }
            Record::Mark(Mark::Began) => {
                self.is_whole = true;
                self.taken.clear();
                self.messages.values_mut().for_each(|(_, progress)| *progress = Progress::Queued);
            }
            Record::Mark(Mark::Sent(number, id)) => self.advance(number, |_| Progress::Sent(id)),
            Record::Mark(Mark::Released(number)) => self.advance(number, |before| match before {
                Progress::Sent(id) => Progress::Released(id),
                before => before,
            }),
            Record::Mark(Mark::Taken(id)) => {
                self.taken.insert(id);
            }
            Record::Mark(Mark::Finished(id)) => {
                self.taken.remove(&id);
            }
        }
    }

    fn advance(&mut self, number: u64, change: impl FnOnce(Progress) -> Progress) {
        if let Some((_, progress)) = self.messages.get_mut(&number) {
            *progress = change(*progress);
        }
    }

    /// The fewest records that come to the same.
    pub(super) fn records(&self) -> impl Iterator<Item = Record> {
        let began = self.is_whole.then_some(Record::Mark(Mark::Began));
        let taken = self.taken.iter().map(|id| Record::Mark(Mark::Taken(*id)));
        let messages = self.messages.iter().flat_map(|(number, (publish, progress))| {
            let marks = match *progress {
                Progress::Queued => [None, None],
                Progress::Sent(id) => [Some(Mark::Sent(*number, id)), None],
                Progress::Released(id) => {
                    [Some(Mark::Sent(*number, id)), Some(Mark::Released(*number))]
                }
            };
            let message = Record::Message(*number, publish.clone());
            std::iter::once(message).chain(marks.into_iter().flatten().map(Record::Mark))
        });
        began.into_iter().chain(taken).chain(messages)
    }
}
