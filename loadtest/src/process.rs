//! The CPU time of a process, from outside.

use std::{fs, time::Duration};

/// Kernel ticks a second in `/proc/PID/stat`; 100 on every Linux that reports there.
const TICKS_PER_SECOND: u64 = 100;

/// User and system time of all its threads so far; `None` if there is no such process.
pub(crate) fn cpu_time(pid: u32) -> Option<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The command's name stands in parentheses and may hold spaces.
    let after_name = stat.rsplit_once(')')?.1;
    let mut fields = after_name.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(Duration::from_millis((user + system) * 1000 / TICKS_PER_SECOND))
}
