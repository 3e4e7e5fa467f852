//! The pages of the repository. Those that are made from the code and its tests are as they would be
//! made now: `cargo xtask pages` makes them anew. What all of them name is there.
//!
//! No broker is started, and nothing is read but sources: so they are looked at before what is slow.

mod attacks;
mod command_line;
mod compliance;
mod counters;
mod links;
mod sources;

use std::path::Path;

use skein::config;

#[test]
fn the_page_of_settings_is_up_to_date() {
    assert_up_to_date("docs/configuration.md", &config::documentation());
}

#[test]
fn the_example_of_settings_is_up_to_date() {
    assert_up_to_date("deploy/examples/skein.toml", &config::example());
}

#[test]
fn the_page_of_mosquittos_options_is_up_to_date() {
    assert_up_to_date("docs/mosquitto.md", &config::mosquitto_documentation());
}

/// Compares a file of the repository with what it would be now; `UPDATE_DOCS` makes it that.
fn assert_up_to_date(name: &str, made: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    let stands = std::fs::read_to_string(&path).unwrap_or_default();
    if stands == made {
        return;
    }
    if std::env::var_os("UPDATE_DOCS").is_some() {
        return std::fs::write(&path, made).expect("the file of the repository can be written");
    }
    let same = stands.lines().zip(made.lines()).take_while(|(stands, made)| stands == made).count();
    let line = |text: &str| text.lines().nth(same).unwrap_or("(the end)").to_owned();
    let (stands, made) = (line(&stands), line(made));
    let at = stands.chars().zip(made.chars()).take_while(|(stands, made)| stands == made).count();
    let excerpt =
        |line: &str| line.chars().skip(at.saturating_sub(40)).take(100).collect::<String>();
    panic!(
        "{name} is out of date; run: cargo xtask pages\nline {}: {}\nwould be: {}",
        same + 1,
        excerpt(&stands),
        excerpt(&made)
    );
}
