//! The user's say before things are done.

use std::sync::{Arc, Mutex};

use skein_client::session::{Attempt, Subscribe};
use skein_client::{Error, Hooks, Login, Publish, QoS, Result, SubscriptionOptions};

use super::server::{Kind, Server};
use super::{PATIENCE, builder};

/// Changes what goes through it, and has something against whatever is called "secret".
#[derive(Clone, Default)]
struct Watch(Arc<Mutex<Vec<String>>>);

impl Watch {
    fn ask(&self, what: &str, name: &str) -> Result<()> {
        self.0.lock().unwrap().push(format!("{what} {name}"));
        if name.contains("secret") { Err(Error::Closed) } else { Ok(()) }
    }
}

impl Hooks for Watch {
    fn before_connect(&self, attempt: &mut Attempt, login: &mut Login) -> Result<()> {
        *login = Login::new("ada", "x");
        self.ask("connect", &attempt.number.to_string())
    }

    fn before_publish(&self, publish: &mut Publish) -> Result<()> {
        let edited = publish.clone().user_property("by", "hook");
        let asked = self.ask("publish", publish.topic());
        *publish = edited;
        asked
    }

    fn before_subscribe(&self, subscribe: &mut Subscribe) -> Result<()> {
        let filter = Arc::clone(&subscribe.filters()[0].0);
        let options = SubscriptionOptions::with_qos(QoS::AtMostOnce);
        *subscribe = Subscribe::new(Arc::clone(&filter), options);
        self.ask("subscribe", &filter)
    }

    fn before_unsubscribe(&self, filter: &Arc<str>) -> Result<()> {
        self.ask("unsubscribe", filter)
    }

    fn before_disconnect(&self) {
        let _ = self.ask("disconnect", "");
    }
}

#[test]
fn hooks_edit_and_veto_each_of_the_five() {
    let server = Server::start(Kind::Skein);
    let watch = Watch::default();
    let client = builder(&server.url()).hooks(watch.clone()).connect().unwrap();
    let messages = client.subscribe("a").qos(QoS::ExactlyOnce).wait().unwrap();
    assert_eq!(messages.granted(), QoS::AtMostOnce, "edited");
    client.publish("a", "x").qos(QoS::AtLeastOnce).wait().unwrap();
    let message = messages.receive_for(PATIENCE).unwrap();
    let pairs = &message.properties().unwrap().user_properties;
    assert_eq!(*pairs, [("by".to_owned(), "hook".to_owned())], "edited");
    let published = client.publish("secret", "x").qos(QoS::AtLeastOnce).wait();
    assert!(matches!(published, Err(Error::Closed)), "vetoed, with the hook's own error");
    assert!(matches!(client.subscribe("secret").wait(), Err(Error::Closed)));
    assert!(matches!(client.unsubscribe("secret"), Err(Error::Closed)));
    client.unsubscribe("a").unwrap().wait().unwrap();
    client.close().unwrap();
    let asked = watch.0.lock().unwrap().join(", ");
    let expected = "connect 1, subscribe a, publish a, publish secret, subscribe secret, \
                    unsubscribe secret, unsubscribe a, disconnect ";
    assert_eq!(asked, expected);
}
