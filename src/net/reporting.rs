//! What a shard is asked of itself for the topics below `$SYS`: it looks at its sessions between other
//! work, some of them each turn, and hands in what it found.

use std::fmt;
use std::sync::Arc;

use super::event_loop::EventLoop;
use crate::session::ShardId;
use crate::shard::{Report, Survey};

/// Sessions looked at per turn: well below a millisecond, also if none is in a cache.
const SESSIONS_PER_TURN: usize = 2_048;

/// What one shard has found.
#[derive(Debug)]
pub struct ShardReport {
    /// The shard.
    pub shard: ShardId,
    /// What it holds and has counted.
    pub report: Report,
    /// Bytes that went through its sockets.
    pub traffic: Traffic,
}

/// Bytes through sockets since the start, in what lies below MQTT unwrapped: TLS and WebSocket add to
/// them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Bytes that were read.
    pub received: u64,
    /// Bytes that were written.
    pub sent: u64,
}

/// Where shards hand in what they found.
#[derive(Clone)]
pub struct ReportDesk(Arc<dyn Fn(ShardReport) + Send + Sync>);

impl ReportDesk {
    /// One that takes reports like this; it must not wait for anything.
    pub fn new(take: impl Fn(ShardReport) + Send + Sync + 'static) -> Self {
        Self(Arc::new(take))
    }
}

impl fmt::Debug for ReportDesk {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("ReportDesk")
    }
}

/// A shard's side.
#[derive(Debug, Default)]
pub(super) struct Reporting {
    /// The look that is not over, and who waits for it.
    going_on: Option<(Survey, ReportDesk)>,
    /// Bytes that were written.
    pub(super) sent: u64,
}

impl Reporting {
    /// Begins to look, anew if it was at it.
    pub(super) fn begin(&mut self, desk: ReportDesk) {
        self.going_on = Some((Survey::default(), desk));
    }

    /// Whether the next turn goes on with a look.
    pub(super) fn has_work(&self) -> bool {
        self.going_on.is_some()
    }
}

impl EventLoop {
    /// Goes on with the look at the sessions, if somebody has asked for one.
    pub(super) fn go_on_reporting(&mut self) {
        let Some((survey, desk)) = &mut self.reporting.going_on else { return };
        if let Some(report) = self.core.shard.survey(survey, SESSIONS_PER_TURN) {
            let traffic = Traffic { received: self.inbound.received, sent: self.reporting.sent };
            (desk.0)(ShardReport { shard: self.id, report, traffic });
            self.reporting.going_on = None;
        }
    }
}
