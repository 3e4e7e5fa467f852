//! Reading the configuration and its files again, at SIGHUP or when a file has changed, without
//! closing a connection: all of the new holds from then on, or none of it.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use super::acceptor::Acceptor;
use super::error::StartError;
use super::key_fetcher::{KeyFetcher, KeySource};
use super::listener::{Listener, layers};
use super::login_workers::LoginWorkers;
use super::rules::{Given, Place, Rules};
use super::watch::Watch;
use super::web::Web;
use super::{Handle, hook, settle};
use crate::access::Access;
use crate::access::jwt::JwtKeys;
use crate::config::{self, ConfigError, Settings};
use crate::net::{Command, Layers, listeners_max};
use crate::session::ListenerId;

/// Limits that hold for whatever happens next. The others were told to clients, or something was
/// built from them when the broker started.
const LIVE_LIMITS: [&str; 21] = [
    "connect_timeout_ms",
    "packet_bytes_before_connect_max",
    "topic_levels_max",
    "client_id_bytes_max",
    "subscriptions_per_client_max",
    "user_properties_max",
    "topic_alias_outgoing_max",
    "keep_alive_s_max",
    "in_flight_max",
    "session_expiry_s_max",
    "session_expiry_v3_s",
    "sessions_max",
    "queue_messages_max",
    "queue_bytes_max",
    "outbox_bytes_max",
    "outbox_high_water_bytes",
    "outbox_low_water_bytes",
    "slow_consumer_grace_ms",
    "retained_step_topics",
    "connections_max",
    "shutdown_ms_max",
];

/// Reads the configuration again.
pub(super) struct Reread(pub(super) Box<dyn Fn() -> Result<Settings, ConfigError> + Send>);

impl fmt::Debug for Reread {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Reread")
    }
}

/// What a reload needs, and what it renews besides listeners and settings.
#[derive(Debug)]
pub(super) struct Reloading {
    pub(super) reread: Option<Reread>,
    pub(super) access: Arc<Access>,
    pub(super) given: Given,
    pub(super) workers: LoginWorkers,
    pub(super) fetcher: Option<KeyFetcher>,
    pub(super) watch: Watch,
    pub(super) handle: Handle,
    /// The most listeners there may have been, so that each has its counters.
    pub(super) listeners_max: usize,
}

impl Reloading {
    /// With the rules of these settings.
    pub(super) fn new(
        settings: &Settings,
        reread: Option<Reread>,
        access: Arc<Access>,
        given: Given,
        workers: LoginWorkers,
        handle: Handle,
    ) -> Self {
        let watch = Watch::of(settings, Instant::now());
        let listeners_max = listeners_max(settings);
        Self { reread, access, given, workers, fetcher: None, watch, handle, listeners_max }
    }

    /// Fetches the keys of tokens now and from now on, if the settings say from where.
    pub(super) fn fetch_keys(&mut self, settings: &Settings) -> Result<(), StartError> {
        let source = KeySource::of(&settings.jwt);
        match &self.fetcher {
            Some(fetcher) => fetcher.fetch(source),
            None if source.is_some() => {
                self.fetcher = Some(KeyFetcher::start(source, self.handle.clone())?);
            }
            None => {}
        }
        Ok(())
    }
}

/// All that is new, read and bound, before any of it holds.
struct Renewal {
    settings: Settings,
    rules: Rules,
    web: Option<Web>,
    /// For each listener of the settings, in their order.
    listeners: Vec<Renewed>,
}

/// What a listener of the new settings is.
enum Renewed {
    /// One that listens already, by its place.
    Kept(usize, Option<Arc<Layers>>),
    /// One that has just been bound; it knows its place.
    Bound(Box<Listener>),
}

impl Acceptor {
    /// Reads the configuration and all files again.
    pub(super) fn reload(&mut self) {
        tracing::info!("SIGHUP: the configuration and the files that it names are read again");
        let settings = match &self.reloading.reread {
            None => self.settings.clone(),
            Some(Reread(reread)) => match reread() {
                Ok(settings) => settings,
                Err(error) => return refuse(&[error]),
            },
        };
        self.renew(settings);
    }

    /// Reads the files again, if one has changed.
    pub(super) fn look_at_files(&mut self, now: Instant) {
        if self.ends_at.is_none() && self.reloading.watch.has_changed(now) {
            tracing::info!("a file that the configuration names has changed: all are read again");
            self.renew(self.settings.clone());
        }
    }

