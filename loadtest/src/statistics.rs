//! Medians, and how sure a difference is. Pure: the seed is an argument.

use serde::{Deserialize, Serialize};

/// A ratio with the interval that holds it with 95 % confidence.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Ratio {
    /// The median of the ratios.
    pub(crate) median: f64,
    /// The low end of the interval.
    pub(crate) low: f64,
    /// The high end of the interval.
    pub(crate) high: f64,
}

impl Ratio {
    /// Whether the interval leaves 1 out.
    pub(crate) fn is_difference(&self) -> bool {
        self.low > 1.0 || self.high < 1.0
    }
}

/// The median; nothing if there are no values or one of them is no number.
pub(crate) fn median(values: &[f64]) -> Option<f64> {
    quantile(values, 0.5)
}

/// The value below which this part of all lies, between neighbours in proportion; nothing if there
/// are no values or one of them is no number.
pub(crate) fn quantile(values: &[f64], part: f64) -> Option<f64> {
    if values.iter().any(|value| value.is_nan()) {
        return None;
    }
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let place = part.clamp(0.0, 1.0) * sorted.len().checked_sub(1)? as f64;
    let (low, high) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
    Some(low + (high - low) * place.fract())
}

/// The least and the greatest; nothing if there are no values.
pub(crate) fn range(values: &[f64]) -> Option<(f64, f64)> {
    let least = values.iter().copied().reduce(f64::min)?;
    Some((least, values.iter().copied().reduce(f64::max)?))
}

/// The ratio of `values` to `references`, which were measured side by side: the first of one beside
/// the first of the other. What disturbs the machine for longer than one round disturbs both of a
/// pair, and the ratio leaves it out.
///
/// The interval is a bootstrap of the median of the ratios. With five pairs it is nearly their
/// range. Nothing if there is no pair, or a figure is not above 0.
pub(crate) fn paired_ratio(values: &[f64], references: &[f64], seed: u64) -> Option<Ratio> {
    let pairs = values.iter().zip(references);
    if values.len() != references.len() || !pairs.clone().all(|(a, b)| *a > 0.0 && *b > 0.0) {
        return None;
    }
    let ratios: Vec<_> = pairs.map(|(value, reference)| value / reference).collect();
    let mut random = fastrand::Rng::with_seed(seed);
    interval(&ratios, || median(&resample(&ratios, &mut random)))
}

/// The ratio of the median of `values` to that of `references`, which were measured at different
/// times. Nothing if one of them is empty, or a figure is not above 0.
pub(crate) fn unpaired_ratio(values: &[f64], references: &[f64], seed: u64) -> Option<Ratio> {
    if !values.iter().chain(references).all(|figure| *figure > 0.0) {
        return None;
    }
    let ratio = median(values)? / median(references)?;
    let mut random = fastrand::Rng::with_seed(seed);
    interval(&[ratio], || {
        let value = median(&resample(values, &mut random))?;
        Some(value / median(&resample(references, &mut random))?)
    })
}

fn interval(ratios: &[f64], mut draw: impl FnMut() -> Option<f64>) -> Option<Ratio> {
    let draws: Vec<_> = (0..RESAMPLES).map_while(|_| draw()).collect();
    let (low, high) = (quantile(&draws, 0.025)?, quantile(&draws, 0.975)?);
    Some(Ratio { median: median(ratios)?, low, high })
}

/// As many values, each drawn from all of them.
fn resample(values: &[f64], random: &mut fastrand::Rng) -> Vec<f64> {
    (0..values.len()).map(|_| values[random.usize(..values.len())]).collect()
}

/// Fifty of them lie beyond each end of the interval.
const RESAMPLES: usize = 2_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_lie_between_neighbours() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(quantile(&[0.0, 10.0], 0.25), Some(2.5));
        assert_eq!(range(&[3.0, 1.0, 2.0]), Some((1.0, 3.0)));
        assert_eq!((median(&[]), range(&[]), median(&[f64::NAN])), (None, None, None));
    }

    #[test]
    fn a_drift_that_both_of_a_pair_share_is_left_out() {
        let references = [100.0, 50.0, 80.0, 20.0, 90.0];
        let values = references.map(|figure| figure * 1.1);
        let paired = paired_ratio(&values, &references, 1).unwrap();
        assert!(paired.is_difference(), "{paired:?}");
        assert!((paired.median - 1.1).abs() < 1e-9);
        let unpaired = unpaired_ratio(&values, &references, 1).unwrap();
        assert!(!unpaired.is_difference(), "{unpaired:?}");
    }

    #[test]
    fn noise_alone_is_no_difference() {
        let mut random = fastrand::Rng::with_seed(7);
        let mut figures = || (0..9).map(|_| 100.0 + random.f64()).collect::<Vec<_>>();
        let false_alarms = (0..40)
            .filter(|seed| {
                let (values, references) = (figures(), figures());
                paired_ratio(&values, &references, *seed).unwrap().is_difference()
            })
            .count();
        assert!(
            false_alarms < 20,
            "{false_alarms} of 200 comparisons of the same saw a difference"
        );
    }

    #[test]
    fn the_same_seed_draws_the_same() {
        let values: Vec<_> = (1..100).map(|number| f64::from(number).sqrt()).collect();
        let references: Vec<_> = values.iter().map(|value| value * value).collect();
        let ratio = |seed| unpaired_ratio(&values, &references, seed);
        assert_eq!(ratio(3), ratio(3));
        assert_ne!(ratio(3), ratio(4));
    }

    #[test]
    fn without_pairs_or_with_noughts_there_is_no_ratio() {
        assert_eq!(paired_ratio(&[1.0], &[], 1), None);
        assert_eq!(paired_ratio(&[], &[], 1), None);
        assert_eq!(paired_ratio(&[1.0], &[0.0], 1), None);
        assert_eq!(unpaired_ratio(&[1.0], &[], 1), None);
    }
}
