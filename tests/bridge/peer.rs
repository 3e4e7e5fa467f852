//! Another broker, which answers as a test wants it.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use skein_protocol::{
    Ack, AckProperties, ConnAck, ConnAckProperties, Frame, Packet, QoS, ReasonCode, SubAck,
    UnsubAck, Version,
};

/// What a peer says to a packet: `None` is what any broker says, and no packet is nothing.
type Answer = Box<dyn FnMut(&Packet<'_>) -> Option<Vec<Packet<'static>>> + Send>;

/// A broker that takes everything and sends nothing by itself.
pub(crate) struct Peer {
    pub(crate) port: u16,
    heard: Arc<Mutex<Vec<String>>>,
}

impl Peer {
    /// One that answers some packets in another way. It ends with the process.
    pub(crate) fn new(
        answer: impl FnMut(&Packet<'_>) -> Option<Vec<Packet<'static>>> + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let port = listener.local_addr().expect("it is bound").port();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let answer: Arc<Mutex<Answer>> = Arc::new(Mutex::new(Box::new(answer)));
        let known = Arc::clone(&heard);
        thread::spawn(move || {
            for link in listener.incoming().flatten() {
                let (answer, heard) = (Arc::clone(&answer), Arc::clone(&known));
                thread::spawn(move || serve(link, &answer, &heard));
            }
        });
        Self { port, heard }
    }

    /// What it was told by packets that begin like this, a line for each.
    pub(crate) fn heard(&self, beginning: &str) -> Vec<String> {
        let heard = lock(&self.heard);
        heard.iter().filter(|line| line.starts_with(beginning)).cloned().collect()
    }

    /// The section of a bridge to it.
    pub(crate) fn bridge(&self, keys: &str) -> String {
        format!(
            "[bridge.b]\naddresses = [\"mqtt://127.0.0.1:{}\"]\nclient_id = \"b\"\n\
             restart_min_ms = 50\nrestart_max_ms = 200\n{keys}\n",
            self.port
        )
    }
}

fn serve(mut link: TcpStream, answer: &Mutex<Answer>, heard: &Mutex<Vec<String>>) {
    let (mut input, mut version, mut buffer) = (Vec::new(), Version::V5, [0; 4096]);
    while let Ok(count @ 1..) = link.read(&mut buffer) {
        input.extend_from_slice(&buffer[..count]);
        let (mut taken, mut output) = (0, Vec::new());
        while let Some((frame, size)) =
            Frame::decode(&input[taken..], usize::MAX).expect("a bridge sends good frames")
        {
            taken += size;
            let packet = Packet::decode(frame, version).expect("a bridge sends good packets");
            if let Packet::Connect(connect) = &packet {
                version = connect.version;
            }
            lock(heard).push(packet.to_string());
            let own = lock(answer)(&packet);
            for packet in own.unwrap_or_else(|| usual(&packet).into_iter().collect()) {
                packet.encode(version, &mut output);
            }
        }
        input.drain(..taken);
        if link.write_all(&output).is_err() {
            return;
        }
    }
}

/// What any broker says.
fn usual(packet: &Packet<'_>) -> Option<Packet<'static>> {
    Some(match packet {
        Packet::Connect(_) => Packet::ConnAck(ConnAck {
            session_present: false,
            reason: ReasonCode::Success,
            properties: ConnAckProperties::default(),
        }),
        Packet::Subscribe(subscribe) => Packet::SubAck(SubAck {
            packet_id: subscribe.packet_id,
            reasons: subscribe.filters.iter().map(|_| ReasonCode::GrantedQoS1).collect(),
            properties: AckProperties::default(),
        }),
        Packet::Unsubscribe(unsubscribe) => Packet::UnsubAck(UnsubAck {
            packet_id: unsubscribe.packet_id,
            reasons: unsubscribe.filters.iter().map(|_| ReasonCode::Success).collect(),
            properties: AckProperties::default(),
        }),
        Packet::Publish(publish) => match (publish.qos, publish.packet_id) {
            (QoS::AtLeastOnce, Some(id)) => Packet::PubAck(Ack::success(id)),
            (QoS::ExactlyOnce, Some(id)) => Packet::PubRec(Ack::success(id)),
            _ => return None,
        },
        Packet::PubRel(ack) => Packet::PubComp(Ack::success(ack.packet_id)),
        Packet::PingReq => Packet::PingResp,
        _ => return None,
    })
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
