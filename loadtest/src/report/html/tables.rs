//! The tables of one run.

use super::page::{Cell, Table};
use crate::report::{
    BrokerProcess, Environment, Generator, Report,
    format::{bytes, count, microseconds, number},
};

/// One row for each clock.
pub(super) fn latencies(report: &Report) -> Option<Table> {
    let head = ["", "count", "min", "mean", "p50", "p90", "p99", "p99.9", "p99.99", "max"];
    let mut table = Table::new("", &head);
    for latency in &report.latencies {
        let mut row = vec![Cell::plain(latency.clock.title()), Cell::plain(count(latency.count))];
        row.extend(latency.figures_us().map(|value| Cell::plain(microseconds(value))));
        table.rows.push(row);
    }
    (!table.rows.is_empty()).then_some(table)
}

/// One row for each rule.
pub(super) fn verification(report: &Report) -> Option<Table> {
    let first = report.verification.first()?;
    let mut head = vec!["", "judgement", "checked"];
    head.extend(first.counts().map(|(name, _)| name));
    let mut table = Table::new("", &head);
    for verification in &report.verification {
        let judgement = match verification.violations {
            0 => Cell::judged("kept", true),
            violations => Cell::judged(format!("violated {} ×", count(violations)), false),
        };
        let title = format!("{}: {}", verification.title(), verification.rule());
        let mut row = vec![Cell { text: title, class: "text" }, judgement];
        row.push(Cell::plain(count(verification.checked)));
        row.extend(verification.counts().map(|(_, value)| Cell::plain(count(value))));
        table.rows.push(row);
    }
    Some(table)
}

/// One row for each storm.
pub(super) fn storms(report: &Report) -> Option<Table> {
    let head = ["storm", "connections/s", "accepted", "failed", "broker CPU per connection"];
    let mut table = Table::new("", &head);
    for storm in &report.storms {
        let cpu = storm.broker_cpu_us_per_connection.map_or("not known".into(), microseconds);
        table.rows.push(vec![
            Cell::plain(&storm.kind),
            Cell::plain(number(storm.connections_per_s)),
            Cell::plain(count(storm.connections)),
            Cell::judged(count(storm.failed), storm.failed == 0),
            Cell::plain(cpu),
        ]);
    }
    (!table.rows.is_empty()).then_some(table)
}

/// Figures that only this scenario has, and the lines of the `surge` preset.
pub(super) fn figures(report: &Report) -> Option<Table> {
    let mut table = Table::new("", &[]);
    for figure in &report.figures {
        table.pair(&figure.name, format!("{} {}", number(figure.value), figure.unit));
    }
    if let Some(surge) = &report.surge {
        for (name, line) in [("surge sent", &surge.sent), ("surge received", &surge.received)] {
            let (messages, nanoseconds) = (count(line.messages), count(line.nanoseconds));
            table.pair(name, format!("{messages} in {nanoseconds} ns = {}/s", number(line.per_s)));
        }
    }
    (!table.rows.is_empty()).then_some(table)
}

/// The broker and the load test.
pub(super) fn processes(report: &Report) -> Vec<Table> {
    let seconds = report.traffic.seconds;
    let broker = report.broker.as_ref().map(|broker| describe_broker(broker, seconds));
    let is_known = report.generator != Generator::default();
    let generator = is_known.then(|| describe_generator(&report.generator, seconds));
    broker.into_iter().chain(generator).collect()
}

fn describe_broker(broker: &BrokerProcess, seconds: f64) -> Table {
    let [start, peak, end] = [broker.rss_start_bytes, broker.rss_peak_bytes, broker.rss_end_bytes]
        .map(|value| bytes(value as f64));
    let cpu = broker.ns_per_delivery.map(|value| format!("{} ns", number(value)));
    Table::pairs(
        "broker",
        [
            ("CPU per delivery", cpu.unwrap_or_default()),
            ("CPU time", cpu_time(broker.cpu_user_s, broker.cpu_system_s, seconds)),
            ("resident memory", format!("{start} before, {peak} at most, {end} after")),
            ("waited", format!("{} ×", count(broker.switches_voluntary))),
            ("interrupted", format!("{} ×", count(broker.switches_involuntary))),
            ("threads", count(broker.threads)),
            ("open files", count(broker.files)),
        ],
    )
}

fn describe_generator(generator: &Generator, seconds: f64) -> Table {
    let mut table = Table::pairs(
        "load test",
        [
            ("CPU per message", format!("{} ns", number(generator.ns_per_message))),
            ("CPU time", cpu_time(generator.cpu_user_s, generator.cpu_system_s, seconds)),
        ],
    );
    for thread in &generator.threads {
        let text = format!(
            "{} s CPU, longest turn {}, blocked {} s",
            number(thread.cpu_s),
            microseconds(thread.turn_max_us),
            number(thread.blocked_s)
        );
        table.pair(&thread.name, text);
    }
    table
}

fn cpu_time(user_s: f64, system_s: f64, seconds: f64) -> String {
    let mut text = format!("{} s user, {} s system", number(user_s), number(system_s));
    if seconds > 0.0 {
        text += &format!("; {} cores busy", number((user_s + system_s) / seconds));
    }
    text
}

/// The machine and the programs.
pub(crate) fn environment(environment: &Environment) -> Table {
    let list = |numbers: &[u32]| numbers.iter().map(u32::to_string).collect::<Vec<_>>().join(", ");
    let commit = environment.commit.as_ref().map(|commit| format!(", commit {commit}"));
    let open_files = environment.open_files_max.map_or("unlimited".into(), count);
    let mut table = Table::pairs(
        "",
        [
            ("load test", format!("{}{}", environment.program, commit.unwrap_or_default())),
            ("broker", environment.broker.clone().unwrap_or_default()),
            ("processor", format!("{}, {} online", environment.cpu, environment.cores)),
            ("load test runs on", list(&environment.affinity)),
            ("broker runs on", list(&environment.broker_affinity)),
            ("clock governor", environment.governor.clone().unwrap_or_default()),
            ("memory", bytes(environment.memory_bytes as f64)),
            ("system", format!("{}, kernel {}", environment.system, environment.kernel)),
            ("open files, at most", open_files),
            ("load average before", environment.load_average.map(number).join(", ")),
        ],
    );
    for (name, value) in &environment.sysctls {
        table.pair(name, value.clone());
    }
    table
}
