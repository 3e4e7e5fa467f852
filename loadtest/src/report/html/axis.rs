//! Axes: from values to places between 0 and 1, and the ticks that fit.

/// One axis of a chart.
#[derive(Clone, Debug)]
pub(crate) struct Axis {
    label: &'static str,
    scale: Scale,
    low: f64,
    high: f64,
    ticks: Vec<f64>,
    name: fn(f64) -> String,
}

/// How values lie on an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scale {
    /// Evenly, from 0.
    Linear,
    /// By their logarithm. What is not above 0 lies at the low end.
    Logarithmic,
}

impl Axis {
    /// An axis that shows all of `values`, with round ends.
    pub(crate) fn new(
        label: &'static str,
        scale: Scale,
        values: impl IntoIterator<Item = f64>,
        name: fn(f64) -> String,
    ) -> Self {
        let values = values.into_iter().filter(|value| value.is_finite());
        match scale {
            Scale::Linear => Self::linear(label, values.fold(0.0, f64::max), name),
            Scale::Logarithmic => Self::logarithmic(label, values, name),
        }
    }

    /// The same, but it ends where the values end.
    pub(crate) fn ending_at(mut self, high: f64) -> Self {
        if high > self.low {
            self.high = high;
            self.ticks.retain(|tick| *tick <= high);
        }
        self
    }

    /// Percentiles, each further nine as far from the last: a value is `1 / (1 - quantile)`.
    pub(crate) fn nines(label: &'static str, high: f64) -> Self {
        let ticks = (0..=7).map(|nines| 10_f64.powi(nines)).filter(|tick| *tick <= high);
        let ticks = [2.0].into_iter().chain(ticks.skip(1)).collect();
        Self {
            label,
            scale: Scale::Logarithmic,
            low: 1.0,
            high: high.max(100.0),
            ticks,
            name: percentile,
        }
    }

    fn linear(label: &'static str, highest: f64, name: fn(f64) -> String) -> Self {
        let highest = if highest > 0.0 { highest } else { 1.0 };
        let step = round_up(highest / LINEAR_STEPS);
        let count = (highest / step).ceil();
        let ticks = (0..=count as u32).map(|number| f64::from(number) * step).collect();
        Self { label, scale: Scale::Linear, low: 0.0, high: count * step, ticks, name }
    }

    fn logarithmic(
        label: &'static str,
        values: impl Iterator<Item = f64>,
        name: fn(f64) -> String,
    ) -> Self {
        let (mut lowest, mut highest) = (f64::INFINITY, 0.0_f64);
        for value in values.filter(|value| *value > 0.0) {
            (lowest, highest) = (lowest.min(value), highest.max(value));
        }
        if lowest > highest {
            (lowest, highest) = (1.0, 10.0);
        }
        let (low, high) = (round_down(lowest), round_up(highest));
        let high = if high > low { high } else { round_up(high * 1.5) };
        let decades = (high / low).log10();
        let steps: &[f64] = if decades > 3.0 { &[1.0] } else { &[1.0, 2.0, 5.0] };
        let first = low.log10().floor() as i32;
        let ticks = (first..=first + decades.ceil() as i32 + 1)
            .flat_map(|decade| steps.iter().map(move |step| step * 10_f64.powi(decade)))
            .filter(|tick| *tick >= low * 0.999 && *tick <= high * 1.001)
            .collect();
        Self { label, scale: Scale::Logarithmic, low, high, ticks, name }
    }

    /// What the axis shows, with its unit.
    pub(crate) fn label(&self) -> &'static str {
        self.label
    }

    /// Where a value lies: 0 is the low end, 1 the high end.
    pub(crate) fn place(&self, value: f64) -> f64 {
        let place = match self.scale {
            Scale::Linear => (value - self.low) / (self.high - self.low),
            Scale::Logarithmic if value <= self.low => 0.0,
            Scale::Logarithmic => (value / self.low).ln() / (self.high / self.low).ln(),
        };
        place.clamp(0.0, 1.0)
    }

    /// Where the ticks lie, and their names.
    pub(crate) fn ticks(&self) -> impl Iterator<Item = (f64, String)> {
        self.ticks.iter().map(|tick| (self.place(*tick), (self.name)(*tick)))
    }

    /// A value as this axis names it.
    pub(crate) fn name(&self, value: f64) -> String {
        (self.name)(value)
    }
}

