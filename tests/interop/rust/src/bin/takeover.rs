//! A second connection of the same client takes the place of the first (rumqttc).

use std::process::ExitCode;

use skein_interop::peer::{Setup, VERSIONS, Version, end_session};
use skein_interop::report::{Outcome, Report, expect, expect_that, unique};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let mut report = Report::default();
    for version in VERSIONS {
        let name = format!("the session goes on in the second connection, MQTT {version}");
        report.promise(&name, chain(version)).await;
    }
    let deviation = "mosquitto 2.0.11 closes without a word";
    report.promise_of_skein("the first connection is told 0x8E", deviation, told()).await;
    report.finish()
}

async fn chain(version: Version) -> Outcome {
    let topic = unique(&format!("taken/{version}"));
    let name = format!("taken-{version}");
    let mut sender = Setup::new("sender", version).connect().await?;
    let mut current = Setup::persistent(&name, version).connect().await?;
    current.subscribe(&topic, 1).await?;
    for number in 0..10 {
        // A client between them, so that a broker that deals its connections out puts the next
        // one elsewhere.
        let mut other = Setup::new(&format!("other-{number}"), version).connect().await?;
        let following = Setup::persistent(&name, version).connect().await?;
        expect(following.session_present, true, "session present")?;
        current.await_end().await?;
        current = following;
        sender.publish(&topic, &number.to_string(), 1).await?;
        expect(current.texts(1).await?, vec![number.to_string()], "message")?;
        current.settle().await?;
        other.disconnect().await?;
    }
    current.expect_nothing_more().await?;
    current.disconnect().await?;
    end_session(&name, version).await
}

async fn told() -> Outcome {
    let mut first = Setup::new("told", Version::V5).connect().await?;
    let mut second = Setup::new("told", Version::V5).connect().await?;
    let why = first.await_end().await?;
    expect_that(why.contains("SessionTakenOver"), || format!("the first was told: {why}"))?;
    second.disconnect().await
}
