//! Rules, who answers logins, and what the log says of them.

use std::{collections::VecDeque, sync::Arc};

use skein::{
    access::{
        Access, ListenerAccess,
        acl::Acl,
        password::{PasswordFile, PasswordHash, Scheme},
        provider::{HttpReply, Outcome, Outside, Provider, Providers},
    },
    config::{self, Settings},
    shard::{Event, Login},
};

use super::Broker;

/// Logins, and who looks at them.
#[derive(Default)]
pub(crate) struct Logins {
    waiting: VecDeque<(usize, Login)>,
    /// Nobody looks at them until the test does.
    pub(crate) are_held: bool,
    /// How long identities last that are found out from now on.
    pub(crate) identity_ms: Option<u64>,
}

impl Logins {
    pub(super) fn push(&mut self, shard: usize, logins: Vec<Login>) {
        self.waiting.extend(logins.into_iter().map(|login| (shard, login)));
    }
}

/// There is no web server.
struct Nowhere;

impl Outside for Nowhere {
    fn post_json(&mut self, _: &str, _: &str, _: u64) -> Result<HttpReply, String> {
        Err("there is no network".to_owned())
    }
}

impl Broker {
    /// A broker whose listeners have these rules.
    pub(crate) fn with_rules(shards: usize, rules: Vec<ListenerAccess>) -> Self {
        let listeners = rules.len();
        let mut broker = Self::with(shards, |settings: &mut Settings| {
            settings.listeners.resize_with(listeners, config::Listener::default);
        });
        broker.change_rules(rules);
        broker
    }

    /// Every shard hears of new rules.
    pub(crate) fn change_rules(&mut self, rules: Vec<ListenerAccess>) {
        let access = Arc::new(Access::new(rules, &config::Access::default()));
        for shard in 0..self.shards.len() {
            self.change_access(shard, &access);
        }
        self.settle();
    }

    /// The broker crashes, and starts again with other rules.
    pub(crate) fn crash_into(&mut self, rules: Vec<ListenerAccess>) {
        self.access = Arc::new(Access::new(rules, &config::Access::default()));
        self.crash(0, self.shards.len());
    }

    /// One shard hears of new rules, and nothing else happens.
    pub(crate) fn change_access(&mut self, shard: usize, access: &Arc<Access>) {
        self.handle(shard, Event::AccessChanged { access: Arc::clone(access) });
    }

    /// How many logins wait for an answer.
    pub(crate) fn logins_waiting(&self) -> usize {
        self.logins.waiting.len()
    }

    /// Somebody looks at the login that has waited longest. False if there is none.
    pub(crate) fn answer_login(&mut self) -> bool {
        let Some((shard, login)) = self.logins.waiting.pop_front() else { return false };
        let outcome = login.work.run(0, &mut Nowhere);
        self.tell_outcome(shard, login.connection, outcome);
        true
    }

    /// The login that has waited longest is answered with this.
    pub(crate) fn answer_login_with(&mut self, outcome: Outcome) {
        let (shard, login) = self.logins.waiting.pop_front().expect("a login waits");
        self.tell_outcome(shard, login.connection, outcome);
        self.settle();
    }

    fn tell_outcome(
        &mut self,
        shard: usize,
        connection: skein::shard::ConnectionId,
        outcome: Outcome,
    ) {
        let expires_at = self.logins.identity_ms.map(|ms| self.now.plus(ms));
        let outcome = Box::new(outcome);
        self.handle(shard, Event::Authenticated { connection, outcome, expires_at });
    }

    /// What the log has said of this kind.
    pub(crate) fn noted(&self, kind: &str) -> Vec<&str> {
        let of_kind = self.notices.iter().filter(|(found, _)| *found == kind);
        of_kind.map(|(_, text)| &**text).collect()
    }
}

/// A listener where each of these users has its own name as password, with this access list.
pub(crate) fn users(names: &[&str], acl: &str) -> ListenerAccess {
    ListenerAccess { acl: list(acl), ..users_without_list(names) }
}

/// A listener where these users may do everything.
pub(crate) fn users_without_list(names: &[&str]) -> ListenerAccess {
    let providers = Providers::new(vec![passwords(names)], 0, [7; 32]);
    ListenerAccess::of_providers(providers)
}

/// A listener where everybody is anonymous, with this access list.
pub(crate) fn everybody(acl: &str) -> ListenerAccess {
    let rules = ListenerAccess::without_providers(&config::Access::default());
    ListenerAccess { acl: list(acl), ..rules }
}

/// The same, and SUBSCRIBE is refused if it asks for more than is allowed.
pub(crate) fn strict(rules: ListenerAccess) -> ListenerAccess {
    ListenerAccess { is_strict: true, ..rules }
}

pub(crate) fn passwords(names: &[&str]) -> Provider {
    let line = |name: &&str| {
        let hash = PasswordHash::make(Scheme::Sha512, name.as_bytes(), &[1; 12]);
        format!("{name}:{}\n", hash.expect("it costs nothing"))
    };
    let text: String = names.iter().map(line).collect();
    let file = PasswordFile::parse(text.as_bytes(), "passwords");
    Provider::Password(Arc::new(file.expect("it was written here")))
}

fn list(text: &str) -> Option<Arc<Acl>> {
    Some(Arc::new(Acl::parse(text.as_bytes(), "acl").expect("a valid list")))
}
