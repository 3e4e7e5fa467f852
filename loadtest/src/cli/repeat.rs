//! The same run several times.

use std::io;

use crate::report::{Figure, Report};

/// The run with the median rate of `repeats` runs, with the range of all. Before several there is
/// one that does not count.
pub(super) fn repeated(
    repeats: u32,
    mut run: impl FnMut() -> io::Result<Report>,
) -> io::Result<Report> {
    if repeats == 1 {
        return run();
    }
    run()?;
    let mut reports = (0..repeats).map(|_| run()).collect::<io::Result<Vec<_>>>()?;
    reports.sort_by(|a, b| a.traffic.delivered_per_s.total_cmp(&b.traffic.delivered_per_s));
    Ok(median(reports))
}

/// The median of runs in the order of their rates. A promise that any of them broke is broken.
fn median(mut reports: Vec<Report>) -> Report {
    let mut figures = range(&reports, "published/s", |report| Some(report.traffic.published_per_s));
    figures.extend(range(&reports, "delivered/s", |report| Some(report.traffic.delivered_per_s)));
    figures.extend(range(&reports, "ns CPU per delivery", |report| {
        report.broker.as_ref()?.ns_per_delivery
    }));
    let broken = reports.iter().find(|report| !report.is_clean());
    let broken = broken.map(|report| report.verification.clone());
    let count = reports.len();
    let mut report = reports.swap_remove((count - 1) / 2);
    report.figures.extend(figures);
    report
        .notes
        .push(format!("The run with the median rate of {count}; one before did not count."));
    if let Some(verification) = broken {
        report.verification = verification;
        report
            .notes
            .push("The verification is that of the first run that was not clean.".to_owned());
    }
    report
}

fn range(reports: &[Report], unit: &str, figure: impl Fn(&Report) -> Option<f64>) -> Vec<Figure> {
    let mut values: Vec<f64> = reports.iter().filter_map(figure).collect();
    values.sort_by(f64::total_cmp);
    let (Some(lowest), Some(highest)) = (values.first(), values.last()) else { return Vec::new() };
    let median = values[(values.len() - 1) / 2];
    let named = [("lowest", *lowest), ("median", median), ("highest", *highest)];
    let count = values.len();
    let figure = |(name, value)| Figure {
        name: format!("{name} of {count} runs"),
        value,
        unit: unit.to_owned(),
    };
    named.into_iter().map(figure).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runs(rates: &[f64], repeats: u32) -> Report {
        let mut rates = rates.iter();
        let run = || {
            let mut report = Report::default();
            report.traffic.delivered_per_s = *rates.next().expect("as many as repeats and one");
            Ok(report)
        };
        repeated(repeats, run).unwrap()
    }

    #[test]
    fn the_first_of_several_does_not_count_and_the_median_is_shown() {
        let report = runs(&[9.0, 5.0, 1.0, 3.0], 3);
        assert_eq!(report.traffic.delivered_per_s, 3.0);
        let delivered: Vec<f64> = report
            .figures
            .iter()
            .filter(|figure| figure.unit == "delivered/s")
            .map(|figure| figure.value)
            .collect();
        assert_eq!(delivered, [1.0, 3.0, 5.0]);
        assert!(runs(&[7.0], 1).figures.is_empty());
    }
}
