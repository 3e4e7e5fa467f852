//! Memory of connections that do nothing.

use std::{io, time::Duration};

use clap::Args;
use skein_protocol::QoS;

use super::{
    add_times,
    options::{Common, Many},
    show,
};
use crate::{
    crowd::{Arrivals, Crowd},
    measure::Process,
    report,
};

/// Connections that do nothing.
///
/// They are opened, then each subscribes to a topic of its own. The broker's resident memory is
/// read before, between and after, each time when nothing has happened for a while. Start the broker
/// anew for it: memory that it has used and freed before is used first, and is not seen to grow.
#[derive(Args, Clone, Debug)]
pub(super) struct Idle {
    #[command(flatten)]
    many: Many,
    /// How long the broker has peace before its memory is read, seconds.
    #[arg(long, default_value_t = 2.0)]
    settle: f64,
    #[command(flatten)]
    pub(super) common: Common,
}

impl Idle {
    pub(super) fn run(self) -> io::Result<bool> {
        let Self { many: Many { connections, .. }, common: Common { target, .. }, .. } = &self;
        let Some(broker) = target.pid.map(Process::new) else {
            return Err(io::Error::other("memory is read from outside: --pid is needed"));
        };
        let rss = || broker.rss_bytes().ok_or_else(|| io::Error::other("the broker is gone"));
        let settle = Duration::try_from_secs_f64(self.settle).map_err(io::Error::other)?;
        let client_id = |seat| target.client_id(seat);
        let mut crowd = Crowd::new(target)?;
        // What a broker allocates with its first connection is not what each one costs.
        let (warm, last) = (*connections, *connections + 1);
        crowd.open(warm..last, &self.arrivals(&client_id, &|_| Vec::new()))?;
        crowd.idle(settle)?;
        let before = rss()?;
        let opened = crowd.open(0..*connections, &self.arrivals(&client_id, &|_| Vec::new()))?;
        let mut closed = crowd.idle(settle)?;
        let connected = rss()?;
        let filters = |seat| vec![format!("skein/loadtest/{seat}")];
        let subscribed = crowd.subscribe(0..*connections, &self.arrivals(&client_id, &filters))?;
        closed += crowd.idle(settle)?;
        let after = rss()?;
        let mut report = super::report(target, "idle connections", *connections);
        let mut add = |subscriptions, rss_bytes: u64| {
            let added = rss_bytes as f64 - before as f64;
            report.idle.push(report::Idle {
                connections: opened.ready,
                subscriptions,
                rss_bytes,
                bytes_per_connection: added / opened.ready.max(1) as f64,
            });
        };
        add(0, connected);
        add(1, after);
        if report.idle.iter().any(|idle| idle.bytes_per_connection < BYTES_MIN) {
            report.notes.push(USED_BEFORE.to_owned());
        }
        report.traffic.connections_lost = opened.failed + subscribed.failed + closed;
        add_times(&mut report, &opened);
        add_times(&mut report, &subscribed);
        crowd.leave();
        let lost = report.traffic.connections_lost;
        show(report, &self.common.outputs)?;
        Ok(!self.common.expect || lost == 0)
    }

    fn arrivals<'a>(
        &self,
        client_id: &'a dyn Fn(usize) -> String,
        filters: &'a dyn Fn(usize) -> Vec<String>,
    ) -> Arrivals<'a> {
        Arrivals {
            client_id,
            filters,
            qos: QoS::AtMostOnce,
            clean_start: true,
            session_expiry_s: 0,
            at_once: self.many.at_once,
            leaves: false,
        }
    }
}

/// No broker needs less: a connection has at least a buffer, an identifier and some numbers.
const BYTES_MIN: f64 = 100.0;
const USED_BEFORE: &str = "The broker's memory hardly grew: it had memory that it had used and freed \
                           before. Start it anew.";
