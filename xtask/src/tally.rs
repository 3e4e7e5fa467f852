//! Counts tests from what their runners print.

/// How many tests ran, and how they ended.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) passed: usize,
    pub(crate) failed: usize,
}

impl Tally {
    /// Adds what a line of output says, if it is the summary of a runner: Cargo's ("test result:
    /// ok. 3 passed; 0 failed; …"), nextest's ("Summary [1 s] 3 tests run: 3 passed, 0 skipped") or
    /// the plain one ("3 passed, 0 failed").
    pub(crate) fn read(&mut self, line: &str) {
        let line = without_colours(line);
        let line = line.trim_end();
        // Cargo's begins its line: indented it is a quotation by nextest, which counts it itself.
        let is_summary =
            line.starts_with("test result: ") || line.trim_start().starts_with("Summary [");
        if is_summary || is_plain(line) {
            self.passed += count_before(line, "passed");
            self.failed += count_before(line, "failed");
        }
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
    }
}

/// "N passed, N failed" and nothing else, but perhaps ", N skipped".
fn is_plain(line: &str) -> bool {
    let words: Vec<&str> = line.split(' ').collect();
    let number = |at: usize| words.get(at).is_some_and(|word| word.parse::<usize>().is_ok());
    let word = |at: usize| words.get(at).map(|word| word.trim_end_matches(','));
    let ends = words.len() == 4 || (number(4) && word(5) == Some("skipped") && words.len() == 6);
    number(0) && word(1) == Some("passed") && number(2) && word(3) == Some("failed") && ends
}

/// The number that stands before a word: "3 passed;" is 3 passed. 0 when the word is not there.
fn count_before(line: &str, wanted: &str) -> usize {
    let words: Vec<&str> = line.split_whitespace().collect();
    let mut pairs = words.windows(2);
    let found = pairs.find(|pair| pair[1].trim_end_matches([',', ';']) == wanted);
    found.and_then(|pair| pair[0].parse().ok()).unwrap_or(0)
}

fn without_colours(line: &str) -> String {
    let mut plain = String::with_capacity(line.len());
    let mut inside = false;
    for character in line.chars() {
        match character {
            '\u{1b}' => inside = true,
            'm' if inside => inside = false,
            _ if !inside => plain.push(character),
            _ => {}
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(text: &str) -> (usize, usize) {
        let mut tally = Tally::default();
        text.lines().for_each(|line| tally.read(line));
        (tally.passed, tally.failed)
    }

    #[test]
    fn each_runner_is_understood() {
        assert_eq!(tally("test result: ok. 20 passed; 0 failed; 1 ignored; 0 measured"), (20, 0));
        assert_eq!(tally("test result: FAILED. 27 passed; 1 failed; 0 ignored"), (27, 1));
        assert_eq!(tally("     Summary [   0.1s] 20 tests run: 20 passed, 0 skipped"), (20, 0));
        assert_eq!(tally("Summary [ 9s] 20 tests run: 18 passed, 2 failed, 0 skipped"), (18, 2));
        assert_eq!(tally("\u{1b}[1m12 passed, 3 failed\u{1b}[0m"), (12, 3));
        assert_eq!(tally("12 passed, 3 failed, 1 skipped"), (12, 3));
    }

    #[test]
    fn several_summaries_add_up() {
        assert_eq!(tally("3 passed, 1 failed\ntest result: ok. 2 passed; 0 failed;"), (5, 1));
    }

    #[test]
    fn what_nextest_quotes_counts_once() {
        let quoted = "  stdout ───\n    test result: FAILED. 0 passed; 1 failed; 0 ignored;";
        let summary = "     Summary [ 2s] 3 tests run: 2 passed, 1 failed, 0 skipped";
        assert_eq!(tally(&format!("{quoted}\n{summary}")), (2, 1));
    }

    #[test]
    fn other_lines_do_not_count() {
        assert_eq!(tally("the 3 passed, 1 failed line\n4 passed\nok 5 passed, 1 failed"), (0, 0));
    }
}
