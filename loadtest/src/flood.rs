//! Flood mode: capacity under flow control only. A window bounds the messages that are published
//! and not yet delivered to every subscriber, so that a broker which drops is not flattered.

use std::{
    fmt, io,
    net::SocketAddr,
    time::{Duration, Instant},
};

use clap::Args;
use mio::{Events, Poll, Token};
use skein_protocol::{
    Packet, PacketType, QoS, TopicName, Version,
    packet::{Publish, PublishProperties},
};

use crate::{
    link::Link,
    process::cpu_time,
    verify::{HEADER_BYTES, Sequences, header},
};

/// A publisher's buffer is filled up to this many bytes before the next one has its turn.
const UNSENT_BYTES_MAX: usize = 64 * 1024;
/// Without a delivery for so long, what is missing is missing.
const QUIET_AFTER: Duration = Duration::from_secs(5);

/// `skein-loadtest flood`
#[derive(Args, Clone, Debug)]
pub(crate) struct Flood {
    /// The broker's address.
    #[arg(long, default_value = "127.0.0.1:1883")]
    address: SocketAddr,
    /// Connections that publish.
    #[arg(long, default_value_t = 1)]
    publishers: usize,
    /// Connections that subscribe to the one topic.
    #[arg(long, default_value_t = 1)]
    subscribers: usize,
    /// Messages of each publisher.
    #[arg(long, default_value_t = 1_000_000)]
    messages: u32,
    /// Payload, bytes.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(HEADER_BYTES as i64..))]
    payload: u16,
    /// Messages that may be on their way to the slowest subscriber.
    #[arg(long, default_value_t = 20_000)]
    window: u64,
    /// The broker's process, to measure its CPU time.
    #[arg(long)]
    pid: Option<u32>,
}

/// What a run showed.
#[derive(Debug)]
pub(crate) struct Report {
    shape: String,
    payload: u16,
    published: u64,
    delivered: u64,
    took: Duration,
    cpu: Option<Duration>,
    missing: u64,
    stale: u64,
    corrupt: u64,
}

impl Report {
    /// Whether everything came, once and in order.
    pub(crate) fn is_clean(&self) -> bool {
        self.missing == 0 && self.stale == 0 && self.corrupt == 0
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.took.as_secs_f64();
        let delivered_s = self.delivered as f64 / seconds;
        let megabytes_s = delivered_s * f64::from(self.payload) / 1e6;
        write!(
            f,
            "{}, QoS 0, {} B: {:.0} published/s, {delivered_s:.0} delivered/s, {megabytes_s:.1} MB/s out",
            self.shape,
            self.payload,
            self.published as f64 / seconds,
        )?;
        if let Some(cpu) = self.cpu {
            let nanoseconds = cpu.as_nanos() as f64 / self.delivered.max(1) as f64;
            write!(f, ", broker {nanoseconds:.0} ns CPU per delivery")?;
        }
        let Self { missing, stale, corrupt, .. } = self;
        write!(f, "; missing {missing}, doubled or out of order {stale}, corrupt {corrupt}")
    }
}

/// A run under way.
struct Run {
    publishers: Vec<(Link, u32)>,
    subscribers: Vec<(Link, Sequences)>,
    /// Messages published so far, by all.
    published: u64,
    packet: Vec<u8>,
    settings: Flood,
}

impl Flood {
    /// Connects everybody, then publishes and receives until all is delivered or nothing comes.
    pub(crate) fn run(self) -> io::Result<Report> {
        let mut run = Run::start(self)?;
        let mut poll = Poll::new()?;
        run.register(&poll)?;
        let cpu_before = run.settings.pid.and_then(cpu_time);
        let start = Instant::now();
        let last = run.drive(&mut poll)?;
        let cpu = run.settings.pid.and_then(cpu_time).zip(cpu_before).map(|(after, b)| after - b);
        Ok(run.report(last - start, cpu))
    }
}

