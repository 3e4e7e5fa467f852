//! `cargo xtask growth`: what a delivery costs the broker as subscriptions grow in number, drawn
//! for `docs/performance.md`.
//!
//! Every point is a run of the load test against a broker of its own. The CPU time of the broker
//! is what counts, so other work on the machine blurs the picture and does not change it.

use std::fs;
use std::path::Path;
use std::process::Command;

use plotters::prelude::*;

use crate::broker::{self, Broker};
use crate::job::{cargo, root, target};

/// Where the picture is, from the root of the repository.
const PICTURE: &str = "docs/growth.svg";
const SHARDS: usize = 2;
/// How long each point is measured.
const SECONDS: &str = "5";
/// The runs of each point; the least disturbed one counts.
const RUNS: usize = 3;

/// Something that grows: how the load test is told its size.
struct Line {
    what: &'static str,
    sizes: &'static [u32],
    flags: fn(u32) -> String,
}

const LINES: [Line; 2] = [
    Line {
        what: "topics, each with a subscription",
        sizes: &[10, 100, 1_000, 10_000, 100_000],
        flags: |size| format!("--shape topics:{size}:1:10"),
    },
    Line {
        what: "subscriptions, of which ten match",
        sizes: &[10, 1_000, 100_000, 1_000_000],
        flags: |size| format!("--shape topics:10:1:10 --ballast {}", size - 10),
    },
];

/// Sizes and nanoseconds per delivery.
type Points = Vec<(f64, f64)>;

/// Measures every point, prints it and draws them all.
///
/// # Errors
/// A program cannot be built or run, or the picture not be written.
pub(crate) fn run() -> Result<bool, String> {
    for command in [broker::build(), build_load_test()].iter_mut() {
        let status = command.status().map_err(|error| format!("cargo: {error}"))?;
        if !status.success() {
            return Ok(false);
        }
    }
    let mut lines = Vec::new();
    for Line { what, sizes, flags } in &LINES {
        println!("{what}");
        let mut points = Points::new();
        for &size in *sizes {
            let cost = measure(&flags(size))?;
            println!("{size:>10} {cost:>8.0} ns CPU per delivery");
            points.push((f64::from(size), cost));
        }
        lines.push((*what, points));
    }
    draw(&root().join(PICTURE), &lines).map_err(|error| format!("{PICTURE}: {error}"))?;
    println!("drawn: {PICTURE}");
    Ok(true)
}

fn build_load_test() -> Command {
    let mut command = cargo();
    command.current_dir(root()).args(["build", "--release", "--package", "skein-loadtest"]);
    command
}

/// The least CPU time per delivery of all runs, nanoseconds.
fn measure(flags: &str) -> Result<f64, String> {
    let costs: Result<Vec<f64>, String> = (0..RUNS).map(|_| measure_once(flags)).collect();
    Ok(costs?.into_iter().fold(f64::INFINITY, f64::min))
}

fn measure_once(flags: &str) -> Result<f64, String> {
    let failed = |error: &dyn std::fmt::Display| format!("growth {flags}: {error}");
    let folder = target().join("xtask");
    let (config, log) = (folder.join("growth.toml"), folder.join("growth.log"));
    let report = folder.join("growth.json");
    fs::create_dir_all(&folder).map_err(|error| failed(&error))?;
    fs::write(&config, "").map_err(|error| failed(&error))?;
    let broker = Broker::start(&config, SHARDS, &log).map_err(|error| failed(&error))?;
    let status = Command::new(target().join("release").join("skein-loadtest"))
        .args(["flood", "--expect", "--seconds", SECONDS])
        .args(flags.split_whitespace())
        .args(["--address", &broker.address.to_string(), "--pid", &broker.pid().to_string()])
        .arg("--json")
        .arg(&report)
        .status()
        .map_err(|error| failed(&error))?;
    if !status.success() {
        return Err(failed(&status));
    }
    let text = fs::read_to_string(&report).map_err(|error| failed(&error))?;
    cost_of(&text).ok_or_else(|| failed(&"no CPU time in the report"))
}

/// The broker's CPU time per delivery in a report of the load test.
fn cost_of(report: &str) -> Option<f64> {
    let report: serde_json::Value = serde_json::from_str(report).ok()?;
    report.get("broker")?.get("ns_per_delivery")?.as_f64()
}

fn draw(path: &Path, lines: &[(&str, Points)]) -> Result<(), Box<dyn std::error::Error>> {
    let points = || lines.iter().flat_map(|(_, points)| points);
    let size_max = points().map(|(size, _)| *size).fold(10.0, f64::max);
    let cost_max = points().map(|(_, cost)| *cost).fold(100.0, f64::max);
    let area = SVGBackend::new(path, (720, 400)).into_drawing_area();
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&area)
        .margin(12)
        .x_label_area_size(40)
        .y_label_area_size(60)
        .build_cartesian_2d((10.0..size_max * 1.2).log_scale(), 0.0..cost_max * 1.2)?;
    chart
        .configure_mesh()
        .x_desc("how many")
        .y_desc("ns of broker CPU per delivery")
        .x_label_formatter(&|size| format!("{size:.0}"))
        .draw()?;
    for ((what, points), colour) in lines.iter().zip([&BLUE, &RED]) {
        chart
            .draw_series(LineSeries::new(points.iter().copied(), colour).point_size(3))?
            .label(*what)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour));
    }
    chart
        .configure_series_labels()
        .background_style(WHITE)
        .border_style(BLACK)
        .position(SeriesLabelPosition::UpperLeft)
        .draw()?;
    area.present()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cost_is_found_in_a_report() {
        assert_eq!(cost_of(r#"{"broker": {"ns_per_delivery": 42.5}}"#), Some(42.5));
        assert_eq!(cost_of(r#"{"broker": null}"#), None);
    }

    #[test]
    fn every_line_is_drawn_with_its_name() {
        let path = std::env::temp_dir().join(format!("skein-growth-{}.svg", std::process::id()));
        let lines = [
            ("one", vec![(10.0, 100.0), (1e6, 120.0)]),
            ("other", vec![(10.0, 90.0), (1e5, 80.0)]),
        ];
        draw(&path, &lines).expect("it can be written");
        let picture = fs::read_to_string(&path).expect("it was written");
        fs::remove_file(&path).expect("it is ours");
        for mark in ["one", "other", "#0000FF", "#FF0000"] {
            assert!(picture.contains(mark), "{mark} is there");
        }
    }
}
