//! A bridge whose other broker the test plays, over a pair of sockets.

use std::io::{ErrorKind, Read, Write};

use mio::net::UnixStream;
use skein_client::session::{Event, Subscribe};
use skein_client::test::{PairDialer, World};
use skein_client::transport::Dial;
use skein_client::{Options, QoS, SubscriptionOptions, Version};
use skein_protocol::{Frame, Packet};

use super::*;
use crate::config::{Bridge, BridgeTopic};
use crate::server::bridge::plan::{Plan, plan_all};

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// A bridge that nobody lets in at its own broker.
struct Run {
    reactor: Reactor,
    relay: Relay,
    link: UnixStream,
    /// What has been read there, and not been heard.
    input: Vec<u8>,
}

impl Run {
    /// A bridge that has opened a link to the other broker.
    fn new() -> Self {
        let bridge = Bridge {
            name: "b".into(),
            addresses: vec!["mqtt://there".into()],
            topics: vec![BridgeTopic { filter: "a".into(), ..BridgeTopic::default() }],
            ..Bridge::default()
        };
        let Plan(plan) = plan_all(&[bridge]).expect("a good plan").remove(0);
        let mut reactor = Reactor::with_dialer(Dial::default(), 1).expect("a thread");
        let (pairs, links) = PairDialer::new();
        let dialer = Arc::new(Remote::new(&plan));
        let local = reactor.add(plan.local_options()).expect("good options");
        let remote = reactor.add_with_dialer(plan.remote_options(), Arc::new(pairs));
        let members = [local, remote.expect("good options")];
        let relay = Relay::new(plan, dialer, members, "own".into());
        let deadline = Instant::now() + PATIENCE;
        let link = loop {
            reactor.turn(Some(Duration::from_millis(1)), &mut |_, _| {}).expect("a turn");
            match links.try_recv() {
                Ok(link) => break link,
                Err(_) => assert!(Instant::now() < deadline, "the dialer is asked"),
            }
        };
        Self { reactor, relay, link, input: Vec::new() }
    }

    /// Lets everything happen that can; gives the events of the other broker's client.
    fn turn(&mut self) -> Vec<Event> {
        let (mut inbox, mut events) = (Vec::new(), Vec::new());
        for _ in 0..10 {
            let mut keep = |seat: &mut skein_client::reactor::Seat<'_>, happening| {
                inbox.push((seat.id(), happening));
            };
            self.reactor.turn(Some(Duration::from_millis(1)), &mut keep).expect("a turn");
            for (id, happening) in inbox.drain(..) {
                if let (true, Happening::Event(event)) = (id == self.relay.remote.id, &happening) {
                    events.push(event.clone());
                }
                self.relay.on(id, happening, &mut self.reactor);
            }
        }
        events
    }

    /// What the other broker is told until nothing more comes.
    fn hear(&mut self) -> Vec<String> {
        let mut buffer = [0; 4096];
        loop {
            match self.link.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => self.input.extend_from_slice(&buffer[..count]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => panic!("{error}"),
            }
        }
        let (mut lines, mut taken) = (Vec::new(), 0);
        while let Some((frame, size)) =
            Frame::decode(&self.input[taken..], usize::MAX).expect("good frames")
        {
            taken += size;
            lines.push(Packet::decode(frame, Version::V5).expect("good packets").to_string());
        }
        self.input.drain(..taken);
        lines
    }
}

/// Messages of QoS 1 to the topic `a` as they come, numbered.
pub(super) fn messages(count: u8) -> Vec<Message> {
    let mut near = World::new(Options::new(["mqtt://fake"]));
    let wish = Subscribe::new("#", SubscriptionOptions::with_qos(QoS::AtLeastOnce));
    near.client.subscribe(wish).expect("a good filter");
    near.run();
    for number in 0..count {
        near.publish_to_client("a", vec![number], QoS::AtLeastOnce);
    }
    near.client.messages
}

/// Where a bridge carries a topic with QoS 0, messages are not kept for another broker that is away, and
/// no other message waits behind them.
#[test]
fn what_is_carried_with_qos_0_is_dropped_and_counted_while_the_other_broker_is_away() {
    let mut run = Run::new();
    let local = run.relay.local.id;
    for message in messages(2) {
        run.relay.on(local, Happening::Message(message), &mut run.reactor);
    }
    assert_eq!(run.relay.dropped, 2);
    assert!(run.relay.remote.waiting.is_empty() && run.relay.remote.passing.is_empty());
}

/// Whichever of its clients is connected first.
#[test]
fn the_other_broker_is_told_the_state_once() {
    let mut run = Run::new();
    run.turn();
    assert!(run.hear()[0].starts_with("CONNECT"));
    // CONNACK.
    run.link.write_all(&[0x20, 3, 0, 0, 0]).expect("room for some bytes");
    let mut events = Vec::new();
    let deadline = Instant::now() + PATIENCE;
    while !events.iter().any(|event| matches!(event, Event::Connected { .. })) {
        assert!(Instant::now() < deadline, "{events:?}");
        events.extend(run.turn());
    }
    run.turn();
    let state = "PUBLISH topic=\"$SYS/broker/connection/b/state\" qos=0 retain payload=1 bytes";
    assert_eq!(run.hear(), [state]);
    let connected = events.into_iter().find(|event| matches!(event, Event::Connected { .. }));
    let (local, connected) = (run.relay.local.id, connected.expect("looked for above"));
    run.relay.on(local, Happening::Event(connected), &mut run.reactor);
    run.turn();
    assert_eq!(run.hear(), Vec::<String>::new(), "it knows");
}
