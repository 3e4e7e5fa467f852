//! Where a message has been, so that it does not go in circles.
//!
//! A user property of MQTT 5.0 names each broker of bridges that a message was at. A bridge takes none
//! that was here before, and sends none to where it was. What the other broker is called it says in the
//! state of its own bridges; a broker that has none has nobody to send the message back.

use skein_client::{Message, Properties};

/// The user property, once for each broker.
const PROPERTY: &str = "skein-bridge";
/// A message that was at more brokers is carried no further.
const BROKERS_MAX: usize = 16;
/// How many names of one broker are remembered; it has another one after each start.
const NAMES_MAX: usize = 16;

/// The names of the broker at the other end, the last one last.
#[derive(Debug, Default)]
pub(super) struct Names(Vec<Box<str>>);

impl Names {
    /// Remembers what the other broker calls itself.
    pub(super) fn learn(&mut self, message: &Message) {
        for name in brokers(message) {
            if self.0.iter().all(|known| **known != *name) {
                self.0.push(name.into());
            }
        }
        let excess = self.0.len().saturating_sub(NAMES_MAX);
        self.0.drain(..excess);
    }

    fn has(&self, name: &str) -> bool {
        self.0.iter().any(|known| **known == *name)
    }

    fn last(&self) -> Option<&str> {
        self.0.last().map(|name| &**name)
    }
}

/// Whether this message may go to the broker of these names.
pub(super) fn may_leave(message: &Message, to: &Names) -> bool {
    brokers(message).all(|name| !to.has(name)) && brokers(message).count() < BROKERS_MAX
}

/// Whether this message may come to this broker.
pub(super) fn may_enter(message: &Message, own: &str) -> bool {
    brokers(message).all(|name| name != own) && brokers(message).count() < BROKERS_MAX
}

/// Notes that a message was at this broker, and where it came from if that is another one.
pub(super) fn note(properties: &mut Properties, own: &str, from: Option<&Names>) {
    for name in from.and_then(Names::last).into_iter().chain([own]) {
        let pair = (PROPERTY.to_owned(), name.to_owned());
        if !properties.user_properties.contains(&pair) {
            properties.user_properties.push(pair);
        }
    }
}

fn brokers(message: &Message) -> impl Iterator<Item = &str> {
    let pairs = message.properties().map(|own| own.user_properties.as_slice()).unwrap_or_default();
    pairs.iter().filter(|(key, _)| key == PROPERTY).map(|(_, name)| name.as_str())
}
