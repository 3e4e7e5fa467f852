//! The check: dumb, and in one pass for each promise.

use std::collections::{BTreeMap, BTreeSet};

use skein_protocol::QoS;

use super::{Anomaly, KEPT, Message, Operation};

/// Everything that is wrong with a history that has come to its end: all clients are connected, and
/// nothing is on its way any more.
pub(crate) fn anomalies(history: &[Operation]) -> Vec<Anomaly> {
    let mut anomalies = lost(history);
    anomalies.extend(twice(history));
    anomalies.extend(disordered(history));
    anomalies.extend(not_kept(history));
    anomalies.extend(forgotten(history));
    anomalies.extend(unasked(history));
    anomalies
}

/// What was acknowledged and has not come, to sessions whose SUBACK was seen before it was sent.
pub(crate) fn lost(history: &[Operation]) -> Vec<Anomaly> {
    let mut delivered = BTreeSet::new();
    let mut acknowledged = BTreeSet::new();
    for operation in history {
        match operation {
            Operation::Delivered { client, message, .. } => delivered.insert((*client, *message)),
            Operation::Acknowledged { message } => acknowledged.insert(*message),
            _ => continue,
        };
    }
    let mut lost = Vec::new();
    let mut subscriptions: Vec<(usize, &str)> = Vec::new();
    for operation in history {
        match operation {
            Operation::Subscribed { client, filter, qos } if *qos > QoS::AtMostOnce => {
                subscriptions.push((*client, filter));
            }
            Operation::Published { message, topic, .. } if acknowledged.contains(message) => {
                let (message, had) = (*message, &delivered);
                let missing = subscriptions.iter().filter(|(client, filter)| {
                    matches(filter, topic) && !had.contains(&(*client, message))
                });
                lost.extend(missing.map(|(client, filter)| Anomaly::Lost {
                    client: *client,
                    message,
                    filter: (*filter).to_owned(),
                }));
            }
            _ => {}
        }
    }
    lost
}

/// What was published and delivered with QoS 2, more than once.
fn twice(history: &[Operation]) -> Vec<Anomaly> {
    let mut times: BTreeMap<(usize, Message), usize> = BTreeMap::new();
    for operation in history {
        if let Operation::Delivered { client, message, qos: QoS::ExactlyOnce, .. } = operation {
            *times.entry((*client, *message)).or_default() += 1;
        }
    }
    let twice = times.into_iter().filter(|(_, times)| *times > 1);
    twice.map(|((client, message), times)| Anomaly::Twice { client, message, times }).collect()
}

/// What was delivered for the first time behind a later message of its publisher, topic and QoS.
///
/// Only for sessions that were subscribed before the message was first sent: what is sent again with
/// QoS 1 is new, and can come for the first time to those who have subscribed in between.
fn disordered(history: &[Operation]) -> Vec<Anomaly> {
    let mut published_with = BTreeMap::new();
    let mut subscriptions: Vec<(usize, &str)> = Vec::new();
    let mut seen = BTreeSet::new();
    let mut newest: BTreeMap<(usize, usize, &str, QoS), u64> = BTreeMap::new();
    let mut disordered = Vec::new();
    for operation in history {
        match operation {
            Operation::Subscribed { client, filter, .. } => subscriptions.push((*client, filter)),
            Operation::Published { message, topic, qos } => {
                let wanting = subscriptions.iter().filter(|(_, filter)| matches(filter, topic));
                let clients: BTreeSet<usize> = wanting.map(|(client, _)| *client).collect();
                published_with.insert(*message, (*qos, clients));
            }
            Operation::Delivered { client, message, topic, .. } => {
                let Some((qos, clients)) = published_with.get(message) else { continue };
                if !clients.contains(client) || !seen.insert((*client, *message)) {
                    continue;
                }
                let newest = newest.entry((*client, message.publisher, topic, *qos)).or_default();
                if message.number < *newest {
                    let (client, message, behind) = (*client, *message, *newest);
                    disordered.push(Anomaly::Disordered { client, message, behind });
                }
                *newest = message.number.max(*newest);
            }
            _ => {}
        }
    }
    disordered
}

/// What was published last to a topic, acknowledged, and is not what the topic retains.
fn not_kept(history: &[Operation]) -> Vec<Anomaly> {
    let mut published: BTreeMap<&str, Message> = BTreeMap::new();
    let mut kept: BTreeMap<&str, Message> = BTreeMap::new();
    let mut acknowledged = BTreeSet::new();
    for operation in history {
        match operation {
            Operation::Published { message, topic, .. } if topic.starts_with(KEPT) => {
                published.insert(topic, *message);
            }
            Operation::Retained { message, topic } => {
                kept.insert(topic, *message);
            }
            Operation::Acknowledged { message } => {
                acknowledged.insert(*message);
            }
            _ => {}
        }
    }
    let wrong = published.into_iter().filter(|(topic, message)| {
        acknowledged.contains(message) && kept.get(topic) != Some(message)
    });
    wrong
        .map(|(topic, message)| Anomaly::NotKept { message, kept: kept.get(topic).copied() })
        .collect()
}

/// Sessions that were not there when their clients came back.
fn forgotten(history: &[Operation]) -> Vec<Anomaly> {
    let mut known = BTreeSet::new();
    let mut forgotten = Vec::new();
    for operation in history {
        let Operation::Connected { client, session_present } = operation else { continue };
        if !known.insert(*client) && !session_present {
            forgotten.push(Anomaly::Forgotten { client: *client });
        }
    }
    forgotten
}

/// What came and was not published so, or not asked for, or not with this QoS.
fn unasked(history: &[Operation]) -> Vec<Anomaly> {
    let mut published: BTreeMap<Message, (&str, QoS)> = BTreeMap::new();
    let mut asked: Vec<(usize, &str, QoS)> = Vec::new();
    let mut unasked = Vec::new();
    for operation in history {
        match operation {
            Operation::Published { message, topic, qos } => {
                published.insert(*message, (topic, *qos));
            }
            Operation::Asked { client, filter, qos } => asked.push((*client, filter, *qos)),
            Operation::Violated { client, what } => {
                unasked.push(Anomaly::Violated { client: *client, what: what.clone() });
            }
            Operation::Delivered { client, message, topic, qos } => {
                let (client, message, qos) = (*client, *message, *qos);
                let sent = published.get(&message).filter(|(sent_to, _)| sent_to == topic);
                let wants = |(other, filter, _): &&(usize, &str, QoS)| {
                    *other == client && matches(filter, topic)
                };
                match (sent, asked.iter().find(wants)) {
                    (None, _) => unasked.push(Anomaly::Invented { client, message }),
                    (Some(_), None) => unasked.push(Anomaly::Unasked { client, message }),
                    (Some((_, sent)), Some((_, _, granted))) if qos != *sent.min(granted) => {
                        unasked.push(Anomaly::WrongQoS { client, message, qos });
                    }
                    _ => {}
                }
            }
            _ => {}
        }
    }
    unasked
}

/// Whether a topic is one that the filter means (4.7.1), for the topics of these tests.
pub(super) fn matches(filter: &str, topic: &str) -> bool {
    let (mut filter, mut topic) = (filter.split('/'), topic.split('/'));
    loop {
        match (filter.next(), topic.next()) {
            (None, None) | (Some("#"), _) => return true,
            (Some("+"), Some(_)) => {}
            (Some(wanted), Some(level)) if wanted == level => {}
            _ => return false,
        }
    }
}
