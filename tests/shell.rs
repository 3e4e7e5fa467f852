//! The shell on real sockets: whatever way the bytes are cut, paused or ended, the core sees every
//! packet once and in order, and the peer hears the broker's last word.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use skein::access::Access;
use skein::config::{Listener, Settings};
use skein::net::{Accepted, Beginning, Command, EventLoop, mesh};
use skein::server::{Ending, Handle, Server, StartError};
use skein::session::{AcceptOrder, ListenerId, PeerAddress};
use skein_protocol::{
    Connect, ConnectProperties, Disconnect, Frame, Packet, Publish, QoS, ReasonCode, Subscribe,
    SubscriptionOptions, TopicFilter, TopicName, Version, Will, WillProperties,
};

/// A broker in this process.
struct Broker {
    address: SocketAddr,
    handle: Handle,
    thread: Option<JoinHandle<Ending>>,
}

impl Broker {
    fn start(shards: usize) -> Self {
        Self::start_with(shards, |_| {})
    }

    fn start_with(shards: usize, change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = Settings { shards, ..Settings::default() };
        settings.listeners = vec![Listener::at(SocketAddr::from(([127, 0, 0, 1], 0)))];
        change(&mut settings);
        let server = Server::bind(settings).expect("the kernel chooses a free port");
        let address = server.local_addresses()[0].internet().expect("an IP address");
        let handle = server.handle();
        let thread = std::thread::spawn(move || server.run().expect("a few threads are to be had"));
        Self { address, handle, thread: Some(thread) }
    }

    fn shut_down(&mut self) -> Option<Ending> {
        self.handle.shut_down();
        self.thread.take().map(|thread| thread.join().expect("the acceptor does not panic"))
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.shut_down();
    }
}

/// A client that says exactly what it is told.
struct Client {
    stream: TcpStream,
    received: Vec<u8>,
}

impl Client {
    fn open(broker: &Broker) -> Self {
        Self::open_at(broker.address)
    }

    fn open_at(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("the broker listens");
        stream.set_nodelay(true).expect("a socket option");
        stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a socket option");
        Self { stream, received: Vec::new() }
    }

    fn connect(broker: &Broker, client_id: &str) -> Self {
        let mut client = Self::open(broker);
        client.send(&bytes(&connect(client_id)));
        assert_eq!(client.next_kind(), "CONNACK");
        client
    }

    fn connect_with_will(broker: &Broker, client_id: &str) -> Self {
        let mut client = Self::open(broker);
        let Packet::Connect(mut packet) = connect(client_id) else { unreachable!("a CONNECT") };
        packet.will = Some(Will {
            topic: TopicName::new("will").expect("a topic"),
            payload: b"gone",
            qos: QoS::AtMostOnce,
            retain: false,
            properties: WillProperties::default(),
        });
        client.send(&bytes(&Packet::Connect(packet)));
        assert_eq!(client.next_kind(), "CONNACK");
        client
    }

    fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("the broker reads");
    }

    /// Closes without waiting for anything, so that the broker's side fails.
    fn reset(self) {
        let socket = socket2::Socket::from(self.stream);
        socket.set_linger(Some(Duration::ZERO)).expect("a socket option");
    }

    fn subscribe(&mut self, filter: &str) {
        self.send(&bytes(&subscribe(filter)));
        assert_eq!(self.next_kind(), "SUBACK");
    }

    /// The next packet, or `None` at the end of the stream.
    fn next<R>(&mut self, see: impl FnOnce(&Packet<'_>) -> R) -> Option<R> {
        loop {
            if let Some(size) = Frame::size(&self.received).expect("the broker sends MQTT")
                && size <= self.received.len()
            {
                let rest = self.received.split_off(size);
                let whole = std::mem::replace(&mut self.received, rest);
                let cut = Frame::decode(&whole, usize::MAX).expect("the broker sends MQTT");
                let (frame, _) = cut.expect("the packet is whole");
                return Some(see(&Packet::decode(frame, Version::V5).expect("it sends MQTT")));
            }
            let mut buffer = [0; 65_536];
            match self.stream.read(&mut buffer).expect("no reset, no silence") {
                0 => return None,
                count => self.received.extend_from_slice(&buffer[..count]),
            }
        }
    }

    fn next_kind(&mut self) -> String {
        self.next(|packet| packet.packet_type().to_string()).expect("the stream goes on")
    }

    fn next_payload(&mut self) -> Vec<u8> {
        let payload = self.next(|packet| match packet {
            Packet::Publish(publish) => publish.payload.to_vec(),
            other => panic!("a PUBLISH was to come, not {other}"),
        });
        payload.expect("the stream goes on")
    }

    fn next_disconnect(&mut self) -> ReasonCode {
        let reason = self.next(|packet| match packet {
            Packet::Disconnect(disconnect) => disconnect.reason,
            other => panic!("a DISCONNECT was to come, not {other}"),
        });
        reason.expect("the stream goes on")
    }
}

