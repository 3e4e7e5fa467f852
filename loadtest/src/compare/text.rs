//! The comparison on the terminal.

use std::fmt::{self, Write};

use super::{
    model::{Compared, Comparison, Measured, REFERENCE},
    quantity::Quantity,
};
use crate::{
    report::format::{moment, number},
    statistics::Ratio,
};

/// All scenarios, one after the other, then all of them in one table for each quantity.
pub(super) fn tables(comparison: &Comparison) -> String {
    let mut text = String::new();
    write(comparison, &mut text).expect("a string takes all text");
    text
}

fn write(comparison: &Comparison, out: &mut String) -> fmt::Result {
    writeln!(
        out,
        "{}, {} rounds after a warm-up, brokers in turn; median (least – greatest), ratios round \
         by round with their 95 % interval (bootstrap, seed {})",
        moment(comparison.started_unix_ms),
        comparison.repeats,
        comparison.seed
    )?;
    for remark in comparison.environment.remarks() {
        writeln!(out, "! {remark}")?;
    }
    for compared in &comparison.scenarios {
        write_scenario(comparison, compared, out)?;
    }
    if comparison.scenarios.len() > 1 {
        for quantity in Quantity::ALL {
            write_overview(comparison, &quantity, out)?;
        }
    }
    Ok(())
}

fn write_scenario(comparison: &Comparison, compared: &Compared, out: &mut String) -> fmt::Result {
    writeln!(out, "\n{}: {}", compared.name, compared.conditions)?;
    for quantity in compared.quantities() {
        let mut rows = Vec::new();
        for (number, broker) in comparison.brokers.iter().enumerate() {
            let Some(measured) = compared.outcomes[number].measured(&quantity) else { continue };
            let mut row = vec![format!("    {}", broker.name)];
            row.extend(cells(measured));
            if number == REFERENCE && comparison.brokers.len() > 1 {
                row[3] = "reference".into();
            }
            rows.push(row);
        }
        writeln!(out, "  {}", quantity.title())?;
        write_rows(&rows, out)?;
    }
    for (broker, outcome) in comparison.brokers.iter().zip(&compared.outcomes) {
        for remark in outcome.remarks() {
            writeln!(out, "  ! {}: {remark}", broker.name)?;
        }
    }
    Ok(())
}

/// Median, range, against the reference, against the floor.
fn cells(measured: &Measured) -> [String; 4] {
    let text = |value| measured.quantity.text(value);
    [
        text(measured.median),
        format!("({} – {})", text(measured.least), text(measured.greatest)),
        measured.against_reference.as_ref().map_or(String::new(), times),
        measured
            .against_floor
            .as_ref()
            .map_or(String::new(), |ratio| format!("{} × floor", number(ratio.median))),
    ]
}

/// `1.05 × (1.02 – 1.08)`, or that there is no difference.
pub(super) fn times(ratio: &Ratio) -> String {
    let [median, low, high] = [ratio.median, ratio.low, ratio.high].map(number);
    let judgement = if ratio.is_difference() { "" } else { ": no difference" };
    format!("{median} × ({low} – {high}){judgement}")
}

/// One row for each scenario, one column for each broker.
fn write_overview(comparison: &Comparison, quantity: &Quantity, out: &mut String) -> fmt::Result {
    let mut rows = overview(comparison, quantity);
    if rows.is_empty() {
        return Ok(());
    }
    let mut head = vec![String::new()];
    head.extend(comparison.brokers.iter().map(|broker| broker.name.clone()));
    rows.insert(0, head);
    writeln!(out, "\n{}: median, × the reference's, × the floor's", quantity.title())?;
    for row in &mut rows {
        row[0].insert_str(0, "  ");
    }
    write_rows(&rows, out)
}

/// The cells of the table of all scenarios; without rows if no scenario has the quantity.
pub(super) fn overview(comparison: &Comparison, quantity: &Quantity) -> Vec<Vec<String>> {
    let with = comparison.scenarios.iter().filter(|compared| {
        compared.outcomes.iter().any(|outcome| outcome.measured(quantity).is_some())
    });
    let row = |compared: &Compared| {
        let mut row = vec![compared.name.clone()];
        row.extend(
            compared
                .outcomes
                .iter()
                .map(|outcome| outcome.measured(quantity).map_or_else(|| "–".to_owned(), brief)),
        );
        row
    };
    with.map(row).collect()
}

/// `1,234 · 0.95 × · 3.1 × floor`; a ratio that is no difference is `≈ 1`.
fn brief(measured: &Measured) -> String {
    let mut text = measured.quantity.text(measured.median);
    if let Some(ratio) = &measured.against_reference {
        match ratio.is_difference() {
            true => text += &format!(" · {} ×", number(ratio.median)),
            false => text += " · ≈ 1 ×",
        }
    }
    if let Some(ratio) = &measured.against_floor {
        text += &format!(" · {} × floor", number(ratio.median));
    }
    text
}

/// Columns as wide as their widest cell; the first to the left, the others to the right.
fn write_rows(rows: &[Vec<String>], out: &mut String) -> fmt::Result {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<_> = (0..columns).map(width).collect();
    for row in rows {
        let mut line = format!("{:<1$}", row[0], widths[0]);
        for (cell, width) in row.iter().zip(&widths).skip(1) {
            write!(line, "  {cell:>width$}")?;
        }
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{compare::sample::comparison, report::sample::assert_golden};

    #[test]
    fn the_tables_of_a_comparison_are_as_stored() {
        assert_golden("comparison.txt", &tables(&comparison()));
    }
}
