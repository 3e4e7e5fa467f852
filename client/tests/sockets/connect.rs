//! Connecting, and what comes of it.

use std::net::TcpListener;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use skein_client::session::{Attempt, Event};
use skein_client::{Client, Error, Hooks, Login, QoS, ReasonCode, Result, Version};
use skein_protocol::Packet;

use super::link::Link;
use super::server::{KINDS, Kind, Server};
use super::{Events, PATIENCE, builder, eventually};

#[test]
fn every_version_speaks_to_every_server() {
    for kind in KINDS {
        let server = Server::start(kind);
        for version in Version::ALL {
            let client = builder(&server.url()).version(version).connect().unwrap();
            let messages = client.subscribe("a").qos(QoS::ExactlyOnce).wait().unwrap();
            for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
                client.publish("a", "x").qos(qos).wait().unwrap();
                let message = messages.receive_for(PATIENCE).expect("it comes back");
                assert_eq!((message.qos(), message.topic()), (qos, "a"), "{kind:?} {version}");
            }
            client.close().unwrap();
        }
    }
}

#[test]
fn a_server_that_is_not_there_is_an_error_that_says_so() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = Client::connect(&format!("mqtt://{free}")).unwrap_err();
    assert!(matches!(error, Error::Dial { .. }), "{error}");
    assert!(error.is_retryable());
    assert!(error.to_string().contains(&free.to_string()), "{error}");
    assert!(matches!(Client::connect("http://a"), Err(Error::Address { .. })));
    assert!(matches!(Client::connect(""), Err(Error::Address { .. })));
}

#[test]
fn servers_are_tried_in_turn_until_one_is_there() {
    let server = Server::start(Kind::Skein);
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let client = builder(&format!("mqtt://{free}, {}", server.url())).connect().unwrap();
    client.publish("a", "x").qos(QoS::AtLeastOnce).wait().unwrap();
}

#[test]
fn a_refused_login_is_a_typed_error_and_is_not_tried_again() {
    let server = Server::start_with(Kind::Mosquitto, "allow_anonymous false");
    let error = builder(&server.url()).connect().unwrap_err();
    assert_eq!(error.reason(), Some(ReasonCode::NotAuthorized), "{error}");
    let (events, hear) = Events::new();
    let client = builder(&server.url()).on_event(hear).start().unwrap();
    events.wait_for(|event| matches!(event, Event::GaveUp { .. }).then_some(()));
    assert!(client.publish("a", "x").wait().is_err());
}

/// Each attempt may have another host and other credentials.
#[test]
fn a_hook_chooses_host_and_credentials_for_each_attempt() {
    struct Choose {
        attempts: Arc<AtomicUsize>,
        server: Arc<str>,
    }
    impl Hooks for Choose {
        fn before_connect(&self, attempt: &mut Attempt, login: &mut Login) -> Result<()> {
            if self.attempts.fetch_add(1, Ordering::SeqCst) == 0 {
                return Err(Error::Authentication("no token yet".into()));
            }
            attempt.server = Arc::clone(&self.server);
            *login = Login::new("ada", "fresh");
            Ok(())
        }
    }
    let server = Server::start(Kind::Mosquitto);
    let attempts = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&attempts);
    let login = Arc::new(AtomicUsize::new(0));
    let logins = Arc::clone(&login);
    let hooks = Choose { attempts: seen, server: server.url().into() };
    let client = builder("mqtt://nowhere.invalid")
        .hooks(hooks)
        .tap(move |direction, packet| {
            if format!("{direction} {packet}").contains("user_name=\"ada\"") {
                logins.fetch_add(1, Ordering::SeqCst);
            }
        })
        .start()
        .unwrap();
    client.wait_connected(PATIENCE).unwrap();
    assert_eq!(attempts.load(Ordering::SeqCst), 2);
    assert_eq!(login.load(Ordering::SeqCst), 1);
}

/// The login in one server's address is not told to another one.
#[test]
fn each_server_gets_the_login_of_its_own_address() {
    let server = Server::start(Kind::Skein);
    let link = Link::to(server.address);
    let (events, hear) = Events::new();
    let logins = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&logins);
    let servers = format!("mqtt://ada:1@{},mqtt://bob:2@{}", link.address, server.address);
    let client = builder(&servers)
        .on_event(hear)
        .tap(move |_, packet| {
            if let Packet::Connect(connect) = packet {
                seen.lock().unwrap().extend(connect.user_name.map(str::to_owned));
            }
        })
        .start()
        .unwrap();
    events.wait_connected();
    link.down();
    events.wait_connected();
    let logins = logins.lock().unwrap();
    assert_eq!(logins.first().map(String::as_str), Some("ada"));
    assert_eq!(logins.last().map(String::as_str), Some("bob"));
    client.close().unwrap();
}

#[test]
fn a_socket_of_this_machine_will_do() {
    let server = Server::start(Kind::Mosquitto);
    let client = builder(&server.unix_socket()).connect().unwrap();
    client.publish("a", "x").qos(QoS::ExactlyOnce).wait().unwrap();
    client.close().unwrap();
}

/// A server that accepts the link and says nothing does not hold a client for ever.
#[test]
fn a_connect_that_is_never_answered_ends_in_time() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let started = Instant::now();
    let error = builder(&format!("mqtt://{}", silent.local_addr().unwrap()))
        .connect_timeout(Duration::from_millis(200))
        .connect()
        .unwrap_err();
    assert!(matches!(error, Error::Timeout { .. }), "{error}");
    assert!(started.elapsed() < PATIENCE);
}

#[test]
fn the_choice_of_the_server_is_the_identifier() {
    for kind in KINDS {
        let server = Server::start(kind);
        let client = builder(&server.url()).version(Version::V5).connect().unwrap();
        assert!(!client.client_id().is_empty(), "{kind:?}");
        assert!(client.is_connected());
    }
}

#[test]
fn pings_keep_an_idle_client_connected() {
    for kind in KINDS {
        let server = Server::start(kind);
        let client = builder(&server.url()).keep_alive(Duration::from_secs(1)).connect().unwrap();
        assert!(eventually(|| client.statistics().session.round_trip.is_some()), "{kind:?}");
        std::thread::sleep(Duration::from_secs(2));
        let statistics = client.statistics().session;
        assert_eq!(statistics.connections, 1, "{kind:?}");
        assert!(client.is_connected());
    }
}
