//! docs/counters.md says what each counter counts, and says it of every one.

use std::path::Path;

use skein::server::ACCEPTOR_COUNTERS;
use skein::shard::{DropReason, Metrics};
use skein::store::housekeeper::Counters;

#[test]
fn the_page_of_counters_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/counters.md");
    let wanted = page();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &wanted).expect("the file of the repository can be written");
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(found == wanted, "out of date; run: UPDATE_DOCS=1 cargo test --test counters");
}

fn page() -> String {
    let mut page = String::from(
        "# Counters\n\n\
         <!-- Made from src/shard/metrics.rs and others: UPDATE_DOCS=1 cargo test --test counters -->\n\n\
         `kill -USR1` of the broker's process writes the counters of every shard to the log, and \
         what each shard dropped by reason and first topic level. All count since the start.\n\n\
         | counter | what it counts |\n|---|---|\n",
    );
    for (name, meaning) in Metrics::descriptions() {
        page.push_str(&format!("| `{name}` | {} |\n", meaning.trim_end_matches('.')));
    }
    page.push_str("\n| counter of the acceptor | what it counts |\n|---|---|\n");
    for (name, meaning) in ACCEPTOR_COUNTERS {
        page.push_str(&format!("| `{name}` | {meaning} |\n"));
    }
    page.push_str("\n| counter of the store | what it counts |\n|---|---|\n");
    for (name, meaning) in Counters::descriptions() {
        page.push_str(&format!("| `{name}` | {} |\n", meaning.trim_end_matches('.')));
    }
    page.push_str("\n| reason of a drop | what it means |\n|---|---|\n");
    for reason in DropReason::ALL {
        page.push_str(&format!("| {} | {} |\n", reason.name(), reason.meaning()));
    }
    page
}
