//! The paths a file names, with groups taken apart: `a::{b, c::d}` is `a::b` and `a::c::d`.

use super::source::is_word;

/// One path and the line it stands on.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NamedPath<'a> {
    /// As written; `*` stands for a glob.
    pub(crate) segments: Vec<&'a str>,
    pub(crate) line: usize,
    /// How many `mod name { … }` of this file stand around it.
    pub(crate) depth: usize,
}

/// Every path in blanked code, single words included.
pub(crate) fn paths(code: &str) -> Vec<NamedPath<'_>> {
    let tokens = tokens(code);
    let depths = module_depths(&tokens);
    let mut found = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        let begins = is_name(tokens[at].text) && (at == 0 || tokens[at - 1].text != "::");
        if begins {
            let mut prefix = Vec::new();
            let end = follow(&tokens, at, &mut prefix, depths[at], &mut found);
            at = end.max(at + 1);
        } else {
            at += 1;
        }
    }
    found
}

/// Reads the path at `at`, whose beginning is `prefix`, and says where it ends.
fn follow<'a>(
    tokens: &[Token<'a>],
    mut at: usize,
    prefix: &mut Vec<&'a str>,
    depth: usize,
    found: &mut Vec<NamedPath<'a>>,
) -> usize {
    let kept = prefix.len();
    let line = tokens[at].line;
    while let Some(token) = tokens.get(at) {
        if token.text == "{" {
            at = follow_group(tokens, at + 1, prefix, depth, found);
            prefix.truncate(kept);
            return at;
        }
        if !is_name(token.text) && token.text != "*" {
            break;
        }
        prefix.push(token.text);
        at += 1;
        match next_segment(tokens, at) {
            Some(next) => at = next,
            None => break,
        }
    }
    if prefix.len() > kept {
        found.push(NamedPath { segments: prefix.clone(), line, depth });
    }
    prefix.truncate(kept);
    at
}

/// Where the next segment stands after the one that ends at `at`: behind `::`, or behind
/// `::<arguments>::`.
fn next_segment(tokens: &[Token<'_>], at: usize) -> Option<usize> {
    let text = |at: usize| tokens.get(at).map(|token| token.text);
    if text(at) != Some("::") {
        return None;
    }
    if text(at + 1) != Some("<") {
        return Some(at + 1);
    }
    let mut depth = 0_usize;
    for (end, token) in tokens.iter().enumerate().skip(at + 1) {
        match token.text {
            "<" => depth += 1,
            ">" if depth == 1 => return (text(end + 1) == Some("::")).then_some(end + 2),
            ">" => depth -= 1,
            _ => {}
        }
    }
    None
}

fn follow_group<'a>(
    tokens: &[Token<'a>],
    mut at: usize,
    prefix: &mut Vec<&'a str>,
    depth: usize,
    found: &mut Vec<NamedPath<'a>>,
) -> usize {
    while let Some(token) = tokens.get(at) {
        match token.text {
            "}" => return at + 1,
            "as" => at += 2,
            text if is_name(text) || text == "*" => {
                at = follow(tokens, at, prefix, depth, found);
            }
            _ => at += 1,
        }
    }
    at
}

/// A word, `::` or any other single character of the code.
#[derive(Clone, Copy)]
pub(crate) struct Token<'a> {
    pub(crate) text: &'a str,
    pub(crate) line: usize,
    pub(crate) at: usize,
}

/// The tokens of blanked code.
pub(crate) fn tokens(code: &str) -> Vec<Token<'_>> {
    let bytes = code.as_bytes();
    let (mut tokens, mut line, mut at) = (Vec::new(), 1, 0);
    while at < bytes.len() {
        let len = match &bytes[at..] {
            [b':', b':', ..] => 2,
            rest => rest.iter().take_while(|byte| is_word(**byte)).count().max(1),
        };
        if !bytes[at].is_ascii_whitespace() {
            tokens.push(Token { text: &code[at..at + len], line, at });
        } else if bytes[at] == b'\n' {
            line += 1;
        }
        at += len;
    }
    tokens
}

fn is_name(text: &str) -> bool {
    text.bytes().next().is_some_and(|byte| is_word(byte) && !byte.is_ascii_digit())
}

/// For each token, how many inline modules stand around it.
fn module_depths(tokens: &[Token<'_>]) -> Vec<usize> {
    let mut braces = Vec::new();
    let mut depths = Vec::with_capacity(tokens.len());
    for (at, token) in tokens.iter().enumerate() {
        match token.text {
            "{" => braces.push(at >= 2 && tokens[at - 2].text == "mod"),
            "}" => drop(braces.pop()),
            _ => {}
        }
        depths.push(braces.iter().filter(|is_module| **is_module).count());
    }
    depths
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(code: &str) -> Vec<String> {
        paths(code).iter().map(|path| path.segments.join("::")).collect()
    }

    #[test]
    fn groups_are_taken_apart() {
        let found = texts("use crate::{shard::{Shard, Time as T}, net, topic::*};");
        assert_eq!(
            found,
            ["use", "crate::shard::Shard", "crate::shard::Time", "crate::net", "crate::topic::*"]
        );
    }

    #[test]
    fn paths_in_expressions_are_found_with_their_line() {
        let found = paths("fn f() {\n  let x = std::time::Instant::now();\n}");
        let path = found.iter().find(|path| path.segments[0] == "std").expect("it is there");
        assert_eq!((path.segments.join("::").as_str(), path.line), ("std::time::Instant::now", 2));
    }

    #[test]
    fn a_path_across_lines_is_one_path() {
        assert_eq!(texts("crate ::\n  net :: lane"), ["crate::net::lane"]);
    }

    #[test]
    fn type_arguments_do_not_end_a_path() {
        let found = texts("a::B::<C<u8>>::new(); Vec::<d::E>::with(1)");
        assert_eq!(found, ["a::B::new", "Vec::with"]);
    }

    #[test]
    fn inline_modules_are_counted() {
        let found = paths("mod a { mod b { use super::x; } } use super::y;");
        let depths: Vec<usize> = found
            .iter()
            .filter(|path| path.segments[0] == "super")
            .map(|path| path.depth)
            .collect();
        assert_eq!(depths, [2, 0]);
    }
}
