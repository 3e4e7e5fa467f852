//! Shared subscriptions: each message goes to one member, and none is lost (rumqttc).

use std::process::ExitCode;

use skein_interop::peer::{Message, Setup, VERSIONS, Version};
use skein_interop::report::{Outcome, Report, expect, expect_that, unique};

const MESSAGES: u32 = 300;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let mut report = Report::default();
    for version in VERSIONS {
        let name = format!("each message reaches one of three members, MQTT {version}");
        report.promise(&name, shares(version)).await;
    }
    let name = "what a member had not acknowledged when it left goes to another";
    let deviation = "a broker may drop it with the session";
    report.promise_of_skein(name, deviation, inherited()).await;
    report.finish()
}

async fn shares(version: Version) -> Outcome {
    let topic = unique(&format!("work/{version}"));
    let mut sender = Setup::new("sender", version).connect().await?;
    let mut plain = Setup::new("plain", version).connect().await?;
    plain.subscribe(&topic, 1).await?;
    let mut members = Vec::new();
    for number in 0..3 {
        let mut member = Setup::new(&format!("member-{number}"), version).connect().await?;
        member.subscribe(&format!("$share/group/{topic}"), 1).await?;
        members.push(member);
    }
    for number in 0..MESSAGES {
        sender.send(&topic, number.to_string(), 1).await?;
    }
    sender.await_acknowledged(MESSAGES as usize).await?;
    let wanted: Vec<_> = (0..MESSAGES).collect();
    expect(&numbers(&plain.until_fence().await?), &wanted, "plain subscriber")?;
    let mut together = Vec::new();
    for member in &mut members {
        let share = numbers(&member.until_fence().await?);
        expect_that(!share.is_empty(), || "a member got nothing".to_owned())?;
        expect_that(share.is_sorted(), || format!("a share out of order: {share:?}"))?;
        together.extend(share);
    }
    together.sort_unstable();
    expect(together, wanted, "all members together")
}

async fn inherited() -> Outcome {
    let topic = unique("inherited");
    let filter = format!("$share/group/{topic}");
    let mut leaver = Setup::new("leaver", Version::V5).with_manual_acks().connect().await?;
    let mut sender = Setup::new("sender", Version::V5).connect().await?;
    let mut heir = Setup::new("heir", Version::V5).connect().await?;
    leaver.subscribe(&filter, 1).await?;
    let wanted: Vec<_> = (0..10).map(|number| number.to_string()).collect();
    for text in &wanted {
        sender.publish(&topic, text, 1).await?;
    }
    expect(&leaver.texts(10).await?, &wanted, "the only member")?;
    heir.subscribe(&filter, 1).await?;
    leaver.cut().await?;
    expect(&heir.texts(10).await?, &wanted, "inherited messages")?;
    heir.expect_nothing_more().await
}

fn numbers(messages: &[Message]) -> Vec<u32> {
    messages.iter().map(|message| message.text().parse().unwrap_or(u32::MAX)).collect()
}
