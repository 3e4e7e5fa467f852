//! The reference page and the example file, made from the table of settings.

use super::table::{Row, rows};

/// What each section is for, in the order of the table.
const SECTIONS: [(&str, &str); 13] = [
    ("", "At the top of the file, before the first section."),
    (
        "listener",
        "One block for each address to listen on. Without any, skein listens on 127.0.0.1:1883.",
    ),
    (
        "listener.tls",
        "TLS on a listener, below its [[listener]] block. The files are read again when they change.",
    ),
    ("listener.websocket", "WebSocket on a listener, below its [[listener]] block."),
    (
        "limits",
        "Bounds on what clients can make the broker hold and do. Every limit has a reaction, and nothing is dropped without being counted.",
    ),
    (
        "store",
        "What outlives the broker, and how it is kept ([what is promised](durability.md)). A change needs a restart.",
    ),
    ("access", "Who may do what ([who clients are](authentication.md))."),
    (
        "jwt",
        "Signed tokens in place of passwords, for \"jwt\" in auth. Of keys_file, keys_url and secret_file, one is set.",
    ),
    (
        "http_hook",
        "A web server that is asked who a client is, for \"http\" in auth; see [what it is asked, and what it answers](authentication.md#the-web-server-that-is-asked).",
    ),
    (
        "bridge",
        "One section for each other broker that messages go to or come from; see [bridges](bridge.md).",
    ),
    ("bridge.tls", "TLS towards another broker, below its section."),
    ("bridge.topics", "What goes over a bridge: one table of its list `topics`, each."),
    ("log", "How the broker reports what happens."),
];

/// The reference page, `docs/configuration.md`.
#[must_use]
pub fn documentation() -> String {
    let mut page = String::from(
        "# Configuration\n\n\
         <!-- Made from src/config/table.rs and access.rs: cargo xtask pages -->\n\n\
         `skein serve --config skein.toml` reads a TOML file; `skein check-config skein.toml` only \
         checks it. Every key but a listener's address has a default, so a file names just what \
         differs. A key that skein does not know, a value out of range and limits that contradict \
         each other are errors that name the line and what to write instead.\n\n\
         The unit stands at the end of a key: `_ms` milliseconds, `_s` seconds, `_bytes` bytes; \
         without one it is a count. [skein.toml](../deploy/examples/skein.toml) holds every key \
         with its default.\n\n\
         SIGHUP reads the file and all that it names again, without closing a connection. A mistake \
         keeps everything as it was, and the log names its line; so it does the keys that a running \
         broker cannot change. Files that are named here are read again when they change.\n",
    );
    for (section, purpose) in SECTIONS {
        page.push_str(&format!("\n## {}\n\n{purpose}\n\n", heading(section, "The top")));
        page.push_str(
            "| key | default | allowed | meaning | at the limit |\n|---|---|---|---|---|\n",
        );
        for row in of_section(section) {
            page.push_str(&format!(
                "| `{}` | `{}` | {} | {} | {} |\n",
                row.key, row.default, row.allowed, row.meaning, row.reaction
            ));
        }
    }
    page
}

/// The example file, `deploy/examples/skein.toml`: every key with its default, commented out.
#[must_use]
pub fn example() -> String {
    let mut file = String::from(
        "# Every setting of skein with its default. Remove the # before a key and change its value.\n\
         # Made from src/config/table.rs and access.rs: cargo xtask pages\n",
    );
    // A bridge without a name, an address and topics would be an error; its page has examples.
    for (section, purpose) in SECTIONS.iter().filter(|(section, _)| !is_of_bridge(section)) {
        file.push('\n');
        file.push_str(&comment(purpose));
        match *section {
            "" => {}
            // A block without an address would be an error, so this one is commented out as well.
            "listener" => {
                file.push_str("# Remove the # of the next line as well as of the address.\n");
                file.push_str("#[[listener]]\n");
            }
            inside if inside.starts_with("listener.") => {
                file.push_str("# Remove the # of the next line as well.\n");
                file.push_str(&format!("#[{section}]\n"));
            }
            _ => file.push_str(&format!("[{section}]\n")),
        }
        for row in of_section(section) {
            let text = format!(
                "{} Allowed: {}. At the limit: {}.",
                row.meaning, row.allowed, row.reaction
            );
            file.push_str(&format!("\n{}#{} = {}\n", comment(&text), row.key, row.default));
        }
    }
    file
}

fn of_section(section: &str) -> impl Iterator<Item = Row> {
    rows().into_iter().filter(move |row| row.section == section)
}

fn heading(section: &str, top: &str) -> String {
    match section {
        "" => top.to_owned(),
        "listener" => "[[listener]]".to_owned(),
        section if is_of_bridge(section) => section.replacen("bridge", "[bridge.NAME", 1) + "]",
        _ => format!("[{section}]"),
    }
}

fn is_of_bridge(section: &str) -> bool {
    section.starts_with("bridge")
}

/// Text as comment lines of at most a hundred columns.
fn comment(text: &str) -> String {
    const WIDTH: usize = 100;
    let mut lines = String::new();
    let mut line = String::from("#");
    for word in text.split_whitespace() {
        if line.len() + 1 + word.len() > WIDTH {
            lines.push_str(&line);
            lines.push('\n');
            line.truncate(1);
        }
        line.push(' ');
        line.push_str(word);
    }
    lines + &line + "\n"
}

#[cfg(test)]
mod tests {
    use super::super::{Settings, parse};
    use super::*;

    #[test]
    fn the_example_says_the_defaults() {
        assert_eq!(parse(&example(), "skein.toml"), Ok(Settings::default()));
    }

    #[test]
    fn the_example_with_every_key_set_still_says_the_defaults() {
        let set = example().replace("\n#[", "\n[");
        let set: Vec<&str> = set
            .lines()
            .map(|line| if line.starts_with("# ") { line } else { line.trim_start_matches('#') })
            .collect();
        assert_eq!(parse(&set.join("\n"), "skein.toml"), Ok(Settings::default()));
        assert_eq!(
            set.iter().filter(|line| line.contains(" = ") && !line.starts_with('#')).count(),
            rows().iter().filter(|row| !is_of_bridge(row.section)).count()
        );
    }

    #[test]
    fn every_row_belongs_to_a_section_that_is_documented() {
        for row in rows() {
            assert!(SECTIONS.iter().any(|(section, _)| *section == row.section), "{}", row.key);
            assert!(documentation().contains(&format!("| `{}` |", row.key)), "{}", row.key);
        }
    }
}
