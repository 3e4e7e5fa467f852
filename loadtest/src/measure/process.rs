//! A process from outside, as the kernel shows it under `/proc`.

use std::{fs, str::FromStr};

/// Kernel ticks a second in `/proc/PID/stat`; 100 on every Linux that reports there.
const NANOSECONDS_PER_TICK: u64 = 10_000_000;
/// Bytes of a page in `/proc/PID/statm`.
const PAGE_BYTES: u64 = 4096;

/// A process that is watched.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Process {
    pid: u32,
}

/// What a process had used at one moment. All but memory and files only grows.
#[derive(Clone, Debug, Default)]
pub(crate) struct ProcessSample {
    /// CPU time outside the kernel, nanoseconds, in steps of 10 ms.
    user_ns: u64,
    /// CPU time in the kernel, likewise.
    system_ns: u64,
    /// Its threads.
    pub(crate) threads: Vec<ThreadSample>,
    /// Resident memory.
    pub(crate) rss_bytes: u64,
    /// Open files.
    pub(crate) files: u64,
}

/// What a thread had used at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ThreadSample {
    /// The kernel's number for it.
    pub(crate) id: u64,
    /// Its name, of at most 15 bytes.
    pub(crate) name: String,
    /// CPU time.
    pub(crate) cpu_ns: u64,
    /// Time it could have run and had no processor.
    pub(crate) waiting_ns: u64,
    /// Times that it waited for something.
    pub(crate) switches_voluntary: u64,
    /// Times that it was interrupted.
    pub(crate) switches_involuntary: u64,
}

impl Process {
    /// The process with this id.
    pub(crate) fn new(pid: u32) -> Self {
        Self { pid }
    }

    /// The load test itself.
    pub(crate) fn own() -> Self {
        Self::new(std::process::id())
    }

    /// Its id.
    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// What it has used so far; `None` if there is no such process or the system is not Linux.
    pub(crate) fn sample(&self) -> Option<ProcessSample> {
        let stat = self.read("stat")?;
        let mut fields = after_name(&stat)?.split_whitespace().skip(11);
        let mut ticks =
            || fields.next()?.parse().ok().map(|ticks: u64| ticks * NANOSECONDS_PER_TICK);
        let (user_ns, system_ns) = (ticks()?, ticks()?);
        Some(ProcessSample {
            user_ns,
            system_ns,
            threads: self.threads(),
            rss_bytes: self.rss_bytes().unwrap_or(0),
            files: self.files(),
        })
    }

    /// Resident memory now.
    pub(crate) fn rss_bytes(&self) -> Option<u64> {
        let pages: u64 = self.read("statm")?.split_whitespace().nth(1)?.parse().ok()?;
        Some(pages * PAGE_BYTES)
    }

    /// CPU time of all threads so far, nanoseconds.
    pub(crate) fn cpu_ns(&self) -> Option<u64> {
        let sample = self.sample()?;
        Some(sample.threads.iter().map(|thread| thread.cpu_ns).sum())
    }

    /// How many processors it may use.
    pub(crate) fn cores(&self) -> Option<usize> {
        let status = self.read("status")?;
        let list: String = number_after(&status, "Cpus_allowed_list:")?;
        let spans = list.split(',').map(|span| {
            let (first, last) = span.split_once('-').unwrap_or((span, span));
            let (first, last): (usize, usize) = (first.parse().ok()?, last.parse().ok()?);
            Some((last + 1).saturating_sub(first))
        });
        spans.sum()
    }

    fn read(&self, name: &str) -> Option<String> {
        fs::read_to_string(format!("/proc/{}/{name}", self.pid)).ok()
    }

    fn files(&self) -> u64 {
        fs::read_dir(format!("/proc/{}/fd", self.pid)).map_or(0, |files| files.count() as u64)
    }

