//! The latencies as an interval log of HdrHistogram, for its viewers and libraries.
//!
//! The values are nanoseconds. Each second is an interval without a tag; each clock over the whole
//! window is an interval with the clock's name as its tag.

use std::{
    io::{self, Write},
    time::{Duration, UNIX_EPOCH},
};

use hdrhistogram::serialization::{
    V2DeflateSerializer,
    interval_log::{IntervalLogWriterBuilder, Tag},
};

use super::{Report, latency::decode};

/// Writes all histograms that the report kept.
pub(crate) fn write(report: &Report, mut out: impl Write) -> io::Result<()> {
    let mut serializer = V2DeflateSerializer::new();
    let start = UNIX_EPOCH + Duration::from_millis(report.started_unix_ms);
    let mut log = IntervalLogWriterBuilder::new()
        .add_comment(&format!("skein-loadtest, run {}", report.run))
        .with_start_time(start)
        .with_base_time(start)
        .with_max_value_divisor(NANOSECONDS_PER_MILLISECOND)
        .begin_log_with(&mut out, &mut serializer)?;
    for second in &report.series {
        let Some(histogram) = second.histogram.as_deref().and_then(decode) else { continue };
        let begin = Duration::from_secs(second.second.into());
        log.write_histogram(&histogram, begin, Duration::from_secs(1), None)
            .map_err(|error| io::Error::other(format!("{error:?}")))?;
    }
    let window = Duration::from_secs_f64(report.traffic.seconds.max(0.0));
    for latency in &report.latencies {
        let Some(histogram) = latency.histogram.as_deref().and_then(decode) else { continue };
        let tag = Tag::new(latency.clock.name()).expect("a clock's name has no comma or space");
        log.write_histogram(&histogram, Duration::ZERO, window, Some(tag))
            .map_err(|error| io::Error::other(format!("{error:?}")))?;
    }
    Ok(())
}

/// The heads of the log call the maximum milliseconds, as other writers do.
const NANOSECONDS_PER_MILLISECOND: f64 = 1e6;

#[cfg(test)]
mod tests {
    use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};

    use super::*;
    use crate::report::sample::sample;

    #[test]
    fn each_second_and_each_clock_is_an_interval() {
        let mut bytes = Vec::new();
        write(&sample(), &mut bytes).unwrap();
        let entries: Vec<_> = IntervalLogIterator::new(&bytes).map(Result::unwrap).collect();
        let tags: Vec<_> = entries
            .iter()
            .filter_map(|entry| match entry {
                LogEntry::Interval(interval) => Some(interval.tag().map(|tag| tag.as_str())),
                _ => None,
            })
            .collect();
        let expected = [None, None, None, Some("delivery"), Some("schedule-lag")];
        assert_eq!(tags, expected);
    }
}