/// A count of seconds on an axis.
pub(crate) fn seconds(value: f64) -> String {
    format!("{} s", trimmed(value))
}

/// A rate in as few letters as an axis has room for.
pub(crate) fn short(value: f64) -> String {
    match value.abs() {
        size if size >= 1e6 => format!("{} M", trimmed(value / 1e6)),
        size if size >= 1e3 => format!("{} k", trimmed(value / 1e3)),
        _ => trimmed(value),
    }
}

/// A latency in as few letters as an axis has room for.
pub(crate) fn short_microseconds(value: f64) -> String {
    match value.abs() {
        size if size >= 1e6 => format!("{} s", trimmed(value / 1e6)),
        size if size >= 1e3 => format!("{} ms", trimmed(value / 1e3)),
        _ => format!("{} µs", trimmed(value)),
    }
}

/// `1 / (1 - quantile)` as a percentile.
fn percentile(value: f64) -> String {
    format!("{} %", trimmed(100.0 - 100.0 / value))
}

/// At most five digits after the point, and no noughts at the end.
fn trimmed(value: f64) -> String {
    let text = format!("{value:.5}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// The next of 1, 2, 5, 10, … that is not below.
fn round_up(value: f64) -> f64 {
    let decade = 10_f64.powf(value.log10().floor());
    let step = [1.0, 2.0, 5.0].into_iter().find(|step| step * decade >= value * 0.9999);
    step.unwrap_or(10.0) * decade
}

/// The last of 1, 2, 5, 10, … that is not above.
fn round_down(value: f64) -> f64 {
    let decade = 10_f64.powf(value.log10().floor());
    let step = [5.0, 2.0].into_iter().find(|step| step * decade <= value * 1.0001);
    step.unwrap_or(1.0) * decade
}

/// About so many steps between the ends of a linear axis.
const LINEAR_STEPS: f64 = 5.0;

#[cfg(test)]
mod tests {
    use super::*;

    fn names(axis: &Axis) -> Vec<String> {
        axis.ticks().map(|(_, name)| name).collect()
    }

    #[test]
    fn a_linear_axis_begins_at_0_and_ends_above_all() {
        let axis = Axis::new("", Scale::Linear, [3.0, 87_000.0], short);
        assert_eq!(names(&axis), ["0", "20 k", "40 k", "60 k", "80 k", "100 k"]);
        assert_eq!(axis.place(50_000.0), 0.5);
        assert_eq!(Axis::new("", Scale::Linear, [], short).place(0.0), 0.0);
    }

    #[test]
    fn a_logarithmic_axis_has_round_ends() {
        let axis = Axis::new("", Scale::Logarithmic, [0.0, 30.0, 4_300.0], short_microseconds);
        assert_eq!(
            names(&axis),
            ["20 µs", "50 µs", "100 µs", "200 µs", "500 µs", "1 ms", "2 ms", "5 ms"]
        );
        assert_eq!((axis.place(0.0), axis.place(5_000.0)), (0.0, 1.0));
        let single = Axis::new("", Scale::Logarithmic, [10.0], short);
        assert!(single.place(10.0) < 1.0, "one value has an axis, too");
    }

    #[test]
    fn each_nine_is_as_far_from_the_last() {
        let axis = Axis::nines("", 10_000.0);
        assert_eq!(names(&axis), ["50 %", "90 %", "99 %", "99.9 %", "99.99 %"]);
        assert!((axis.place(1_000.0) - 0.75).abs() < 1e-9);
    }
}
