//! What attacks leave in memory: the same ones are made again and again on brokers that stay.
//!
//! The first rounds make everything as large as it gets: tables, pools, the allocator's arenas. What
//! the last one adds, all attacks together, is what is lost for good each time.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use super::need_test_target;
use crate::broker::{self, Broker};
use crate::job::{Job, Stop, cargo, target};

/// Of seven rounds the third was the last one that added more than 100 KiB to any broker.
const ROUNDS: usize = 5;
/// What the last round may add to a broker's memory.
const GROWTH_KIB_MAX: u64 = 1024;
/// Shards of the brokers that the conformance tests share.
const SHARDS: [usize; 3] = [1, 2, 4];
/// Memory that was freed goes back within some seconds; when it has not become less for so long, it
/// will not.
const QUIET: Duration = Duration::from_secs(4);
const SETTLE_MAX: Duration = Duration::from_secs(30);

/// Sections of the checklist whose attacks need no settings, and so no broker, of their own. In
/// section G, those that are known to have leaked elsewhere measure memory themselves.
const SECTIONS: [char; 8] = ['a', 'b', 'c', 'd', 'e', 'f', 'h', 'w'];

pub(super) fn leaks(job: &mut Job) -> Result<(), Stop> {
    need_test_target("conformance")?;
    job.run(&mut broker::build())?;
    let names = attacks()?;
    let brokers = start()?;
    let mut before = [0; SHARDS.len()];
    for round in 1..=ROUNDS {
        make(job, &brokers, &names)?;
        let after = settle(&brokers);
        job.say(&format!(
            "round {round} of {ROUNDS}: {after:?} KiB resident with {SHARDS:?} shards"
        ));
        if round == ROUNDS {
            return judge(before, after);
        }
        before = after;
    }
    Ok(())
}

fn judge(before: [u64; SHARDS.len()], after: [u64; SHARDS.len()]) -> Result<(), Stop> {
    let is_within = |(before, after): (&u64, &u64)| after.saturating_sub(*before) <= GROWTH_KIB_MAX;
    if before.iter().zip(&after).all(is_within) {
        return Ok(());
    }
    let why = format!("attacks leave memory behind: {before:?} KiB, then {after:?} KiB");
    Err(Stop::Failed(why))
}

/// The tests of attacks, as the test target lists them.
fn attacks() -> Result<Vec<String>, Stop> {
    let mut command = cargo();
    command.args(["test", "--quiet", "--test", "conformance", "--", "--list"]);
    let output = command.output().map_err(failed)?;
    let listed = String::from_utf8_lossy(&output.stdout).into_owned();
    let names = listed.lines().filter_map(|line| line.strip_suffix(": test"));
    let names: Vec<String> = names.filter(|name| is_attack(name)).map(str::to_owned).collect();
    if names.is_empty() {
        return Err(Stop::Failed("the conformance tests list no attack".to_owned()));
    }
    Ok(names)
}

/// Whether a test's name begins with the id of a row, like `b07_`, of one of the [`SECTIONS`].
fn is_attack(name: &str) -> bool {
    let last = name.rsplit("::").next().unwrap_or(name);
    let mut id = last.chars();
    let has_section = id.next().is_some_and(|section| SECTIONS.contains(&section));
    let has_number = id.by_ref().take(2).filter(char::is_ascii_digit).count() == 2;
    has_section && has_number && id.next() == Some('_')
}

fn start() -> Result<Vec<Broker>, Stop> {
    let folder = target().join("xtask");
    let config = folder.join("leaks.toml");
    fs::write(&config, "").map_err(failed)?;
    let one = |shards: &usize| {
        let log = folder.join(format!("leaks-{shards}-shards.log"));
        Broker::start(&config, *shards, &log).map_err(failed)
    };
    SHARDS.iter().map(one).collect()
}

fn make(job: &mut Job, brokers: &[Broker], names: &[String]) -> Result<(), Stop> {
    let shown = SHARDS.iter().zip(brokers);
    let shown = shown.map(|(shards, it)| format!("{shards}={}={}", it.address, it.pid()));
    let mut command = cargo();
    command.env("SKEIN_BIN", broker::binary());
    command.env("SKEIN_BROKERS", shown.collect::<Vec<_>>().join(","));
    command.args(["test", "--quiet", "--test", "conformance", "--", "--exact"]).args(names);
    job.run(&mut command)
}

/// The memory of each when it gives nothing back any more, KiB.
fn settle(brokers: &[Broker]) -> [u64; SHARDS.len()] {
    let look = || std::array::from_fn(|index| resident_kib(brokers[index].pid()));
    let mut least: [u64; SHARDS.len()] = look();
    let (started, mut since) = (Instant::now(), Instant::now());
    while since.elapsed() < QUIET && started.elapsed() < SETTLE_MAX {
        thread::sleep(Duration::from_millis(200));
        let now = look();
        for (least, now) in least.iter_mut().zip(now) {
            if now < *least {
                (*least, since) = (now, Instant::now());
            }
        }
    }
    least
}

fn resident_kib(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(u64::MAX)
}

#[expect(clippy::needless_pass_by_value, reason = "it stands behind map_err")]
fn failed(error: std::io::Error) -> Stop {
    Stop::Failed(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attacks_are_known_by_their_ids() {
        assert!(is_attack("framing::a01_publish_as_first_packet_closes_silently"));
        assert!(is_attack("access::change::h05_a_live_subscription_stops"));
        for other in ["traps::trap_emqx_1", "resources::g03_many", "a1_x", "acks::a_012", "ab12_"] {
            assert!(!is_attack(other), "{other}");
        }
    }

    #[test]
    fn each_broker_is_judged_alone_by_what_the_last_round_adds() {
        assert!(judge([100, 200, 300], [100 + GROWTH_KIB_MAX, 100, 300]).is_ok());
        assert!(judge([5000, 5000, 5000], [1, 1, 5001 + GROWTH_KIB_MAX]).is_err());
    }
}
