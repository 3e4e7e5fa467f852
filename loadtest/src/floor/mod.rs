//! A null broker: the least that any broker has to do, and so the yardstick for all.
//!
//! One thread. It cuts the stream of each connection into packets by their lengths and writes the
//! bytes of every PUBLISH to everybody who has sent a SUBSCRIBE, whatever the topic: no parsing, no
//! matching, no sessions, QoS 0 only. What a turn has read is written from where it was read; only
//! what a socket does not take at once is copied. Nothing is dropped: while somebody is too far
//! behind, nobody is read.

mod answer;
mod peer;

use std::{io, net::SocketAddr};

use clap::Args;
use mio::{Events, Interest, Poll, Token, event::Event, net::TcpListener};
use skein_protocol::Frame;
use slab::Slab;

use answer::{Answer, answer};
use peer::Peer;

/// The null broker: one thread that copies the bytes of every PUBLISH to every subscriber, whatever
/// the topic. QoS 0 only, one version of MQTT at a time. It is the floor that a broker's CPU time
/// is compared with.
#[derive(Args, Clone, Debug)]
pub(crate) struct Floor {
    /// The address to listen on.
    #[arg(long, default_value = "127.0.0.1:1884")]
    listen: SocketAddr,
}

/// What one turn may read: near enough to the processor to be written from there.
const TURN_BYTES: usize = 256 * 1024;
/// A read is not begun with less room.
const READ_BYTES_MIN: usize = 32 * 1024;
/// While a subscriber is further behind, nobody is read.
const BACKLOG_BYTES_MAX: usize = 4 * 1024 * 1024;
const EVENTS: usize = 1024;
const LISTENER: Token = Token(usize::MAX);

impl Floor {
    /// Serves until the process is ended.
    pub(crate) fn run(self) -> io::Result<()> {
        let mut broker = NullBroker::listen(self.listen)?;
        eprintln!("null broker listening on {}, QoS 0 only", broker.listener.local_addr()?);
        let mut events = Events::with_capacity(EVENTS);
        loop {
            broker.turn(&mut events)?;
        }
    }
}

struct NullBroker {
    poll: Poll,
    listener: TcpListener,
    peers: Slab<Peer>,
    /// Who has sent a SUBSCRIBE.
    subscribers: Vec<usize>,
    /// Who may have more to read.
    unread: Vec<usize>,
    /// What this turn has read: whole PUBLISH packets, up to `filled`.
    bytes: Vec<u8>,
    filled: usize,
}

impl NullBroker {
    fn listen(address: SocketAddr) -> io::Result<Self> {
        let poll = Poll::new()?;
        let mut listener = TcpListener::bind(address)?;
        poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
        Ok(Self {
            poll,
            listener,
            peers: Slab::new(),
            subscribers: Vec::new(),
            unread: Vec::new(),
            bytes: vec![0; TURN_BYTES],
            filled: 0,
        })
    }