fn bytes(packet: &Packet<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    packet.encode(Version::V5, &mut out);
    out
}

fn connect(client_id: &str) -> Packet<'_> {
    Packet::Connect(Connect {
        version: Version::V5,
        clean_start: true,
        keep_alive_s: 60,
        client_id,
        will: None,
        user_name: None,
        password: None,
        properties: ConnectProperties::default(),
    })
}

fn subscribe(filter: &str) -> Packet<'_> {
    let filter = TopicFilter::new(filter).expect("a filter");
    Packet::Subscribe(Subscribe {
        packet_id: skein_protocol::PacketId::new(1).expect("not zero"),
        identifier: None,
        user_properties: Default::default(),
        filters: [(filter, SubscriptionOptions::default())].into_iter().collect(),
    })
}

fn publish<'a>(topic: &'a str, payload: &'a [u8]) -> Packet<'a> {
    Packet::Publish(Publish {
        dup: false,
        qos: QoS::AtMostOnce,
        retain: false,
        topic: Some(TopicName::new(topic).expect("a topic")),
        packet_id: None,
        properties: Default::default(),
        payload,
    })
}

fn goodbye() -> Packet<'static> {
    Packet::Disconnect(Disconnect { reason: ReasonCode::Success, properties: Default::default() })
}

#[test]
fn packets_may_come_byte_by_byte() {
    let broker = Broker::start(1);
    let mut client = Client::open(&broker);
    let mut all = bytes(&connect("slow"));
    all.extend(bytes(&subscribe("a")));
    all.extend(bytes(&publish("a", b"one")));
    all.extend(bytes(&publish("a", &[7; 300])));
    for byte in all {
        client.send(&[byte]);
        std::thread::sleep(Duration::from_micros(200));
    }
    assert_eq!(client.next_kind(), "CONNACK");
    assert_eq!(client.next_kind(), "SUBACK");
    assert_eq!(client.next_payload(), b"one");
    assert_eq!(client.next_payload(), [7; 300]);
}

#[test]
fn a_large_packet_in_pieces_arrives_whole_and_what_follows_it_too() {
    let broker = Broker::start(2);
    let mut subscriber = Client::connect(&broker, "subscriber");
    subscriber.subscribe("large");
    let mut publisher = Client::connect(&broker, "publisher");
    let payload: Vec<u8> = (0..900_000_u32).map(|index| (index % 251) as u8).collect();
    let mut all = bytes(&publish("large", &payload));
    all.extend(bytes(&publish("large", b"small")));
    for piece in all.chunks(70_001) {
        publisher.send(piece);
        std::thread::sleep(Duration::from_millis(2));
    }
    assert!(subscriber.next_payload() == payload);
    assert_eq!(subscriber.next_payload(), b"small");
}

#[test]
fn a_burst_far_above_the_read_budget_is_delivered_in_order() {
    const COUNT: u32 = 50_000;
    let broker = Broker::start_with(2, |settings| settings.limits.read_budget_bytes = 2_048);
    let mut subscriber = Client::connect(&broker, "subscriber");
    subscriber.subscribe("burst");
    let mut publisher = Client::connect(&broker, "publisher");
    let mut all = Vec::new();
    for number in 0..COUNT {
        publish("burst", &number.to_be_bytes()).encode(Version::V5, &mut all);
    }
    all.extend(bytes(&goodbye()));
    let writer = std::thread::spawn(move || {
        publisher.send(&all);
        // The socket is closed at once: what the broker has not read yet must not be lost.
        drop(publisher);
    });
    for number in 0..COUNT {
        assert_eq!(subscriber.next_payload(), number.to_be_bytes());
    }
    writer.join().expect("the publisher only writes");
}

#[test]
fn the_reason_for_a_close_is_not_lost_to_what_the_peer_still_sends() {
    let broker = Broker::start(1);
    for _ in 0..20 {
        let mut client = Client::connect(&broker, "hostile");
        // A second CONNECT [MQTT-3.1.0-2], and more behind it that nobody will want.
        let mut all = bytes(&connect("hostile"));
        all.extend([0; 20_000]);
        client.send(&all);
        std::thread::sleep(Duration::from_millis(5));
        assert_eq!(client.next_disconnect(), ReasonCode::ProtocolError);
        assert_eq!(client.next(|_| ()), None);
    }
}

