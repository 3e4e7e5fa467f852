//! Pinning: which processors a process may run on.
//!
//! A child inherits the processors of the thread that starts it, from its first instruction and
//! with all its threads. So the thread that starts it goes to those processors, and comes back.

use std::{io, str::FromStr};

/// Processors, as `0`, `0-2` or `0,3`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Processors(Vec<usize>);

impl Processors {
    /// Does `start` on these processors, so that what it starts stays there.
    ///
    /// # Errors
    ///
    /// The system does not have these processors, or cannot pin at all; or that of `start`.
    pub(crate) fn pinned<T>(
        pins: Option<&Self>,
        start: impl FnOnce() -> io::Result<T>,
    ) -> io::Result<T> {
        match pins {
            Some(processors) => processors.run(start),
            None => start(),
        }
    }

    #[cfg(target_os = "linux")]
    fn run<T>(&self, start: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

        let before = sched_getaffinity(None)?;
        let mut set = CpuSet::new();
        for number in &self.0 {
            set.set(*number);
        }
        sched_setaffinity(None, &set).map_err(|error| {
            io::Error::other(format!("cannot pin to processors {:?}: {error}", self.0))
        })?;
        let started = start();
        sched_setaffinity(None, &before)?;
        started
    }

    #[cfg(not(target_os = "linux"))]
    fn run<T>(&self, _start: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        Err(io::Error::new(io::ErrorKind::Unsupported, "processes can be pinned on Linux only"))
    }
}

impl FromStr for Processors {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut numbers = Vec::new();
        for part in text.split(',') {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let range = first.parse::<usize>().ok().zip(last.parse::<usize>().ok());
            match range.filter(|(first, last)| first <= last && *last < PROCESSORS_MAX) {
                Some((first, last)) => numbers.extend(first..=last),
                None => return Err(format!("\"{part}\" is no processor and no range of them")),
            }
        }
        Ok(Self(numbers))
    }
}

/// What a set of the kernel's interface holds.
const PROCESSORS_MAX: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processors_are_numbers_and_ranges() {
        assert_eq!("0".parse(), Ok(Processors(vec![0])));
        assert_eq!("0-2,5".parse(), Ok(Processors(vec![0, 1, 2, 5])));
        for text in ["", "a", "2-1", "0-", "4096", "1,"] {
            assert!(text.parse::<Processors>().is_err(), "{text}");
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_child_runs_where_it_was_started_and_the_parent_goes_back() {
        use crate::report::Environment;

        let before = Environment::observe(None).affinity;
        let last = *before.last().unwrap();
        let pins = Processors(vec![last as usize]);
        let mut child = Processors::pinned(Some(&pins), || {
            std::process::Command::new("sleep").arg("600").spawn()
        })
        .unwrap();
        let seen = Environment::observe(Some(child.id()));
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(seen.broker_affinity, [last]);
        assert_eq!(Environment::observe(None).affinity, before);
    }
}
