//! Sessions that outlive their connection: what was queued, what was owed, when they end (rumqttc).
//!
//! The client forgets the QoS 2 messages it has begun to receive when its connection ends, so no
//! script here cuts it amid those.

use std::collections::BTreeSet;
use std::process::ExitCode;

use skein_interop::peer::{Setup, VERSIONS, Version, end_session};
use skein_interop::report::{Outcome, Report, expect, unique};

const QUEUED: usize = 200;
const PIPELINED: usize = 1_000;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let mut report = Report::default();
    for version in VERSIONS {
        let name = format!("messages queued while away come in order, MQTT {version}");
        report.promise(&name, queued(version)).await;
        let name = format!("what was not acknowledged comes again, marked, MQTT {version}");
        report.promise(&name, owed(version)).await;
        for qos in 1..=2 {
            let name =
                format!("a publisher cut amid 1,000 of QoS {qos}: all arrive, MQTT {version}");
            report.promise(&name, cut_publisher(version, qos)).await;
        }
    }
    report.promise("a session without expiry ends with its connection", brief()).await;
    report.finish()
}

async fn queued(version: Version) -> Outcome {
    let topic = unique(&format!("away/{version}"));
    let name = format!("sleeper-{version}");
    let mut sleeper = Setup::persistent(&name, version).connect().await?;
    expect(sleeper.session_present, false, "session present, first time")?;
    sleeper.subscribe(&topic, 2).await?;
    sleeper.cut().await?;
    let wanted: Vec<_> = (0..QUEUED).map(|number| number.to_string()).collect();
    let mut sender = Setup::new("sender", version).connect().await?;
    for qos in 1..=2 {
        for text in &wanted {
            sender.publish(&topic, text, qos).await?;
        }
    }
    sleeper.connect().await?;
    expect(sleeper.session_present, true, "session present")?;
    for qos in 1..=2 {
        expect(&sleeper.texts(QUEUED).await?, &wanted, &format!("queued messages, QoS {qos}"))?;
    }
    sleeper.expect_nothing_more().await?;
    sleeper.disconnect().await?;
    let mut clean = Setup::new(&name, version).connect().await?;
    expect(clean.session_present, false, "session present after a clean start")?;
    clean.disconnect().await
}

async fn owed(version: Version) -> Outcome {
    let topic = unique(&format!("owed/{version}"));
    let name = format!("ower-{version}");
    let mut ower = Setup::persistent(&name, version).with_manual_acks().connect().await?;
    ower.subscribe(&topic, 1).await?;
    let mut sender = Setup::new("sender", version).connect().await?;
    let mut first = Vec::new();
    for number in 0..5 {
        sender.publish(&topic, &number.to_string(), 1).await?;
        first.push(ower.receive("the first delivery").await?);
    }
    expect(first.iter().any(|message| message.dup), false, "DUP of a first delivery")?;
    ower.acknowledge(&first[0]).await?;
    // The acknowledgement is on its way before the connection ends.
    ower.expect_nothing_more().await?;
    ower.cut().await?;
    ower.connect().await?;
    for former in &first[1..] {
        let again = ower.receive("the second delivery").await?;
        let wanted = (former.text(), true, former.packet_id);
        expect((again.text(), again.dup, again.packet_id), wanted, "second delivery")?;
        ower.acknowledge(&again).await?;
    }
    ower.expect_nothing_more().await?;
    ower.disconnect().await?;
    end_session(&name, version).await
}

/// Cuts a publisher in the middle of a pipeline; it comes back and sends again what it owes. It
/// keeps no order among those, so only what arrives is compared, and for QoS 2 how often.
async fn cut_publisher(version: Version, qos: u8) -> Outcome {
    let topic = unique(&format!("pipeline/{version}/{qos}"));
    let name = format!("cut-{version}-{qos}");
    let mut receiver = Setup::new("receiver", version).connect().await?;
    receiver.subscribe(&topic, 2).await?;
    let mut sender = Setup::persistent(&name, version).connect().await?;
    for number in 0..PIPELINED {
        if number == PIPELINED / 2 {
            sender.cut().await?;
            sender.connect().await?;
            expect(sender.session_present, true, "session present")?;
        }
        sender.send(&topic, number.to_string(), qos).await?;
    }
    let mut seen = Vec::new();
    let mut distinct = BTreeSet::new();
    while distinct.len() < PIPELINED {
        let what = format!("a message after {} of {PIPELINED}", distinct.len());
        let number: usize = receiver.receive(&what).await?.text().parse().unwrap_or(PIPELINED);
        seen.push(number);
        distinct.insert(number);
    }
    let rest = receiver.until_fence().await?;
    if qos == 2 {
        expect((seen.len(), rest.len()), (PIPELINED, 0), "messages, and more of them")?;
    }
    sender.disconnect().await?;
    end_session(&name, version).await
}

async fn brief() -> Outcome {
    let setup = Setup::persistent("brief", Version::V5).with_session_expiry(0);
    let mut brief = setup.connect().await?;
    brief.subscribe(&unique("brief"), 1).await?;
    brief.cut().await?;
    brief.connect().await?;
    expect(brief.session_present, false, "session present")
}