#[test]
fn a_peer_that_neither_reads_nor_closes_is_not_waited_for_long() {
    let broker = Broker::start(1);
    let mut client = Client::connect(&broker, "hostile");
    client.send(&[0x00, 0x00]);
    assert_eq!(client.next_disconnect(), ReasonCode::MalformedPacket);
    // The client does not close its side. The broker does, and then what is sent is refused.
    std::thread::sleep(Duration::from_millis(600));
    let mut sent = Ok(());
    for _ in 0..10 {
        sent = sent.and_then(|()| client.stream.write_all(b"anything"));
        std::thread::sleep(Duration::from_millis(10));
    }
    let kind = sent.expect_err("the socket is closed").kind();
    assert!(matches!(kind, ErrorKind::BrokenPipe | ErrorKind::ConnectionReset));
}

#[test]
fn a_peer_that_closes_only_its_sending_half_gets_its_answers() {
    let broker = Broker::start(1);
    let mut client = Client::open(&broker);
    let mut all = bytes(&connect("half"));
    all.extend(bytes(&Packet::PingReq));
    client.send(&all);
    client.stream.shutdown(Shutdown::Write).expect("the stream is open");
    assert_eq!(client.next_kind(), "CONNACK");
    assert_eq!(client.next_kind(), "PINGRESP");
    assert_eq!(client.next(|_| ()), None);
}

#[test]
fn a_reset_is_noticed_and_the_will_is_published() {
    let broker = Broker::start(2);
    let mut subscriber = Client::connect(&broker, "subscriber");
    subscriber.subscribe("will");
    Client::connect_with_will(&broker, "mortal").reset();
    assert_eq!(subscriber.next_payload(), b"gone");
}

/// The shard runs alone: its neighbour never answers, so that a connection whose client id has its
/// registrar there waits for its place.
#[test]
fn a_connection_that_fails_while_it_waits_for_its_place_is_closed_at_once() {
    let mut settings = Settings { shards: 2, ..Settings::default() };
    settings.limits.shutdown_ms_max = 50;
    let requests = std::sync::mpsc::sync_channel(0).0;
    let mut pairs = mesh(&settings, &requests).expect("a few file descriptors");
    let _silent = pairs.pop();
    let (place, mut door, _) = pairs.pop().expect("two shards were made");
    let beginning = Beginning { start: Instant::now(), seed: [1, 2, 3, 4] };
    let access = Arc::new(Access::new(Vec::new(), &settings.access));
    let serve = move || EventLoop::new(place, 2, &settings, access, beginning).run();
    let thread = std::thread::spawn(serve);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    let mut order = AcceptOrder::default();
    let mut tell = |command| {
        door.commands.push(command).expect("the lane has room for a few commands");
        door.doorbell.ring();
    };
    let clients = (0..16).map(|number: u32| {
        let mut client = Client::open_at(address);
        let (stream, peer) = listener.accept().expect("it has come");
        stream.set_nonblocking(true).expect("a socket option");
        let stream = mio::net::TcpStream::from_std(stream);
        order = order.next(0);
        let peer = PeerAddress::from(peer);
        let accepted =
            Accepted { stream, layers: None, peer, listener: ListenerId(0), order, seat: None };
        tell(Command::Open(accepted));
        client.send(&bytes(&connect(&number.to_string())));
        client
    });
    let clients: Vec<Client> = clients.collect();
    std::thread::sleep(Duration::from_millis(300));
    let (placed, waiting): (Vec<Client>, Vec<Client>) = clients.into_iter().partition(|client| {
        client.stream.set_nonblocking(true).expect("a socket option");
        client.stream.peek(&mut [0]).is_ok()
    });
    assert!(!placed.is_empty() && !waiting.is_empty(), "{} of 16 wait", waiting.len());
    let count = waiting.len();
    waiting.into_iter().for_each(Client::reset);
    let is_closed = (0..500).any(|_| {
        std::thread::sleep(Duration::from_millis(10));
        door.tallies.closed[0].read() == count
    });
    assert!(is_closed, "well before connect_timeout_ms");
    tell(Command::ShutDown);
    thread.join().expect("the shard ends");
}

/// [MQTT-3.1.2-10] The DISCONNECT may still lie in the old socket when the client's next
/// connection comes to the session's shard over a lane. Without a look at the sockets first, this
/// published some wills in each thousand returns.
#[test]
fn no_will_is_published_after_a_disconnect_however_soon_the_client_returns() {
    let broker = Broker::start(4);
    let mut subscriber = Client::connect(&broker, "subscriber");
    subscriber.subscribe("will");
    for _ in 0..3_000 {
        let mut client = Client::connect_with_will(&broker, "hasty");
        client.send(&bytes(&goodbye()));
    }
    subscriber.send(&bytes(&publish("will", b"the end")));
    assert_eq!(subscriber.next_payload(), b"the end");
}

