//! Requests and responses.

use std::sync::mpsc;
use std::time::Duration;

use skein_client::{Error, Feature, QoS, Version};

use super::server::{KINDS, Kind, Server};
use super::{PATIENCE, block_on, builder};

#[test]
fn a_request_gets_its_response() {
    for kind in KINDS {
        let server = Server::start(kind);
        let responder = builder(&server.url()).connect().unwrap();
        let sum = |cx: &skein_client::Context| {
            let numbers =
                cx.text().unwrap().split(' ').map(|number| number.parse::<u32>().unwrap());
            cx.reply(numbers.sum::<u32>().to_string()).map(drop).unwrap();
        };
        drop(responder.on("calc/add", sum).qos(QoS::AtLeastOnce).wait().unwrap());
        let client = builder(&server.url()).connect().unwrap();
        let response = client.request("calc/add", "1 2").qos(QoS::AtLeastOnce).wait().unwrap();
        assert_eq!(response.text().unwrap(), "3", "{kind:?}");
        // Many at once, each with its own answer.
        let open: Vec<_> = (0..50)
            .map(|number| client.request("calc/add", format!("{number} 1")).send())
            .collect();
        for (number, replying) in open.into_iter().enumerate() {
            let response = block_on(replying.unwrap()).unwrap();
            assert_eq!(response.text().unwrap(), (number + 1).to_string());
        }
    }
}

#[test]
fn a_request_that_nobody_answers_ends_in_time() {
    let server = Server::start(Kind::Skein);
    let client = builder(&server.url()).connect().unwrap();
    let request = || client.request("nobody", "?").timeout(Duration::from_millis(100));
    assert!(matches!(request().wait(), Err(Error::Timeout { .. })));
    let awaited = block_on(async { request().await });
    assert!(matches!(awaited, Err(Error::Timeout { .. })));
}

#[test]
fn before_5_0_the_topic_of_the_response_has_to_be_named() {
    let server = Server::start(Kind::Mosquitto);
    let client = builder(&server.url()).version(Version::V3_1_1).connect().unwrap();
    let unnamed = client.request("a", "x").wait();
    assert!(matches!(unnamed, Err(Error::Unsupported(Feature::ResponseTopics))));
    let responder = builder(&server.url()).connect().unwrap();
    let publisher = responder.clone();
    let (answered, answers) = mpsc::channel();
    let answer = move |_: &skein_client::Context| {
        answered.send(publisher.publish("a/reply", "y").wait().is_ok()).unwrap();
    };
    let route = responder.on("a", answer).wait().unwrap();
    let response = client.request("a", "x").reply_to("a/reply").timeout(PATIENCE).wait().unwrap();
    assert_eq!(response.text().unwrap(), "y");
    assert!(answers.recv_timeout(PATIENCE).unwrap());
    // It holds a clone of the client, which is to end with the test.
    route.cancel();
}
