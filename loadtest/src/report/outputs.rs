//! Where a report goes: the flags that every mode of the load test shares.

use std::{
    fs::File,
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

use clap::Args;

use super::{Floor, Report, csv, hlog, html, json, text};

/// The outputs of a run.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Outputs")]
pub(crate) struct Outputs {
    /// The whole report as JSON, its schema is stable; `-` writes it to the standard output, in
    /// place of the summary.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// One row of CSV for each second.
    #[arg(long, value_name = "FILE")]
    pub(crate) csv: Option<PathBuf>,
    /// The latencies as an interval log of HdrHistogram, in nanoseconds.
    #[arg(long, value_name = "FILE")]
    pub(crate) hlog: Option<PathBuf>,
    /// One self-contained page with plots.
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
    /// A JSON report of the same scenario against the null broker (`skein-loadtest floor`): figures
    /// are also given as multiples of it.
    #[arg(long, value_name = "REPORT.json")]
    pub(crate) floor: Option<PathBuf>,
    /// The broker's name and version, for the report.
    #[arg(long, value_name = "TEXT")]
    pub(crate) broker_name: Option<String>,
    /// The scenario file that the flags come from.
    #[arg(long, hide = true)]
    pub(crate) scenario_name: Option<String>,
    /// Its hash.
    #[arg(long, hide = true)]
    pub(crate) scenario_hash: Option<String>,
}

/// A report that knows its outputs.
#[derive(Args, Clone, Debug)]
pub(crate) struct Show {
    /// A report that was stored with `--json`.
    #[arg(value_name = "REPORT.json")]
    report: PathBuf,
    #[command(flatten)]
    outputs: Outputs,
}

impl Show {
    /// Shows the stored report as if its run had just ended.
    pub(crate) fn run(&self) -> io::Result<()> {
        let mut report = read(&self.report)?;
        self.outputs.write(&mut report)
    }
}

impl Outputs {
    /// Writes every output that was asked for, and the summary to the standard output unless the
    /// JSON goes there. Takes the floor's figures and the broker's name into the report first.
    pub(crate) fn write(&self, report: &mut Report) -> io::Result<()> {
        if let Some(name) = &self.broker_name {
            report.environment.broker = Some(name.clone());
        }
        if self.scenario_name.is_some() {
            report.scenario.name.clone_from(&self.scenario_name);
            report.scenario.hash.clone_from(&self.scenario_hash);
        }
        if let Some(path) = &self.floor {
            report.floor = Some(Floor::from(&read(path)?));
        }
        if let Some(path) = &self.csv {
            to_file(path, |out| csv::write(report, out))?;
        }
        if let Some(path) = &self.hlog {
            to_file(path, |out| hlog::write(report, out))?;
        }
        if let Some(path) = &self.html {
            to_file(path, |out| out.write_all(html::page(report).as_bytes()))?;
        }
        let json = self.json.as_deref();
        if let Some(path) = json.filter(|path| !is_standard_output(path)) {
            to_file(path, |out| out.write_all(json::text(report).as_bytes()))?;
        }
        let shown = match json {
            Some(path) if is_standard_output(path) => json::text(report),
            _ => text::summary(report),
        };
        io::stdout().write_all(shown.as_bytes())
    }
}

impl From<&Report> for Floor {
    fn from(report: &Report) -> Self {
        Self {
            ns_per_delivery: report.broker.as_ref().and_then(|broker| broker.ns_per_delivery),
            delivered_per_s: Some(report.traffic.delivered_per_s),
        }
    }
}

/// Whether a file of this name means the standard output.
pub(crate) fn is_standard_output(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// Creates the file and has it written; an error names it.
pub(crate) fn to_file(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> io::Result<()> {
    let written = File::create(path).map(BufWriter::new).and_then(|mut out| {
        write(&mut out)?;
        out.flush()
    });
    written.map_err(|error| named(path, &error))
}

/// Reads a stored file; an error names it.
pub(crate) fn read_text(path: &Path) -> io::Result<String> {
    std::fs::read_to_string(path).map_err(|error| named(path, &error))
}

fn read(path: &Path) -> io::Result<Report> {
    json::read(&read_text(path)?).map_err(|error| named(path, &error))
}

fn named(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}