/// [MQTT-3.1.4-3] A client that gives up before its CONNACK and comes back on another shard may get
/// to its session before what it left behind.
#[test]
fn a_connection_is_not_taken_over_by_one_that_its_client_left_before() {
    let broker = Broker::start(4);
    let lasting = |clean_start| {
        let Packet::Connect(mut packet) = connect("impatient") else { unreachable!("a CONNECT") };
        packet.clean_start = clean_start;
        packet.properties.session_expiry_s = Some(600);
        bytes(&Packet::Connect(packet))
    };
    for round in 0..2_000_u32 {
        Client::open(&broker).send(&lasting(true));
        let mut client = Client::open(&broker);
        client.send(&lasting(false));
        assert_eq!(client.next_kind(), "CONNACK");
        client.subscribe("a");
        for part in 0..4_u32 {
            let payload = (4 * round + part).to_be_bytes();
            client.send(&bytes(&publish("a", &payload)));
            assert_eq!(client.next_payload(), payload);
        }
    }
}

#[test]
fn a_connection_moves_to_its_sessions_shard_with_everything_it_has_sent() {
    let broker = Broker::start(4);
    for round in 0..40_u32 {
        let mut client = Client::open(&broker);
        let Packet::Connect(mut packet) = connect("mover") else { unreachable!("a CONNECT") };
        packet.clean_start = round == 0;
        packet.properties.session_expiry_s = Some(600);
        let mut all = bytes(&Packet::Connect(packet));
        all.extend(bytes(&subscribe("moved")));
        all.extend(bytes(&publish("moved", &round.to_be_bytes())));
        all.extend(bytes(&publish("moved", &vec![9; 200_000])));
        client.send(&all);
        let present = client.next(|packet| match packet {
            Packet::ConnAck(connack) => connack.session_present,
            other => panic!("a CONNACK was to come, not {other}"),
        });
        assert_eq!(present, Some(round > 0));
        // The SUBACK waits for the other shards; what comes meanwhile may pass it (3.8.4).
        let (mut payloads, mut others) = (Vec::new(), Vec::new());
        while payloads.len() + others.len() < 3 {
            client.next(|packet| match packet {
                Packet::Publish(publish) => payloads.push(publish.payload.to_vec()),
                other => others.push(other.packet_type().to_string()),
            });
        }
        assert_eq!(others, ["SUBACK"]);
        assert!(payloads == [round.to_be_bytes().to_vec(), vec![9; 200_000]]);
        // Without a DISCONNECT: the session stays, and the next round comes to another shard.
        drop(client);
    }
}

#[test]
fn connections_above_the_limit_are_closed_and_room_is_found_again() {
    let broker = Broker::start_with(2, |settings| settings.limits.connections_max = 3);
    let mut clients: Vec<Client> =
        ["a", "b", "c"].iter().map(|name| Client::connect(&broker, name)).collect();
    let mut fourth = TcpStream::connect(broker.address).expect("the kernel completes it");
    fourth.set_read_timeout(Some(Duration::from_secs(10))).expect("a socket option");
    assert!(matches!(fourth.read(&mut [0; 1]), Ok(0) | Err(_)));
    clients.pop();
    // The close is known to the acceptor a moment later.
    let found_room = (0..200).any(|_| {
        std::thread::sleep(Duration::from_millis(10));
        let mut client = Client::open(&broker);
        let sent = client.stream.write_all(&bytes(&connect("d")));
        sent.is_ok() && client.stream.read(&mut [0; 64]).is_ok_and(|count| count > 0)
    });
    assert!(found_room);
}

#[test]
fn a_shutdown_says_goodbye_and_ends() {
    let mut broker = Broker::start(4);
    let mut clients: Vec<Client> =
        (0..12).map(|number| Client::connect(&broker, &number.to_string())).collect();
    let readers = std::thread::spawn(move || {
        for client in &mut clients {
            assert_eq!(client.next_disconnect(), ReasonCode::ServerShuttingDown);
            assert_eq!(client.next(|_| ()), None);
        }
    });
    assert_eq!(broker.shut_down(), Some(Ending::Finished));
    readers.join().expect("every client was told");
}

#[test]
fn an_address_in_use_is_named() {
    let broker = Broker::start(1);
    let settings =
        Settings { listeners: vec![Listener::at(broker.address)], ..Settings::default() };
    let Err(error) = Server::bind(settings) else { panic!("the port is taken") };
    assert!(
        matches!(&error, StartError::Listen { address, .. } if *address == broker.address.into())
    );
    assert!(error.to_string().contains(&broker.address.to_string()));
}
