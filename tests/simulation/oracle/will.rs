//! Wills: each is published once or never, and when.

use skein::shard::Time;

use super::{At, Oracle, violated};

/// A will whose connection is lost.
#[derive(Clone, Copy, Debug)]
pub(super) struct DueWill {
    pub(super) session: usize,
    pub(super) message: usize,
    pub(super) due: Time,
    /// It was due when the connection was lost.
    pub(super) is_immediate: bool,
}

impl Oracle {
    pub(super) fn owe_will(&mut self, session: usize, message: usize, due: Time, now: Time) {
        self.due_wills.push(DueWill { session, message, due, is_immediate: due <= now });
    }

    /// One call of the core is over: a will that was due in it was published in it.
    pub(super) fn check_immediate_wills(&self) {
        if let Some(will) = self.due_wills.iter().find(|will| will.is_immediate) {
            let name = &self.sessions[will.session].name;
            violated!("a will is published", "that of {name} was not with the loss");
        }
    }

    /// A connection came: the session's will is published no more, but if its time was over
    /// before it must have been.
    pub(super) fn forget_due_will(&mut self, session: usize, at: At) {
        let name = self.sessions[session].name.clone();
        let sessions = &self.sessions;
        let (gone, kept) =
            self.due_wills.iter().partition(|will| sessions[will.session].name == name);
        self.due_wills = kept;
        let gone: Vec<DueWill> = gone;
        for will in gone {
            let was_due =
                will.is_immediate || will.due <= self.ticked[self.sessions[will.session].shard];
            let has_ended = will.session != session;
            if was_due || has_ended {
                violated!(
                    "a will is published",
                    "that of {name}, due at {}, was not at {}",
                    will.due,
                    at.now
                );
            }
        }
    }

    /// The core says that it publishes the will of this client.
    pub(crate) fn on_will_published(&mut self, name: &str, book: usize, at: At) {
        let Some(will) = self.find_due_will(name) else { return };
        self.note_early(name, &will, at.now);
        self.check_right_of_will(will.message, will.session, book);
        self.on_publish(will.message, will.session, at);
    }

    /// The core says that it does not publish the will of this client: its message and session.
    pub(super) fn take_due_will(&mut self, name: &str, now: Time) -> Option<(usize, usize)> {
        let will = self.find_due_will(name)?;
        self.note_early(name, &will, now);
        Some((will.message, will.session))
    }

    fn find_due_will(&mut self, name: &str) -> Option<DueWill> {
        let is_theirs = |will: &DueWill| self.sessions[will.session].name == name;
        let place = self.due_wills.iter().position(is_theirs);
        if place.is_none() && self.by_name.contains_key(name) {
            violated!("a will is published once", "{name} had none to publish");
        }
        place.map(|place| self.due_wills.remove(place))
    }

    /// Before its delay only if the session ends, by a clean start.
    fn note_early(&mut self, name: &str, will: &DueWill, now: Time) {
        if will.due > now {
            self.early_will = Some(name.to_owned());
        }
    }

    /// At rest no will is overdue.
    pub(super) fn check_wills(&self) {
        for will in &self.due_wills {
            let session = &self.sessions[will.session];
            if will.due <= self.ticked[session.shard] {
                violated!(
                    "a will is published",
                    "that of {}, due at {}, was not at {}",
                    session.name,
                    will.due,
                    self.ticked[session.shard]
                );
            }
        }
    }
}
