//! What the pages name is there: the files and headings that their links lead to, and the sources.

use std::fs;
use std::path::{Path, PathBuf};

use crate::sources::files_below;

/// Where pages are, from the root of the repository, which has some itself.
const FOLDERS: [&str; 3] = ["docs", "loadtest", "tests/interop"];

/// All pages but those of other people: `node_modules` has many.
fn pages() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let entries = root.read_dir().expect("the folder can be read").flatten();
    let of_root = entries.map(|entry| entry.path()).filter(|path| path.is_file());
    let below = FOLDERS.into_iter().flat_map(|folder| files_below(folder, "md"));
    let is_own = |path: &PathBuf| !path.iter().any(|part| part == "node_modules");
    of_root
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        .chain(below)
        .filter(is_own)
        .collect()
}

fn read(page: &Path) -> String {
    fs::read_to_string(page).expect("pages are text")
}

/// The text without its blocks of code.
fn prose(page: &str) -> String {
    let mut is_code = false;
    let is_prose = |line: &&str| {
        let is_fence = line.trim_start().starts_with("```");
        is_code ^= is_fence;
        !is_code && !is_fence
    };
    page.lines().filter(is_prose).collect::<Vec<_>>().join("\n")
}

/// Where the links within the repository lead.
fn links(prose: &str) -> impl Iterator<Item = &str> {
    let ends = prose.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    ends.filter(|link| !link.contains("://"))
}

/// The name by which a link finds a heading.
fn anchor(heading: &str) -> String {
    let heading = heading.trim_start_matches('#').trim().to_lowercase();
    let is_kept = |letter: &char| letter.is_alphanumeric() || "-_ ".contains(*letter);
    heading.chars().filter(is_kept).map(|letter| if letter == ' ' { '-' } else { letter }).collect()
}

#[test]
fn every_link_leads_to_a_file_and_a_heading_of_it() {
    let mut wrong = Vec::new();
    for page in pages() {
        for link in links(&prose(&read(&page))) {
            let (file, heading) = link.split_once('#').unwrap_or((link, ""));
            let folder = page.parent().expect("it is in one");
            let target = if file.is_empty() { page.clone() } else { folder.join(file) };
            let has_heading = || {
                let text = prose(&read(&target));
                text.lines().any(|line| line.starts_with('#') && anchor(line) == heading)
            };
            if !target.exists() || !(heading.is_empty() || has_heading()) {
                wrong.push(format!("{}: {link}", page.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "links that lead nowhere:\n{}", wrong.join("\n"));
}

/// A source is named from the root, or from a folder that the page speaks of. What a decision names
/// was there when it was made.
#[test]
fn every_source_that_a_page_names_is_there() {
    let folders = ["src", "protocol", "client", "loadtest", "xtask", "tests", "benches", "fuzz"];
    let sources: Vec<PathBuf> =
        folders.into_iter().flat_map(|folder| files_below(folder, "rs")).collect();
    let mut missing = Vec::new();
    for page in pages().iter().filter(|page| !page.iter().any(|part| part == "decisions")) {
        for named in prose(&read(page)).split('`').skip(1).step_by(2) {
            let is_path = named.ends_with(".rs") && !named.contains([' ', '*']);
            if is_path && !sources.iter().any(|source| source.ends_with(named)) {
                missing.push(format!("{}: {named}", page.display()));
            }
        }
    }
    assert!(missing.is_empty(), "sources that are not there:\n{}", missing.join("\n"));
}

#[test]
fn links_and_anchors_are_read_as_they_are_shown() {
    let page = "[a](b.md#c) and [d](https://e/f)\n```\n[x](y)\n```\n[g](#h)";
    let prose = prose(page);
    assert_eq!(links(&prose).collect::<Vec<_>>(), ["b.md#c", "#h"]);
    assert_eq!(anchor("## What is promised, and what not"), "what-is-promised-and-what-not");
}
