//! The scripted peer: a blocking socket that says exactly what it is told, and expects.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use skein_protocol::{
    Ack, ConnAck, Disconnect, Frame, Packet, PacketId, PacketType, Publish, QoS, ReasonCode,
    Version,
};

use super::{
    Bytes, disconnect, options, ping, puback, pubcomp, publish, pubrec, pubrel, subscribe,
};

/// How long an expected packet may take: far more than it needs on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(6);

/// One end of a connection.
pub(crate) struct Peer {
    /// The bytes of MQTT, whatever lies below them.
    stream: Box<dyn Stream>,
    /// What lies below everything.
    socket: TcpStream,
    pub(crate) version: Version,
    /// Bytes behind the last whole packet.
    unread: Vec<u8>,
    /// Messages that came while something else was waited for.
    passed_over: VecDeque<Received>,
    last_id: u16,
}

/// What bytes go through.
trait Stream: Read + Write + Send {}

impl<S: Read + Write + Send> Stream for S {}

/// One packet of the broker, whole.
pub(crate) struct Received {
    pub(crate) bytes: Vec<u8>,
    version: Version,
}

/// What a peer hears when it listens for a while.
pub(crate) enum Heard {
    Packet(Received),
    Closed,
    Silence,
}

impl Peer {
    pub(crate) fn open(address: SocketAddr, version: Version) -> Self {
        let socket = TcpStream::connect(address).expect("the broker listens");
        socket.set_nodelay(true).expect("a socket option");
        let stream = socket.try_clone().expect("there are descriptors");
        Self::over(socket, stream, version)
    }

    /// One that speaks through `stream`, which lies upon `socket`.
    pub(crate) fn over(
        socket: TcpStream,
        stream: impl Read + Write + Send + 'static,
        version: Version,
    ) -> Self {
        let (unread, passed_over) = (Vec::new(), VecDeque::new());
        Self { stream: Box::new(stream), socket, version, unread, passed_over, last_id: 0 }
    }

    /// Says this.
    pub(crate) fn send(&mut self, what: &(impl Bytes + ?Sized)) {
        let mut bytes = Vec::new();
        what.put(self.version, &mut bytes);
        self.stream.write_all(&bytes).expect("the broker reads");
    }

    /// Says this to a broker that may have closed already.
    pub(crate) fn try_send(&mut self, what: &(impl Bytes + ?Sized)) -> bool {
        let mut bytes = Vec::new();
        what.put(self.version, &mut bytes);
        self.stream.write_all(&bytes).is_ok()
    }

    /// Says no more, but listens on.
    pub(crate) fn finish(&mut self) {
        // If the broker has closed, there is nothing left to shut.
        let _ = self.socket.shutdown(Shutdown::Write);
    }

    /// Says DISCONNECT, and waits until the broker knows.
    pub(crate) fn leave(mut self) {
        self.send(&disconnect());
        loop {
            match self.hear(PATIENCE) {
                Heard::Packet(_) => {}
                Heard::Closed => return,
                Heard::Silence => panic!("the broker was to close, but did not"),
            }
        }
    }

    /// Cuts the connection without a DISCONNECT: the broker sees the end of the stream, or a reset
    /// if something it sent lies unread.
    pub(crate) fn cut(self) {
        drop(self);
    }

    /// Cuts the connection by a reset.
    pub(crate) fn reset(self) {
        let linger = socket2::SockRef::from(&self.socket).set_linger(Some(Duration::ZERO));
        linger.expect("a socket option");
    }

    /// A packet identifier that this peer has not used yet.
    pub(crate) fn next_id(&mut self) -> u16 {
        self.last_id += 1;
        self.last_id
    }

    /// The next packet, the end, or silence for this long.
    pub(crate) fn hear(&mut self, within: Duration) -> Heard {
        if let Some(received) = self.passed_over.pop_front() {
            return Heard::Packet(received);
        }
        let started = Instant::now();
        loop {
            if let Some(received) = self.cut_packet() {
                return Heard::Packet(received);
            }
            let Some(left) = within.checked_sub(started.elapsed()).filter(|left| !left.is_zero())
            else {
                return Heard::Silence;
            };
            self.socket.set_read_timeout(Some(left)).expect("a socket option");
            let mut buffer = [0; 65_536];
            match self.stream.read(&mut buffer) {
                Ok(0) => return self.end_of_stream(),
                Ok(count) => self.unread.extend_from_slice(&buffer[..count]),
                Err(error) if is_end(&error) => return self.end_of_stream(),
                Err(error) => assert!(
                    matches!(
                        error.kind(),
                        ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
                    ),
                    "reading failed: {error}"
                ),
            }
        }
    }

