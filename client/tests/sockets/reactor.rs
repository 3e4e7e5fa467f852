//! Many clients on one thread.

use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

use skein_client::reactor::{Happening, MemberId, Reactor, Seat};
use skein_client::session::{Direction, Event, Outcome, Subscribe};
use skein_client::transport::{Dial, Dialed, Dialer};
use skein_client::{Backoff, Options, Publish, QoS, ReasonCode, Result, SubscriptionOptions};

use super::PATIENCE;
use super::link::Link;
use super::server::{KINDS, Kind, Server};

fn options(address: &str, client_id: String) -> Options {
    let backoff = Backoff::exponential(Duration::from_millis(20), Duration::from_millis(200));
    Options { client_id, reconnect: Some(backoff), ..Options::new([address]) }
}

/// Turns until something is so.
fn turn_until(
    reactor: &mut Reactor,
    mut handle: impl FnMut(&mut Seat<'_>, Happening),
    is_so: impl Fn() -> bool,
) {
    let end = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < end, "in time");
        reactor.turn(Some(Duration::from_millis(50)), &mut handle).unwrap();
    }
}

fn subscribe(topic: String) -> Subscribe {
    Subscribe::new(topic, SubscriptionOptions::with_qos(QoS::AtLeastOnce))
}

/// Each of them subscribes, then publishes to the next one; everybody hears from one neighbour.
#[test]
fn hundreds_of_clients_share_one_thread() {
    const COUNT: usize = 300;
    for kind in KINDS {
        let server = Server::start(kind);
        let mut reactor = Reactor::new().unwrap();
        let add = |number| reactor.add(options(&server.url(), format!("c{number}"))).unwrap();
        let ids: Vec<MemberId> = (0..COUNT).map(add).collect();
        let place = |id: MemberId| ids.iter().position(|known| *known == id).unwrap();
        let subscribed = Cell::new(0);
        let begin = |seat: &mut Seat<'_>, happening| match happening {
            Happening::Event(Event::Connected { .. }) => {
                let topic = format!("to/{}", place(seat.id()));
                seat.subscribe(subscribe(topic)).unwrap();
            }
            Happening::Completed(_, Ok(Outcome::Subscribed(_))) => {
                subscribed.set(subscribed.get() + 1);
            }
            _ => {}
        };
        turn_until(&mut reactor, begin, || subscribed.get() == COUNT);
        for (number, id) in ids.iter().enumerate() {
            let topic = format!("to/{}", (number + 1) % COUNT);
            let publish = Publish::new(topic, "x").qos(QoS::AtLeastOnce);
            reactor.seat(*id).unwrap().publish(publish).unwrap();
        }
        let (heard, acknowledged) = (Cell::new(0), Cell::new(0));
        let count = |seat: &mut Seat<'_>, happening| match happening {
            Happening::Message(message) => {
                assert_eq!(message.topic(), format!("to/{}", place(seat.id())));
                seat.acknowledge(message.delivery().unwrap(), ReasonCode::Success);
                heard.set(heard.get() + 1);
            }
            Happening::Completed(_, Ok(Outcome::Published(_))) => {
                acknowledged.set(acknowledged.get() + 1);
            }
            _ => {}
        };
        turn_until(&mut reactor, count, || (heard.get(), acknowledged.get()) == (COUNT, COUNT));
        for id in ids {
            reactor.seat(id).unwrap().close(Duration::from_secs(1));
        }
        let ended = Cell::new(0);
        reactor
            .run(|_, happening| {
                if let Happening::Event(Event::Closed { undelivered: 0 }) = happening {
                    ended.set(ended.get() + 1);
                }
            })
            .unwrap();
        assert_eq!((ended.get(), reactor.len()), (COUNT, 0), "{kind:?}");
    }
}

