//! Worlds whose clients have to say who they are, and may not do everything: who may do what
//! stands in books, and now and then a shard is given another one.
//!
//! What is drawn for this comes from a stream of its own, so that worlds without rules are the same
//! as if there were none anywhere.

use std::{collections::BTreeSet, sync::Arc};

use skein::{
    access::{
        Access, ListenerAccess,
        acl::Acl,
        password::{PasswordFile, PasswordHash, Scheme},
        provider::{Provider, Providers},
    },
    config,
};

use crate::{alphabet::TOPICS, draw::Draw};

/// Users, each with its own name as password.
pub(crate) const USERS: [&str; 3] = ["ann", "bob", "cid"];
/// Who is nobody of these is anonymous.
const KINDS: usize = USERS.len() + 1;
/// Where hostile clients publish: open to all.
const OPEN: &str = "zz";
/// The listener where users come in, and the one where everybody is anonymous.
const FOR_USERS: u16 = 0;
const FOR_ANYBODY: u16 = 1;

/// What one user may do with each topic.
#[derive(Clone, Debug)]
struct Page {
    may_write: [bool; TOPICS.len()],
    may_read: [bool; TOPICS.len()],
}

/// Who may do what.
#[derive(Clone, Debug)]
struct Book {
    knows: [bool; USERS.len()],
    pages: Vec<Page>,
}

/// All books of a world; without any everybody may do everything.
#[derive(Clone, Debug, Default)]
pub(crate) struct Law {
    books: Vec<Book>,
}

/// The rules of a world, and the dice for everything about them.
#[derive(Debug)]
pub(crate) struct Rules {
    pub(crate) law: Law,
    /// What the broker is given for each book.
    pub(crate) access: Vec<Arc<Access>>,
    pub(crate) luck: Draw,
    /// Identities may end.
    pub(crate) has_expiry: bool,
    /// About how many steps lie between two changes.
    pub(crate) change_every: usize,
    /// From now on every login is answered as it should be, and nothing changes.
    pub(crate) is_ending: bool,
    /// The first link that is dialled after that.
    pub(crate) last_links: usize,
    /// Client ids that somebody else has tried to take.
    pub(crate) thefts: BTreeSet<String>,
}

impl Rules {
    /// The rules of one world in three.
    pub(crate) fn draw(seed: u64, settings: &config::Access) -> Option<Self> {
        let mut luck = Draw::new(seed ^ 0x5EC0_12E7_0000_0001);
        if !luck.chance(1, 3) {
            return None;
        }
        let law = Law::draw(&mut luck);
        let access = law.books.iter().map(|book| Arc::new(book.access(settings))).collect();
        let has_expiry = luck.chance(1, 2);
        let change_every = luck.pick(&[15, 40, 100, 10_000]);
        Some(Self {
            law,
            access,
            luck,
            has_expiry,
            change_every,
            is_ending: false,
            last_links: usize::MAX,
            thefts: BTreeSet::new(),
        })
    }

    /// Whom a new client takes itself for.
    pub(crate) fn draw_user(&mut self) -> Option<usize> {
        let kind = self.luck.below(KINDS);
        (kind < USERS.len()).then_some(kind)
    }
}

/// The listener through which a user comes.
pub(crate) fn listener_of(user: Option<usize>) -> u16 {
    if user.is_some() { FOR_USERS } else { FOR_ANYBODY }
}

impl Law {
    fn draw(luck: &mut Draw) -> Self {
        // Of some topics everybody may do everything in all books: there every promise holds.
        let is_open: [bool; TOPICS.len()] = std::array::from_fn(|_| luck.chance(1, 2));
        let count = luck.between(2, 4);
        let mut books = vec![Book::generous()];
        books.extend((1..count).map(|_| Book::draw(is_open, luck)));
        Self { books }
    }

    pub(crate) fn is_there(&self) -> bool {
        !self.books.is_empty()
    }

    fn all(&self, is_true: impl Fn(&Book) -> bool) -> bool {
        self.books.iter().all(is_true)
    }

    /// Whether this book lets the user receive this topic.
    pub(crate) fn may_read(&self, book: usize, user: Option<usize>, topic: &str) -> bool {
        let Some(book) = self.books.get(book) else { return true };
        match TOPICS.iter().position(|other| *other == topic) {
            Some(topic) => book.page(user).may_read[topic],
            None => topic == OPEN || topic.starts_with("zz/"),
        }
    }

