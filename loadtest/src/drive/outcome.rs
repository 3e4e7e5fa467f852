//! From what the threads of a run have left to its report.

use std::time::Duration;

use hdrhistogram::Histogram;

use super::{
    plan::{Pace, Plan, Stop},
    series::Series,
    spans::Spans,
    watch::Watch,
    worker::Harvest,
};
use crate::{
    measure::{Interval, Loads, ProcessSample, ThreadSample},
    report::{
        Generator, GeneratorThread, Mode, Report, Scenario, Surge, SurgeLine, Traffic,
        Verification,
        latency::{Clock, Latency},
    },
    verify::{Tally, Unit},
};

const NANOSECONDS_PER_SECOND: u64 = 1_000_000_000;

/// The measured window on the clock of the run, and what was counted in it.
#[derive(Clone, Copy, Debug)]
struct Measured {
    from_ns: u64,
    until_ns: u64,
    published: u64,
    delivered: u64,
    acknowledged: u64,
}

/// What a run showed.
pub(super) fn report(plan: &Plan, harvests: Vec<Harvest>, series: Series, watch: &Watch) -> Report {
    let measured = Measured::new(plan, &harvests, watch);
    let verification = vec![verification(plan, &harvests)];
    let lost: u64 = harvests.iter().map(|harvest| harvest.lost).sum();
    let refused: u64 = harvests.iter().map(|harvest| harvest.refused).sum();
    let generator = generator(&harvests, watch, &measured);
    let held_back = harvests.iter().map(|harvest| harvest.held_back);
    let held_back = held_back.fold((0, 0), |sum, next| (sum.0 + next.0, sum.1 + next.1));
    let surge = surge(plan, &harvests, watch, &measured);
    let (latencies, series) = times(plan, harvests, series, watch, &measured);
    let window = Duration::from_nanos(measured.until_ns - measured.from_ns);
    let payload = plan.payloads.length() as f64;
    let verdict = loads(plan, watch, window, &generator, &latencies).verdict();
    Report {
        started_unix_ms: watch.started_unix_ms,
        scenario: scenario(plan),
        traffic: Traffic {
            acknowledged: measured.acknowledged,
            connections_lost: lost,
            ..Traffic::new(measured.published, measured.delivered, window, payload)
        },
        verification,
        latencies,
        series,
        broker: watch.broker(measured.delivered),
        generator,
        verdict,
        surge,
        notes: notes(plan, lost, refused, held_back),
        ..Report::default()
    }
}

impl Measured {
    fn new(plan: &Plan, harvests: &[Harvest], watch: &Watch) -> Self {
        let recorders = || harvests.iter().map(|harvest| &harvest.recorder);
        match (plan.stop, &watch.end) {
            (Stop::After { .. } | Stop::Surge { .. }, Some(end)) => Self {
                from_ns: watch.begin.at_ns,
                until_ns: end.at_ns,
                published: end.published - watch.begin.published,
                delivered: end.delivered - watch.begin.delivered,
                acknowledged: end.acknowledged - watch.begin.acknowledged,
            },
            _ => {
                let from_ns = recorders().filter_map(|recorder| recorder.first_publish_ns).min();
                let from_ns = from_ns.unwrap_or(watch.begin.at_ns);
                let until_ns = recorders().map(|recorder| recorder.last_delivery_ns).max();
                Self {
                    from_ns,
                    until_ns: until_ns.unwrap_or(from_ns).max(from_ns),
                    published: recorders().map(|recorder| recorder.published).sum(),
                    delivered: recorders().map(|recorder| recorder.delivered).sum(),
                    acknowledged: recorders().map(|recorder| recorder.acknowledged).sum(),
                }
            }
        }
    }
}

