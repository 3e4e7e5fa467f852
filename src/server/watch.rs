//! Notices that files have changed: by their time of change, size and place on the disk, looked at
//! every few seconds.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::config::Settings;

/// Files that are looked at.
#[derive(Debug, Default)]
pub(super) struct Watch {
    files: Vec<PathBuf>,
    /// How they were when they were read.
    read: Vec<Option<Stamp>>,
    /// How they were when they were looked at last.
    seen: Vec<Option<Stamp>>,
    every: Option<Duration>,
    next: Option<Instant>,
}

/// What changes when a file does. `None` for one that is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    place: (u64, u64),
    changed: (i64, i64),
    bytes: u64,
}

impl Watch {
    /// Looks after the files that these settings name, which are about to be read.
    pub(super) fn of(settings: &Settings, now: Instant) -> Self {
        let every = Duration::from_secs(settings.reload_check_s);
        let files = files(settings);
        // Who has nothing to look at need not wake up.
        let every = (!every.is_zero() && !files.is_empty()).then_some(every);
        let stamps = stamps(&files);
        let next = every.map(|every| now + every);
        Self { files, read: stamps.clone(), seen: stamps, every, next }
    }

    /// When to look again.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.next
    }

    /// Looks, if it is time. True when a file is another than the one that was read, and has been
    /// left alone since the last look: what is being written is not read half.
    pub(super) fn has_changed(&mut self, now: Instant) -> bool {
        if self.next.is_none_or(|next| now < next) {
            return false;
        }
        self.next = self.every.map(|every| now + every);
        let stamps = stamps(&self.files);
        let is_settled = stamps == self.seen;
        let is_other = stamps != self.read;
        self.seen = stamps;
        if is_settled && is_other {
            // Whatever comes of reading it: it is not read again until it changes again.
            self.read.clone_from(&self.seen);
        }
        is_settled && is_other
    }
}

/// Every file that the settings name.
fn files(settings: &Settings) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for listener in &settings.listeners {
        let tls = &listener.tls;
        let lists = [&tls.certificate, &tls.key, &tls.client_ca, &tls.crl];
        files.extend(lists.into_iter().flatten().cloned());
        files.extend(listener.password_file.clone());
        files.extend(listener.acl_file.clone());
    }
    for bridge in &settings.bridges {
        let tls = &bridge.tls;
        let named = [&bridge.password_file, &tls.ca, &tls.certificate, &tls.key];
        files.extend(named.into_iter().flatten().cloned());
    }
    let (access, jwt) = (&settings.access, &settings.jwt);
    let single = [
        &access.password_file,
        &access.scram_file,
        &access.acl_file,
        &jwt.keys_file,
        &jwt.secret_file,
        &jwt.ca_file,
        &settings.http_hook.ca_file,
    ];
    files.extend(single.into_iter().flatten().cloned());
    files
}

fn stamps(files: &[PathBuf]) -> Vec<Option<Stamp>> {
    let stamp = |file: &PathBuf| {
        let found = fs::metadata(file).ok()?;
        Some(Stamp {
            place: (found.dev(), found.ino()),
            // The time of its content and of its name, owner and mode: a copy may bring an old one
            // of the first along.
            changed: (found.mtime_nsec().wrapping_add(found.mtime() << 30), found.ctime_nsec()),
            bytes: found.len(),
        })
    };
    files.iter().map(stamp).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Access;

    #[test]
    fn a_file_has_changed_once_it_has_been_left_alone() {
        let file = std::env::temp_dir().join(format!("skein-watch-{}", std::process::id()));
        fs::write(&file, "one").expect("room for a file");
        let access = Access { acl_file: Some(file.clone()), ..Access::default() };
        let settings = Settings { access, reload_check_s: 1, ..Settings::default() };
        let mut now = Instant::now();
        let mut watch = Watch::of(&settings, now);
        let mut look = |watch: &mut Watch| {
            now += Duration::from_secs(1);
            watch.has_changed(now)
        };
        assert!(!look(&mut watch));
        fs::write(&file, "three").expect("room for a file");
        assert!(!look(&mut watch), "it may still be written to");
        assert!(look(&mut watch));
        assert!(!look(&mut watch), "once is enough");
        fs::remove_file(&file).expect("it is there");
        assert!(!look(&mut watch));
        assert!(look(&mut watch), "a file that has gone has changed");
        let never = Settings { reload_check_s: 0, ..settings };
        assert_eq!(Watch::of(&never, now).next_deadline(), None);
    }
}