    /// The next packet, which has to come.
    pub(crate) fn receive(&mut self) -> Received {
        match self.hear(PATIENCE) {
            Heard::Packet(received) => received,
            Heard::Closed => panic!("a packet was to come, but the broker closed"),
            Heard::Silence => panic!("a packet was to come, but nothing did"),
        }
    }

    /// The next packet that is no PUBLISH; messages before it are kept for later.
    fn receive_answer(&mut self) -> Received {
        let mut messages = VecDeque::new();
        let answer = loop {
            let received = self.receive();
            let packet_type = received.packet().packet_type();
            match packet_type {
                PacketType::Publish => messages.push_back(received),
                _ => break received,
            }
        };
        messages.append(&mut self.passed_over);
        self.passed_over = messages;
        answer
    }

    /// The next packet is exactly this one.
    pub(crate) fn expect(&mut self, packet: &Packet<'_>) {
        self.receive().assert_is(packet);
    }

    /// The next packet is a PUBLISH with this topic and payload.
    pub(crate) fn expect_message(&mut self, topic: &str, payload: &[u8]) -> Received {
        let received = self.receive();
        let publish = received.publish();
        let came = publish.topic.map(|topic| topic.as_str());
        assert_eq!((came, show(publish.payload)), (Some(topic), show(payload)));
        received
    }

    /// PUBACK, PUBREC, PUBREL or PUBCOMP with this reason code, which MQTT 3.1.1 cannot carry.
    pub(crate) fn expect_ack(&mut self, kind: PacketType, id: u16, reason: u8) {
        let received = self.receive();
        assert_eq!(received.packet().packet_type(), kind, "came: {}", received.packet());
        let ack = received.ack();
        let reason = if self.version == Version::V5 { reason } else { 0 };
        assert_eq!((ack.packet_id.get(), ack.reason as u8), (id, reason), "{}", received.packet());
    }

    /// SUBACK with these reason codes; MQTT 3.1.1 has 0x80 for every failure.
    pub(crate) fn expect_suback(&mut self, id: u16, reasons: &[u8]) {
        let received = self.receive_answer();
        let Packet::SubAck(suback) = received.packet() else {
            panic!("SUBACK was to come, not {}", received.packet());
        };
        let is_v5 = self.version == Version::V5;
        let expected: Vec<u8> =
            reasons.iter().map(|&code| if is_v5 { code } else { code.min(0x80) }).collect();
        let came: Vec<u8> = suback.reasons.iter().map(|reason| *reason as u8).collect();
        assert_eq!((suback.packet_id.get(), came), (id, expected));
    }

    /// UNSUBACK with these reason codes, of which MQTT 3.1.1 has none.
    pub(crate) fn expect_unsuback(&mut self, id: u16, reasons: &[u8]) {
        let received = self.receive_answer();
        let Packet::UnsubAck(unsuback) = received.packet() else {
            panic!("UNSUBACK was to come, not {}", received.packet());
        };
        let expected = if self.version == Version::V5 { reasons } else { &[] };
        let came: Vec<u8> = unsuback.reasons.iter().map(|reason| *reason as u8).collect();
        assert_eq!((unsuback.packet_id.get(), came.as_slice()), (id, expected));
    }

    /// The broker closes, and says nothing before.
    pub(crate) fn expect_closed(&mut self) {
        match self.hear(PATIENCE) {
            Heard::Closed => {}
            Heard::Packet(received) => panic!("the end was to come, not {}", received.packet()),
            Heard::Silence => panic!("the broker was to close, but did not"),
        }
    }

