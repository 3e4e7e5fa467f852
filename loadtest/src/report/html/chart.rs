//! Charts as SVG: lines over an axis, and bars with their ranges.

use askama::Template;

use super::axis::Axis;

/// Lines over two axes.
#[derive(Clone, Debug, Template)]
#[template(path = "chart.svg")]
pub(crate) struct Chart {
    title: &'static str,
    x: Side,
    y: Side,
    lines: Vec<Line>,
    limit: Option<Limit>,
}

/// One line of a chart.
#[derive(Clone, Debug)]
struct Line {
    name: String,
    points: String,
    dots: Vec<Dot>,
}

/// A point that shows its figures when it is pointed at.
#[derive(Clone, Debug)]
struct Dot {
    x: String,
    y: String,
    text: String,
}

/// A horizontal line that is not to be crossed.
#[derive(Clone, Debug)]
struct Limit {
    y: String,
    text: String,
}

/// What is drawn beside an axis.
#[derive(Clone, Debug)]
struct Side {
    label: &'static str,
    ticks: Vec<(String, String)>,
}

impl Chart {
    /// A chart of the named lines; each is a list of values of `x` and `y`. Nothing if no line has
    /// two points.
    pub(crate) fn new(
        title: &'static str,
        x: &Axis,
        y: &Axis,
        lines: &[(String, Vec<(f64, f64)>)],
    ) -> Option<Self> {
        let lines: Vec<_> = lines
            .iter()
            .filter(|(_, points)| points.len() > 1)
            .map(|(name, points)| Line::new(name, points, x, y))
            .collect();
        let sides = (Side::new(x, horizontal), Side::new(y, vertical));
        (!lines.is_empty()).then_some(Self { title, x: sides.0, y: sides.1, lines, limit: None })
    }

    /// The same with a line across at `value`.
    pub(crate) fn with_limit(mut self, y: &Axis, value: f64, text: String) -> Self {
        self.limit = Some(Limit { y: vertical(y.place(value)), text });
        self
    }
}

impl Line {
    fn new(name: &str, values: &[(f64, f64)], x: &Axis, y: &Axis) -> Self {
        let at = |value: &(f64, f64)| (horizontal(x.place(value.0)), vertical(y.place(value.1)));
        let points = values.iter().map(|value| {
            let (x, y) = at(value);
            format!("{x},{y}")
        });
        let points = points.collect::<Vec<_>>().join(" ");
        let dots = if values.len() > DOTS_MAX { &[] } else { values };
        let dots = dots.iter().map(|value| {
            let (left, top) = at(value);
            Dot { x: left, y: top, text: format!("{}: {}", x.name(value.0), y.name(value.1)) }
        });
        Self { name: name.into(), points, dots: dots.collect() }
    }
}

impl Side {
    fn new(axis: &Axis, place: fn(f64) -> String) -> Self {
        let ticks = axis.ticks().map(|(at, name)| (place(at), name)).collect();
        Self { label: axis.label(), ticks }
    }
}

/// Bars that begin at one edge, each with the range that its repeats had.
#[derive(Clone, Debug, Template)]
#[template(path = "bars.svg")]
pub(crate) struct Bars {
    title: String,
    height: usize,
    rows: Vec<Row>,
}

/// One bar.
#[derive(Clone, Debug)]
struct Row {
    name: String,
    text: String,
    colour: usize,
    top: usize,
    width: String,
    low: String,
    high: String,
}

/// What a bar shows.
#[derive(Clone, Debug)]
pub(crate) struct Bar {
    /// Whose it is.
    pub(crate) name: String,
    /// Its length.
    pub(crate) value: f64,
    /// The least and the most that was seen.
    pub(crate) range: (f64, f64),
    /// Which of the colours it has: those of one name have one.
    pub(crate) colour: usize,
    /// Its figure in words.
    pub(crate) text: String,
}

impl Bars {
    /// Bars below each other, the longest range as wide as the picture. Nothing if there is none.
    pub(crate) fn new(title: String, bars: &[Bar]) -> Option<Self> {
        let widest = bars.iter().map(|bar| bar.value.max(bar.range.1)).fold(0.0, f64::max);
        let scale = if widest > 0.0 { BAR_WIDTH / widest } else { 0.0 };
        let rows = bars.iter().enumerate().map(|(number, bar)| Row {
            name: bar.name.clone(),
            text: bar.text.clone(),
            colour: bar.colour % COLOURS,
            top: number * ROW_HEIGHT,
            width: pixels(bar.value * scale),
            low: pixels(bar.range.0 * scale),
            high: pixels(bar.range.1 * scale),
        });
        let height = bars.len() * ROW_HEIGHT;
        (!bars.is_empty()).then(|| Self { title, height, rows: rows.collect() })
    }
}

fn horizontal(place: f64) -> String {
    pixels(PLOT_LEFT + place * (PLOT_RIGHT - PLOT_LEFT))
}

fn vertical(place: f64) -> String {
    pixels(PLOT_BOTTOM - place * (PLOT_BOTTOM - PLOT_TOP))
}

fn pixels(value: f64) -> String {
    format!("{value:.1}")
}

/// The rectangle of the plot; `chart.svg` draws its frame.
const PLOT_LEFT: f64 = 72.0;
const PLOT_RIGHT: f64 = 508.0;
const PLOT_TOP: f64 = 12.0;
const PLOT_BOTTOM: f64 = 250.0;
/// With more points than this, dots would hide the line.
const DOTS_MAX: usize = 40;
/// A bar with its words above it.
const ROW_HEIGHT: usize = 40;
const BAR_WIDTH: f64 = 516.0;
/// The style sheet has so many.
const COLOURS: usize = 6;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::html::axis::{Scale, short};

    #[test]
    fn the_ends_of_a_line_lie_at_the_ends_of_the_plot() {
        let axis = Axis::new("", Scale::Linear, [10.0], short);
        let lines = [("a <line>".to_owned(), vec![(0.0, 0.0), (10.0, 10.0)])];
        let chart = Chart::new("", &axis, &axis, &lines).unwrap();
        assert_eq!(chart.lines[0].points, "72.0,250.0 508.0,12.0");
        let svg = chart.render().unwrap();
        assert!(svg.contains("a &#60;line&#62;") && !svg.contains("<line>"), "{svg}");
        assert!(Chart::new("", &axis, &axis, &[(String::new(), vec![(0.0, 0.0)])]).is_none());
    }

    #[test]
    fn the_longest_bar_is_as_wide_as_the_picture() {
        let bar = |value| Bar {
            name: "a&b".into(),
            value,
            range: (value, value),
            colour: 0,
            text: "1".into(),
        };
        let bars = Bars::new("figure".into(), &[bar(50.0), bar(100.0)]).unwrap();
        assert_eq!((bars.rows[0].width.as_str(), bars.rows[1].width.as_str()), ("258.0", "516.0"));
        assert!(bars.render().unwrap().contains("a&#38;b"));
        assert!(Bars::new("nothing".into(), &[]).is_none());
    }
}