impl Run {
    fn start(settings: Flood) -> io::Result<Self> {
        let topic = "skein/loadtest";
        let open = |role: &str, number: usize, filter| {
            Link::open(settings.address, &format!("loadtest-{role}-{number}"), filter)
        };
        let mut subscribers = Vec::new();
        for number in 0..settings.subscribers {
            let link = open("sub", number, Some(topic))?;
            subscribers.push((link, Sequences::new(settings.publishers)));
        }
        let mut publishers = Vec::new();
        for number in 0..settings.publishers {
            publishers.push((open("pub", number, None)?, 0));
        }
        let payload = vec![0; usize::from(settings.payload)];
        let publish = Publish {
            dup: false,
            qos: QoS::AtMostOnce,
            retain: false,
            topic: TopicName::new(topic).ok(),
            packet_id: None,
            properties: PublishProperties::default(),
            payload: &payload,
        };
        let mut packet = Vec::new();
        Packet::Publish(publish).encode(Version::V3_1_1, &mut packet);
        Ok(Self { publishers, subscribers, published: 0, packet, settings })
    }

    fn register(&mut self, poll: &Poll) -> io::Result<()> {
        let publishers = self.publishers.iter_mut().map(|(link, _)| link);
        let subscribers = self.subscribers.iter_mut().map(|(link, _)| link);
        for (number, link) in publishers.chain(subscribers).enumerate() {
            link.register(poll.registry(), Token(number))?;
        }
        Ok(())
    }

    /// Publishes and receives; returns when the last delivery came.
    fn drive(&mut self, poll: &mut Poll) -> io::Result<Instant> {
        let mut events = Events::with_capacity(1024);
        let (mut last, mut seen) = (Instant::now(), 0);
        while !self.is_complete() {
            self.publish()?;
            poll.poll(&mut events, Some(Duration::from_millis(100)))?;
            for event in &events {
                self.on_ready(event.token().0)?;
            }
            let delivered = self.subscribers.iter().map(|(_, s)| s.delivered).sum::<u64>();
            if delivered != seen {
                (last, seen) = (Instant::now(), delivered);
            } else if last.elapsed() > QUIET_AFTER {
                break;
            }
        }
        Ok(last)
    }

    fn on_ready(&mut self, number: usize) -> io::Result<()> {
        match number.checked_sub(self.publishers.len()) {
            None => self.publishers[number].0.flush(),
            Some(number) => {
                let (link, sequences) = &mut self.subscribers[number];
                let payload_len = usize::from(self.settings.payload);
                link.receive(|frame| {
                    if frame.packet_type() == PacketType::Publish {
                        let start = frame.body.len().saturating_sub(payload_len);
                        sequences.see(&frame.body[start..]);
                    }
                })
            }
        }
    }

    fn slowest(&self) -> u64 {
        self.subscribers.iter().map(|(_, s)| s.delivered).min().unwrap_or(self.published)
    }

    fn all(&self) -> u64 {
        u64::from(self.settings.messages) * self.settings.publishers as u64
    }

    fn is_complete(&self) -> bool {
        self.published == self.all() && self.slowest() >= self.published
    }

    /// Fills the publishers' buffers as far as the window allows.
    fn publish(&mut self) -> io::Result<()> {
        let mut allowed = (self.slowest() + self.settings.window).saturating_sub(self.published);
        let payload_at = self.packet.len() - usize::from(self.settings.payload);
        let share = allowed.div_ceil(self.publishers.len() as u64);
        for (number, (link, sequence)) in self.publishers.iter_mut().enumerate() {
            let mut mine = share.min(allowed);
            while mine > 0
                && *sequence < self.settings.messages
                && link.unsent_len() < UNSENT_BYTES_MAX
            {
                let bytes = header(number as u32, *sequence);
                self.packet[payload_at..payload_at + HEADER_BYTES].copy_from_slice(&bytes);
                link.outgoing().extend_from_slice(&self.packet);
                *sequence += 1;
                mine -= 1;
                allowed -= 1;
                self.published += 1;
            }
            link.flush()?;
        }
        Ok(())
    }

    fn report(mut self, took: Duration, cpu: Option<Duration>) -> Report {
        let mut total = Sequences::new(0);
        for (_, sequences) in &mut self.subscribers {
            sequences.finish(self.settings.messages);
            total.delivered += sequences.delivered;
            total.missing += sequences.missing;
            total.stale += sequences.stale;
            total.corrupt += sequences.corrupt;
        }
        Report {
            shape: format!("{}:{}", self.settings.publishers, self.settings.subscribers),
            payload: self.settings.payload,
            published: self.published,
            delivered: total.delivered,
            took,
            cpu,
            missing: total.missing,
            stale: total.stale,
            corrupt: total.corrupt,
        }
    }
}
