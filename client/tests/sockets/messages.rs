//! Messages, pulled and pushed.

use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use skein_client::{Client, Error, Overflow, QoS, ReasonCode, Version};

use super::server::{KINDS, Kind, SILENCE, Server};
use super::{PATIENCE, block_on, builder, eventually};

fn connect(server: &Server) -> Client {
    builder(&server.url()).connect().unwrap()
}

/// Ten thousand in flight, each with a ticket of its own, and all arrive in order.
#[test]
fn publishes_are_pipelined_and_arrive_in_order() {
    const COUNT: u32 = 10_000;
    let server = Server::start(Kind::Skein);
    let client = connect(&server);
    let messages = client.subscribe("log").qos(QoS::AtLeastOnce).wait().unwrap();
    let mut tickets = Vec::new();
    for number in 0..COUNT {
        let payload = number.to_be_bytes().to_vec();
        tickets.push(client.publish("log", payload).qos(QoS::AtLeastOnce).send().unwrap());
    }
    for number in 0..COUNT {
        let message = messages.receive_for(PATIENCE).unwrap();
        assert_eq!(message.payload()[..], number.to_be_bytes());
    }
    for mut ticket in tickets {
        assert_eq!(ticket.wait_for(PATIENCE).unwrap(), ReasonCode::Success);
    }
    let statistics = client.statistics();
    assert_eq!(statistics.session.messages_received, u64::from(COUNT));
    assert_eq!((statistics.session.in_flight, statistics.messages_dropped), (0, 0));
}

/// The same handle on any executor, without a runtime.
#[test]
fn everything_can_be_awaited() {
    for kind in KINDS {
        let server = Server::start(kind);
        let client = connect(&server);
        block_on(async {
            let messages = client.subscribe("home/+/temp").qos(QoS::AtLeastOnce).await.unwrap();
            assert_eq!(messages.granted(), QoS::AtLeastOnce);
            client.publish("home/hall/temp", "21.5").qos(QoS::AtLeastOnce).await.unwrap();
            let message = messages.next().await.unwrap();
            assert_eq!((message.topic(), message.text().unwrap()), ("home/hall/temp", "21.5"));
            messages.unsubscribe().unwrap().await.unwrap();
        });
    }
}

#[test]
fn callbacks_come_in_order_with_the_names_of_their_pattern() {
    for kind in KINDS {
        let server = Server::start(kind);
        let client = connect(&server);
        let (heard, hears) = mpsc::channel();
        let route = client
            .on("home/{room}/{rest..}", move |cx| {
                heard
                    .send(format!("{} {} {}", &cx["room"], &cx["rest"], cx.text().unwrap()))
                    .unwrap();
            })
            .qos(QoS::ExactlyOnce)
            .wait()
            .unwrap();
        for number in 0..100 {
            let text = number.to_string();
            client.publish("home/hall/temp/now", text).qos(QoS::ExactlyOnce).wait().unwrap();
        }
        for number in 0..100 {
            assert_eq!(hears.recv_timeout(PATIENCE).unwrap(), format!("hall temp/now {number}"));
        }
        route.cancel();
        client.publish("home/hall/temp", "late").qos(QoS::ExactlyOnce).wait().unwrap();
        assert!(hears.recv_timeout(SILENCE).is_err(), "{kind:?}");
    }
}

/// Whatever copies the server sends, each route gets the message once.
#[test]
fn overlapping_filters_each_get_the_message_once() {
    for kind in KINDS {
        let server = Server::start(kind);
        let client = builder(&server.url()).version(Version::V5).connect().unwrap();
        let wide = client.subscribe("a/#").qos(QoS::AtLeastOnce).wait().unwrap();
        let narrow = client.subscribe("a/+").qos(QoS::AtLeastOnce).wait().unwrap();
        let exact = client.subscribe("a/b").qos(QoS::AtMostOnce).wait().unwrap();
        client.publish("a/b", "x").qos(QoS::AtLeastOnce).wait().unwrap();
        for subscription in [&wide, &narrow, &exact] {
            assert!(subscription.receive_for(PATIENCE).is_some(), "{kind:?}");
        }
        std::thread::sleep(SILENCE);
        let waiting = [wide.waiting(), narrow.waiting(), exact.waiting()];
        assert_eq!(waiting, [0, 0, 0], "{kind:?}");
    }
}

