//! A sweep on the terminal, and as a page with the curve of latency against rate.

use super::model::{Step, Sweep};
use crate::report::{
    format::{microseconds, moment, number},
    html::{
        axis::{Axis, Scale, short, short_microseconds},
        chart::Chart,
        environment,
        page::{Card, Cell, Page, Section, Table},
    },
    latency::Latency,
};

/// The answer with its conditions, then each rate.
pub(super) fn table(sweep: &Sweep) -> String {
    let mut text = format!("{}\n  {}\n", sweep.conditions(), sweep.sentence());
    text.extend(sweep.environment.remarks().iter().map(|remark| format!("  ! {remark}\n")));
    let heads = HEADS.map(|head| format!("{head:>12}")).concat();
    text += &format!("  {}\n", heads.trim_start_matches("  "));
    for step in sweep.by_rate() {
        let cells = cells(step).map(|cell| format!("{cell:>12}")).concat();
        text += &format!("{cells}  {}\n", judgement(sweep, step));
    }
    text
}

/// The page.
pub(super) fn page(sweep: &Sweep) -> String {
    let broker = sweep.environment.broker.as_deref().unwrap_or("broker of unknown version");
    let mut page = Page {
        title: format!("{broker}: {}", sweep.sentence()),
        subtitle: format!("{} · {}", sweep.conditions(), moment(sweep.started_unix_ms)),
        warnings: sweep.environment.remarks(),
        ..Page::default()
    };
    if let Some(highest) = sweep.highest_per_s {
        let note = format!("the highest rate with p99 ≤ {}", microseconds(sweep.p99_max_us));
        page.cards.push(Card { value: number(highest), unit: "published/s", note });
    }
    let mut section = Section::new("Latency against offered rate");
    section.draw(curve(sweep));
    section.tables.push(steps(sweep));
    page.add(section);
    let mut machine = Section::new("Environment");
    machine.tables.push(environment(&sweep.environment));
    machine.listing = sweep.command.join(" ");
    page.add(machine);
    page.text()
}

/// The "hockey stick": flat as long as the broker keeps up, then up.
fn curve(sweep: &Sweep) -> Option<Chart> {
    let steps = sweep.by_rate();
    let line = |name: &str, figure: fn(&Latency) -> f64| {
        let points =
            steps.iter().filter_map(|step| Some((step.offered_per_s, step.latency_us(figure)?)));
        (name.to_owned(), points.collect::<Vec<_>>())
    };
    let lines = [
        line("p50", |latency| latency.p50_us),
        line("p99", |latency| latency.p99_us),
        line("p99.9", |latency| latency.p99_9_us),
    ];
    let rates = steps.iter().map(|step| step.offered_per_s);
    let x = Axis::new("offered, published/s", Scale::Logarithmic, rates, short);
    let values = lines.iter().flat_map(|(_, points)| points.iter().map(|(_, value)| *value));
    let values = values.chain([sweep.p99_max_us]);
    let y = Axis::new("latency", Scale::Logarithmic, values, short_microseconds);
    let limit = format!("p99 ≤ {}", microseconds(sweep.p99_max_us));
    Some(Chart::new("Latency", &x, &y, &lines)?.with_limit(&y, sweep.p99_max_us, limit))
}

fn steps(sweep: &Sweep) -> Table {
    let mut head = HEADS.to_vec();
    head.push("holds");
    let mut table = Table::new("medians of the runs with each rate", &head);
    for step in sweep.by_rate() {
        let mut row: Vec<_> = cells(step).map(Cell::plain).to_vec();
        row.push(Cell::judged(judgement(sweep, step), step.holds));
        table.rows.push(row);
    }
    table
}

fn cells(step: &Step) -> [String; 6] {
    let latency = |figure| step.latency_us(figure).map_or_else(|| "–".to_owned(), microseconds);
    [
        number(step.offered_per_s),
        step.delivered_per_s().map_or_else(|| "–".to_owned(), number),
        latency(|latency| latency.p50_us),
        latency(|latency| latency.p99_us),
        latency(|latency| latency.p99_9_us),
        latency(|latency| latency.max_us),
    ]
}

fn judgement(sweep: &Sweep, step: &Step) -> String {
    let faults = step.faults(sweep.p99_max_us).join(", ");
    match (step.holds, faults.is_empty()) {
        (true, true) => "holds".into(),
        (true, false) => format!("holds, but for one run: {faults}"),
        (false, _) => faults,
    }
}

const HEADS: [&str; 6] = ["offered/s", "delivered/s", "p50", "p99", "p99.9", "max"];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        report::{
            Environment, Report,
            sample::{assert_golden, sample},
        },
        sweep::model::{End, SCHEMA},
    };

    fn sweep() -> Sweep {
        let step = |offered_per_s: f64, factor: f64, holds| {
            let mut report = Report { verification: Vec::new(), ..sample() };
            report.scenario.offered_per_s = Some(offered_per_s);
            report.traffic.published_per_s = offered_per_s;
            for latency in &mut report.latencies {
                latency.p99_us *= factor;
            }
            Step { offered_per_s, holds, reports: vec![report.clone(), report] }
        };
        Sweep {
            schema: SCHEMA,
            started_unix_ms: 1_795_269_600_000,
            command: vec!["skein-loadtest".into()],
            environment: Environment { broker: Some("<b>".into()), ..Environment::default() },
            arguments: vec!["rate".into()],
            p99_max_us: 10_000.0,
            precision: 0.05,
            highest_per_s: Some(2_000.0),
            ended_by: End::Broker,
            steps: vec![step(1e3, 0.9, true), step(4e3, 9.0, false), step(2e3, 1.0, true)],
        }
    }

    #[test]
    fn the_answer_comes_with_its_conditions_and_the_rates_in_order() {
        assert_golden("sweep.txt", &table(&sweep()));
    }

    #[test]
    fn an_answer_that_is_not_the_brokers_says_so() {
        let at_least = Sweep { ended_by: End::Generator, ..sweep() }.sentence();
        assert!(at_least.starts_with("at least 2,000 published/s"), "{at_least}");
        let none = Sweep { highest_per_s: None, ..sweep() }.sentence();
        assert!(none.starts_with("no rate holds"), "{none}");
    }

    #[test]
    fn the_page_has_the_curve_with_its_limit() {
        let text = page(&sweep());
        assert!(text.contains("class=\"limit\"") && text.contains("p99 ≤ 10.0 ms"));
        assert!(!text.contains("<b>:"), "names are escaped");
    }
}
