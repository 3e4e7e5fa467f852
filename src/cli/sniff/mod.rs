//! `skein sniff`: a proxy that tells what clients and their broker say to one another, and a reader of
//! recorded traffic.

mod connection;
mod conversation;
mod field;
mod filter;
mod link;
mod packet;
mod printing;
mod proxy;
mod recording;
mod remembered;
mod seen;
mod stream;
mod tracker;

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use jiff::Zoned;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use mio::net::TcpListener;
use skein_client::transport::{Address, Dial, Scheme};

use self::filter::FilterOptions;
use self::packet::Detail;
use self::printing::Lines;
use self::proxy::{Proxy, Route, Told};
use self::recording::Contents;
use self::tracker::{Found, Tracker};
use super::mqtt::{Exit, TlsOptions, UsageError, code};
use super::output::{self, OutputError, Reader};
use crate::server::raise_open_files;

/// Print what clients and a broker say to one another, packet by packet.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
As a proxy it takes connections at --listen and passes their bytes on to --to, unchanged, and back;
clients only have to be told its port. The way to the broker may be TLS or WebSocket; the way here is
plain. With --read it prints what a file of pcap or pcapng holds, as tcpdump -w and Wireshark write it.

Each packet is a line: the time, the connection's number, the client identifier, > to the broker or < from
it, the packet and all its fields. A packet that breaks a rule of MQTT is MALFORMED: the line says which
clause and at which byte of the direction, and it is passed on all the same. Passwords and what proves
them are hidden, among the bytes of --hex, too. With --type, --client and --topic, that a connection has
come and gone is told with its packets. With --read the date stands above the first packet, and where it
changes.

Exit codes: 0 when told to stop, after --count lines and at the end of the file; 1 where nothing can be
listened on or read; 13 where the system does not give what it takes to wait for connections. That the
broker cannot be reached is told with each connection, and closes it.

Examples:
  skein sniff --to broker:1883                          clients connect to port 1884 of this machine
  skein sniff --listen 0.0.0.0:1883 --to mqtts://broker --cafile ca.pem
  skein sniff --type publish --topic 'home/#' --client 'meter-*'
  skein sniff --json | jq 'select(.malformed)'
  tcpdump -i any -w mqtt.pcap tcp port 1883; skein sniff --read mqtt.pcap
  skein sniff --read - < mqtt.pcap --port 1883 --port 11883 --hex")]
pub(super) struct Sniff {
    /// Take connections at this address
    #[arg(
        long,
        value_name = "ADDRESS:PORT",
        default_value = "127.0.0.1:1884",
        conflicts_with = "read"
    )]
    listen: String,

    /// Pass them on to this broker: HOST:PORT or a URL of mqtt, mqtts, ws, wss or unix
    #[arg(long, value_name = "SERVER", default_value = "localhost:1883")]
    to: String,

    /// Read recorded traffic from this file instead, or from standard input (-)
    #[arg(long, value_name = "FILE")]
    read: Option<PathBuf>,

    /// In recorded traffic, a port of brokers; repeat for more. Others are found where a CONNECT was
    /// recorded
    #[arg(long, value_name = "PORT", default_value = "1883")]
    port: Vec<u16>,

    /// Print each packet as an object of JSON
    #[arg(long)]
    json: bool,

    /// Print the bytes of each packet, too; of those that hold passwords only with --show-secrets
    #[arg(long)]
    hex: bool,

    /// Print passwords and what proves them
    #[arg(long)]
    show_secrets: bool,

    /// Of payloads print so many bytes [default: 64, and all as JSON]
    #[arg(long, value_name = "N")]
    payload_bytes: Option<usize>,

    /// End after so many packets
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,

    /// How many seconds connecting to the broker may take
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..))]
    connect_timeout: u32,

    #[command(flatten)]
    filter: FilterOptions,

    #[command(flatten)]
    tls: TlsOptions,
}

/// What is printed, and how much of it still.
struct Task {
    lines: Lines,
    left: Option<u64>,
    /// That connections have come, where it is told with the first packet of them that is asked for.
    held_back: HashMap<u64, String>,
    /// That of the last line of a recording.
    date: Option<Date>,
    /// Why the last line could not be printed.
    lost: Option<OutputError>,
}