#[test]
fn a_group_is_cancelled_as_one_and_others_stay() {
    let server = Server::start(Kind::Skein);
    let client = connect(&server);
    let heard = Arc::new(Mutex::new(Vec::new()));
    let hear = |name: &'static str| {
        let heard = Arc::clone(&heard);
        move |_: &skein_client::Context| heard.lock().unwrap().push(name)
    };
    let group = client.group();
    drop(group.on("a/#", hear("one")).wait().unwrap());
    drop(group.on("b/+", hear("two")).wait().unwrap());
    drop(client.on("a/#", hear("other")).wait().unwrap());
    for topic in ["a/x", "b/x"] {
        client.publish(topic, "").qos(QoS::AtLeastOnce).wait().unwrap();
    }
    assert!(eventually(|| heard.lock().unwrap().len() == 3));
    group.cancel();
    heard.lock().unwrap().clear();
    for topic in ["a/x", "b/x"] {
        client.publish(topic, "").qos(QoS::AtLeastOnce).wait().unwrap();
    }
    assert!(eventually(|| !heard.lock().unwrap().is_empty()));
    std::thread::sleep(SILENCE);
    assert_eq!(*heard.lock().unwrap(), ["other"]);
}

/// A slow reader holds the server back instead of losing messages or memory.
#[test]
fn a_full_subscription_pauses_the_server() {
    const COUNT: u32 = 300;
    for kind in KINDS {
        let server = Server::start(kind);
        let client = builder(&server.url()).receive_maximum(10).connect().unwrap();
        let jobs = client.subscribe("jobs").qos(QoS::AtLeastOnce).buffer(1, Overflow::Pause);
        let jobs = jobs.manual_ack().wait().unwrap();
        let publisher = connect(&server);
        for number in 0..COUNT {
            let payload = number.to_be_bytes().to_vec();
            publisher.publish("jobs", payload).qos(QoS::AtLeastOnce).wait().unwrap();
        }
        std::thread::sleep(SILENCE);
        assert_eq!(jobs.waiting(), 10, "{kind:?}");
        for number in 0..COUNT {
            let job = jobs.receive_for(PATIENCE);
            let job = job.unwrap_or_else(|| panic!("{kind:?} {number} {:?}", client.statistics()));
            assert_eq!(job.payload()[..], number.to_be_bytes(), "{kind:?}");
            job.ack();
        }
        assert_eq!(client.statistics().messages_dropped, 0);
    }
}

#[test]
fn a_full_subscription_drops_as_its_policy_says_and_counts() {
    let server = Server::start(Kind::Skein);
    let client = connect(&server);
    let oldest = client.subscribe("a").buffer(2, Overflow::DropOldest).wait().unwrap();
    let newest = client.subscribe("+").buffer(2, Overflow::DropNewest).wait().unwrap();
    for text in ["1", "2", "3"] {
        client.publish("a", text).qos(QoS::AtLeastOnce).wait().unwrap();
    }
    assert!(eventually(|| client.statistics().messages_dropped == 2));
    let texts = |subscription: &skein_client::Subscription| -> Vec<String> {
        std::iter::from_fn(|| subscription.try_receive())
            .map(|message| message.text().unwrap().to_owned())
            .collect()
    };
    assert_eq!(texts(&oldest), ["2", "3"]);
    assert_eq!(texts(&newest), ["1", "2"]);
}

#[test]
fn a_refused_subscription_is_an_error() {
    let folder = std::env::temp_dir().join(format!("skein-client-acl-{}", std::process::id()));
    std::fs::write(&folder, "topic readwrite open/#\n").unwrap();
    let settings = format!("acl_file {}", folder.display());
    let server = Server::start_with(Kind::Mosquitto, &settings);
    let client = connect(&server);
    let filters = ["$share/g/x", "open/#"];
    assert!(client.subscribe(filters[1]).wait().is_ok());
    let refused = client.publish("closed", "x").qos(QoS::AtLeastOnce).wait();
    let _ = std::fs::remove_file(folder);
    let Err(Error::Rejected { reason, .. }) = refused else { panic!("{refused:?}") };
    assert_eq!(reason, ReasonCode::NotAuthorized);
}

#[test]
fn messages_carry_their_properties() {
    for kind in KINDS {
        let server = Server::start(kind);
        let client = connect(&server);
        let messages = client.subscribe("a").wait().unwrap();
        client
            .publish("a", "{}")
            .content_type("application/json")
            .user_property("k", "1")
            .user_property("k", "2")
            .expires(Duration::from_secs(60))
            .correlation_data("c")
            .wait()
            .unwrap();
        let message = messages.receive_for(PATIENCE).unwrap();
        assert_eq!(message.content_type(), Some("application/json"), "{kind:?}");
        let properties = message.properties().unwrap();
        let pairs = [("k".to_owned(), "1".to_owned()), ("k".to_owned(), "2".to_owned())];
        assert_eq!(properties.user_properties, pairs);
        assert!(properties.message_expiry_s.is_some_and(|left| left <= 60));
    }
}
