//! The thread of the bridges: all of them on one reactor, and what they are told.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::{Duration, Instant};

use skein_client::reactor::{Happening, MemberId, Reactor};
use skein_client::session::Subscribe;
use skein_client::{ReasonCode, Result, RetainHandling, SubscriptionOptions};

use super::inside::Inside;
use super::plan::{Plan, Planned, Remote};
use super::relay::{Relay, STATES};
use super::{Command, DRAIN};
use crate::config::{Bridge, BridgeTopic};
use crate::server::Handle;
use crate::server::acceptor::Request;
use crate::server::login_workers::random;

/// How often a bridge that ends is looked after.
const LEAVING_STEP: Duration = Duration::from_millis(10);

/// All bridges.
pub(super) struct World {
    reactor: Reactor,
    handle: Handle,
    /// What this broker calls itself towards others.
    own: Arc<str>,
    relays: BTreeMap<Box<str>, Relay>,
    /// Those that start when others have ended.
    next: Vec<Next>,
    owners: BTreeMap<MemberId, Box<str>>,
    is_ending: bool,
}

/// A bridge that waits for its name, or its sessions.
struct Next {
    plan: Planned,
    /// The one that had its sessions, if that has ended.
    before: Option<Bridge>,
}

impl World {
    pub(super) fn new(reactor: Reactor, handle: Handle) -> Self {
        let [high, low]: [[u8; 8]; 2] = [random(), random()];
        let own = format!("{:016x}{:016x}", u64::from_ne_bytes(high), u64::from_ne_bytes(low));
        let (relays, owners) = (BTreeMap::new(), BTreeMap::new());
        let next = Vec::new();
        Self { reactor, handle, own: own.into(), relays, next, owners, is_ending: false }
    }

    /// Runs until it is told to end, or nobody can tell it anything any more.
    pub(super) fn run(mut self, commands: &Receiver<Command>) {
        let mut inbox: Vec<(MemberId, Happening)> = Vec::new();
        loop {
            loop {
                match commands.try_recv() {
                    Ok(Command::Apply(plans)) => self.apply(plans),
                    Ok(Command::Drain) => self.drain(),
                    Err(TryRecvError::Empty) => break,
                    Err(TryRecvError::Disconnected) => return,
                }
            }
            let mut keep = |seat: &mut skein_client::reactor::Seat<'_>, happening| {
                inbox.push((seat.id(), happening));
            };
            if let Err(error) = self.reactor.turn(self.timeout(), &mut keep) {
                tracing::error!("the bridges have ended: {error}; restart the broker");
                return;
            }
            for (id, happening) in inbox.drain(..) {
                let relay = self.owners.get(&id).and_then(|name| self.relays.get_mut(name));
                if let Some(relay) = relay {
                    relay.on(id, happening, &mut self.reactor);
                }
            }
            self.step();
            if self.is_ending && self.relays.is_empty() {
                self.handle.request(Request::BridgesEnded);
                return;
            }
        }
    }

    fn apply(&mut self, plans: Vec<Plan>) {
        if self.is_ending {
            return;
        }
        for name in self.relays.keys() {
            if plans.iter().all(|Plan(plan)| plan.bridge.name != *name) {
                tracing::info!("bridge {name}: removed");
            }
        }
        let mut stays = BTreeSet::new();
        let mut before = std::mem::take(&mut self.next);
        for Plan(plan) in plans {
            match self.relays.get(&plan.bridge.name) {
                Some(relay) if relay.leaving.is_none() && relay.plan.is_same(&plan) => {
                    relay.dialer.renew(&plan);
                    stays.insert(plan.bridge.name);
                    continue;
                }
                Some(_) => tracing::info!("bridge {}: changed", plan.bridge.name),
                None => {}
            }
            let heir = before.iter_mut().find(|next| next.plan.client_id == plan.client_id);
            let before = heir.and_then(|next| next.before.take());
            self.next.push(Next { plan, before });
        }
        let until = Instant::now() + DRAIN;
        for (name, relay) in &mut self.relays {
            if !stays.contains(name) {
                // Whoever has the client identifier has the sessions.
                let mut heirs = self.next.iter();
                let is_last = heirs.all(|next| next.plan.client_id != relay.plan.client_id);
                relay.leave(until, is_last);
            }
        }
        self.start_next();
    }

    fn drain(&mut self) {
        self.is_ending = true;
        self.next.clear();
        let until = Instant::now() + DRAIN;
        for relay in self.relays.values_mut() {
            if relay.leaving.is_none() {
                relay.leave(until, false);
            }
        }
    }

    /// Looks after each bridge; starts what follows those that have ended.
    fn step(&mut self) {
        let now = Instant::now();
        let mut ended = Vec::new();
        for (name, relay) in &mut self.relays {
            if relay.step(now, &mut self.reactor) {
                ended.push(name.clone());
            }
        }
        if ended.is_empty() {
            return;
        }
        for name in ended {
            self.owners.retain(|_, owner| *owner != name);
            let Some(relay) = self.relays.remove(&name) else { continue };
            let mut heirs = self.next.iter_mut();
            if let Some(heir) = heirs.find(|next| next.plan.client_id == relay.plan.client_id) {
                heir.before = Some(relay.plan.bridge);
            }
        }
        self.start_next();
    }

    /// Starts the bridges whose name and whose sessions no other one has.
    fn start_next(&mut self) {
        for next in std::mem::take(&mut self.next) {
            let is_free = |relay: &Relay| {
                relay.plan.bridge.name != next.plan.bridge.name
                    && relay.plan.client_id != next.plan.client_id
            };
            if self.relays.values().all(is_free) {
                self.start(next.plan, next.before.as_ref());
            } else {
                self.next.push(next);
            }
        }
    }

    fn start(&mut self, plan: Planned, before: Option<&Bridge>) {
        let name = plan.bridge.name.clone();
        match self.add(plan, before) {
            Ok(relay) => drop(self.relays.insert(name, relay)),
            Err(error) => tracing::error!("bridge {name}: it cannot start: {error}"),
        }
    }

    fn add(&mut self, plan: Planned, before: Option<&Bridge>) -> Result<Relay> {
        let name = plan.bridge.name.clone();
        let handle = self.handle.clone();
        let inside = Inside { handle, name: format!("bridge {name}").into() };
        let dialer = Arc::new(Remote::new(&plan));
        let local = self.reactor.add_with_dialer(plan.local_options(), Arc::new(inside))?;
        let remote =
            self.reactor.add_with_dialer(plan.remote_options(), Arc::<Remote>::clone(&dialer));
        let remote = remote.inspect_err(|_| self.take_back(&[local]))?;
        let subscribed = self.subscribe_both(&plan.bridge, [local, remote], before);
        subscribed.inspect_err(|_| self.take_back(&[local, remote]))?;
        for id in [local, remote] {
            self.owners.insert(id, name.clone());
        }
        Ok(Relay::new(plan, dialer, [local, remote], Arc::clone(&self.own)))
    }

    /// Ends clients of a bridge that cannot start: nobody would.
    fn take_back(&mut self, ids: &[MemberId]) {
        for id in ids {
            if let Some(mut seat) = self.reactor.seat(*id) {
                seat.disconnect(ReasonCode::Success);
            }
        }
    }

    /// Has both clients ask for what the bridge carries.
    fn subscribe_both(
        &mut self,
        bridge: &Bridge,
        [local, remote]: [MemberId; 2],
        before: Option<&Bridge>,
    ) -> Result<()> {
        let outward = |bridge: &Bridge| {
            filters(bridge, |topic| topic.direction.is_out().then(|| topic.local_filter()))
        };
        let inward = |bridge: &Bridge| {
            filters(bridge, |topic| topic.direction.is_in().then(|| topic.remote_filter()))
        };
        self.subscribe(local, bridge, outward(bridge), before.map(outward))?;
        let mut wanted = inward(bridge);
        // It says what the other broker is called.
        wanted.entry(format!("{STATES}+/state")).or_default();
        self.subscribe(remote, bridge, wanted, before.map(inward))
    }

    /// Has a client ask for these filters, and no longer for those that there were before.
    fn subscribe(
        &mut self,
        id: MemberId,
        bridge: &Bridge,
        filters: BTreeMap<String, SubscriptionOptions>,
        before: Option<BTreeMap<String, SubscriptionOptions>>,
    ) -> Result<()> {
        let Some(mut seat) = self.reactor.seat(id) else { return Ok(()) };
        let gone = before.unwrap_or_default().into_keys();
        let gone: Vec<Arc<str>> =
            gone.filter(|filter| !filters.contains_key(filter)).map(Into::into).collect();
        if !gone.is_empty() {
            seat.unsubscribe(gone)?;
        }
        for (filter, options) in filters {
            let options = SubscriptionOptions { no_local: bridge.private, ..options };
            seat.subscribe(Subscribe::new(filter, options))?;
        }
        Ok(())
    }

    fn timeout(&self) -> Option<Duration> {
        let now = Instant::now();
        let mut relays = self.relays.values();
        if self.is_ending || relays.any(|relay| relay.leaving.is_some()) {
            return Some(LEAVING_STEP);
        }
        self.relays.values().filter_map(|relay| relay.next_step(now)).min()
    }
}

