//! Source files as text, and as code: comments and literals blanked, so that words in them do not
//! count. Lines and columns stay where they were.

use std::fs;
use std::path::Path;

/// One file.
#[derive(Clone)]
pub(crate) struct Source {
    /// The path from the root of the repository, with slashes.
    pub(crate) name: String,
    /// As it stands in the file.
    pub(crate) text: String,
    /// With comments and literals blanked.
    pub(crate) code: String,
}

impl Source {
    pub(crate) fn new(name: &str, text: &str) -> Self {
        Self { name: name.to_owned(), text: text.to_owned(), code: blank(text) }
    }

    /// Whether the whole file is test code.
    pub(crate) fn is_test(&self) -> bool {
        let mut parts = self.name.split('/');
        parts.any(|part| part == "tests" || part == "tests.rs" || part.ends_with("_tests.rs"))
    }

    /// The code without its `#[cfg(test)]` items.
    pub(crate) fn product_code(&self) -> String {
        if self.is_test() { String::new() } else { without_tests(&self.code) }
    }
}

/// Every Rust file below a folder of the repository, in the order of their names. A folder that
/// does not exist has none.
pub(crate) fn read_folder(folder: &str) -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut sources = Vec::new();
    let mut folders = vec![root.join(folder)];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for entry in entries {
            let path = entry.expect("the folder can be listed").path();
            if path.is_dir() && !is_foreign(&path) {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).expect("a source file is text");
                let name = path.strip_prefix(root).expect("it is below the root");
                sources.push(Source::new(&name.display().to_string().replace('\\', "/"), &text));
            }
        }
    }
    sources.sort_by(|a, b| a.name.cmp(&b.name));
    sources
}

/// What is built or fetched is not ours to measure.
fn is_foreign(folder: &Path) -> bool {
    folder.file_name().is_some_and(|name| name == "target" || name == "node_modules")
}

/// Blanks comments, strings and character literals.
pub(crate) fn blank(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut code = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let end = at + literal_len(bytes, at);
        for byte in code.iter_mut().take(end).skip(at).filter(|byte| **byte != b'\n') {
            *byte = b' ';
        }
        at = end.max(at + 1);
    }
    String::from_utf8(code).expect("whole literals were replaced by spaces")
}

/// How long the comment or literal is that begins here; 0 when none does.
fn literal_len(bytes: &[u8], at: usize) -> usize {
    let rest = &bytes[at..];
    let inside_word = at > 0 && is_word(bytes[at - 1]);
    match rest {
        [b'/', b'/', ..] => rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len()),
        [b'/', b'*', ..] => block_comment_len(rest),
        [b'r' | b'b' | b'c', ..] if !inside_word => prefixed_len(rest),
        [b'"', ..] => quoted_len(rest, b'"'),
        [b'\'', ..] => character_len(rest),
        _ => 0,
    }
}

fn block_comment_len(rest: &[u8]) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < rest.len() {
        match &rest[at..] {
            [b'/', b'*', ..] => (depth, at) = (depth + 1, at + 2),
            [b'*', b'/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

/// `r"…"`, `r#"…"#`, `b"…"`, `br"…"`, `b'…'`, `c"…"`.
fn prefixed_len(rest: &[u8]) -> usize {
    let letters = rest.iter().take_while(|byte| matches!(byte, b'r' | b'b' | b'c')).count();
    let hashes = rest[letters..].iter().take_while(|byte| **byte == b'#').count();
    let body = &rest[letters + hashes..];
    match body.first() {
        Some(b'"') if rest[..letters].contains(&b'r') => {
            let end = [b"\"".as_slice(), &b"#".repeat(hashes)].concat();
            let found = body[1..].windows(end.len()).position(|window| window == end);
            found.map_or(rest.len(), |found| letters + hashes + 1 + found + end.len())
        }
        Some(b'"') if hashes == 0 => letters + quoted_len(body, b'"'),
        Some(b'\'') if hashes == 0 => letters + character_len(body),
        _ => 0,
    }
}

fn quoted_len(rest: &[u8], quote: u8) -> usize {
    let mut at = 1;
    while at < rest.len() && rest[at] != quote {
        at += if rest[at] == b'\\' { 2 } else { 1 };
    }
    (at + 1).min(rest.len())
}

/// A character literal, or 0 for a lifetime.
fn character_len(rest: &[u8]) -> usize {
    match rest {
        [_, b'\\', ..] => quoted_len(rest, b'\''),
        [_, first, ..] => {
            let width = match first {
                0xF0.. => 4,
                0xE0.. => 3,
                0xC0.. => 2,
                _ => 1,
            };
            if rest.get(1 + width) == Some(&b'\'') { width + 2 } else { 0 }
        }
        _ => 0,
    }
}

pub(crate) fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

/// Blanks each item that stands under `#[cfg(test)]`: to its closing brace or its semicolon.
pub(crate) fn without_tests(code: &str) -> String {
    const MARK: &str = "#[cfg(test)]";
    let mut kept = code.to_owned();
    while let Some(start) = kept.find(MARK) {
        let end = item_end(&kept, start + MARK.len());
        let blanked: String =
            kept[start..end].chars().map(|c| if c == '\n' { '\n' } else { ' ' }).collect();
        kept.replace_range(start..end, &blanked);
    }
    kept
}

/// Where the item that begins after `start` ends.
pub(crate) fn item_end(code: &str, start: usize) -> usize {
    let mut depth = 0_usize;
    for (at, byte) in code.bytes().enumerate().skip(start) {
        match byte {
            b'{' | b'(' | b'[' => depth += 1,
            b')' | b']' => depth = depth.saturating_sub(1),
            b'}' if depth <= 1 => return at + 1,
            b'}' => depth -= 1,
            b';' if depth == 0 => return at + 1,
            _ => {}
        }
    }
    code.len()
}

/// The line a byte stands on, counted from one.
pub(crate) fn line_at(text: &str, at: usize) -> usize {
    text.as_bytes()[..at].iter().filter(|byte| **byte == b'\n').count() + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_literals_are_blanked_in_place() {
        let text = "a /* b /* c */ d */ e // f\n\"g \\\" h\" i r#\"j \" k\"# l 'm' '\\'' b\"n\" o";
        let code = blank(text);
        assert_eq!(code.len(), text.len());
        let words: String = code.split_whitespace().collect();
        assert_eq!(words, "aeilo");
    }

    #[test]
    fn a_lifetime_is_no_literal() {
        assert_eq!(blank("fn f<'a>(x: &'a str) { 'b' }"), "fn f<'a>(x: &'a str) {     }");
        assert_eq!(blank("let r = b; for x in 'ä'..'b' {}").matches('\'').count(), 0);
    }

    #[test]
    fn items_under_cfg_test_are_left_out() {
        let code = "use a;\n#[cfg(test)]\nmod tests {\n fn f() { g() }\n}\nuse b;\n#[cfg(test)]\nmod t;\nuse c;";
        let kept = without_tests(code);
        let words: Vec<&str> = kept.split_whitespace().collect();
        assert_eq!(words, ["use", "a;", "use", "b;", "use", "c;"]);
        assert_eq!(kept.lines().count(), code.lines().count());
    }

    #[test]
    fn test_files_are_known_by_their_place() {
        assert!(Source::new("src/config/tests.rs", "").is_test());
        assert!(Source::new("tests/simulation/main.rs", "").is_test());
        assert!(!Source::new("src/shard/latest.rs", "").is_test());
    }
}