    /// The keys of tokens were fetched.
    pub(super) fn renew_keys(&mut self, url: &str, keys: JwtKeys) {
        if self.settings.jwt.keys_url != url {
            return;
        }
        tracing::info!("the keys of tokens were fetched from {url}");
        self.reloading.given.fetched_keys = Some(keys);
        match self.load_rules(&self.settings, &[]) {
            Ok(rules) => self.tell_rules(rules),
            Err(errors) => refuse(&errors),
        }
    }

    fn renew(&mut self, mut settings: Settings) {
        if self.ends_at.is_some() {
            return;
        }
        settle(&mut settings);
        let watch = Watch::of(&settings, Instant::now());
        for key in keep_fixed(&mut settings, &self.settings) {
            tracing::warn!("{key} cannot change while the broker runs; restart it for that");
        }
        match self.prepare(settings) {
            Ok(renewal) => {
                self.reloading.watch = watch;
                self.apply(renewal);
            }
            Err(errors) => refuse(&errors),
        }
    }

    /// Reads and binds everything. What was there stays untouched.
    fn prepare(&mut self, settings: Settings) -> Result<Renewal, Vec<StartError>> {
        let mut errors = Vec::new();
        let mut listeners = Vec::new();
        let mut taken = vec![false; self.listeners.len()];
        let mut places = self.listeners.len();
        for listener in &settings.listeners {
            match self.renew_listener(listener, &mut taken, &mut places) {
                Ok(renewed) => listeners.push(renewed),
                Err(error) => errors.push(error),
            }
        }
        if self.settings.jwt.keys_url != settings.jwt.keys_url {
            self.reloading.given.fetched_keys = None;
        }
        let web = hook(&settings).map_err(|error| errors.push(error)).ok().flatten();
        match self.load_rules(&settings, &listeners) {
            Ok(rules) if errors.is_empty() => Ok(Renewal { settings, rules, web, listeners }),
            Ok(_) => Err(errors),
            Err(more) => {
                errors.extend(more);
                Err(errors)
            }
        }
    }

    /// Finds the listener with this address, or binds it.
    fn renew_listener(
        &self,
        settings: &config::Listener,
        taken: &mut [bool],
        places: &mut usize,
    ) -> Result<Renewed, StartError> {
        let mut known = self.listeners.iter().zip(taken.iter_mut()).enumerate();
        let found = known.find(|(_, (listener, taken))| {
            !**taken && listener.settings.address == settings.address
        });
        if let Some((place, (listener, taken))) = found {
            *taken = true;
            if listener.is_open() {
                return layers(settings).map(|layers| Renewed::Kept(place, layers));
            }
            let mut bound = Listener::bind(place, settings, self.poll.registry())?;
            bound.dealt = listener.dealt;
            return Ok(Renewed::Bound(Box::new(bound)));
        }
        if *places >= self.reloading.listeners_max {
            return Err(StartError::Listen {
                address: settings.address.clone(),
                source: std::io::Error::other(
                    "too many listeners have been added and removed; restart the broker",
                ),
            });
        }
        let bound = Listener::bind(*places, settings, self.poll.registry())?;
        *places += 1;
        Ok(Renewed::Bound(Box::new(bound)))
    }

    /// The rules for all places: of what the settings name, and of what is left of other listeners.
    fn load_rules(
        &self,
        settings: &Settings,
        renewed: &[Renewed],
    ) -> Result<Rules, Vec<StartError>> {
        let access = &self.reloading.access;
        let mut places: Vec<Place<'_>> = self
            .listeners
            .iter()
            .map(|listener| {
                let is_here = renewed.is_empty() && listener.is_open();
                let removed = (!is_here).then(|| access.of(listener.id));
                Place { listener: &listener.settings, removed }
            })
            .collect();
        for (renewed, listener) in renewed.iter().zip(&settings.listeners) {
            let place = Place { listener, removed: None };
            match places.get_mut(renewed.place()) {
                Some(known) => *known = place,
                None => places.push(place),
            }
        }
        Rules::load(settings, &places, &self.reloading.given)
            .map_err(|errors| errors.into_iter().map(StartError::Rules).collect())
    }

