//! What `skein pub`, `sub` and `rr` do that Mosquitto's programs do not.

use std::time::Duration;

use skein_client::{QoS, ReasonCode};

use crate::broker::{Broker, free_port};
use crate::program::{PATIENCE, Whose, command, run, start};
use crate::server::{Script, Server};

/// mosquitto_pub only warns of it, and says that all is well.
pub(crate) fn a_refused_message_is_an_error() {
    let words = ["-V", "5", "-t", "t", "-m", "x", "-q", "1"];
    for (whose, code, what) in [(Whose::Skein, 0x97, "Error"), (Whose::Ours, 0, "Warning")] {
        let script = Script { publish: ReasonCode::QuotaExceeded, ..Script::default() };
        let server = Server::start(script);
        let ended = run(whose, "pub", server.port, &words);
        assert_eq!(ended.code, Some(code), "{whose:?}");
        assert_eq!(ended.err, format!("{what}: Publish 1 failed: Quota exceeded.\n"));
        assert_eq!(server.heard().len(), 3, "CONNECT, PUBLISH and DISCONNECT");
    }
    let script = Script { subscribe: ReasonCode::NotAuthorized, ..Script::default() };
    let server = Server::start(script);
    let ended = run(Whose::Skein, "sub", server.port, &["-t", "t"]);
    assert_eq!(
        (ended.code, ended.err.as_str()),
        (Some(0x87), "All subscription requests were denied.\n")
    );
}

pub(crate) fn the_environment_is_read() {
    let broker = Broker::start();
    let (_client, all) = broker.observe();
    let mut command = command(Whose::Skein, "pub");
    command.env("SKEIN_PORT", broker.port.to_string()).env("SKEIN_TOPIC", "from/environment");
    command.env("SKEIN_RETAIN", "1").env("SKEIN_QOS", "1").env("SKEIN_DEBUG", "0");
    command.env("SKEIN_PROPERTY", "publish content-type text/plain").args(["-q", "2", "-m", "x"]);
    assert_eq!(start(&mut command, Some(b"")).wait().succeeded().text(), "");
    let message = all.receive_for(PATIENCE).expect("it was published");
    assert_eq!((message.topic(), message.qos()), ("from/environment", QoS::ExactlyOnce));
    assert_eq!(message.content_type(), Some("text/plain"));
    // Under the names of Mosquitto's programs nothing but their options counts.
    let mut command = crate::program::command(Whose::Ours, "pub");
    command.env("SKEIN_PORT", "1").env("SKEIN_MESSAGE", "y").args(["-t", "t"]);
    let ended = start(command.args(["-p", &broker.port.to_string()]), Some(b"")).wait();
    assert_eq!(ended.code, Some(1), "there is no message");
}

/// MQTT 5.0 is tried first, and 3.1.1 where that is refused.
pub(crate) fn an_old_broker_is_understood() {
    let port = free_port();
    let broker = Broker::start_on(port);
    let version = |words: &[&str]| {
        let words = [&["-t", "t", "-m", "x", "-d"], words].concat();
        run(Whose::Skein, "pub", broker.port, &words).succeeded().text()
    };
    assert!(!version(&["-i", "me"]).is_empty());
    let script = Script { connect: ReasonCode::UnsupportedProtocolVersion, ..Script::default() };
    let server = Server::start(script);
    let ended = run(Whose::Skein, "pub", server.port, &["-V", "5", "-t", "t", "-m", "x"]);
    assert_eq!(ended.code, Some(0x84), "{}", ended.err);
}

pub(crate) fn a_lost_broker_is_looked_for() {
    let port = free_port();
    let mut command = command(Whose::Skein, "sub");
    let words = ["-t", "t", "-C", "2", "-i", "back", "--reconnect", "-q", "1"];
    command.args(["-p", &port.to_string()]).args(words);
    // Nobody listens yet.
    let running = start(&mut command, None);
    std::thread::sleep(Duration::from_millis(300));
    for payload in ["one", "two"] {
        let broker = Broker::start_on(port);
        broker.publish_to_somebody("t", payload);
    }
    let ended = running.wait().succeeded();
    assert_eq!(ended.text(), "one\ntwo\n");
    assert!(ended.err.contains("trying again"), "{}", ended.err);
}
