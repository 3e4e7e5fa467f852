//! Numbers as people read them.

/// A number with three significant digits or all before the point, thousands apart: `93,324`,
/// `12.3`, `0.0456`.
pub(crate) fn number(value: f64) -> String {
    if !value.is_finite() {
        return "–".into();
    }
    let decimals = match value.abs() {
        0.0 => 0,
        size if size >= 99.95 => 0,
        size if size >= 9.995 => 1,
        size if size >= 0.9995 => 2,
        size => (2 - size.log10().floor() as i32).clamp(3, 9) as usize,
    };
    grouped(&format!("{value:.decimals$}"))
}

/// A count, thousands apart.
pub(crate) fn count(value: u64) -> String {
    grouped(&value.to_string())
}

/// A count with its noun: `1 thread`, `2 threads`.
pub(crate) fn counted(value: u64, noun: &str) -> String {
    format!("{} {noun}{}", count(value), if value == 1 { "" } else { "s" })
}

/// Memory, in the largest unit that leaves a number above 1.
pub(crate) fn bytes(value: f64) -> String {
    let units = [(GIBIBYTE, "GiB"), (MEBIBYTE, "MiB"), (KIBIBYTE, "KiB")];
    match units.into_iter().find(|(size, _)| value.abs() >= *size) {
        Some((size, unit)) => format!("{} {unit}", number(value / size)),
        None => format!("{} B", number(value)),
    }
}

/// A latency in microseconds, in the unit that it is spoken of in.
pub(crate) fn microseconds(value: f64) -> String {
    match value.abs() {
        size if size >= 1e6 => format!("{} s", number(value / 1e6)),
        size if size >= 1e3 => format!("{} ms", number(value / 1e3)),
        _ => format!("{} µs", number(value)),
    }
}

/// A moment, milliseconds since 1970, as ISO 8601 in UTC. The calendar is the Gregorian one.
pub(crate) fn moment(unix_ms: u64) -> String {
    let seconds = unix_ms / 1000;
    let (year, month, day) = date(seconds / SECONDS_PER_DAY);
    let (hour, minute) = (seconds / 3600 % 24, seconds / 60 % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{:02} UTC", seconds % 60)
}

/// Days since 1970 as year, month and day.
fn date(mut days: u64) -> (u64, usize, u64) {
    let is_leap = |year: u64| {
        year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
    };
    let mut year = 1970;
    while days >= 365 + u64::from(is_leap(year)) {
        days -= 365 + u64::from(is_leap(year));
        year += 1;
    }
    let february = 28 + u64::from(is_leap(year));
    let months = [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 0;
    while days >= months[month] {
        days -= months[month];
        month += 1;
    }
    (year, month + 1, days + 1)
}

fn grouped(digits: &str) -> String {
    let (sign, digits) = digits.strip_prefix('-').map_or(("", digits), |rest| ("-", rest));
    let (whole, fraction) = digits.split_once('.').map_or((digits, None), |(w, f)| (w, Some(f)));
    let mut text = String::from(sign);
    for (place, digit) in whole.chars().enumerate() {
        if place > 0 && (whole.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if let Some(fraction) = fraction {
        text.push('.');
        text.push_str(fraction);
    }
    text
}

const KIBIBYTE: f64 = 1024.0;
const MEBIBYTE: f64 = 1024.0 * KIBIBYTE;
const GIBIBYTE: f64 = 1024.0 * MEBIBYTE;
const SECONDS_PER_DAY: u64 = 24 * 60 * 60;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_three_digits_or_all_before_the_point() {
        let shown = [
            (0.0, "0"),
            (763_460.4, "763,460"),
            (1_000.0, "1,000"),
            (99.96, "100"),
            (12.34, "12.3"),
            (9.999, "10.0"),
            (1.5, "1.50"),
            (0.9999, "1.00"),
            (0.04567, "0.0457"),
            (-1234.5, "-1,234"),
            (f64::NAN, "–"),
        ];
        for (value, text) in shown {
            assert_eq!(number(value), text);
        }
    }

    #[test]
    fn units_fit_their_size() {
        assert_eq!(
            (counted(1, "thread"), counted(1_000, "file")),
            ("1 thread".into(), "1,000 files".into())
        );
        assert_eq!(bytes(700.0), "700 B");
        assert_eq!(bytes(1.4 * 1024.0), "1.40 KiB");
        assert_eq!(bytes(24.0 * 1024.0 * 1024.0 * 1024.0), "24.0 GiB");
        assert_eq!(microseconds(35.0), "35.0 µs");
        assert_eq!(microseconds(1_234.0), "1.23 ms");
        assert_eq!(microseconds(2_500_000.0), "2.50 s");
    }

    #[test]
    fn moments_follow_the_calendar() {
        assert_eq!(moment(0), "1970-01-01 00:00:00 UTC");
        assert_eq!(moment(951_782_399_000), "2000-02-28 23:59:59 UTC");
        assert_eq!(moment(951_868_799_000), "2000-02-29 23:59:59 UTC");
        assert_eq!(moment(1_795_269_600_000), "2026-11-21 14:00:00 UTC");
    }
}
