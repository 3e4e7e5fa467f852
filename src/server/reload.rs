//! Reading the configuration and its files again, at SIGHUP or when a file has changed, without
//! closing a connection: all of the new holds from then on, or none of it.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use super::acceptor::Acceptor;
use super::bridge::{self, Bridges};
use super::error::{StartError, add_unsaid};
use super::fixed::keep_fixed;
use super::key_fetcher::{KeyFetcher, KeySource};
use super::listener::{Listener, layers};
use super::login_workers::LoginWorkers;
use super::rules::{Given, Place, Rules, renew_keys};
use super::watch::Watch;
use super::web::Web;
use super::{Handle, hook, settle};
use crate::access::Access;
use crate::access::jwt::JwtKeys;
use crate::config::{self, ConfigError, Settings};
use crate::net::{Command, Layers, listeners_max};
use crate::session::ListenerId;

/// Reads the configuration again.
pub(super) struct Reread(pub(super) Box<dyn Fn() -> Result<Settings, ConfigError> + Send>);

impl fmt::Debug for Reread {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Reread")
    }
}

/// What a broker has read when it starts.
#[derive(Debug)]
pub(super) struct Started {
    pub(super) reread: Option<Reread>,
    pub(super) rules: Rules,
    pub(super) given: Given,
    pub(super) watch: Watch,
}

/// What a reload needs, and what it renews besides listeners and settings.
#[derive(Debug)]
pub(super) struct Reloading {
    reread: Option<Reread>,
    access: Arc<Access>,
    given: Given,
    workers: LoginWorkers,
    fetcher: Option<KeyFetcher>,
    pub(super) bridges: Bridges,
    pub(super) watch: Watch,
    handle: Handle,
    /// The most listeners there may have been, so that each has its counters.
    listeners_max: usize,
}

impl Reloading {
    /// With what these settings were started with.
    pub(super) fn new(
        settings: &Settings,
        started: Started,
        workers: LoginWorkers,
        handle: Handle,
    ) -> Self {
        let Started { reread, rules, given, watch } = started;
        let access = rules.access;
        let listeners_max = listeners_max(settings);
        let (fetcher, bridges) = (None, Bridges::new(handle.clone()));
        Self { reread, access, given, workers, fetcher, bridges, watch, handle, listeners_max }
    }

    /// How the broker is reached.
    pub(super) fn handle(&self) -> &Handle {
        &self.handle
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
    given: Given,
    rules: Rules,
    web: Option<Web>,
    bridges: Vec<bridge::Plan>,
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
        let is_wanted = self.ends_at.is_none() && self.settings.jwt.keys_url == url;
        if !is_wanted {
            return;
        }
        tracing::info!("the keys of tokens were fetched from {url}");
        let Reloading { given, access, .. } = &mut self.reloading;
        given.fetched_keys = Some(keys.clone());
        let renewed = renew_keys(access, self.listeners.len(), &self.settings, keys);
        self.tell_access(Arc::new(renewed));
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
        let mut given = self.reloading.given.clone();
        if self.settings.jwt.keys_url != settings.jwt.keys_url {
            given.fetched_keys = None;
        }
        let web = hook(&settings).map_err(|error| errors.push(error)).ok().flatten();
        let bridges = bridge::plan(&settings).map_err(|all| errors.extend(all)).unwrap_or_default();
        match self.load_rules(&settings, &listeners, &given) {
            Ok(rules) if errors.is_empty() => {
                Ok(Renewal { settings, given, rules, web, bridges, listeners })
            }
            Ok(_) => Err(errors),
            Err(more) => {
                add_unsaid(&mut errors, more);
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
    /// Where a listener could not be renewed, the rules serve only to find out what else is wrong.
    fn load_rules(
        &self,
        settings: &Settings,
        renewed: &[Renewed],
        given: &Given,
    ) -> Result<Rules, Vec<StartError>> {
        let access = &self.reloading.access;
        let mut places: Vec<Place<'_>> = self
            .listeners
            .iter()
            .map(|listener| {
                let removed = Some(access.of(listener.id));
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
        let rules = Rules::load(settings, &places, given).and_then(|rules| {
            rules.check_users(settings, &places, access).map_err(|error| vec![error])?;
            Ok(rules)
        });
        rules.map_err(|errors| errors.into_iter().map(StartError::Rules).collect())
    }

    /// Lets all of it hold.
    fn apply(&mut self, renewal: Renewal) {
        let Renewal { settings, given, rules, web, bridges, listeners } = renewal;
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
        self.reloading.given = given;
        let listeners = self.listeners.iter().map(|listener| listener.settings.clone()).collect();
        let told = Arc::new(Settings { listeners, ..self.settings.clone() });
        self.dealer.tell_all(|| Command::ChangeSettings(Arc::clone(&told)));
        // Before the rules: a login by the old ones must not be remembered under the new.
        self.reloading.workers.on_reload(web);
        self.tell_rules(rules);
        self.reloading.bridges.apply(bridges);
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
        self.tell_access(access);
    }

    fn tell_access(&mut self, access: Arc<Access>) {
        self.dealer.tell_all(|| Command::ChangeAccess(Arc::clone(&access)));
        self.reloading.access = access;
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
    tracing::error!(
        "nothing was taken over, of what is right neither: what was read before stays in use"
    );
}
