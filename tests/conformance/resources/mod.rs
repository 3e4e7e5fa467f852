//! Who takes more than is due (rows G of the checklist of attacks): before authentication, in what
//! is kept, and in what is done.

mod arrivals;
mod fairness;
mod holdings;
mod patience;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::harness::{Case, PATIENCE, eventually};

/// A socket on which nothing was said.
fn socket(case: &Case) -> TcpStream {
    let socket = TcpStream::connect(case.broker.address).expect("the broker listens");
    socket.set_nodelay(true).expect("a socket option");
    socket.set_read_timeout(Some(PATIENCE)).expect("a socket option");
    socket
}

/// Says these bytes to a broker that may have closed.
fn say(mut socket: &TcpStream, bytes: &[u8]) -> bool {
    socket.write_all(bytes).is_ok()
}

/// Whether the broker closes within this time, whatever it says before.
fn is_closed_within(mut socket: &TcpStream, within: Duration) -> bool {
    socket.set_read_timeout(Some(within)).expect("a socket option");
    match socket.read_to_end(&mut Vec::new()) {
        Ok(_) => true,
        Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
    }
}

/// The value of a counter of the acceptor, as the log has it after SIGUSR1.
fn counted_by_acceptor(case: &Case, counter: &str) -> u64 {
    let reports = |log: &str| log.matches(" acceptor: ").count();
    let before = reports(&case.broker.log());
    case.broker.signal("USR1");
    let mut log = String::new();
    assert!(eventually(Duration::from_secs(5), || {
        log = case.broker.log();
        reports(&log) > before
    }));
    let last = log.lines().rfind(|line| line.contains(" acceptor: ")).unwrap_or_default();
    value_in(last, counter).unwrap_or_else(|| panic!("{counter} is counted: {last}"))
}

/// The value of a counter in a line of the log.
fn value_in(line: &str, counter: &str) -> Option<u64> {
    let name = format!(" {counter}=");
    line.split(&name).nth(1)?.split_whitespace().next()?.parse().ok()
}

/// The value of a counter over both shards, as the log has it after SIGUSR1.
fn counted(case: &Case, counter: &str) -> u64 {
    let reports = |log: &str| log.matches("counters: ").count();
    let before = reports(&case.broker.log());
    case.broker.signal("USR1");
    let mut log = String::new();
    assert!(eventually(Duration::from_secs(5), || {
        log = case.broker.log();
        reports(&log) >= before + 2
    }));
    let lines: Vec<&str> = log.lines().filter(|line| line.contains("counters: ")).collect();
    let latest = &lines[lines.len() - 2..];
    latest.iter().filter_map(|line| value_in(line, counter)).sum()
}
