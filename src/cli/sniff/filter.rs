//! Which of what was seen is printed.

use clap::Args;
use skein_protocol::{PacketType, TopicFilter, TopicName};

use super::seen::{Seen, What};
use crate::cli::mqtt::{UsageError, check_filter};

/// What is printed; without any of them, everything. That a connection has come and gone is told with the
/// packets of it.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Filter")]
pub(super) struct FilterOptions {
    /// Only packets of this type, like publish or connack; repeat for more
    #[arg(long = "type", value_name = "PACKET")]
    pub(super) types: Vec<String>,

    /// Only connections of this client; a * at the end stands for anything; repeat for more
    #[arg(long, value_name = "ID")]
    pub(super) client: Vec<String>,

    /// Only packets about topics that match this filter, answers to them included; repeat for more
    #[arg(short = 't', long, value_name = "FILTER")]
    pub(super) topic: Vec<String>,
}

/// The options, checked.
#[derive(Clone, Debug, Default)]
pub(super) struct Filter {
    types: Vec<PacketType>,
    clients: Vec<String>,
    topics: Vec<String>,
}

impl FilterOptions {
    /// # Errors
    /// What is no type, or no filter.
    pub(super) fn check(&self) -> Result<Filter, UsageError> {
        self.topic.iter().try_for_each(|topic| check_filter("--topic", topic))?;
        Ok(Filter {
            types: self.types.iter().map(|name| packet_type(name)).collect::<Result<_, _>>()?,
            clients: self.client.clone(),
            topics: self.topic.clone(),
        })
    }
}

impl Filter {
    /// Whether everything is printed.
    pub(super) fn is_open(&self) -> bool {
        self.types.is_empty() && self.clients.is_empty() && self.topics.is_empty()
    }

    /// Whether it is to be printed. What is wrong with a connection is, whatever its packets are about.
    pub(super) fn takes(&self, seen: &Seen) -> bool {
        self.takes_client(&seen.client_id)
            && match &seen.what {
                What::Packet { packet_type, .. } => {
                    self.takes_type(*packet_type) && self.takes_topics(&seen.topics)
                }
                What::TooLong { packet_type: Some(packet_type), .. } => {
                    self.takes_type(*packet_type)
                }
                _ => true,
            }
    }

    fn takes_type(&self, packet_type: PacketType) -> bool {
        self.types.is_empty() || self.types.contains(&packet_type)
    }

    fn takes_client(&self, client_id: &str) -> bool {
        let is_it = |wanted: &String| match wanted.strip_suffix('*') {
            Some(begin) => client_id.starts_with(begin),
            None => client_id == wanted,
        };
        self.clients.is_empty() || self.clients.iter().any(is_it)
    }

    fn takes_topics(&self, topics: &[String]) -> bool {
        let is_wanted = |topic: &String| self.topics.iter().any(|wanted| is_about(topic, wanted));
        self.topics.is_empty() || topics.iter().any(is_wanted)
    }
}

/// Whether a topic, or a filter that is subscribed to, is what this filter asks for. Of a filter its
/// wildcards count as any name.
fn is_about(text: &str, wanted: &str) -> bool {
    let pattern = TopicFilter::new(text).map_or(text, TopicFilter::pattern);
    let topic = pattern.replace(['+', '#'], "_");
    let matches = |topic| TopicFilter::new(wanted).is_ok_and(|wanted| wanted.matches(topic));
    text == wanted || TopicName::new(&topic).is_ok_and(matches)
}

fn packet_type(name: &str) -> Result<PacketType, UsageError> {
    let mut all = (1..=15).filter_map(|number: u8| PacketType::from_header(number << 4));
    all.find(|packet_type| packet_type.name().eq_ignore_ascii_case(name)).ok_or_else(|| {
        let text = format!(
            "--type {name}: there is no such packet. Write connect, connack, publish, puback, pubrec, \
             pubrel, pubcomp, subscribe, suback, unsubscribe, unsuback, pingreq, pingresp, disconnect \
             or auth."
        );
        UsageError::new(text)
    })
}

#[cfg(test)]
mod tests {
    use skein_protocol::Error;

    use super::super::field::Fields;
    use super::super::seen::{Bytes, Direction};
    use super::*;

    fn seen(packet_type: PacketType, topics: &[&str]) -> Seen {
        Seen {
            direction: Direction::ToBroker,
            offset: 0,
            client_id: "meter-7".to_owned(),
            what: What::Packet { packet_type, fields: Fields::default() },
            topics: topics.iter().map(|topic| (*topic).to_owned()).collect(),
            bytes: Bytes::of(&[], 0),
        }
    }

    fn options(types: &[&str], client: &[&str], topic: &[&str]) -> FilterOptions {
        let own = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        FilterOptions { types: own(types), client: own(client), topic: own(topic) }
    }

    #[test]
    fn what_is_asked_for_is_taken_and_nothing_else() {
        let publish = seen(PacketType::Publish, &["a/b"]);
        let subscribe = seen(PacketType::Subscribe, &["c", "a/+"]);
        let rows: [(FilterOptions, bool, bool); 9] = [
            (options(&[], &[], &[]), true, true),
            (options(&["PubLish"], &[], &[]), true, false),
            (options(&["publish", "subscribe"], &[], &[]), true, true),
            (options(&[], &["meter-7"], &[]), true, true),
            (options(&[], &["meter"], &[]), false, false),
            (options(&[], &["x", "meter-*"], &[]), true, true),
            (options(&[], &[], &["a/#"]), true, true),
            (options(&[], &[], &["c"]), false, true),
            (options(&["publish"], &["meter-7"], &["c"]), false, false),
        ];
        for (options, takes_publish, takes_subscribe) in rows {
            let filter = options.check().expect("it makes sense");
            assert_eq!(
                (filter.takes(&publish), filter.takes(&subscribe)),
                (takes_publish, takes_subscribe),
                "{options:?}"
            );
        }
    }

    #[test]
    fn what_is_wrong_is_always_taken() {
        let filter = options(&["pingreq"], &[], &["x"]).check().expect("it makes sense");
        let error = Error::PublishQoS;
        let what = What::Malformed { packet_type: Some(PacketType::Publish), error };
        assert!(filter.takes(&Seen { what, ..seen(PacketType::Publish, &[]) }));
    }

    #[test]
    fn nonsense_is_refused_with_what_would_make_sense() {
        let error = options(&["publsh"], &[], &[]).check().expect_err("no such type").to_string();
        assert!(error.contains("publsh") && error.contains("puback"), "{error}");
        assert!(options(&[], &[], &["a#"]).check().is_err());
    }
}