    /// Whether this book lets the user publish to this topic.
    pub(crate) fn may_write(&self, book: usize, user: Option<usize>, topic: usize) -> bool {
        self.books.get(book).is_none_or(|book| book.page(user).may_write[topic])
    }

    pub(crate) fn always_reads(&self, user: Option<usize>, topic: usize) -> bool {
        self.all(|book| book.page(user).may_read[topic])
    }

    pub(crate) fn always_writes(&self, user: Option<usize>, topic: usize) -> bool {
        self.all(|book| book.page(user).may_write[topic])
    }

    /// Whether every user may always receive this topic.
    pub(crate) fn is_open_to_read(&self, topic: usize) -> bool {
        self.all(|book| book.pages.iter().all(|page| page.may_read[topic]))
    }

    /// Whether every user may always publish to this topic.
    pub(crate) fn is_open_to_write(&self, topic: usize) -> bool {
        self.all(|book| book.pages.iter().all(|page| page.may_write[topic]))
    }

    pub(crate) fn knows(&self, book: usize, user: Option<usize>) -> bool {
        let book = self.books.get(book);
        book.zip(user).is_none_or(|(book, user)| book.knows[user])
    }

    pub(crate) fn always_knows(&self, user: Option<usize>) -> bool {
        user.is_none_or(|user| self.all(|book| book.knows[user]))
    }
}

impl Book {
    /// Everybody may do everything.
    fn generous() -> Self {
        let all = [true; TOPICS.len()];
        let pages = (0..KINDS).map(|_| Page { may_write: all, may_read: all }).collect();
        Self { knows: [true; USERS.len()], pages }
    }

    fn draw(is_open: [bool; TOPICS.len()], luck: &mut Draw) -> Self {
        let rights = |luck: &mut Draw| is_open.map(|is_open| is_open || luck.chance(1, 2));
        let page = |_| Page { may_write: rights(luck), may_read: rights(luck) };
        let pages = (0..KINDS).map(page).collect();
        Self { knows: std::array::from_fn(|_| luck.chance(5, 6)), pages }
    }

    fn page(&self, user: Option<usize>) -> &Page {
        &self.pages[user.unwrap_or(USERS.len())]
    }

    fn access(&self, settings: &config::Access) -> Access {
        let acl = Some(Arc::new(Acl::parse(self.text().as_bytes(), "acl").expect("a valid list")));
        let known = USERS.iter().zip(self.knows).filter(|(_, is_known)| *is_known);
        let lines: String = known.map(|(name, _)| password_line(name)).collect();
        let file = PasswordFile::parse(lines.as_bytes(), "passwords").expect("it was written here");
        let providers = Providers::new(vec![Provider::Password(Arc::new(file))], 0, [0; 32]);
        let for_users =
            ListenerAccess { acl: acl.clone(), ..ListenerAccess::of_providers(providers) };
        let for_anybody =
            ListenerAccess { acl, ..ListenerAccess::without_providers(&config::Access::default()) };
        Access::new(vec![for_users, for_anybody], settings)
    }

    /// As an access list.
    fn text(&self) -> String {
        let anonymous = self.page(None).text();
        let users: String = USERS
            .iter()
            .enumerate()
            .map(|(user, name)| format!("user {name}\n{}", self.page(Some(user)).text()))
            .collect();
        format!("{anonymous}{users}")
    }
}

impl Page {
    fn text(&self) -> String {
        let line = |(at, topic): (usize, &&str)| match (self.may_read[at], self.may_write[at]) {
            (true, true) => format!("topic readwrite {topic}\n"),
            (true, false) => format!("topic read {topic}\n"),
            (false, true) => format!("topic write {topic}\n"),
            (false, false) => String::new(),
        };
        let lines: String = TOPICS.iter().enumerate().map(line).collect();
        format!("topic {OPEN}/#\n{lines}")
    }
}

fn password_line(name: &str) -> String {
    let hash = PasswordHash::make(Scheme::Sha512, name.as_bytes(), &[1; 12]);
    format!("{name}:{}\n", hash.expect("it costs nothing"))
}
