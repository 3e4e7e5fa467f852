//! A broker that was started for trials, and ends with them; or one that is up already.

use std::{
    fs::{self, File},
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::Path,
    process::{Child, Stdio},
    thread,
    time::{Duration, Instant},
};

use clap::Parser;
use skein_protocol::QoS;
use tempfile::TempDir;

use super::{
    BrokerCommand, Processors, Stop, certificate,
    command::{Origin, fill},
    stop::end,
};
use crate::{
    cli,
    crowd::{Arrivals, Crowd},
    plan::{Address, Target},
};

/// A running broker that answers CONNECT.
#[derive(Debug)]
pub(crate) struct Broker {
    address: Address,
    pid: Option<u32>,
    /// What was started and is to be ended.
    started: Option<Started>,
}

#[derive(Debug)]
struct Started {
    child: Child,
    folder: TempDir,
}

impl Broker {
    /// Starts a broker on a port of its own, unless it is up already, and waits until it answers the
    /// CONNECT of a load test with these arguments.
    ///
    /// # Errors
    ///
    /// It cannot be started, ends, or does not answer in time; with the end of what it printed. Or
    /// the load test does not understand its arguments.
    pub(crate) fn start(
        command: &BrokerCommand,
        arguments: &[String],
        pins: Option<&Processors>,
        stop: &Stop,
    ) -> io::Result<Self> {
        let mut broker = match &command.origin {
            Origin::Running { address, pid } => {
                Self { address: address.clone(), pid: *pid, started: None }
            }
            Origin::Started(words) => Self::spawn(command, words, pins)?,
        };
        let target = target(&broker.arguments(arguments))?;
        if command.is_floor() && !target.is_bare_tcp() {
            return Err(io::Error::other("the null broker speaks MQTT over TCP and nothing else"));
        }
        broker.wait_until_it_answers(&target, stop).map_err(|error| {
            let printed = broker.printed();
            io::Error::new(error.kind(), format!("{}: {error}{printed}", command.name))
        })?;
        Ok(broker)
    }

    fn spawn(
        command: &BrokerCommand,
        words: &[String],
        pins: Option<&Processors>,
    ) -> io::Result<Self> {
        let folder = tempfile::tempdir()?;
        certificate::write(folder.path())?;
        let port = free_port()?;
        let mut process = command.fill(words, port, folder.path())?;
        let log = File::create(folder.path().join(LOG))?;
        process.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let named = |error| io::Error::other(format!("{}: {error}", command.name));
        let child = Processors::pinned(pins, || process.spawn()).map_err(named)?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port)).into();
        Ok(Self { address, pid: Some(child.id()), started: Some(Started { child, folder }) })
    }

    /// The arguments of a load test for this broker: with its placeholders filled, its address
    /// unless they name another one, and its process.
    pub(crate) fn arguments(&self, templates: &[String]) -> Vec<String> {
        let mut words = match &self.started {
            Some(own) => templates.iter().map(|word| fill(word, own.folder.path())).collect(),
            None => templates.to_vec(),
        };
        let names_address = |word: &String| word == ADDRESS || word.starts_with("--address=");
        if !words.iter().any(names_address) {
            words.extend([ADDRESS.into(), self.address.to_string()]);
        }
        if let Some(pid) = self.pid {
            words.extend(["--pid".into(), pid.to_string()]);
        }
        words
    }

    /// Its process id, if it is known.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.pid
    }

    fn wait_until_it_answers(&mut self, target: &Target, stop: &Stop) -> io::Result<()> {
        let start = Instant::now();
        loop {
            stop.check()?;
            if let Some(started) = &mut self.started
                && let Some(status) = started.child.try_wait()?
            {
                return Err(io::Error::other(format!("ended at once, {status}")));
            }
            match connect(target) {
                Ok(()) => return Ok(()),
                Err(error) if start.elapsed() > ANSWER_WITHIN => {
                    return Err(io::Error::other(format!("does not answer CONNECT: {error}")));
                }
                Err(_) => thread::sleep(ASK_EVERY),
            }
        }
    }

    /// The end of what it printed, on lines of its own.
    fn printed(&self) -> String {
        self.started.as_ref().map_or_else(String::new, |own| tail(&own.folder.path().join(LOG)))
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        if let Some(started) = &mut self.started {
            end(&mut started.child);
        }
    }
}

/// The last lines of a file, each after a line break; nothing if there are none.
pub(super) fn tail(path: &Path) -> String {
    let text = fs::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<_> = text.lines().collect();
    let first = lines.len().saturating_sub(LINES_SHOWN);
    lines[first..].iter().map(|line| format!("\n  {line}")).collect()
}

/// The broker that a load test with these arguments connects to, and how.
fn target(arguments: &[String]) -> io::Result<Target> {
    let words = [env!("CARGO_PKG_NAME")].into_iter().chain(arguments.iter().map(String::as_str));
    cli::Arguments::try_parse_from(words).map_err(io::Error::other)?.mode.target()
}

/// A port that nobody listens on right now.
fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// Connects as a client and leaves again; an error unless it was accepted.
fn connect(target: &Target) -> io::Result<()> {
    let mut crowd = Crowd::new(target)?;
    let arrivals = Arrivals {
        client_id: &|_| "skein-loadtest-probe".to_owned(),
        filters: &|_| Vec::new(),
        qos: QoS::AtMostOnce,
        clean_start: true,
        session_expiry_s: 0,
        at_once: 1,
        leaves: true,
    };
    crowd.open(0..1, &arrivals)?.check()
}

/// A broker may have something to load.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
const ASK_EVERY: Duration = Duration::from_millis(20);
const ADDRESS: &str = "--address";
const LINES_SHOWN: usize = 10;
const LOG: &str = "log";

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::*;

    fn start(command: &str) -> io::Result<Broker> {
        let arguments = ["flood".to_owned()];
        Broker::start(&command.parse().unwrap(), &arguments, None, &Stop::on_signals()?)
    }

    #[test]
    fn a_broker_that_ends_says_why() {
        let error = start("odd=sh -c 'echo no license; exit 7' {port}").unwrap_err().to_string();
        assert!(error.starts_with("odd: ended at once"), "{error}");
        assert!(error.ends_with("\n  no license"), "{error}");
        assert!(start("odd=/nowhere/at/all {port}").is_err());
    }

    #[test]
    fn a_broker_that_was_not_started_is_not_ended() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let peer = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            stream.read_exact(&mut [0; 2]).unwrap();
            stream.write_all(&[0x20, 2, 0, 0]).unwrap();
            // Until the client has gone: what is left unread at the end would be taken for a reset.
            stream.read_to_end(&mut Vec::new()).unwrap();
        });
        let own = std::process::id();
        let broker = start(&format!("up=@{address}#{own}")).unwrap();
        let expected = format!("flood --address {address} --pid {own}");
        assert_eq!(broker.arguments(&["flood".to_owned()]).join(" "), expected);
        let elsewhere = ["flood", "--address=/x"].map(String::from);
        assert_eq!(
            broker.arguments(&elsewhere).join(" "),
            format!("flood --address=/x --pid {own}")
        );
        drop(broker);
        peer.join().unwrap();
    }

    #[test]
    fn the_end_of_a_log_is_shown() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        assert_eq!(tail(&path), "");
        fs::write(&path, (0..100).map(|n| format!("{n}\n")).collect::<String>()).unwrap();
        assert!(tail(&path).starts_with("\n  90\n  91"));
        assert!(tail(&path).ends_with("\n  99"));
    }
}