/// Reconnects and pings go on for each of them by itself.
#[test]
fn a_reactor_reconnects_and_pings() {
    let server = Server::start(Kind::Skein);
    let link = Link::to(server.address);
    let mut reactor = Reactor::new().unwrap();
    for number in 0..20 {
        let options = options(&link.url(), format!("r{number}"));
        reactor.add(Options { keep_alive_s: 1, session_expiry_s: 60, ..options }).unwrap();
    }
    let connected = Cell::new(0);
    let count = |_: &mut Seat<'_>, happening| {
        if let Happening::Event(Event::Connected { .. }) = happening {
            connected.set(connected.get() + 1);
        }
    };
    turn_until(&mut reactor, count, || connected.get() == 20);
    link.cut();
    turn_until(&mut reactor, count, || connected.get() == 40);
    let until = Instant::now() + Duration::from_secs(3);
    turn_until(&mut reactor, count, || Instant::now() > until);
    assert_eq!(connected.get(), 40, "pings kept them connected");
    let ids: Vec<_> = reactor.ids().collect();
    for id in ids {
        let seat = reactor.seat(id).unwrap();
        assert!(seat.session().statistics(Duration::MAX).round_trip.is_some());
    }
}

/// Every packet can be seen, another thread can end a turn, and the last word arrives.
#[test]
fn a_reactor_shows_packets_and_wakes_and_says_goodbye() {
    let server = Server::start(Kind::Skein);
    let mut reactor = Reactor::new().unwrap();
    let options = options(&server.url(), "tapped".to_owned());
    let id = reactor.add(Options { tap: true, ..options }).unwrap();
    let (packets, is_up) = (RefCell::new(Vec::new()), Cell::new(false));
    let mut handle = |_: &mut Seat<'_>, happening| match happening {
        Happening::Packet(direction, _, bytes) => packets.borrow_mut().push((direction, bytes[0])),
        Happening::Event(Event::Connected { .. }) => is_up.set(true),
        _ => {}
    };
    turn_until(&mut reactor, &mut handle, || is_up.get());
    assert!(reactor.session(id).unwrap().is_up());
    let waker = reactor.waker();
    let started = Instant::now();
    let thread = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(50));
        waker.wake().unwrap();
    });
    reactor.turn(Some(PATIENCE), &mut handle).unwrap();
    thread.join().unwrap();
    assert!(started.elapsed() < PATIENCE, "it did not wait for its own time");
    reactor.seat(id).unwrap().disconnect(ReasonCode::Success);
    reactor.turn(Some(Duration::ZERO), &mut handle).unwrap();
    reactor.linger();
    assert!(reactor.is_empty());
    let expected = [(Direction::Sent, 0x10), (Direction::Received, 0x20), (Direction::Sent, 0xE0)];
    assert_eq!(*packets.borrow(), expected);
}

/// A dialer that takes its time.
struct Slow(Dial);

impl Dialer for Slow {
    fn dial(&self, server: &str, timeout: Duration) -> Result<Dialed> {
        std::thread::sleep(Duration::from_millis(30));
        self.0.dial(server, timeout)
    }
}

/// With many clients the last one waits for longer than a link may take to open, and that is
/// nobody's fault.
#[test]
fn waiting_for_ones_turn_to_dial_is_no_failure() {
    const COUNT: usize = 40;
    let server = Server::start(Kind::Skein);
    let mut reactor = Reactor::with_dialer(Slow(Dial::default()), 2).unwrap();
    for number in 0..COUNT {
        let connect_timeout = Duration::from_millis(250);
        let options = options(&server.url(), format!("slow{number}"));
        reactor.add(Options { connect_timeout, ..options }).unwrap();
    }
    let connected = Cell::new(0);
    let handle = |_: &mut Seat<'_>, happening| match happening {
        Happening::Event(Event::Connected { .. }) => connected.set(connected.get() + 1),
        Happening::Event(Event::Failed { why, .. }) => panic!("{why}"),
        _ => {}
    };
    turn_until(&mut reactor, handle, || connected.get() == COUNT);
}
