//! Messages do not go in circles.

use std::time::Duration;

use skein_client::QoS;

use crate::broker::{Broker, Kind, PATIENCE, until};

const BOTH: &str = "topics = [{ filter = \"loop/#\", direction = \"both\", qos = 1 }]";

/// One bridge with a topic for both directions: each side gets a message once.
pub(crate) fn one_bridge(kind: Kind) {
    for version in ["auto", "3.1.1"] {
        // Before 5.0 only Mosquitto knows how not to send back.
        if version == "3.1.1" && kind == Kind::Skein {
            continue;
        }
        let remote = Broker::remote(kind);
        let local = Broker::skein(&remote.bridge("b", &format!("version = \"{version}\"\n{BOTH}")));
        local.await_state("b", "1");
        let (here, there) = (local.client("here"), remote.client("there"));
        let (at_home, away) = (local.listen(&here, "loop/#"), remote.listen(&there, "loop/#"));
        for (client, text) in [(&here, "from here"), (&there, "from there")] {
            client.publish("loop/a", text).qos(QoS::AtLeastOnce).wait().expect("it is taken");
            for side in [&at_home, &away] {
                let message = side.receive_for(PATIENCE).expect("each side gets it");
                assert_eq!(message.payload().as_ref(), text.as_bytes());
            }
        }
        let later = Duration::from_millis(500);
        assert!(at_home.receive_for(later).is_none() && away.receive_for(later).is_none());
    }
}

/// Two brokers that each have a bridge to the other: a message goes both ways at most, and then rests.
pub(crate) fn two_bridges(_: Kind) {
    let (mut one, mut two) = (Broker::new(Kind::Skein), Broker::new(Kind::Skein));
    one.configure(&two.bridge("to-two", BOTH));
    two.configure(&one.bridge("to-one", BOTH));
    one.start();
    two.start();
    one.await_state("to-two", "1");
    two.await_state("to-one", "1");
    // Each has heard what the other is called.
    std::thread::sleep(Duration::from_millis(500));
    let (at_one, at_two) = (one.client("one"), two.client("two"));
    let subscriptions = [one.listen(&at_one, "loop/#"), two.listen(&at_two, "loop/#")];
    at_one.publish("loop/a", "x").qos(QoS::AtLeastOnce).wait().expect("it is taken");
    let mut counts = [0; 2];
    until("both have it", || {
        for (count, subscription) in counts.iter_mut().zip(&subscriptions) {
            *count += usize::from(subscription.receive_for(Duration::from_millis(50)).is_some());
        }
        counts[0] > 0 && counts[1] > 0
    });
    for _ in 0..20 {
        for (count, subscription) in counts.iter_mut().zip(&subscriptions) {
            *count += usize::from(subscription.receive_for(Duration::from_millis(50)).is_some());
        }
    }
    // The one where it was published has it once; the other one by its own bridge and by that of the
    // first, and it says so.
    assert_eq!(counts, [1, 2]);
    let warning = "bridge to-one: messages of the other broker come by another way as well";
    until("it says so", || two.log().matches(warning).count() == 1);
}
