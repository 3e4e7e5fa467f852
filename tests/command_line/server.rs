//! A server that says yes to everything, or no, and writes down what it is told.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread::{self, JoinHandle};

use skein_protocol::{
    Ack, AckProperties, ConnAck, Frame, Packet, PacketType, QoS, ReasonCode, SubAck, UnsubAck,
    Version,
};

use crate::program::PATIENCE;

/// What the server says.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Script {
    /// How it answers CONNECT.
    pub(crate) connect: ReasonCode,
    /// How it answers PUBLISH of QoS 1.
    pub(crate) publish: ReasonCode,
    /// How it answers each filter of SUBSCRIBE.
    pub(crate) subscribe: ReasonCode,
}

/// A server for one connection.
pub(crate) struct Server {
    pub(crate) port: u16,
    thread: JoinHandle<Vec<String>>,
}

impl Server {
    pub(crate) fn start(script: Script) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let port = listener.local_addr().expect("it is bound").port();
        let thread = thread::spawn(move || {
            let (stream, _) = listener.accept().expect("somebody connects");
            serve(stream, script)
        });
        Self { port, thread }
    }

    /// What the client has said, packet by packet.
    pub(crate) fn heard(self) -> Vec<String> {
        self.thread.join().expect("it only listens")
    }
}

fn serve(mut stream: TcpStream, script: Script) -> Vec<String> {
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket option");
    let (mut input, mut buffer, mut heard) = (Vec::new(), [0; 4096], Vec::new());
    let mut version = Version::V3_1_1;
    loop {
        while let Some((size, answer, is_over)) = answer(&input, &mut version, script, &mut heard) {
            // Who has gone needs no answer.
            let _ = stream.write_all(&answer);
            if is_over {
                return heard;
            }
            input.drain(..size);
        }
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => return heard,
            Ok(count) => input.extend_from_slice(&buffer[..count]),
        }
    }
}

/// The length of the next packet, what is answered, and whether nothing follows.
fn answer(
    input: &[u8],
    version: &mut Version,
    script: Script,
    heard: &mut Vec<String>,
) -> Option<(usize, Vec<u8>, bool)> {
    let (frame, size) = Frame::decode(input, usize::MAX).expect("a packet that is one")?;
    if frame.packet_type() == PacketType::Connect {
        *version = version_of(frame.body);
    }
    let packet = Packet::decode(frame, *version).expect("a packet that is one");
    heard.push(told(&packet));
    let mut answer = Vec::new();
    if let Some(packet) = script.answer(&packet) {
        packet.encode(*version, &mut answer);
    }
    let is_connect = packet.packet_type() == PacketType::Connect;
    Some((size, answer, is_connect && script.connect != ReasonCode::Success))
}

/// A packet in words; a PUBLISH with its payload.
fn told(packet: &Packet<'_>) -> String {
    match packet {
        Packet::Publish(publish) => {
            format!("{packet} {:?}", String::from_utf8_lossy(publish.payload))
        }
        Packet::Connect(connect) => {
            let will = connect.will.as_ref().map(|will| String::from_utf8_lossy(will.payload));
            format!("{packet} password={:?} will={will:?}", connect.password)
        }
        packet => packet.to_string(),
    }
}

fn version_of(body: &[u8]) -> Version {
    match body {
        [0, 6, ..] => Version::V3_1,
        [0, 4, _, _, _, _, 5, ..] => Version::V5,
        _ => Version::V3_1_1,
    }
}

impl Script {
    fn answer(self, packet: &Packet<'_>) -> Option<Packet<'static>> {
        Some(match packet {
            Packet::Connect(_) => Packet::ConnAck(ConnAck {
                session_present: false,
                reason: self.connect,
                properties: Default::default(),
            }),
            Packet::Publish(publish) => {
                let id = publish.packet_id?;
                match publish.qos {
                    QoS::ExactlyOnce => Packet::PubRec(Ack::success(id)),
                    _ => Packet::PubAck(Ack::with_reason(id, self.publish)),
                }
            }
            Packet::PubRel(ack) => Packet::PubComp(Ack::success(ack.packet_id)),
            Packet::Subscribe(subscribe) => Packet::SubAck(SubAck {
                packet_id: subscribe.packet_id,
                reasons: subscribe.filters.iter().map(|_| self.subscribe).collect(),
                properties: AckProperties::default(),
            }),
            Packet::Unsubscribe(unsubscribe) => Packet::UnsubAck(UnsubAck {
                packet_id: unsubscribe.packet_id,
                reasons: unsubscribe.filters.iter().map(|_| ReasonCode::Success).collect(),
                properties: AckProperties::default(),
            }),
            Packet::PingReq => Packet::PingResp,
            _ => return None,
        })
    }
}
