//! The series of a run as CSV: one row for each second.

use std::io::{self, Write};

use serde::Serialize;

use super::{Report, Second};

/// Writes the head and a row for each second; what is not known is empty.
pub(crate) fn write(report: &Report, out: impl Write) -> io::Result<()> {
    let mut rows = ::csv::Writer::from_writer(out);
    for second in &report.series {
        rows.serialize(Row::from(second)).map_err(io::Error::other)?;
    }
    rows.flush()
}

/// A [`Second`] without its histogram.
#[derive(Serialize)]
struct Row {
    second: u32,
    published: u64,
    delivered: u64,
    p50_us: Option<f64>,
    p99_us: Option<f64>,
    max_us: Option<f64>,
    broker_cpu_s: Option<f64>,
    broker_rss_bytes: Option<u64>,
}

impl From<&Second> for Row {
    fn from(second: &Second) -> Self {
        Self {
            second: second.second,
            published: second.published,
            delivered: second.delivered,
            p50_us: second.p50_us,
            p99_us: second.p99_us,
            max_us: second.max_us,
            broker_cpu_s: second.broker_cpu_s,
            broker_rss_bytes: second.broker_rss_bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample::{assert_golden, sample};

    #[test]
    fn each_second_is_a_row() {
        let mut bytes = Vec::new();
        write(&sample(), &mut bytes).unwrap();
        assert_golden("report.csv", &String::from_utf8(bytes).unwrap());
    }
}