    fn threads(&self) -> Vec<ThreadSample> {
        let Ok(threads) = fs::read_dir(format!("/proc/{}/task", self.pid)) else {
            return Vec::new();
        };
        let ids = threads.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        let mut threads: Vec<_> = ids.filter_map(|id| self.thread(id)).collect();
        threads.sort_by_key(|thread| thread.id);
        threads
    }

    fn thread(&self, id: u64) -> Option<ThreadSample> {
        let status = self.read(&format!("task/{id}/status"))?;
        let times = self.read(&format!("task/{id}/schedstat"))?;
        let mut times = times.split_whitespace().map(|number| number.parse().unwrap_or(0));
        Some(ThreadSample {
            id,
            name: self.read(&format!("task/{id}/comm"))?.trim_end().to_owned(),
            cpu_ns: times.next()?,
            waiting_ns: times.next()?,
            switches_voluntary: number_after(&status, "\nvoluntary_ctxt_switches:").unwrap_or(0),
            switches_involuntary: number_after(&status, "nonvoluntary_ctxt_switches:").unwrap_or(0),
        })
    }
}

impl ProcessSample {
    /// What was used since an earlier sample; memory and files are those of this one.
    pub(crate) fn since(&self, earlier: &Self) -> Self {
        let threads = self.threads.iter().map(|thread| {
            let before = earlier.threads.iter().find(|before| before.id == thread.id);
            before.map_or_else(|| thread.clone(), |before| thread.since(before))
        });
        Self {
            user_ns: self.user_ns.saturating_sub(earlier.user_ns),
            system_ns: self.system_ns.saturating_sub(earlier.system_ns),
            threads: threads.collect(),
            ..self.clone()
        }
    }

    /// CPU time outside and inside the kernel, nanoseconds. Their sum is exact to the nanosecond,
    /// which the kernel counts by thread; how it is divided is known in steps of 10 ms.
    pub(crate) fn cpu_ns(&self) -> (u64, u64) {
        let total: u64 = self.threads.iter().map(|thread| thread.cpu_ns).sum();
        let ticks = self.user_ns + self.system_ns;
        let user = if ticks == 0 { 0.0 } else { self.user_ns as f64 / ticks as f64 };
        let user_ns = (total as f64 * user) as u64;
        (user_ns, total - user_ns)
    }
}

impl ThreadSample {
    fn since(&self, earlier: &Self) -> Self {
        let less = |now: u64, before: u64| now.saturating_sub(before);
        Self {
            id: self.id,
            name: self.name.clone(),
            cpu_ns: less(self.cpu_ns, earlier.cpu_ns),
            waiting_ns: less(self.waiting_ns, earlier.waiting_ns),
            switches_voluntary: less(self.switches_voluntary, earlier.switches_voluntary),
            switches_involuntary: less(self.switches_involuntary, earlier.switches_involuntary),
        }
    }
}

/// The name stands in parentheses and may hold spaces and parentheses.
fn after_name(stat: &str) -> Option<&str> {
    Some(stat.rsplit_once(')')?.1)
}

fn number_after<T: FromStr>(text: &str, label: &str) -> Option<T> {
    let (_, rest) = text.split_once(label)?;
    rest.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_sees_itself() {
        let before = Process::own().sample().expect("this is Linux");
        let mut sum: u64 = 0;
        for number in 0..20_000_000_u64 {
            sum = std::hint::black_box(sum.wrapping_add(number));
        }
        let used = Process::own().sample().expect("this is Linux").since(&before);
        let (user_ns, system_ns) = used.cpu_ns();
        assert!(user_ns + system_ns > 1_000_000, "{used:?}");
        assert!(Process::own().cores().is_some_and(|cores| cores > 0));
        assert!(used.rss_bytes > 0 && used.files > 2 && !used.threads.is_empty(), "{used:?}");
    }

    #[test]
    fn a_process_that_is_gone_has_no_sample() {
        assert!(Process::new(u32::MAX).sample().is_none());
    }

    #[test]
    fn a_name_with_parentheses_is_skipped() {
        assert_eq!(after_name("7 (a) b) S 1 2"), Some(" S 1 2"));
    }
}