/// What came of the promises, over all subscribers.
fn verification(plan: &Plan, harvests: &[Harvest]) -> Verification {
    let topology = &plan.topology;
    let mut published = vec![0; topology.streams.len()];
    for (stream, sent) in harvests.iter().flat_map(|harvest| &harvest.published) {
        published[*stream as usize] = *sent;
    }
    let mut total = Tally::default();
    for (unit, group) in topology.units.iter().enumerate() {
        let streams = &topology.groups[*group].streams;
        let sent = &published[streams.start as usize..streams.end as usize];
        if let Some(unit) = unit_of(harvests, unit) {
            total.add(&unit.finish(sent));
        }
    }
    total.judge(plan.load.delivery_qos() as u8, topology.is_shared())
}

/// The lines of SurgeMQ's benchmark of 2014: the fans divide both counts by the longest time of a
/// publisher, the mesh the receipts by the longest time of a subscriber.
fn surge(plan: &Plan, harvests: &[Harvest], watch: &Watch, measured: &Measured) -> Option<Surge> {
    let Stop::Surge { .. } = plan.stop else { return None };
    let spans = harvests.iter().map(|harvest| harvest.spans);
    let spans = spans.fold(Spans::default(), Spans::max);
    let published = Duration::from_nanos(spans.published_ns);
    let delivered = Duration::from_nanos(spans.delivered_ns);
    let received = if plan.load.shape().mesh { delivered } else { published };
    Some(Surge {
        sent: SurgeLine::new(measured.published, published),
        received: SurgeLine::new(measured.delivered, received),
        cut_off: watch.cut_off.clone(),
    })
}

/// Units are dealt out to the workers in turn.
fn unit_of(harvests: &[Harvest], unit: usize) -> Option<&Unit> {
    harvests.get(unit % harvests.len())?.units.get(unit / harvests.len())
}

fn times(
    plan: &Plan,
    harvests: Vec<Harvest>,
    mut series: Series,
    watch: &Watch,
    measured: &Measured,
) -> (Vec<Latency>, Vec<crate::report::Second>) {
    let mut clocks: Vec<(Clock, Histogram<u64>)> = Vec::new();
    for harvest in harvests {
        let (times, last): (_, Interval) = harvest.recorder.finish();
        series.add(&last);
        for (clock, times) in times {
            match clocks.iter_mut().find(|(known, _)| *known == clock) {
                Some((_, known)) => known.add(&times).expect("both have the same bounds"),
                None => clocks.push((clock, times)),
            }
        }
    }
    let first = measured.from_ns / NANOSECONDS_PER_SECOND;
    let (deliveries, mut seconds) =
        series.finish(first, measured.until_ns / NANOSECONDS_PER_SECOND);
    clocks.push((plan.delivery_clock(), deliveries));
    clocks.retain(|(_, times)| !times.is_empty());
    clocks.sort_by_key(|(clock, _)| *clock);
    watch.add_broker(first, &mut seconds);
    (clocks.iter().map(|(clock, times)| Latency::new(*clock, times)).collect(), seconds)
}

fn generator(harvests: &[Harvest], watch: &Watch, measured: &Measured) -> Generator {
    let used = watch.own_used();
    let (user_ns, system_ns) = used.cpu_ns();
    let messages = (measured.published + measured.delivered).max(1);
    let threads = harvests.iter().enumerate().map(|(number, harvest)| {
        let name = format!("load-{number}");
        let thread = used.threads.iter().find(|thread| thread.name == name);
        GeneratorThread {
            cpu_s: thread.map_or(0, |thread| thread.cpu_ns) as f64 / 1e9,
            name,
            turn_max_us: harvest.recorder.turn_max_ns as f64 / 1e3,
            blocked_s: harvest.blocked_ns as f64 / 1e9,
        }
    });
    Generator {
        cpu_user_s: user_ns as f64 / 1e9,
        cpu_system_s: system_ns as f64 / 1e9,
        ns_per_message: (user_ns + system_ns) as f64 / messages as f64,
        threads: threads.collect(),
    }
}

