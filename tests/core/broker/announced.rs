//! What the broker says of itself, and how it is asked.

use std::sync::Arc;

use skein::shard::{Announcement, Event, Report, Survey};

use super::Broker;

impl Broker {
    /// Every shard is told what the broker says of itself now: topics below `$SYS`, and payloads.
    pub(crate) fn announce(&mut self, rows: &[(&str, &str)]) {
        let said = |(topic, payload): &(&str, &str)| Announcement {
            topic: format!("$SYS/{topic}").into(),
            payload: (*payload).into(),
        };
        let announced: Arc<[Announcement]> = rows.iter().map(said).collect();
        for shard in 0..self.shards.len() {
            self.handle(shard, Event::Announced { announced: Arc::clone(&announced) });
        }
        self.settle();
    }

    /// What a shard says of itself, which looks at so many sessions at once; and in how many steps.
    pub(crate) fn survey(&self, shard: usize, sessions_max: usize) -> (Report, usize) {
        let mut survey = Survey::default();
        let mut steps = 1;
        loop {
            if let Some(report) = self.shards[shard].survey(&mut survey, sessions_max) {
                return (report, steps);
            }
            steps += 1;
        }
    }
}
