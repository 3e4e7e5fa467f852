//! The report as JSON: the schema of [`model`](super::model), indented, for programs and archives.

use std::io;

use super::{Report, SCHEMA};

/// The report as text, with a line break at its end.
pub(crate) fn text(report: &Report) -> String {
    let mut text = serde_json::to_string_pretty(report).expect("all keys are strings");
    text.push('\n');
    text
}

/// Reads a report; an error if it is none or of a newer schema.
pub(crate) fn read(text: &str) -> io::Result<Report> {
    let report: Report = serde_json::from_str(text)?;
    if report.schema > SCHEMA {
        let schema = report.schema;
        return Err(io::Error::other(format!(
            "the report has schema {schema}; this program knows schemas up to {SCHEMA}"
        )));
    }
    Ok(report)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample::{assert_golden, sample};

    #[test]
    fn the_schema_is_as_stored() {
        assert_golden("report.json", &text(&sample()));
    }

    #[test]
    fn what_was_written_is_read() {
        assert_eq!(read(&text(&sample())).unwrap(), sample());
    }

    #[test]
    fn a_newer_schema_is_refused() {
        let error = read(r#"{"schema": 99}"#).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the report has schema 99; this program knows schemas up to 1"
        );
    }
}
