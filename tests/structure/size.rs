//! How long files and functions may be. A ratchet: the bounds may be lowered, never raised, and an
//! exception may only shrink.

use super::paths::tokens;
use super::source::{Source, item_end, line_at, without_tests};

const FILE_LINES_MAX: usize = 400;
const TEST_FILE_LINES_MAX: usize = 600;
const MAIN_LINES_MAX: usize = 40;
const FUNCTION_LINES_MAX: usize = 70;
/// A test may have to show a long table of cases in one screen and a half.
const TEST_FUNCTION_LINES_MAX: usize = 100;
/// Nine functions of ten are at most this long.
pub(crate) const FUNCTION_LINES_P90: usize = 25;

/// Files that may be longer for now: the name and how many lines it may have.
const EXCEPTIONS: [(&str, usize); 0] = [];

/// Names each file and function that is too long.
pub(crate) fn faults(source: &Source) -> Vec<String> {
    let mut faults = Vec::new();
    let lines = source.text.lines().count();
    let bound = lines_max(source);
    if lines > bound {
        faults.push(format!("{}: {lines} lines; a file may have {bound}", source.name));
    }
    let product = source.product_code();
    for function in functions(&source.code) {
        let is_test = product.get(function.at..function.at + 2) != Some("fn");
        let bound = if is_test { TEST_FUNCTION_LINES_MAX } else { FUNCTION_LINES_MAX };
        if function.lines > bound {
            faults.push(format!(
                "{}:{}: fn {} has {} lines; a function may have {bound}",
                source.name, function.line, function.name, function.lines
            ));
        }
    }
    faults
}

fn lines_max(source: &Source) -> usize {
    let exception = EXCEPTIONS.iter().find(|(name, _)| *name == source.name);
    match (exception, source.name.as_str()) {
        (Some((_, lines)), _) => *lines,
        (None, "src/main.rs") => MAIN_LINES_MAX,
        _ if source.is_test() => TEST_FILE_LINES_MAX,
        _ => FILE_LINES_MAX,
    }
}

/// The lengths of all functions that are no tests.
pub(crate) fn product_function_lengths(source: &Source) -> Vec<usize> {
    if source.is_test() {
        return Vec::new();
    }
    functions(&without_tests(&source.code)).iter().map(|function| function.lines).collect()
}

/// The length that nine of ten do not exceed.
pub(crate) fn p90(mut lengths: Vec<usize>) -> usize {
    lengths.sort_unstable();
    let place = (lengths.len() * 9).div_ceil(10).saturating_sub(1);
    lengths.get(place).copied().unwrap_or(0)
}

/// Exceptions for files that are gone or have become shorter: the ratchet moves on.
pub(crate) fn stale_exceptions(sources: &[Source]) -> Vec<String> {
    let lines = |name: &str| {
        let source = sources.iter().find(|source| source.name == name);
        source.map_or(0, |source| source.text.lines().count())
    };
    let stale = EXCEPTIONS.iter().filter(|(name, bound)| lines(name) < *bound);
    stale
        .map(|(name, _)| format!("{name} has {} lines now; lower its exception", lines(name)))
        .collect()
}

/// A function with a body.
struct Function<'a> {
    name: &'a str,
    at: usize,
    line: usize,
    lines: usize,
}

fn functions(code: &str) -> Vec<Function<'_>> {
    let tokens = tokens(code);
    let mut found = Vec::new();
    for pair in tokens.windows(2) {
        let [keyword, name] = pair else { continue };
        let is_name = name.text.starts_with(|c: char| c.is_alphabetic() || c == '_');
        if keyword.text != "fn" || !is_name {
            continue;
        }
        let end = item_end(code, keyword.at);
        if code.as_bytes().get(end - 1) == Some(&b'}') {
            let lines = line_at(code, end) - keyword.line + 1;
            found.push(Function { name: name.text, at: keyword.at, line: keyword.line, lines });
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn long_function(lines: usize) -> String {
        format!("fn long(a: [u8; 3]) -> u8 {{\n{}}}\n", "    a;\n".repeat(lines - 2))
    }

    #[test]
    fn a_long_function_is_named() {
        let source = Source::new("src/shard/connect.rs", &format!("\n{}", long_function(71)));
        assert_eq!(
            faults(&source),
            ["src/shard/connect.rs:2: fn long has 71 lines; a function may have 70"]
        );
        let source = Source::new("src/shard/connect.rs", &long_function(70));
        assert_eq!(faults(&source), [""; 0]);
    }

    #[test]
    fn a_long_file_is_named() {
        let source = Source::new("src/shard/connect.rs", &"\n".repeat(401));
        assert_eq!(faults(&source), ["src/shard/connect.rs: 401 lines; a file may have 400"]);
        assert_eq!(faults(&Source::new("tests/a.rs", &"\n".repeat(600))), [""; 0]);
        assert_eq!(faults(&Source::new("src/main.rs", &"\n".repeat(41))).len(), 1);
    }

    #[test]
    fn tests_may_be_somewhat_longer() {
        let text = format!("#[cfg(test)]\nmod tests {{\n{}}}\n", long_function(90));
        assert_eq!(faults(&Source::new("src/a/b.rs", &text)), [""; 0]);
        let text = format!("#[cfg(test)]\nmod tests {{\n{}}}\n", long_function(101));
        assert_eq!(faults(&Source::new("src/a/b.rs", &text)).len(), 1);
    }

    #[test]
    fn declarations_and_function_pointers_are_no_bodies() {
        let code = "trait T { fn a(&self); }\ntype F = fn(u8) -> u8;\nfn b() {}\n";
        let names: Vec<&str> = functions(code).iter().map(|function| function.name).collect();
        assert_eq!(names, ["b"]);
    }

    #[test]
    fn the_ninetieth_percentile_is_a_length_that_occurs() {
        assert_eq!(p90((1..=10).collect()), 9);
        assert_eq!(p90(vec![5]), 5);
        assert_eq!(p90(Vec::new()), 0);
    }
}