impl Sniff {
    pub(super) fn run(&self) -> Result<ExitCode, UsageError> {
        let lines = Lines {
            filter: self.filter.check()?,
            is_json: self.json,
            has_hex: self.hex,
            zone: TimeZone::system(),
        };
        let (held_back, date, lost) = (HashMap::new(), None, None);
        let task = Task { lines, left: self.count, held_back, date, lost };
        let done = match &self.read {
            Some(file) => self.read_file(file, task),
            None => self.proxy(task)?,
        };
        Ok(done.map_or_else(|exit| exit, |()| Exit::SUCCESS).end(false))
    }

    fn detail(&self) -> Detail {
        let usual = if self.json { usize::MAX } else { 64 };
        let bytes_max = self.payload_bytes.unwrap_or(usual);
        Detail { bytes_max, has_secrets: self.show_secrets }
    }

    fn proxy(&self, mut task: Task) -> Result<Result<(), Exit>, UsageError> {
        let listen = address(&self.listen)?;
        let route = self.route()?;
        // Each connection is two open files.
        raise_open_files();
        let failed = |error| Exit::with(code::UNKNOWN, format!("Error: {error}"));
        let listener = match TcpListener::bind(listen) {
            Ok(listener) => listener,
            Err(error) => return Ok(Err(not_listening(listen, &error))),
        };
        let proxy = match Proxy::new(listener, route) {
            Ok(proxy) => proxy,
            Err(error) => return Ok(Err(failed(error))),
        };
        // With port 0 the system has chosen one.
        let here = proxy.address().unwrap_or(listen);
        eprintln!("Listening on {here}, passing on to {}", self.to);
        let ran = proxy.run(|connection, told| task.print_told(connection, told));
        Ok(ran.map_err(failed).and_then(|()| task.end()))
    }

    fn route(&self) -> Result<Route, UsageError> {
        let server = match self.to.contains("://") {
            false if self.tls.names_authorities() => format!("mqtts://{}", self.to),
            _ => self.to.clone(),
        };
        let refused = |error: skein_client::Error| UsageError::new(format!("--to: {error}"));
        let scheme = Address::parse(&server).map_err(refused)?.scheme;
        let is_tls = matches!(scheme, Scheme::Tls | Scheme::WebSocketTls);
        let mut dial = Dial::default();
        if let Some(tls) = self.tls.plan(is_tls)? {
            dial = dial.tls(&tls).map_err(refused)?;
        }
        let timeout = Duration::from_secs(self.connect_timeout.into());
        Ok(Route { dial, server: server.into(), timeout, detail: self.detail() })
    }

    fn read_file(&self, path: &Path, mut task: Task) -> Result<(), Exit> {
        let failed = |error: &dyn std::fmt::Display| {
            Exit::with(code::USAGE, format!("Error: {}: {error}", path.display()))
        };
        let file: Box<dyn Read + Send> = match path.as_os_str() == "-" {
            true => Box::new(io::stdin()),
            false => Box::new(File::open(path).map_err(|error| failed(&error))?),
        };
        let filter = task.lines.filter.clone();
        let mut tracker = Tracker::new(self.port.clone(), filter, self.detail());
        let mut found = Vec::new();
        let mut goes_on = true;
        let read = recording::read(file, |recorded| {
            tracker.take(&recorded, &mut found);
            goes_on = found.drain(..).all(|found| task.print_found(&found));
            goes_on
        });
        if goes_on {
            tracker.finish(&mut found);
            goes_on = found.drain(..).all(|found| task.print_found(&found));
        }
        let contents = read.map_err(|error| failed(&error))?;
        task.end()?;
        if goes_on && tracker.count() == 0 {
            eprintln!("{}", self.nothing_found(contents));
        }
        if tracker.given_up() > 0 {
            eprintln!(
                "There are more connections than are read at once: {} were given up when nothing had \
                 come on them for long, and counted anew when something did.",
                tracker.given_up()
            );
        }
        Ok(())
    }