    /// Lets all of it hold.
    fn apply(&mut self, renewal: Renewal) {
        let Renewal { settings, rules, web, listeners } = renewal;
        let mut stay = vec![false; self.listeners.len()];
        for (renewed, new) in listeners.into_iter().zip(&settings.listeners) {
            if let Some(stay) = stay.get_mut(renewed.place()) {
                *stay = true;
            }
            match renewed {
                Renewed::Kept(place, layers) => self.listeners[place].change(new, layers),
                Renewed::Bound(listener) => self.add(*listener),
            }
        }
        for place in (0..stay.len()).filter(|place| !stay[*place]) {
            self.remove(place);
        }
        self.settings = settings;
        let listeners = self.listeners.iter().map(|listener| listener.settings.clone()).collect();
        let told = Arc::new(Settings { listeners, ..self.settings.clone() });
        self.dealer.tell_all(|| Command::ChangeSettings(Arc::clone(&told)));
        // Before the rules: a login by the old ones must not be remembered under the new.
        self.reloading.workers.on_reload(web);
        self.tell_rules(rules);
        if let Err(error) = self.reloading.fetch_keys(&self.settings) {
            tracing::error!("{error}");
        }
        tracing::info!("reloaded");
    }

    fn add(&mut self, listener: Listener) {
        tracing::info!("now listening on {}", listener.address());
        let place = usize::from(listener.id.0);
        match self.listeners.get_mut(place) {
            Some(known) => *known = listener,
            None => self.listeners.push(listener),
        }
    }

    fn remove(&mut self, place: usize) {
        if !self.listeners[place].is_open() {
            return;
        }
        let open = self.open_on(&self.listeners[place]);
        tracing::warn!(
            "no longer listening on {}; the {open} connections that came through it stay",
            self.listeners[place].address()
        );
        self.listeners[place].close();
    }

    fn tell_rules(&mut self, rules: Rules) {
        let Rules { access, warnings } = rules;
        for warning in warnings {
            tracing::warn!("{warning}");
        }
        self.reloading.access = Arc::clone(&access);
        self.dealer.tell_all(|| Command::ChangeAccess(Arc::clone(&access)));
    }
}

impl Renewed {
    fn place(&self) -> usize {
        match self {
            Self::Kept(place, _) => *place,
            Self::Bound(listener) => {
                let ListenerId(place) = listener.id;
                usize::from(place)
            }
        }
    }
}

fn refuse(errors: &[impl fmt::Display]) {
    for error in errors {
        tracing::error!("{error}");
    }
    tracing::error!("nothing of this was taken over: what was read before stays in use");
}

/// Takes from the old settings what cannot change while the broker runs; the keys that differ.
fn keep_fixed(settings: &mut Settings, old: &Settings) -> Vec<String> {
    let top = settings.keep(old, |key| key == "shards").into_iter().map(str::to_owned);
    let limits = settings.limits.keep(&old.limits, |key| !LIVE_LIMITS.contains(&key));
    let limits = limits.into_iter().map(|key| format!("limits.{key}"));
    let is_fixed = |key: &str| key.contains("login") || key == "cached_credentials_max";
    let access = settings.access.keep(&old.access, is_fixed);
    let access = access.into_iter().map(|key| format!("access.{key}"));
    let log = settings.log.keep(&old.log, |key| key != "lines_per_second_max");
    let log = log.into_iter().map(|key| format!("log.{key}"));
    top.chain(limits).chain(access).chain(log).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_change_is_kept_and_named() {
        let old = Settings::default();
        let mut new = old.clone();
        new.shards = 7;
        new.reload_check_s = 9;
        new.limits.lane_slots = 2;
        new.limits.topic_alias_maximum = 3;
        new.limits.connections_max = 5;
        new.access.login_workers = 9;
        new.access.acl_strict = true;
        new.log.lines_per_second_max = 3;
        new.log.level = config::LogLevel::Trace;
        let kept = keep_fixed(&mut new, &old);
        assert_eq!(
            kept,
            [
                "shards",
                "limits.topic_alias_maximum",
                "limits.lane_slots",
                "access.login_workers",
                "log.level"
            ]
        );
        assert_eq!((new.shards, new.limits.lane_slots), (old.shards, old.limits.lane_slots));
        assert_eq!((new.limits.connections_max, new.reload_check_s), (5, 9));
        assert!(new.access.acl_strict);
        assert_eq!(new.log.lines_per_second_max, 3);
    }

    #[test]
    fn every_limit_that_may_change_is_one() {
        let page = config::documentation();
        for key in LIVE_LIMITS {
            assert!(page.contains(&format!("| `{key}` |")), "{key}");
        }
    }
}