    fn turn(&mut self, events: &mut Events) -> io::Result<()> {
        let may_read = !self.is_behind();
        let at_once = may_read && !self.unread.is_empty();
        let timeout = at_once.then_some(std::time::Duration::ZERO);
        match self.poll.poll(events, timeout) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
            _ => {}
        }
        for event in events.iter() {
            match event.token() {
                LISTENER => self.accept()?,
                Token(number) => self.on_ready(number, event),
            }
        }
        if !self.is_behind() {
            for number in std::mem::take(&mut self.unread) {
                self.read(number);
            }
            self.deliver();
        }
        Ok(())
    }

    fn accept(&mut self) -> io::Result<()> {
        loop {
            let (mut stream, _) = match self.listener.accept() {
                Ok(accepted) => accepted,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            stream.set_nodelay(true)?;
            let entry = self.peers.vacant_entry();
            let interest = Interest::READABLE | Interest::WRITABLE;
            self.poll.registry().register(&mut stream, Token(entry.key()), interest)?;
            entry.insert(Peer::new(stream));
        }
    }

    fn on_ready(&mut self, number: usize, event: &Event) {
        let Some(peer) = self.peers.get_mut(number) else { return };
        if event.is_writable() && peer.flush().is_err() {
            return self.close(number);
        }
        peer.is_ending |= event.is_read_closed();
        if (event.is_readable() || peer.is_ending) && !peer.is_unread {
            peer.is_unread = true;
            self.unread.push(number);
        }
    }

    /// Whether somebody has to catch up before anybody is read.
    fn is_behind(&self) -> bool {
        let backlog = |number: &usize| self.peers.get(*number).map_or(0, Peer::backlog);
        self.subscribers.iter().any(|number| backlog(number) > BACKLOG_BYTES_MAX)
    }

    /// Reads once, behind what this turn has read.
    fn read(&mut self, number: usize) {
        let Some(peer) = self.peers.get_mut(number) else { return };
        peer.is_unread = false;
        let needed = peer.held() + READ_BYTES_MIN;
        if self.bytes.len() - self.filled < needed {
            self.deliver();
        }
        if self.bytes.len() < needed {
            self.bytes.resize(needed, 0);
        }
        let Some(peer) = self.peers.get_mut(number) else { return };
        match peer.read(&mut self.bytes[self.filled..]) {
            Ok(None) => {}
            Ok(Some(count)) => {
                let end = self.filled + count;
                if end == self.bytes.len() || peer.is_ending {
                    peer.is_unread = true;
                    self.unread.push(number);
                }
                if self.cut(number, end).is_err() {
                    self.close(number);
                }
            }
            Err(_) => self.close(number),
        }
    }

    /// Keeps the PUBLISH packets of what was read up to `end`, and answers all others.
    fn cut(&mut self, number: usize, mut end: usize) -> io::Result<()> {
        while let Some(size) =
            Frame::size(&self.bytes[self.filled..end]).map_err(io::Error::other)?
        {
            let packet_end = self.filled + size;
            if packet_end > end {
                break;
            }
            // A PUBLISH of QoS 0 without flags, and nothing else.
            if self.bytes[self.filled] == PUBLISH {
                self.filled = packet_end;
                continue;
            }
            self.on_control(number, packet_end)?;
            self.bytes.copy_within(packet_end..end, self.filled);
            end -= size;
        }
        if let Some(peer) = self.peers.get_mut(number) {
            peer.hold(&self.bytes[self.filled..end]);
        }
        Ok(())
    }

    fn on_control(&mut self, number: usize, packet_end: usize) -> io::Result<()> {
        let Some(peer) = self.peers.get_mut(number) else { return Ok(()) };
        match answer(&self.bytes[self.filled..packet_end], &mut peer.version)? {
            Answer::Nothing => Ok(()),
            Answer::Bytes(bytes) => peer.send(&bytes),
            Answer::Subscribed(bytes) => {
                if !self.subscribers.contains(&number) {
                    self.subscribers.push(number);
                }
                peer.send(&bytes)
            }
            Answer::Close => Err(io::ErrorKind::ConnectionAborted.into()),
        }
    }

    /// Writes what was read to every subscriber.
    fn deliver(&mut self) {
        if self.filled == 0 {
            return;
        }
        let bytes = &self.bytes[..self.filled];
        let mut failed = Vec::new();
        for number in &self.subscribers {
            let Some(peer) = self.peers.get_mut(*number) else { continue };
            if peer.send(bytes).is_err() {
                failed.push(*number);
            }
        }
        self.filled = 0;
        for number in failed {
            self.close(number);
        }
    }

    fn close(&mut self, number: usize) {
        self.subscribers.retain(|subscriber| *subscriber != number);
        self.unread.retain(|unread| *unread != number);
        self.peers.try_remove(number);
    }
}

/// The first byte of a PUBLISH with QoS 0, not retained.
const PUBLISH: u8 = 0x30;
