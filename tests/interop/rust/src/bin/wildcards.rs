//! Which topics a filter matches, and that $-topics are apart (rumqttc).

use std::process::ExitCode;

use skein_interop::peer::{Setup, VERSIONS, Version};
use skein_interop::report::{Outcome, Report, expect, unique};

/// Topics below the run's root `R`.
const TOPICS: [&str; 8] = ["R", "R/", "R/a", "R/a/b", "R/a/b/c", "R//c", "R/A/b", "/R/a"];

/// Filters, and which of the topics they match.
const FILTERS: [(&str, &[&str]); 7] = [
    ("R", &["R"]),
    ("R/#", &["R", "R/", "R/a", "R/a/b", "R/a/b/c", "R//c", "R/A/b"]),
    ("R/+", &["R/", "R/a"]),
    ("R/a/#", &["R/a", "R/a/b", "R/a/b/c"]),
    ("R/+/b", &["R/a/b", "R/A/b"]),
    ("+/R/a", &["/R/a"]),
    ("/R/#", &["/R/a"]),
];

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let mut report = Report::default();
    for version in VERSIONS {
        let name = format!("every filter matches its topics and no other, MQTT {version}");
        report.promise(&name, filters(version)).await;
    }
    report.promise("a leading wildcard matches no $-topic; its own name does", dollar()).await;
    report.finish()
}

async fn filters(version: Version) -> Outcome {
    let root = unique(&format!("w-{version}"));
    let mut sender = Setup::new("sender", version).connect().await?;
    let mut receiver = Setup::new("receiver", version).connect().await?;
    for (filter, wanted) in FILTERS {
        receiver.subscribe(&filter.replace('R', &root), 1).await?;
        for topic in TOPICS {
            sender.publish(&topic.replace('R', &root), topic, 1).await?;
        }
        let seen = receiver.until_fence().await?;
        let seen: Vec<_> = seen.iter().map(|message| message.text()).collect();
        expect(seen, wanted.iter().map(ToString::to_string).collect(), filter)?;
        receiver.unsubscribe(&filter.replace('R', &root)).await?;
    }
    Ok(())
}

async fn dollar() -> Outcome {
    let (name, leaf) = (unique("dollar"), unique("leaf"));
    let mut sender = Setup::new("sender", Version::V5).connect().await?;
    let mut plus = Setup::new("plus", Version::V5).connect().await?;
    let mut named = Setup::new("named", Version::V5).connect().await?;
    plus.subscribe(&format!("+/{leaf}"), 1).await?;
    named.subscribe(&format!("${name}/#"), 1).await?;
    sender.publish(&format!("${name}/{leaf}"), "hidden", 1).await?;
    sender.publish(&format!("{name}/{leaf}"), "seen", 1).await?;
    expect(named.texts(1).await?, vec!["hidden".to_owned()], "the subscriber that named it")?;
    expect(plus.texts(1).await?, vec!["seen".to_owned()], "first message of + and the leaf")?;
    plus.expect_nothing_more().await
}