    /// The broker closes, and says what it likes before, which need not be MQTT.
    pub(crate) fn expect_raw_end(&mut self) {
        self.socket.set_read_timeout(Some(PATIENCE)).expect("a socket option");
        if let Err(error) = self.stream.read_to_end(&mut Vec::new()) {
            assert!(is_end(&error), "the broker was to close, but did not: {error}");
        }
    }

    /// The broker closes; to MQTT 5 it says why.
    pub(crate) fn expect_closed_with(&mut self, reason: u8) {
        if self.version == Version::V5 {
            let received = self.receive();
            let Packet::Disconnect(disconnect) = received.packet() else {
                panic!("DISCONNECT was to come, not {}", received.packet());
            };
            assert_eq!(disconnect.reason as u8, reason, "{}", received.packet());
        }
        self.expect_closed();
    }

    /// The broker refuses a CONNECT that is well-formed: by this reason code in MQTT 5, by this
    /// return code before, and closes.
    pub(crate) fn expect_refused(&mut self, reason: u8, return_code: u8) {
        let received = self.receive();
        let connack = received.any_connack();
        let came = match self.version {
            Version::V5 => connack.reason as u8,
            Version::V3_1 | Version::V3_1_1 => connack.reason.connack_return_code(),
        };
        let expected = if self.version == Version::V5 { reason } else { return_code };
        assert_eq!(came, expected, "{connack}");
        assert!(!connack.session_present, "[MQTT-3.2.2-6]");
        self.expect_closed();
    }

    /// The broker refuses a CONNECT that is malformed: with this reason code in MQTT 5, silently
    /// before.
    pub(crate) fn expect_connect_malformed(&mut self, reason: u8) {
        match self.version {
            Version::V5 => self.expect_refused(reason, 0),
            Version::V3_1 | Version::V3_1_1 => self.expect_closed(),
        }
    }

    /// Nothing comes before the answer to a PINGREQ.
    pub(crate) fn expect_nothing(&mut self) {
        self.send(&ping());
        self.expect(&Packet::PingResp);
    }

    /// Nothing comes for this long.
    pub(crate) fn expect_silence(&mut self, during: Duration) {
        match self.hear(during) {
            Heard::Silence => {}
            Heard::Closed => panic!("silence was to come, not the end"),
            Heard::Packet(received) => panic!("silence was to come, not {}", received.packet()),
        }
    }

    /// Subscribes to one filter and is granted the QoS.
    pub(crate) fn subscribe(&mut self, filter: &str, qos: QoS) {
        let id = self.next_id();
        self.send(&subscribe(id, &[(filter, options(qos))]));
        self.expect_suback(id, &[qos as u8]);
    }

    /// Publishes, to the end of the exchange, whatever comes in between.
    pub(crate) fn publish(&mut self, topic: &str, payload: &[u8], qos: QoS) {
        self.say(&Publish { qos, ..publish(topic, payload) });
    }

    /// Publishes a message that is retained, to the end of the exchange.
    pub(crate) fn publish_retained(&mut self, topic: &str, payload: &[u8]) {
        let qos = QoS::AtLeastOnce;
        self.say(&Publish { qos, retain: true, ..publish(topic, payload) });
    }

    /// Publishes with an identifier of this peer's choice, to the end of the exchange; returns the
    /// reason of the first answer.
    pub(crate) fn say(&mut self, publish: &Publish<'_>) -> ReasonCode {
        let id = (publish.qos > QoS::AtMostOnce).then(|| self.next_id());
        let packet_id = id.and_then(PacketId::new);
        self.send(&Publish { packet_id, ..publish.clone() });
        let Some(id) = id else { return ReasonCode::Success };
        let received = self.receive_answer();
        let (ack, qos) = (received.ack(), publish.qos);
        let kind = if qos == QoS::AtLeastOnce { PacketType::PubAck } else { PacketType::PubRec };
        assert_eq!(received.packet().packet_type(), kind);
        assert_eq!(ack.packet_id.get(), id);
        if qos == QoS::ExactlyOnce && !ack.reason.is_error() {
            self.send(&pubrel(id));
            self.receive_answer().assert_is(&pubcomp(id));
        }
        ack.reason
    }

