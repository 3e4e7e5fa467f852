//! `docs/counters.md` says what each counter counts, and says it of every one.

use skein::server::{ACCEPTOR_COUNTERS, SYS_TOPICS};
use skein::shard::{DropReason, Metrics};
use skein::store::housekeeper::Counters;

use crate::assert_up_to_date;

#[test]
fn the_page_of_counters_is_up_to_date() {
    assert_up_to_date("docs/counters.md", &page());
}

fn page() -> String {
    let mut page = String::from(
        "# Counters\n\n\
         <!-- Made from src/shard/metrics.rs and others: cargo xtask pages -->\n\n\
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
    page.push_str(
        "\n## Below $SYS\n\n\
         Every `sys_interval_s` seconds the broker publishes how it is, as if retained; `skein top` \
         shows it. Who may subscribe to `$SYS` is a matter of the access list: client identifiers are \
         among it. Names that Mosquitto has mean what they mean there. Averages a minute over 1, 5 and 15 \
         minutes are `$SYS/broker/load/WHAT/1min` and so on, where WHAT is publish/received, \
         publish/sent, publish/dropped, bytes/received, bytes/sent, sockets or connections.\n\n\
         | `$SYS/broker/…` | what stands there |\n|---|---|\n",
    );
    for (topic, meaning) in SYS_TOPICS {
        page.push_str(&format!("| `{topic}` | {meaning} |\n"));
    }
    page
}
