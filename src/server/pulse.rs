//! When the broker last lived, for the start after a kill or a power cut: sessions that were connected
//! then have lost their connections at that time. Nothing else tells, since a broker whose clients only
//! listen writes nothing for hours.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

/// How often it is noted.
const INTERVAL: Duration = Duration::from_secs(10);
/// The empty file, in the folder of the store, whose time of change says it.
const FILE: &str = "alive";
const FILE_MODE: u32 = 0o600;

/// Notes from time to time that the broker lives.
#[derive(Debug)]
pub(super) struct Pulse {
    file: File,
    next_at: Instant,
}

impl Pulse {
    /// For a store in this folder.
    ///
    /// # Errors
    /// The system refuses.
    pub(super) fn new(folder: &Path, now: Instant) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false).mode(FILE_MODE);
        let mut pulse = Self { file: options.open(folder.join(FILE))?, next_at: now };
        pulse.beat(now);
        Ok(pulse)
    }

    /// Notes it, if it is time. If the disk does not take it, the next one may.
    pub(super) fn beat(&mut self, now: Instant) {
        if now >= self.next_at {
            self.next_at = now + INTERVAL;
            let _ = self.file.set_modified(SystemTime::now()).and_then(|()| self.file.sync_all());
        }
    }
}

/// When a broker has ended that did not say so, by the last sign of life: not before it has, or it
/// would have cost sessions some of the time that their clients were promised.
pub(super) fn ended_at(last_sign: SystemTime, now: SystemTime) -> SystemTime {
    (last_sign + INTERVAL).min(now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_says_when_the_broker_last_lived() {
        let folder = tempfile::tempdir().expect("a folder");
        let begin = Instant::now();
        let mut pulse = Pulse::new(folder.path(), begin).expect("it is made");
        let file = File::open(folder.path().join(FILE)).expect("it is there");
        let long_ago = SystemTime::UNIX_EPOCH;
        let mut is_noted_at = |after: Duration| {
            pulse.file.set_modified(long_ago).expect("it is ours");
            pulse.beat(begin + after);
            let noted = file.metadata().and_then(|it| it.modified()).expect("it is there");
            noted > long_ago
        };
        assert!(!is_noted_at(INTERVAL / 2), "not each time");
        assert!(is_noted_at(INTERVAL));
        assert!(!is_noted_at(INTERVAL * 3 / 2));
        assert!(is_noted_at(INTERVAL * 5));
    }

    #[test]
    fn nobody_loses_time_by_a_crash() {
        let at = |s| SystemTime::UNIX_EPOCH + Duration::from_secs(s);
        assert_eq!(ended_at(at(100), at(1_000)), at(110), "the next sign would have come then");
        assert_eq!(ended_at(at(100), at(103)), at(103));
        assert_eq!(ended_at(at(5_000), at(103)), at(103), "the clock was put back");
    }
}