    /// Takes over a message that was received with QoS 1 or 2, to the end of the exchange.
    pub(crate) fn acknowledge(&mut self, message: &Received) {
        let publish = message.publish();
        let Some(id) = publish.packet_id.map(PacketId::get) else { return };
        if publish.qos == QoS::AtLeastOnce {
            self.send(&puback(id));
            return;
        }
        self.send(&pubrec(id));
        self.receive_answer().assert_is(&pubrel(id));
        self.send(&pubcomp(id));
    }

    /// Whether a CONNACK comes that accepts; what lies below MQTT may fail before it.
    pub(crate) fn hears_connack(&mut self) -> bool {
        self.socket.set_read_timeout(Some(PATIENCE)).expect("a socket option");
        let mut buffer = [0; 1_024];
        let count = self.stream.read(&mut buffer).unwrap_or(0);
        self.unread.extend_from_slice(&buffer[..count]);
        let packet = self.cut_packet();
        packet.is_some_and(|packet| !packet.any_connack().reason.is_error())
    }

    fn cut_packet(&mut self) -> Option<Received> {
        let size = Frame::size(&self.unread).expect("the broker sends MQTT")?;
        if size > self.unread.len() {
            return None;
        }
        let rest = self.unread.split_off(size);
        let bytes = std::mem::replace(&mut self.unread, rest);
        Some(Received { bytes, version: self.version })
    }

    fn end_of_stream(&self) -> Heard {
        assert!(self.unread.is_empty(), "the stream ends within a packet: {:02X?}", self.unread);
        Heard::Closed
    }
}

impl Received {
    /// The packet; the broker sends none that is malformed.
    pub(crate) fn packet(&self) -> Packet<'_> {
        let cut = Frame::decode(&self.bytes, usize::MAX).expect("it was cut before");
        let (frame, _) = cut.expect("it is whole");
        let packet = Packet::decode(frame, self.version);
        packet.unwrap_or_else(|error| panic!("the broker sent {:02X?}: {error}", self.bytes))
    }

    /// It means what this packet means, however either is written.
    pub(crate) fn assert_is(&self, packet: &Packet<'_>) {
        let mut bytes = Vec::new();
        packet.encode(self.version, &mut bytes);
        let expected = Self { bytes, version: self.version };
        assert_eq!(self.packet(), expected.packet());
    }

    /// The PUBLISH that it is.
    pub(crate) fn publish(&self) -> Publish<'_> {
        match self.packet() {
            Packet::Publish(publish) => publish,
            other => panic!("PUBLISH was to come, not {other}"),
        }
    }

    /// The packet identifier of the PUBLISH that it is.
    pub(crate) fn id(&self) -> u16 {
        self.publish().packet_id.expect("it has QoS 1 or 2").get()
    }

    /// The acknowledgement that it is.
    pub(crate) fn ack(&self) -> Ack<'_> {
        match self.packet() {
            Packet::PubAck(ack)
            | Packet::PubRec(ack)
            | Packet::PubRel(ack)
            | Packet::PubComp(ack) => ack,
            other => panic!("an acknowledgement was to come, not {other}"),
        }
    }

    /// The CONNACK that accepts.
    pub(crate) fn connack(&self) -> ConnAck<'_> {
        let connack = self.any_connack();
        assert_eq!(connack.reason, ReasonCode::Success, "{connack}");
        connack
    }

    /// The DISCONNECT that it is.
    pub(crate) fn disconnect(&self) -> Disconnect<'_> {
        match self.packet() {
            Packet::Disconnect(disconnect) => disconnect,
            other => panic!("DISCONNECT was to come, not {other}"),
        }
    }

    /// The CONNACK that it is.
    pub(crate) fn any_connack(&self) -> ConnAck<'_> {
        match self.packet() {
            Packet::ConnAck(connack) => connack,
            other => panic!("CONNACK was to come, not {other}"),
        }
    }
}

/// Whether the broker has closed: the socket, perhaps without the goodbye of a layer upon it.
fn is_end(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::UnexpectedEof)
}

/// A payload as text, the beginning of it if it is long.
fn show(payload: &[u8]) -> String {
    let shown = String::from_utf8_lossy(&payload[..payload.len().min(60)]).into_owned();
    format!("{shown} ({} bytes)", payload.len())
}
