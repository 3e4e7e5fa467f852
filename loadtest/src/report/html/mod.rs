//! One self-contained page: inline SVG, no scripts, nothing from elsewhere.

pub(crate) mod axis;
pub(crate) mod chart;
mod charts;
pub(crate) mod page;
mod tables;

pub(crate) use self::tables::environment;

use self::page::{Card, Page, Section};
use super::{
    Bound, Report,
    format::{counted, microseconds, moment, number},
    latency::Clock,
};

/// The page of one run.
pub(crate) fn page(report: &Report) -> String {
    let broker = report.environment.broker.as_deref().unwrap_or("broker of unknown version");
    let mut page = Page {
        title: format!("{broker}: {}", report.scenario.shape),
        subtitle: format!(
            "{} · {} · run {}",
            report.scenario.conditions(),
            moment(report.started_unix_ms),
            report.run
        ),
        warnings: warnings(report),
        cards: cards(report),
        sections: Vec::new(),
    };
    page.add(charts::over_time(report));
    page.add(latency(report));
    page.add(masses(report));
    page.add(verification(report));
    page.add(Section { tables: tables::processes(report), ..Section::new("Processes") });
    page.add(notes(report));
    page.add(machine(report));
    page.text()
}

fn warnings(report: &Report) -> Vec<String> {
    let mut warnings = Vec::new();
    if report.verdict.bound == Bound::Generator {
        let reason = &report.verdict.reason;
        warnings.push(format!("Generator-bound: these figures are not the broker's. {reason}"));
    }
    if !report.is_clean() {
        warnings.push("The broker broke a promise: see Verification.".into());
    }
    if let Some(reason) = report.surge.as_ref().and_then(|surge| surge.cut_off.as_ref()) {
        warnings.push(format!("The run was cut off: {reason}"));
    }
    if report.traffic.connections_lost > 0 {
        let lost = counted(report.traffic.connections_lost, "connection");
        warnings.push(format!("{lost} lost."));
    }
    warnings.extend(report.environment.remarks());
    warnings
}

fn cards(report: &Report) -> Vec<Card> {
    let mut cards = Vec::new();
    let traffic = &report.traffic;
    let mut add = |value: String, unit, note: String| cards.push(Card { value, unit, note });
    let floor = report.floor.clone().unwrap_or_default();
    if traffic.published > 0 {
        add(number(traffic.published_per_s), "published/s", String::new());
        let times = times_floor(traffic.delivered_per_s, floor.delivered_per_s);
        add(number(traffic.delivered_per_s), "delivered/s", times);
        add(number(traffic.megabytes_out_per_s), "MB/s out", "payload".into());
    }
    if let Some(nanoseconds) = report.broker.as_ref().and_then(|broker| broker.ns_per_delivery) {
        let times = times_floor(nanoseconds, floor.ns_per_delivery);
        add(number(nanoseconds), "ns broker CPU per delivery", times);
    }
    let delivery = report.latencies.iter().find(|latency| latency.clock == Clock::Delivery);
    if let Some(latency) = delivery {
        add(microseconds(latency.p50_us), "latency p50", "from the intended publish".into());
        add(microseconds(latency.p99_us), "latency p99", "from the intended publish".into());
    }
    for storm in &report.storms {
        let note = format!("storm: {}", storm.kind);
        add(number(storm.connections_per_s), "connections/s", note);
    }
    if let Some(idle) = report.idle.last() {
        let note = format!("{} each", counted(idle.subscriptions, "subscription"));
        add(number(idle.bytes_per_connection), "bytes per idle connection", note);
    }
    cards
}

fn times_floor(figure: f64, floor: Option<f64>) -> String {
    let floor = floor.filter(|floor| *floor > 0.0);
    floor.map_or(String::new(), |floor| format!("{} × floor", number(figure / floor)))
}

fn latency(report: &Report) -> Section {
    let mut section = Section::new("Latency");
    section.draw(charts::percentiles(report));
    section.tables.extend(tables::latencies(report));
    section
}

fn masses(report: &Report) -> Section {
    let mut section = Section::new("Connections");
    section.draw(charts::memory(report));
    section.tables.extend(tables::storms(report));
    section
}

fn verification(report: &Report) -> Section {
    let mut section = Section::new("Verification");
    section.tables.extend(tables::verification(report));
    section
}

fn notes(report: &Report) -> Section {
    let mut section = Section::new("Notes");
    section.tables.extend(tables::figures(report));
    section.texts.clone_from(&report.notes);
    section.texts.push(report.verdict.sentence());
    section
}

fn machine(report: &Report) -> Section {
    let mut section = Section::new("Environment");
    section.tables.push(environment(&report.environment));
    section.listing = report.command.join(" ");
    section
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample::{sample, storm};

    #[test]
    fn nothing_from_a_report_becomes_markup_and_nothing_comes_from_elsewhere() {
        let text = page(&sample());
        for markup in
            ["<script", "<no>", " src=", " href=", "url(", "@import", "http://", "https://"]
        {
            assert!(!text.contains(markup), "{markup} is in the page");
        }
        assert!(text.contains("&#60;script&#62;alert(1)"), "the broker's name is shown");
    }

    #[test]
    fn every_section_of_a_full_report_is_there() {
        let text = page(&sample());
        for heading in ["Over time", "Latency", "Verification", "Processes", "Notes", "Environment"]
        {
            assert!(text.contains(&format!("<h2>{heading}</h2>")), "{heading}");
        }
        assert_eq!(text.matches("<svg").count(), 3);
        assert!(!text.contains("<h2>Connections</h2>"), "what was not measured has no section");
    }

    #[test]
    fn the_memory_of_idle_connections_is_drawn() {
        let text = page(&storm());
        assert!(text.contains("Memory per idle connection"));
        assert!(!text.contains("published/s"));
    }
}
