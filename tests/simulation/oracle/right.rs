//! What each user may do, and whose each session is.

use super::{At, Oracle, delivery::Delivery, session::Session, violated};
use crate::link::Link;

impl Oracle {
    /// A message was written by this book: may the session have it?
    pub(super) fn check_right_to_receive(&self, session: &Session, delivery: &Delivery<'_>) {
        if !self.law.may_read(delivery.book, session.user, delivery.topic) {
            violated!(
                "nobody is sent what they may not receive",
                "{} ({:?}) got {} by book {}",
                session.name,
                session.user,
                delivery.topic,
                delivery.book
            );
        }
    }

    /// A connection goes on with a session or replaces it: it must be its user's.
    pub(super) fn check_owner(&self, session: &Session, user: Option<usize>, at: At) {
        if session.user != user && !session.may_be_over(at.now) {
            violated!(
                "a session belongs to the user who made it",
                "{} of {:?} was taken by {user:?}",
                session.name,
                session.user
            );
        }
    }

    /// The user of this client id's session.
    pub(crate) fn owner(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).and_then(|number| self.sessions[*number].user)
    }

    /// Whether the publisher of what was said last may not publish it, by this book.
    pub(crate) fn is_denied(&self, number: usize, book: usize) -> bool {
        let message = &self.messages[number];
        let (Some(topic), Some(attempt)) = (message.facts.topic, message.attempts.last()) else {
            return false;
        };
        let user = self.sessions[self.attempts[*attempt].session].user;
        self.was_new && !self.law.may_write(book, user, topic)
    }

    /// The core dealt with a PUBLISH that is denied by this book, and refused it or not.
    pub(crate) fn on_judged(&mut self, number: usize, book: usize, is_refused: bool) {
        let Some(attempt) = self.messages[number].attempts.last().copied() else { return };
        let session = &self.sessions[self.attempts[attempt].session];
        if !is_refused {
            let name = &session.name;
            violated!("a denied publish is refused", "{number} of {name} was not by book {book}");
        }
        let keeps_id = !session.is_v5 && self.messages[number].facts.qos == 2;
        let publisher = self.attempts[attempt].session;
        self.messages[number].denials += 1;
        self.on_put_off(number);
        if keeps_id {
            self.sessions[publisher].held.insert(number);
        }
    }

    /// The core says that it does not publish a will, by this book.
    pub(crate) fn on_will_denied(&mut self, name: &str, book: usize, at: At) {
        let will = self.take_due_will(name, at.now);
        let Some((message, session)) = will else { return };
        let user = self.sessions[session].user;
        let topic = self.messages[message].facts.topic;
        if topic.is_some_and(|topic| self.law.may_write(book, user, topic)) {
            violated!("a will that is allowed is published", "that of {name} by book {book}");
        }
    }

    /// Whether the user of a will may publish it by this book.
    pub(super) fn check_right_of_will(&self, message: usize, session: usize, book: usize) {
        let session = &self.sessions[session];
        let topic = self.messages[message].facts.topic;
        if topic.is_some_and(|topic| !self.law.may_write(book, session.user, topic)) {
            violated!("a denied will reaches nobody", "that of {} by book {book}", session.name);
        }
    }

    /// A retained message goes with the right of whoever published it.
    pub(super) fn check_author(&self, message: usize, book: usize) {
        let Some(attempt) = self.messages[message].attempts.last() else { return };
        let user = self.sessions[self.attempts[*attempt].session].user;
        let topic = self.messages[message].facts.topic;
        if topic.is_some_and(|topic| !self.law.may_write(book, user, topic)) {
            violated!("what is retained is still allowed", "{message} of {user:?} by book {book}");
        }
    }

    /// At rest nobody is connected whom the book does not know, nor whose identity has ended.
    pub(crate) fn check_identities(&self, links: &[Link], books: &[usize]) {
        for session in self.sessions.iter().filter(|session| !session.is_over) {
            let Some(link) = session.link else { continue };
            let book = books[session.shard];
            if !self.law.knows(book, session.user) {
                violated!(
                    "who is not known any more is closed",
                    "{} of {:?} is not, by book {book}",
                    session.name,
                    session.user
                );
            }
            let ends = links[link.0].expires_at;
            if ends.is_some_and(|end| end <= self.ticked[session.shard]) {
                violated!("a connection ends with its token", "{} {ends:?}", session.name);
            }
        }
    }
}
