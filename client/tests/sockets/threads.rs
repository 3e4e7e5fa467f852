//! What the user's code may do on which thread, and what happens then.

use std::sync::{Arc, OnceLock, mpsc};
use std::time::Duration;

use skein_client::{Client, Error, Publish, QoS, WhenFull};

use super::link::Link;
use super::server::{KINDS, Kind, Server};
use super::{Events, PATIENCE, block_on, builder};

/// Publishing inside a callback, and waiting for it there, neither deadlocks nor stops the pings.
#[test]
fn a_callback_may_publish_and_wait() {
    for kind in KINDS {
        let server = Server::start(kind);
        let client = builder(&server.url()).keep_alive(Duration::from_secs(1)).connect().unwrap();
        let (done, dones) = mpsc::channel();
        let inner = client.clone();
        let callback = move |cx: &skein_client::Context| {
            let copy = inner.publish("out", cx.payload().clone()).qos(QoS::ExactlyOnce).wait();
            std::thread::sleep(Duration::from_secs(2));
            done.send(copy.is_ok()).unwrap();
        };
        let route = client.on("in", callback).qos(QoS::AtLeastOnce).wait().unwrap();
        client.publish("in", "x").qos(QoS::AtLeastOnce).wait().unwrap();
        assert!(dones.recv_timeout(PATIENCE).unwrap(), "{kind:?}");
        assert_eq!(client.statistics().session.connections, 1, "pings were answered");
        route.cancel();
    }
}

/// The tap runs on the client's own thread: waiting there is an error at once, not a deadlock.
#[test]
fn waiting_on_the_clients_own_thread_is_a_typed_error() {
    let server = Server::start(Kind::Skein);
    let (told, tells) = mpsc::channel();
    let slot: Arc<OnceLock<Client>> = Arc::default();
    let seen = Arc::clone(&slot);
    let client = builder(&server.url())
        .tap(move |_, packet| {
            if let (Some(client), true) = (seen.get(), packet.to_string().contains("\"probe\"")) {
                let ticket = client.publish("other", "x").qos(QoS::AtLeastOnce).send().unwrap();
                let _ = told.send((ticket.wait(), client.subscribe("y").wait().map(drop)));
            }
        })
        .connect()
        .unwrap();
    // A weak one would do as well; this client is closed by hand.
    slot.set(client.clone()).unwrap();
    client.publish("probe", "x").qos(QoS::AtLeastOnce).wait().unwrap();
    let (published, subscribed) = tells.recv_timeout(PATIENCE).unwrap();
    assert!(matches!(published, Err(Error::OnClientThread)));
    assert!(matches!(subscribed, Err(Error::OnClientThread)));
    client.close().unwrap();
}

/// A callback that panics is not acknowledged, and does not take the others with it.
#[test]
fn a_callback_that_panics_is_counted_and_called_on() {
    let server = Server::start(Kind::Skein);
    let client = builder(&server.url()).connect().unwrap();
    let (heard, hears) = mpsc::channel();
    let callback = move |cx: &skein_client::Context| {
        assert_ne!(cx.text().unwrap(), "bad", "a panic on purpose");
        heard.send(()).unwrap();
    };
    drop(client.on("a", callback).wait().unwrap());
    for text in ["bad", "good"] {
        client.publish("a", text).wait().unwrap();
    }
    hears.recv_timeout(PATIENCE).unwrap();
    assert_eq!(client.statistics().callback_panics, 1);
}

/// With room for two, the third message comes back, waits, or holds up the caller: never more.
#[test]
fn a_full_queue_fails_or_blocks_as_its_policy_says() {
    let server = Server::start(Kind::Skein);
    let link = Link::to(server.address);
    let (events, hear) = Events::new();
    let client = builder(&link.url()).queue(2, WhenFull::Block).on_event(hear).start().unwrap();
    events.wait_connected();
    link.down();
    events.wait_lost();
    let message = |text: &'static str| Publish::new("a", text).qos(QoS::AtLeastOnce);
    let first = client.try_publish(message("1")).unwrap();
    let second = client.try_publish(message("2")).unwrap();
    let Err(Error::QueueFull(back)) = client.try_publish(message("3")) else { panic!("room?") };
    assert_eq!(&back.payload()[..], b"3");
    let blocked = {
        let client = client.clone();
        std::thread::spawn(move || client.publish_message(*back).wait())
    };
    let awaited = std::thread::spawn(move || {
        block_on(async { client.publish("a", "4").qos(QoS::AtLeastOnce).await })
    });
    std::thread::sleep(Duration::from_millis(100));
    assert!(!blocked.is_finished() && !awaited.is_finished(), "both wait for room");
    link.up();
    for ticket in [first, second] {
        ticket.wait().unwrap();
    }
    blocked.join().unwrap().unwrap();
    awaited.join().unwrap().unwrap();
}

/// Offline, messages are handed in without waiting for anything but their own lock.
#[test]
fn publishing_without_a_connection_does_not_hold_the_caller() {
    let client = builder("mqtt://127.0.0.1:9").drain(Duration::ZERO).start().unwrap();
    let started = std::time::Instant::now();
    for _ in 0..1000 {
        client.try_publish(Publish::new("a", "x").qos(QoS::AtLeastOnce)).unwrap();
    }
    assert!(started.elapsed() < Duration::from_secs(2));
    assert!(matches!(client.publish("a", "x").wait(), Err(Error::NotConnected)));
    assert!(matches!(client.close(), Err(Error::Undelivered(1000))));
}

/// Threads share one client, and each gets the fate of its own messages.
#[test]
fn many_threads_share_one_client() {
    let server = Server::start(Kind::Skein);
    let client = builder(&server.url()).connect().unwrap();
    let threads: Vec<_> = (0..4)
        .map(|number| {
            let client = client.clone();
            std::thread::spawn(move || {
                for _ in 0..100 {
                    let topic = format!("thread/{number}");
                    client.publish(topic, "x").qos(QoS::ExactlyOnce).wait().unwrap();
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    assert_eq!(client.statistics().session.messages_sent, 400);
    assert_eq!(client.statistics().session.in_flight, 0);
}
