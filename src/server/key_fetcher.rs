//! The thread that fetches the keys of tokens from their address, at the start, every now and then,
//! and when a reload asks for it.

use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use super::Handle;
use super::acceptor::Request;
use super::error::StartError;
use super::web::Web;
use crate::access::jwt::JwtKeys;
use crate::config;

/// How long an answer may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How long to wait after a failure, or less if the keys are fetched more often than that.
const RETRY: Duration = Duration::from_secs(10);

/// Where keys come from, and how often.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct KeySource {
    pub(super) url: String,
    ca_file: Option<PathBuf>,
    refresh: Duration,
}

impl KeySource {
    /// `None` if the settings name no address.
    pub(super) fn of(jwt: &config::Jwt) -> Option<Self> {
        (!jwt.keys_url.is_empty()).then(|| Self {
            url: jwt.keys_url.clone(),
            ca_file: jwt.ca_file.clone(),
            refresh: Duration::from_secs(jwt.keys_refresh_s),
        })
    }
}

/// Steers the thread, which ends when this is dropped.
#[derive(Debug)]
pub(super) struct KeyFetcher {
    sources: mpsc::Sender<Option<KeySource>>,
}

impl KeyFetcher {
    /// Starts the thread. What it fetches comes to the acceptor as a request.
    ///
    /// # Errors
    /// When the kernel gives no thread.
    pub(super) fn start(source: Option<KeySource>, handle: Handle) -> Result<Self, StartError> {
        let (sources, inbox) = mpsc::channel();
        let builder = thread::Builder::new().name("keys".to_owned());
        builder.spawn(move || run(&inbox, &handle)).map_err(StartError::Kernel)?;
        let fetcher = Self { sources };
        fetcher.fetch(source);
        Ok(fetcher)
    }

    /// Fetches now, from this source, and from now on.
    pub(super) fn fetch(&self, source: Option<KeySource>) {
        // Without the thread the keys stay what they are.
        let _ = self.sources.send(source);
    }
}

fn run(inbox: &Receiver<Option<KeySource>>, handle: &Handle) {
    let mut source: Option<KeySource> = None;
    let mut last = Vec::new();
    let mut wait = None;
    loop {
        let next = match wait {
            None => inbox.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(wait) => inbox.recv_timeout(wait),
        };
        match next {
            Ok(next) => {
                if next.as_ref().map(|next| &next.url) != source.as_ref().map(|old| &old.url) {
                    last.clear();
                }
                source = next;
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        wait = source.as_ref().map(|source| fetch(source, &mut last, handle));
    }
}

/// Fetches once and says how long to wait until the next time. `last` is what came the last time.
fn fetch(source: &KeySource, last: &mut Vec<u8>, handle: &Handle) -> Duration {
    let KeySource { url, ca_file, refresh } = source;
    let document = Web::new(url, ca_file.as_deref()).and_then(|web| web.document(url, TIMEOUT));
    let keys = document.and_then(|text| match text == *last {
        true => Ok(None),
        false => {
            let keys = JwtKeys::parse(&text, url).map_err(|error| error.to_string())?;
            *last = text;
            Ok(Some(keys))
        }
    });
    match keys {
        Ok(None) => {}
        Ok(Some(keys)) => {
            for warning in keys.warnings() {
                tracing::warn!("{url}: {}", warning.text);
            }
            handle.request(Request::KeysFetched { url: url.clone(), keys });
        }
        Err(error) => {
            let consequence = match last.is_empty() {
                true => "until there are keys, every token is refused",
                false => "those fetched before stay in use",
            };
            tracing::error!(
                "the keys of tokens cannot be fetched from {url}: {error}; {consequence}"
            );
            return RETRY.min(*refresh);
        }
    }
    *refresh
}