/// Who worked how much.
fn loads(
    plan: &Plan,
    watch: &Watch,
    window: Duration,
    generator: &Generator,
    latencies: &[Latency],
) -> Loads {
    let window_ns = (window.as_nanos() as f64).max(1.0);
    let busiest = |sample: &ProcessSample, is_meant: &dyn Fn(&ThreadSample) -> bool| {
        let threads = sample.threads.iter().filter(|thread| is_meant(thread));
        let busy = threads.map(|thread| thread.cpu_ns + thread.waiting_ns);
        busy.max().unwrap_or(0) as f64 / window_ns
    };
    let broker = watch.broker_used();
    let own_threads =
        |thread: &ThreadSample| generator.threads.iter().any(|known| known.name == thread.name);
    let blocked_s: f64 = generator.threads.iter().map(|thread| thread.blocked_s).sum();
    let publishers = plan.load.shape().publishers as f64;
    let find = |clock| latencies.iter().find(|latency| latency.clock == clock);
    let lag = find(Clock::ScheduleLag).zip(find(Clock::Delivery));
    Loads {
        broker_thread: broker.as_ref().map(|broker| busiest(broker, &|_| true)),
        broker_cores: broker.as_ref().map(|broker| {
            let (user_ns, system_ns) = broker.cpu_ns();
            (user_ns + system_ns) as f64 / window_ns
        }),
        broker_cores_max: watch.broker_cores(),
        own_thread: busiest(&watch.own_used(), &own_threads),
        blocked: blocked_s * 1e9 / window_ns / publishers,
        lag: lag.map(|(lag, delivery)| (lag.p99_us, delivery.p50_us)),
    }
}

fn scenario(plan: &Plan) -> Scenario {
    let (load, shape) = (&plan.load, plan.load.shape());
    let messages = match plan.stop {
        Stop::Messages(messages) | Stop::Surge { messages } => {
            Some(messages * shape.publishers as u64)
        }
        Stop::After { .. } => None,
    };
    let warm_up = match plan.stop {
        Stop::Messages(_) | Stop::Surge { .. } => Duration::ZERO,
        Stop::After { warm_up, .. } => warm_up,
    };
    let (mode, window, offered_per_s, arrivals) = match plan.pace {
        Pace::Flood { window, .. } => {
            (Mode::Flood, (window < u64::MAX).then_some(window), None, None)
        }
        Pace::Rate { per_s, arrivals, .. } => {
            (Mode::Rate, None, Some(per_s), Some(arrivals.to_string()))
        }
    };
    Scenario {
        mode,
        shape: shape.to_string(),
        publishers: shape.publishers as u64,
        subscribers: shape.subscribers as u64,
        topics: shape.topics as u64,
        publish_qos: load.publish_qos() as u8,
        subscribe_qos: load.subscribe_qos() as u8,
        session_expiry_s: load.session_expiry,
        version: load.target.version.to_string(),
        transport: load.target.transport_name(),
        payload_bytes: load.payload() as u64,
        messages,
        window,
        offered_per_s,
        arrivals,
        inflight: (load.publish_qos() as u8 > 0).then(|| u64::from(load.inflight)),
        warm_up_s: warm_up.as_secs_f64(),
        connect_per_s: load.target.connect_rate.map(f64::from),
        ..Scenario::default()
    }
}

fn notes(plan: &Plan, lost: u64, refused: u64, held_back: (u64, u64)) -> Vec<String> {
    let mut notes = Vec::new();
    if lost > 0 {
        notes.push(format!("{lost} connections were lost during the run."));
    }
    if refused > 0 {
        notes.push(format!("The broker refused {refused} messages in their acknowledgements."));
    }
    if let (1.., _) = held_back {
        notes.push(format!(
            "{} messages were due and waited for acknowledgements or for the socket; their latency \
             counts from when they were due, the schedule lag leaves them out.",
            held_back.0
        ));
    }
    if let (_, 1..) = held_back {
        notes.push(format!(
            "{} messages were due and were never sent: the latencies leave out the longest.",
            held_back.1
        ));
    }
    if !plan.payloads.has_times() {
        notes.push(
            "Payloads below 32 bytes carry publisher and sequence only: latency was not measured, \
             and messages of another run would not be recognised."
                .to_owned(),
        );
    }
    notes
}
