//! Links that break, servers that restart, clients that end.

use std::time::Duration;

use skein_client::session::Event;
use skein_client::{Error, QoS, ReasonCode, Version, Will};

use super::link::Link;
use super::server::{KINDS, Kind, SILENCE, Server};
use super::{Events, PATIENCE, builder, eventually};

const DAY: Duration = Duration::from_secs(86_400);

/// With a session that is kept, and with one that is not: nothing of QoS 1 is lost, and
/// subscriptions are there again.
#[test]
fn a_cut_link_loses_nothing() {
    for kind in KINDS {
        for keep in [true, false] {
            let server = Server::start(kind);
            let link = Link::to(server.address);
            let (events, hear) = Events::new();
            let mut client = builder(&link.url()).client_id("cut").on_event(hear);
            if keep {
                client = client.keep_session(DAY);
            }
            let client = client.connect().unwrap();
            events.wait_connected();
            let messages = client.subscribe("a").qos(QoS::AtLeastOnce).wait().unwrap();
            for round in 0..3 {
                link.down();
                events.wait_lost();
                let ticket = client.publish("a", format!("{round}")).qos(QoS::AtLeastOnce).send();
                link.up();
                assert_eq!(events.wait_connected(), keep, "{kind:?}");
                ticket.unwrap().wait().unwrap();
            }
            for round in 0..3 {
                let message = messages.receive_for(PATIENCE).unwrap();
                assert_eq!(message.text().unwrap(), round.to_string(), "{kind:?} keep={keep}");
            }
            assert_eq!(client.statistics().session.connections, 4);
        }
    }
}

/// A server that comes back without its memory is told everything again.
#[test]
fn a_restarted_server_is_subscribed_to_again() {
    let mut server = Server::start(Kind::Mosquitto);
    let (events, hear) = Events::new();
    let client = builder(&server.url()).client_id("back").keep_session(DAY).on_event(hear);
    let client = client.connect().unwrap();
    events.wait_connected();
    let messages = client.subscribe("a/+").qos(QoS::ExactlyOnce).wait().unwrap();
    server.kill();
    events.wait_lost();
    let ticket = client.publish("a/b", "x").qos(QoS::ExactlyOnce).send().unwrap();
    let _server = Server::start_mosquitto_on(server.address.port());
    let granted = events.wait_for(|event| match event {
        Event::Resubscribed { filter, result } => Some((filter.to_string(), result.clone())),
        _ => None,
    });
    assert!(matches!(granted, (filter, Ok(QoS::ExactlyOnce)) if filter == "a/+"));
    ticket.wait().unwrap();
    assert_eq!(messages.receive_for(PATIENCE).unwrap().text().unwrap(), "x");
}

/// What was pulled and not acknowledged comes again; what was acknowledged does not.
#[test]
fn an_unacknowledged_message_comes_again() {
    for kind in KINDS {
        let server = Server::start(kind);
        let link = Link::to(server.address);
        let (events, hear) = Events::new();
        let client = builder(&link.url()).client_id("again").keep_session(DAY).on_event(hear);
        let client = client.connect().unwrap();
        events.wait_connected();
        let jobs = client.subscribe("jobs").qos(QoS::AtLeastOnce).manual_ack().wait().unwrap();
        for text in ["1", "2", "3"] {
            client.publish("jobs", text).qos(QoS::AtLeastOnce).wait().unwrap();
        }
        let first = jobs.receive_for(PATIENCE).unwrap();
        first.ack();
        let dropped = jobs.receive_for(PATIENCE).unwrap();
        drop(dropped);
        let kept = jobs.receive_for(PATIENCE).unwrap();
        // The acknowledgement of the first one is on its way; the link must not overtake it.
        assert!(eventually(|| client.statistics().session.unacknowledged == 2));
        std::thread::sleep(SILENCE);
        link.cut();
        events.wait_connected();
        let again = jobs.receive_for(PATIENCE).unwrap();
        assert_eq!((again.text().unwrap(), again.is_duplicate()), ("2", true), "{kind:?}");
        again.ack();
        kept.ack();
        assert!(eventually(|| client.statistics().session.unacknowledged == 0), "{kind:?}");
        assert!(jobs.receive_for(SILENCE).is_none(), "the third is answered, not repeated");
    }
}

/// Messages that wait in a resumed session are not missed: the route is there before CONNECT.
#[test]
fn a_route_before_connect_misses_nothing_of_a_resumed_session() {
    for kind in KINDS {
        let server = Server::start(kind);
        let first = builder(&server.url()).client_id("early").keep_session(DAY).connect().unwrap();
        drop(first.subscribe("cmd/#").qos(QoS::AtLeastOnce).wait().unwrap());
        first.close().unwrap();
        let publisher = builder(&server.url()).connect().unwrap();
        publisher.publish("cmd/go", "1").qos(QoS::AtLeastOnce).wait().unwrap();
        let (heard, hears) = std::sync::mpsc::channel();
        let second = builder(&server.url())
            .client_id("early")
            .keep_session(DAY)
            .route("cmd/{name}", QoS::AtLeastOnce, move |cx| {
                heard.send(cx["name"].to_owned()).unwrap();
            })
            .connect()
            .unwrap();
        assert_eq!(hears.recv_timeout(PATIENCE).unwrap(), "go", "{kind:?}");
        second.close().unwrap();
    }
}

