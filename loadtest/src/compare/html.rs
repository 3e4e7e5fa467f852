//! The comparison as one self-contained page.

use super::{
    model::{Compared, Comparison, REFERENCE},
    quantity::Quantity,
    text::{overview, times},
};
use crate::report::{
    format::{moment, number},
    html::{
        chart::{Bar, Bars},
        environment,
        page::{Cell, Page, Section, Table},
    },
};

/// The page.
pub(super) fn page(comparison: &Comparison) -> String {
    let names: Vec<_> = comparison.brokers.iter().map(|broker| broker.name.as_str()).collect();
    let mut page = Page {
        title: names.join(" · "),
        subtitle: format!(
            "{}. {} rounds after a warm-up, the brokers in turn. Bars are medians with their range; \
             ratios are taken round by round, with their 95 % interval (bootstrap, seed {}).",
            moment(comparison.started_unix_ms),
            comparison.repeats,
            comparison.seed
        ),
        warnings: warnings(comparison),
        ..Page::default()
    };
    if comparison.scenarios.len() > 1 {
        page.add(all_scenarios(comparison));
    }
    for compared in &comparison.scenarios {
        page.add(scenario(comparison, compared));
    }
    page.add(brokers(comparison));
    let mut machine = Section::new("Environment");
    machine.tables.push(environment(&comparison.environment));
    machine.listing = comparison.command.join(" ");
    page.add(machine);
    page.text()
}

/// What is wrong with the runs of brokers. What is wrong with those of the null broker says nothing
/// about any other, and stands with its scenario.
fn warnings(comparison: &Comparison) -> Vec<String> {
    let mut warnings = comparison.environment.remarks();
    for compared in &comparison.scenarios {
        warnings.extend(
            remarks(comparison, compared, false)
                .map(|remark| format!("{}, {remark}", compared.name)),
        );
    }
    warnings
}

fn remarks<'a>(
    comparison: &'a Comparison,
    compared: &'a Compared,
    of_floor: bool,
) -> impl Iterator<Item = String> + 'a {
    let outcomes = comparison.brokers.iter().zip(&compared.outcomes);
    let chosen = outcomes.filter(move |(broker, _)| broker.is_floor == of_floor);
    chosen.flat_map(|(broker, outcome)| {
        outcome.remarks().into_iter().map(|remark| format!("{}: {remark}", broker.name))
    })
}

/// One table for each quantity: median, times the reference's, times the floor's.
fn all_scenarios(comparison: &Comparison) -> Section {
    let mut section = Section::new("All scenarios");
    for quantity in Quantity::ALL {
        let rows = overview(comparison, &quantity);
        if rows.is_empty() {
            continue;
        }
        let mut head = vec![""];
        head.extend(comparison.brokers.iter().map(|broker| broker.name.as_str()));
        let mut table = Table::new(format!("{}: median", quantity.title()), &head);
        table.rows =
            rows.into_iter().map(|row| row.into_iter().map(Cell::plain).collect()).collect();
        section.tables.push(table);
    }
    section
}

fn scenario(comparison: &Comparison, compared: &Compared) -> Section {
    let mut section = Section::new(&compared.name);
    section.intro.clone_from(&compared.conditions);
    for quantity in compared.quantities() {
        section.draw(bars(comparison, compared, &quantity));
        section.tables.push(table(comparison, compared, &quantity));
    }
    section.texts.extend(remarks(comparison, compared, true));
    section
}

fn bars(comparison: &Comparison, compared: &Compared, quantity: &Quantity) -> Option<Bars> {
    let bars = comparison.brokers.iter().zip(&compared.outcomes).enumerate();
    let bars = bars.filter_map(|(colour, (broker, outcome))| {
        let measured = outcome.measured(quantity)?;
        Some(Bar {
            name: broker.name.clone(),
            value: measured.median,
            range: (measured.least, measured.greatest),
            colour,
            text: quantity.text(measured.median),
        })
    });
    Bars::new(title(quantity), &bars.collect::<Vec<_>>())
}

fn title(quantity: &Quantity) -> String {
    match quantity.is_better_higher() {
        Some(true) => format!("{}: more is better", quantity.title()),
        Some(false) => format!("{}: less is better", quantity.title()),
        None => quantity.title().into_owned(),
    }
}

fn table(comparison: &Comparison, compared: &Compared, quantity: &Quantity) -> Table {
    let reference = comparison.brokers.get(REFERENCE).map_or("", |broker| broker.name.as_str());
    let against = format!("against {reference}");
    let head = ["", "median", "least", "greatest", against.as_str(), "against floor"];
    let mut table = Table::new(quantity.title(), &head);
    for (broker, outcome) in comparison.brokers.iter().zip(&compared.outcomes) {
        let Some(measured) = outcome.measured(quantity) else { continue };
        let against = measured.against_reference.as_ref().map_or("–".to_owned(), times);
        let floor = measured.against_floor.as_ref();
        let floor = floor.map_or("–".to_owned(), |ratio| format!("{} ×", number(ratio.median)));
        let [median, least, greatest] =
            [measured.median, measured.least, measured.greatest].map(|value| quantity.text(value));
        let cells = [broker.name.clone(), median, least, greatest, against, floor];
        table.rows.push(cells.map(Cell::plain).to_vec());
    }
    table
}

fn brokers(comparison: &Comparison) -> Section {
    let mut table = Table::new("How they were started", &[]);
    for broker in &comparison.brokers {
        table.pair(&broker.name, broker.command.clone());
    }
    let mut scenarios = Table::new("Arguments of the load test", &[]);
    for compared in &comparison.scenarios {
        scenarios.pair(&compared.name, compared.arguments.join(" "));
    }
    Section { tables: vec![table, scenarios], ..Section::new("Brokers and scenarios") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::sample::comparison;

    #[test]
    fn every_scenario_has_its_bars_and_names_are_escaped() {
        let text = page(&comparison());
        assert_eq!(text.matches("<svg").count(), 4, "two quantities in two scenarios");
        assert!(text.contains("fan-in &#60;&#38;&#62;") && !text.contains("fan-in <&>"));
        assert!(text.contains("was not over after 300 s"), "failures are shown first");
    }
}
