//! A broker that was started for trials, and ends with them; or one that is up already.

use std::{
    fs::{self, File},
    io::{self, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::{Child, Stdio},
    thread,
    time::{Duration, Instant},
};

use skein_protocol::{
    Frame, Packet, Version,
    packet::{Connect, ConnectProperties},
};
use tempfile::TempDir;

use super::{BrokerCommand, Processors, Stop, command::Origin, stop::end};

/// A running broker that answers CONNECT.
#[derive(Debug)]
pub(crate) struct Broker {
    address: SocketAddr,
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
    /// Starts a broker on a port of its own, unless it is up already, and waits until it answers
    /// CONNECT.
    ///
    /// # Errors
    ///
    /// It cannot be started, ends, or does not answer in time; with the end of what it printed.
    pub(crate) fn start(
        command: &BrokerCommand,
        pins: Option<&Processors>,
        stop: &Stop,
    ) -> io::Result<Self> {
        let mut broker = match &command.origin {
            Origin::Running { address, pid } => {
                Self { address: *address, pid: *pid, started: None }
            }
            Origin::Started(words) => Self::spawn(command, words, pins)?,
        };
        broker.wait_until_it_answers(stop).map_err(|error| {
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
        let port = free_port()?;
        let mut process = command.fill(words, port, folder.path())?;
        let log = File::create(folder.path().join(LOG))?;
        process.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let named = |error| io::Error::other(format!("{}: {error}", command.name));
        let child = Processors::pinned(pins, || process.spawn()).map_err(named)?;
        let address = (Ipv4Addr::LOCALHOST, port).into();
        Ok(Self { address, pid: Some(child.id()), started: Some(Started { child, folder }) })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its process id, if it is known.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.pid
    }

    fn wait_until_it_answers(&mut self, stop: &Stop) -> io::Result<()> {
        let start = Instant::now();
        loop {
            stop.check()?;
            if let Some(started) = &mut self.started
                && let Some(status) = started.child.try_wait()?
            {
                return Err(io::Error::other(format!("ended at once, {status}")));
            }
            match connect(self.address) {
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

/// A port that nobody listens on right now.
fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// Connects as a client and leaves again; an error unless it was accepted.
fn connect(address: SocketAddr) -> io::Result<()> {
    let mut stream = TcpStream::connect_timeout(&address, ANSWER_WITHIN)?;
    stream.set_read_timeout(Some(ANSWER_WITHIN))?;
    let connect = Connect {
        version: Version::V3_1_1,
        clean_start: true,
        keep_alive_s: 0,
        client_id: "skein-loadtest-probe",
        will: None,
        user_name: None,
        password: None,
        properties: ConnectProperties::default(),
    };
    let mut bytes = Vec::new();
    Packet::Connect(connect).encode(Version::V3_1_1, &mut bytes);
    stream.write_all(&bytes)?;
    let mut answer = [0; CONNACK_BYTES];
    stream.read_exact(&mut answer)?;
    let frame = Frame::decode(&answer, CONNACK_BYTES).map_err(io::Error::other)?;
    let (frame, _) = frame.ok_or_else(|| io::Error::other("its answer is no CONNACK"))?;
    match Packet::decode(frame, Version::V3_1_1).map_err(io::Error::other)? {
        Packet::ConnAck(connack) if !connack.reason.is_error() => Ok(()),
        Packet::ConnAck(connack) => {
            Err(io::Error::other(format!("it refuses: {:?}", connack.reason)))
        }
        packet => Err(io::Error::other(format!("it answers with {}", packet.packet_type()))),
    }
}

/// A broker may have something to load.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
const ASK_EVERY: Duration = Duration::from_millis(20);
/// A CONNACK of MQTT 3.1.1.
const CONNACK_BYTES: usize = 4;
const LINES_SHOWN: usize = 10;
const LOG: &str = "log";

#[cfg(test)]
mod tests {
    use super::*;

    fn start(command: &str) -> io::Result<Broker> {
        Broker::start(&command.parse().unwrap(), None, &Stop::on_signals()?)
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
        });
        let own = std::process::id();
        let broker = start(&format!("up=@{address}#{own}")).unwrap();
        assert_eq!((broker.address(), broker.pid()), (address, Some(own)));
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