/// Without a route they are held for a while, not acknowledged, and wait for one.
#[test]
fn early_messages_wait_for_their_route() {
    let server = Server::start(Kind::Skein);
    let keep = |id: &str| builder(&server.url()).client_id(id).keep_session(DAY);
    let first = keep("late").connect().unwrap();
    drop(first.subscribe("cmd").qos(QoS::AtLeastOnce).wait().unwrap());
    first.close().unwrap();
    let publisher = builder(&server.url()).connect().unwrap();
    publisher.publish("cmd", "1").qos(QoS::AtLeastOnce).wait().unwrap();
    let second = keep("late").connect().unwrap();
    assert!(eventually(|| second.statistics().session.unacknowledged == 1));
    let messages = second.subscribe("cmd").qos(QoS::AtLeastOnce).wait().unwrap();
    assert_eq!(messages.receive_for(PATIENCE).unwrap().text().unwrap(), "1");
    assert_eq!(second.statistics().messages_unrouted, 0);
    drop(messages);
    second.close().unwrap();
    publisher.publish("cmd", "2").qos(QoS::AtLeastOnce).wait().unwrap();
    let third = keep("late").hold_unrouted(Duration::ZERO).connect().unwrap();
    assert!(eventually(|| third.statistics().messages_unrouted == 1), "counted, not silent");
}

/// Who ends in order leaves no will; who is gone does, and the delay holds.
#[test]
fn a_will_is_published_for_who_is_gone_and_not_for_who_left() {
    for kind in KINDS {
        let server = Server::start(kind);
        let watcher = builder(&server.url()).connect().unwrap();
        let wills = watcher.subscribe("wills/#").qos(QoS::AtLeastOnce).wait().unwrap();
        let with_will = |address: &str, name: &str| {
            let will = Will::new(&format!("wills/{name}"), "gone").delay(Duration::from_secs(1));
            builder(address).client_id(name).keep_session(DAY).will(will).connect().unwrap()
        };
        drop(with_will(&server.url(), "dropped"));
        let closed = with_will(&server.url(), "closed");
        closed.close().unwrap();
        let asked = with_will(&server.url(), "asked");
        asked.disconnect(ReasonCode::DisconnectWithWill, None).unwrap();
        let will = wills.receive_for(PATIENCE).unwrap();
        assert_eq!(will.topic(), "wills/asked", "{kind:?}");
        assert!(wills.receive_for(SILENCE).is_none(), "{kind:?}");
    }
}

/// Two clients with one identifier do not throw each other out for ever, if the server says what
/// happened: mosquitto only closes the link.
#[test]
fn a_client_that_was_taken_over_stops_and_says_so() {
    let server = Server::start(Kind::Skein);
    let (events, hear) = Events::new();
    let take = || builder(&server.url()).client_id("one").version(Version::V5);
    let first = take().on_event(hear).connect().unwrap();
    let _second = take().connect().unwrap();
    let why = events.wait_for(|event| match event {
        Event::GaveUp { why } => Some(why.clone()),
        _ => None,
    });
    assert_eq!(why.reason(), Some(ReasonCode::SessionTakenOver));
    assert!(matches!(first.publish("a", "x").wait(), Err(Error::Closed)));
}

/// A server that is away is asked again with growing delays, not in a busy loop.
#[test]
fn a_server_that_is_away_is_not_asked_in_a_busy_loop() {
    let server = Server::start(Kind::Skein);
    let link = Link::to(server.address);
    link.down();
    let client = builder(&link.url()).start().unwrap();
    std::thread::sleep(Duration::from_secs(1));
    let tries = link.accepted();
    // Full jitter: on average after 10, 20, 40, 80, 100, 100 … ms.
    assert!((2..60).contains(&tries), "{tries} tries in a second");
    link.up();
    client.wait_connected(PATIENCE).unwrap();
}

/// No thread outlives its client; each is named after it.
#[cfg(target_os = "linux")]
#[test]
fn clients_leave_no_threads_behind() {
    let server = Server::start(Kind::Skein);
    let threads = || {
        let tasks = std::fs::read_dir("/proc/self/task").unwrap();
        let name = |task: std::fs::DirEntry| std::fs::read_to_string(task.path().join("comm")).ok();
        tasks.filter_map(|task| name(task.ok()?)).filter(|name| name.contains(":leak-pro")).count()
    };
    for _ in 0..5 {
        let client = builder(&server.url()).client_id("leak-probe").connect().unwrap();
        drop(client.on("a", |_| {}).wait().unwrap());
        client.publish("a", "x").wait().unwrap();
        assert!(eventually(|| threads() == 2), "one for the link, one for callbacks");
        client.close().unwrap();
        assert!(eventually(|| threads() == 0));
    }
}
