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

/// The lines with this head that the log has after SIGUSR1, of which there are so many.
fn reported(case: &Case, head: &str, count: usize) -> Vec<String> {
    let lines = || -> Vec<String> {
        let log = case.broker.log();
        log.lines().filter(|line| line.contains(head)).map(str::to_owned).collect()
    };
    let before = lines().len();
    case.broker.signal("USR1");
    let mut all = Vec::new();
    assert!(eventually(Duration::from_secs(5), || {
        all = lines();
        all.len() >= before + count
    }));
    all.split_off(all.len() - count)
}

/// The value of a counter of the acceptor.
fn counted_by_acceptor(case: &Case, counter: &str) -> u64 {
    let lines = reported(case, " acceptor: ", 1);
    value_in(&lines[0], counter).unwrap_or_else(|| panic!("{counter} is counted: {lines:?}"))
}

/// The value of a counter over both shards.
fn counted(case: &Case, counter: &str) -> u64 {
    let lines = reported(case, "counters: ", 2);
    lines.iter().filter_map(|line| value_in(line, counter)).sum()
}

/// The value of a counter in a line of the log.
fn value_in(line: &str, counter: &str) -> Option<u64> {
    let name = format!(" {counter}=");
    line.split(&name).nth(1)?.split_whitespace().next()?.parse().ok()
}