    fn nothing_found(&self, contents: Contents) -> String {
        let Contents { packets, passed_over, of_unknown_links } = contents;
        let some = |count: u64, what: &str| match count {
            0 => String::new(),
            count => format!(", {count} of them {what}"),
        };
        let unknown = some(of_unknown_links, "from kinds of links that are not known here");
        let passed_over = some(passed_over, "without TCP");
        format!(
            "No MQTT among {packets} packets{unknown}{passed_over}. If the broker has another port than \
             {:?}, name it: --port PORT; and TLS cannot be read.",
            self.port
        )
    }
}

impl Task {
    /// # Errors
    /// Something was not printed.
    fn end(&mut self) -> Result<(), Exit> {
        self.lost.take().map_or(Ok(()), |error| Err(error.into()))
    }

    fn print_told(&mut self, connection: u64, told: Told<'_>) -> bool {
        let counts = matches!(told, Told::Seen(_));
        let now = Zoned::now();
        let note = |event, detail: &str| self.lines.note(&now, connection, event, detail);
        let line = match told {
            Told::Connected(detail) => {
                let line = note("connected", &detail);
                if self.lines.filter.is_open() {
                    return self.print(Some(line), false);
                }
                self.held_back.insert(connection, line);
                return true;
            }
            // Nothing of it was asked for.
            Told::Closed(_) if self.held_back.remove(&connection).is_some() => return true,
            Told::Closed(detail) => note("closed", &detail),
            Told::Failed { event, detail } => note(event, &detail),
            Told::Seen(seen) => match self.lines.of(&now, connection, seen) {
                Some(line) => line,
                None => return true,
            },
        };
        let before = self.held_back.remove(&connection);
        self.print(before, false) && self.print(Some(line), counts)
    }

    fn print_found(&mut self, found: &Found) -> bool {
        let at = found.at.to_zoned(self.lines.zone.clone());
        if found.is_first {
            let detail = format!("from {} to {}", found.client, found.broker);
            let line = self.lines.note(&at, found.number, "connected", &detail);
            if !self.print_dated(&at, line, false) {
                return false;
            }
        }
        match self.lines.of(&at, found.number, &found.seen) {
            Some(line) => self.print_dated(&at, line, true),
            None => true,
        }
    }

    /// The same, below the date where that is another than above; each line of JSON has its own.
    fn print_dated(&mut self, at: &Zoned, line: String, counts: bool) -> bool {
        let is_new = !self.lines.is_json && self.date != Some(at.date());
        self.date = Some(at.date());
        let line = if is_new { format!("{}\n{line}", at.date()) } else { line };
        self.print(Some(line), counts)
    }

    /// False if it was the last line, nobody reads any more, or it could not be printed.
    fn print(&mut self, line: Option<String>, counts: bool) -> bool {
        let Some(line) = line else { return true };
        match output::print(line) {
            Ok(Reader::Reads) => {}
            Ok(Reader::HasLeft) => return false,
            Err(error) => {
                self.lost = Some(error);
                return false;
            }
        }
        if counts && let Some(left) = &mut self.left {
            *left -= 1;
            return *left > 0;
        }
        true
    }
}

/// An address of this machine with a port.
fn address(text: &str) -> Result<SocketAddr, UsageError> {
    let found = text.to_socket_addrs().ok().and_then(|mut found| found.next());
    found.ok_or_else(|| {
        let wish = "write an address of this machine and a port, like 127.0.0.1:1884";
        UsageError::new(format!("--listen {text}: {wish}."))
    })
}

fn not_listening(listen: SocketAddr, error: &io::Error) -> Exit {
    use io::ErrorKind::{AddrInUse, AddrNotAvailable, PermissionDenied};
    let wish = match error.kind() {
        AddrInUse | AddrNotAvailable | PermissionDenied => {
            " Choose another port: --listen ADDRESS:PORT."
        }
        _ => "",
    };
    Exit::with(code::USAGE, format!("Error: nobody can listen on {listen}: {error}.{wish}"))
}
