//! Sender and receiver joined by a link that loses everything on its way whenever it is cut.

use std::collections::VecDeque;

use proptest::collection::vec;
use proptest::prelude::*;
use skein_protocol::qos::{Arrival, PacketId, QoS, Received, Receiver, Resend, Sender};

fn qos() -> impl Strategy<Value = QoS> {
    prop_oneof![Just(QoS::AtLeastOnce), Just(QoS::ExactlyOnce)]
}

/// Most runs begin at id 1, some so near the last id that they go round.
fn start() -> impl Strategy<Value = usize> {
    prop_oneof![3 => Just(0_usize), 1 => 65_500..65_536_usize]
}

#[derive(Clone, Debug)]
enum LinkStep {
    Send(QoS),
    /// One packet reaches the receiver.
    Forward,
    /// One packet reaches the sender.
    Back,
    /// What is on its way is lost; a new connection with this Receive Maximum.
    Cut(u16),
}

fn link_step() -> impl Strategy<Value = LinkStep> {
    prop_oneof![
        6 => qos().prop_map(LinkStep::Send),
        6 => Just(LinkStep::Forward),
        6 => Just(LinkStep::Back),
        1 => (1..5_u16).prop_map(LinkStep::Cut),
    ]
}

#[derive(Debug)]
enum There {
    Publish(QoS, PacketId, u32),
    PubRel(PacketId),
}

#[derive(Debug)]
enum Back {
    Acknowledged(PacketId),
    Received(PacketId, bool),
    Complete(PacketId),
}

/// The receiver refuses every seventh message of QoS 2.
fn is_refused(qos: QoS, value: u32) -> bool {
    qos == QoS::ExactlyOnce && value.is_multiple_of(7)
}

#[derive(Default)]
struct Link {
    sender: Sender<(QoS, u32)>,
    receiver: Receiver,
    there: VecDeque<There>,
    back: VecDeque<Back>,
    accepted: Vec<(QoS, u32)>,
    delivered: Vec<u32>,
}

impl Link {
    fn begin(&mut self, receive_maximum: u16) {
        self.there.clear();
        self.back.clear();
        self.sender.begin_connection(receive_maximum);
        self.receiver.begin_connection(receive_maximum);
        self.resend();
    }

    fn resend(&mut self) {
        while let Some(resend) = self.sender.next_resend() {
            self.there.push_back(match resend {
                Resend::Publish(id, &(qos, value)) => There::Publish(qos, id, value),
                Resend::PubRel(id) => There::PubRel(id),
            });
        }
    }

    fn send(&mut self, qos: QoS, value: u32) {
        if let Ok(id) = self.sender.send(qos, (qos, value)) {
            self.accepted.push((qos, value));
            self.there.push_back(There::Publish(qos, id, value));
        }
    }

    fn forward(&mut self) -> bool {
        let Some(packet) = self.there.pop_front() else { return false };
        self.back.push_back(match packet {
            There::Publish(qos, id, value) => {
                let arrival = self.receiver.on_publish(qos, id).expect("the sender is correct");
                let refused = is_refused(qos, value);
                if arrival == Arrival::New && !refused {
                    self.delivered.push(value);
                }
                if refused || qos == QoS::AtLeastOnce {
                    self.receiver.acknowledged(id);
                }
                match qos {
                    QoS::ExactlyOnce => Back::Received(id, refused),
                    _ => Back::Acknowledged(id),
                }
            }
            There::PubRel(id) => {
                self.receiver.on_pubrel(id);
                Back::Complete(id)
            }
        });
        true
    }

    fn back(&mut self) -> bool {
        let Some(packet) = self.back.pop_front() else { return false };
        match packet {
            Back::Acknowledged(id) => drop(self.sender.on_puback(id).expect("a PUBLISH was sent")),
            Back::Complete(id) => self.sender.on_pubcomp(id).expect("a PUBREL was sent"),
            Back::Received(id, refused) => {
                match self.sender.on_pubrec(id, refused).expect("a PUBLISH was sent") {
                    Received::Refused((qos, value)) => assert!(is_refused(qos, value)),
                    Received::Release(_) | Received::Again => {
                        self.there.push_back(There::PubRel(id));
                    }
                }
            }
        }
        self.resend();
        true
    }
}

fn run_link(start: usize, steps: Vec<LinkStep>) -> Result<(), TestCaseError> {
    let mut link = Link::default();
    for _ in 0..start {
        let id = link.sender.reserve().expect("none is in use");
        link.sender.release(id);
    }
    link.begin(3);
    for (value, step) in (0..).zip(steps) {
        match step {
            LinkStep::Send(qos) => link.send(qos, value),
            LinkStep::Forward => drop(link.forward()),
            LinkStep::Back => drop(link.back()),
            LinkStep::Cut(receive_maximum) => link.begin(receive_maximum),
        }
    }
    while link.forward() || link.back() {}

    prop_assert!(link.sender.is_empty());
    prop_assert_eq!(link.receiver.held(), 0);
    let times = |value| link.delivered.iter().filter(|delivered| **delivered == value).count();
    for &(qos, value) in &link.accepted {
        match qos {
            _ if is_refused(qos, value) => prop_assert_eq!(times(value), 0),
            QoS::ExactlyOnce => prop_assert_eq!(times(value), 1),
            _ => prop_assert!(times(value) >= 1),
        }
    }
    let mut seen = Vec::new();
    for value in link.delivered {
        if !seen.contains(&value) {
            seen.push(value);
        }
    }
    prop_assert!(seen.is_sorted(), "first deliveries in the order of sending: {:?}", seen);
    Ok(())
}

proptest! {
    /// [MQTT-4.3.2-5], [MQTT-4.3.3-10], [MQTT-4.6.0-1]
    #[test]
    fn qos_2_arrives_once_and_qos_1_at_least_once_across_cuts(
        start in start(),
        steps in vec(link_step(), 1..300),
    ) {
        run_link(start, steps)?;
    }
}
