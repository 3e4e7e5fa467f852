//! The sender's half of the QoS handshakes beside a plain list of exchanges.

use proptest::collection::vec;
use proptest::prelude::*;
use skein_protocol::qos::{AckError, PacketId, QoS, Received, Resend, Sender};

fn qos() -> impl Strategy<Value = QoS> {
    prop_oneof![Just(QoS::AtLeastOnce), Just(QoS::ExactlyOnce)]
}

/// Most runs begin at id 1, some so near the last id that they go round.
fn start() -> impl Strategy<Value = usize> {
    prop_oneof![3 => Just(0_usize), 1 => 65_500..65_536_usize]
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Begin(u16),
    Send(QoS),
    Resend,
    /// Acknowledgements name one of the last ids, in use or not.
    PubAck(usize),
    PubRec(usize, bool),
    PubComp(usize),
    Reserve,
    Release(usize),
    Drain(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let recent = 0..12_usize;
    prop_oneof![
        1 => (1..7_u16).prop_map(Step::Begin),
        8 => qos().prop_map(Step::Send),
        4 => Just(Step::Resend),
        4 => recent.clone().prop_map(Step::PubAck),
        4 => (recent.clone(), prop::bool::weighted(0.2)).prop_map(|(at, no)| Step::PubRec(at, no)),
        4 => recent.clone().prop_map(Step::PubComp),
        1 => Just(Step::Reserve),
        1 => recent.prop_map(Step::Release),
        1 => (0..4_usize).prop_map(Step::Drain),
    ]
}

#[derive(Debug)]
struct Exchange {
    id: PacketId,
    qos: QoS,
    value: u32,
    released: bool,
    counted: bool,
    to_resend: bool,
}

/// Everything a sender knows, in one list that is searched from the front.
#[derive(Default)]
struct Model {
    exchanges: Vec<Exchange>,
    reserved: Vec<PacketId>,
    /// Counted PUBLISH that were drained: still not acknowledged.
    drained: usize,
    receive_maximum: usize,
}

impl Model {
    fn counted(&self) -> usize {
        self.exchanges.iter().filter(|exchange| exchange.counted).count() + self.drained
    }

    fn quota(&self) -> usize {
        if self.exchanges.iter().any(|exchange| exchange.to_resend) {
            return 0;
        }
        self.receive_maximum - self.counted()
    }

    fn is_used(&self, id: PacketId) -> bool {
        self.exchanges.iter().any(|exchange| exchange.id == id) || self.reserved.contains(&id)
    }

    fn begin(&mut self, receive_maximum: u16) {
        self.receive_maximum = usize::from(receive_maximum);
        self.reserved.clear();
        self.drained = 0;
        for exchange in &mut self.exchanges {
            exchange.counted = false;
            exchange.to_resend = true;
        }
    }

    fn resend(&mut self) -> Option<(PacketId, Option<u32>)> {
        let quota_left = self.receive_maximum - self.counted();
        let exchange = self.exchanges.iter_mut().find(|exchange| exchange.to_resend)?;
        if !exchange.released {
            if quota_left == 0 {
                return None;
            }
            exchange.counted = true;
        }
        exchange.to_resend = false;
        Some((exchange.id, (!exchange.released).then_some(exchange.value)))
    }

    /// Ends the exchange if it is in the given state.
    fn end(&mut self, id: PacketId, qos: QoS, released: bool) -> Result<u32, AckError> {
        let at = self.exchanges.iter().position(|exchange| exchange.id == id);
        let at = at.ok_or(AckError::Unknown)?;
        if self.exchanges[at].qos != qos || self.exchanges[at].released != released {
            return Err(AckError::Mismatched);
        }
        Ok(self.exchanges.remove(at).value)
    }

    fn on_pubrec(&mut self, id: PacketId, refused: bool) -> Result<Received<u32>, AckError> {
        if refused && self.exchanges.iter().all(|e| e.id != id || !e.released) {
            return self.end(id, QoS::ExactlyOnce, false).map(Received::Refused);
        }
        let exchange = self.exchanges.iter_mut().find(|exchange| exchange.id == id);
        let exchange = exchange.ok_or(AckError::Unknown)?;
        if exchange.qos != QoS::ExactlyOnce {
            return Err(AckError::Mismatched);
        }
        if std::mem::replace(&mut exchange.released, true) {
            return Ok(Received::Again);
        }
        Ok(Received::Release(exchange.value))
    }

    fn drain(&mut self) -> Vec<(QoS, u32)> {
        self.drained = self.counted();
        let unowned = self.exchanges.drain(..).filter(|exchange| !exchange.released);
        unowned.map(|exchange| (exchange.qos, exchange.value)).collect()
    }
}

/// Both, and the last ids they gave out.
struct Pair {
    sender: Sender<u32>,
    model: Model,
    recent: Vec<PacketId>,
}

impl Pair {
    /// The next id will be `start + 1`.
    fn new(start: usize) -> Self {
        let mut sender = Sender::new();
        for _ in 0..start {
            let id = sender.reserve().expect("none is in use");
            assert!(sender.release(id));
        }
        let recent = vec![PacketId::new(7).expect("not 0")];
        Self { sender, model: Model::default(), recent }
    }

    fn recent(&self, back: usize) -> PacketId {
        self.recent[self.recent.len() - 1 - back % self.recent.len()]
    }

    fn apply(&mut self, step: Step, value: u32) {
        let Self { sender, model, .. } = self;
        match step {
            Step::Begin(receive_maximum) => {
                sender.begin_connection(receive_maximum);
                model.begin(receive_maximum);
            }
            Step::Send(qos) => self.send(qos, value),
            Step::Resend => {
                let resent = sender.next_resend().map(|resend| match resend {
                    Resend::Publish(id, value) => (id, Some(*value)),
                    Resend::PubRel(id) => (id, None),
                });
                assert_eq!(resent, model.resend());
            }
            Step::Reserve => {
                let id = sender.reserve().expect("few ids are in use");
                assert!(!model.is_used(id));
                model.reserved.push(id);
                self.recent.push(id);
            }
            Step::Drain(taken) => {
                let drained: Vec<_> = sender.drain().take(taken).collect();
                assert!(model.drain().starts_with(&drained));
            }
            Step::PubAck(_) | Step::PubRec(..) | Step::PubComp(_) | Step::Release(_) => {
                self.acknowledge(step);
            }
        }
    }

    fn send(&mut self, qos: QoS, value: u32) {
        match self.sender.send(qos, value) {
            Ok(id) => {
                assert!(!self.model.is_used(id) && self.model.quota() > 0);
                let (released, counted, to_resend) = (false, true, false);
                let fresh = Exchange { id, qos, value, released, counted, to_resend };
                self.model.exchanges.push(fresh);
                self.recent.push(id);
            }
            Err(back) => assert_eq!((back, self.model.quota()), (value, 0)),
        }
    }

    fn acknowledge(&mut self, step: Step) {
        let (Step::PubAck(back)
        | Step::PubRec(back, _)
        | Step::PubComp(back)
        | Step::Release(back)) = step
        else {
            return;
        };
        let id = self.recent(back);
        let Self { sender, model, .. } = self;
        match step {
            Step::PubAck(_) => {
                assert_eq!(sender.on_puback(id), model.end(id, QoS::AtLeastOnce, false));
            }
            Step::PubRec(_, refused) => {
                assert_eq!(sender.on_pubrec(id, refused), model.on_pubrec(id, refused));
            }
            Step::PubComp(_) => {
                let ended = model.end(id, QoS::ExactlyOnce, true).map(drop);
                assert_eq!(sender.on_pubcomp(id), ended);
            }
            _ => {
                let reserved = model.reserved.iter().position(|reserved| *reserved == id);
                assert_eq!(sender.release(id), reserved.is_some());
                reserved.map(|at| model.reserved.remove(at));
            }
        }
    }

    fn compare(&self) {
        let Self { sender, model, .. } = self;
        let unowned = model.exchanges.iter().filter(|exchange| !exchange.released);
        let unowned = unowned.map(|exchange| (exchange.id, exchange.value));
        assert!(sender.values().map(|(id, value)| (id, *value)).eq(unowned));
        assert_eq!(sender.quota(), model.quota());
        assert!(model.counted() <= model.receive_maximum);
        assert_eq!(sender.in_flight(), model.exchanges.len());
        assert_eq!(sender.is_empty(), model.exchanges.is_empty());
    }
}

proptest! {
    /// [MQTT-2.2.1-3], [MQTT-2.2.1-4], [MQTT-4.4.0-1], [MQTT-4.9.0-2]
    #[test]
    fn the_sender_does_what_a_plain_list_does(start in start(), steps in vec(step(), 1..200)) {
        let mut pair = Pair::new(start);
        for (value, step) in (0..).zip(steps) {
            pair.apply(step, value);
            pair.compare();
        }
        assert_eq!(pair.sender.drain().collect::<Vec<_>>(), pair.model.drain());
    }
}