/// The filters of a bridge on one side, each once, with the highest QoS it is named with.
fn filters(
    bridge: &Bridge,
    of: impl Fn(&BridgeTopic) -> Option<String>,
) -> BTreeMap<String, SubscriptionOptions> {
    let mut filters: BTreeMap<String, SubscriptionOptions> = BTreeMap::new();
    for topic in &bridge.topics {
        let Some(filter) = of(topic) else { continue };
        let options = filters.entry(filter).or_default();
        options.qos = options.qos.max(topic.qos);
        options.retain_as_published = true;
        // Those that were there when the bridge was away have been kept for it.
        options.retain_handling = RetainHandling::SendIfNew;
    }
    filters
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use skein_client::transport::Dial;

    use super::*;
    use crate::server::bridge::plan::plan_all;

    /// Its two clients would go on without anybody who knows of them, and take the sessions of the
    /// bridge that comes when the mistake is mended.
    #[test]
    fn a_bridge_that_cannot_start_leaves_nothing_behind() {
        let good = Bridge {
            name: "b".into(),
            addresses: vec!["mqtt://127.0.0.1:1".into()],
            topics: vec![BridgeTopic { filter: "a".into(), ..BridgeTopic::default() }],
            ..Bridge::default()
        };
        let share = BridgeTopic { filter: "$share/g/a".into(), ..BridgeTopic::default() };
        let no_second = Bridge { status_topic: "#".into(), ..good.clone() };
        let no_subscription = Bridge { topics: vec![share], ..good.clone() };
        for (bridge, members) in [(good, 2), (no_second, 0), (no_subscription, 0)] {
            let reactor = Reactor::with_dialer(Dial::default(), 1).expect("a thread");
            let (sender, _inbox) = mpsc::channel();
            let waker = reactor.waker();
            let mut world = World::new(reactor, Handle { sender, waker });
            let Plan(plan) = plan_all(&[bridge]).expect("a good plan").remove(0);
            world.start(plan, None);
            world.reactor.turn(Some(Duration::ZERO), &mut |_, _| {}).expect("a turn");
            assert_eq!((world.reactor.len(), world.owners.len()), (members, members));
            assert_eq!(world.relays.len(), members / 2);
        }
    }
}
