//! Retained messages: set, received with the flag, replaced, deleted (rumqttc).

use std::process::ExitCode;

use skein_interop::peer::{Message, Setup, Subscription, VERSIONS, Version};
use skein_interop::report::{Outcome, Report, expect, expect_that, unique};
use skein_interop::{PublishProperties, RetainForwardRule};

const TOPICS: usize = 60;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let mut report = Report::default();
    for version in VERSIONS {
        let name = format!("set, received with the flag, replaced, deleted, MQTT {version}");
        report.promise(&name, life(version)).await;
    }
    report.promise("a wildcard subscription gets every retained message once", many()).await;
    report.promise("retain handling and retain as published", options()).await;
    report.promise("a retained message keeps its properties", properties()).await;
    report.finish()
}

async fn life(version: Version) -> Outcome {
    let topic = unique(&format!("retained/{version}"));
    let mut setter = Setup::new("setter", version).connect().await?;
    let mut live = Setup::new("live", version).connect().await?;
    let mut late = Setup::new("late", version).connect().await?;
    live.subscribe(&topic, 2).await?;
    for (qos, payload) in [(0, "first"), (1, "second"), (2, "third")] {
        setter.retain(&topic, payload, qos).await?;
        let seen = live.receive("the live message").await?;
        expect(brief(&seen), (payload.to_owned(), false, qos), "live message")?;
        late.subscribe(&topic, 2).await?;
        let seen = late.receive("the retained message").await?;
        expect(brief(&seen), (payload.to_owned(), true, qos), "retained message")?;
        late.unsubscribe(&topic).await?;
    }
    setter.retain(&topic, "", 1).await?;
    let seen = live.receive("the deleting message").await?;
    expect(brief(&seen), (String::new(), false, 1), "deleting message, live")?;
    late.subscribe(&topic, 2).await?;
    late.expect_nothing_more().await
}

async fn many() -> Outcome {
    let root = unique("many");
    let mut setter = Setup::new("setter", Version::V3_1_1).connect().await?;
    let mut late = Setup::new("late", Version::V5).connect().await?;
    let mut topics: Vec<_> =
        (0..TOPICS).map(|number| format!("{root}/{number}/{}", number % 7)).collect();
    for topic in &topics {
        setter.retain(topic, topic, 1).await?;
    }
    late.subscribe(&format!("{root}/#"), 1).await?;
    let mut seen = late.texts(TOPICS).await?;
    seen.sort();
    topics.sort();
    expect(&seen, &topics, "retained messages")?;
    late.expect_nothing_more().await?;
    for topic in &topics {
        setter.retain(topic, "", 1).await?;
    }
    Ok(())
}

async fn options() -> Outcome {
    let topic = unique("options");
    let mut setter = Setup::new("setter", Version::V5).connect().await?;
    let mut late = Setup::new("late", Version::V5).connect().await?;
    setter.retain(&topic, "here", 1).await?;
    let asked = |retain_handling| Subscription {
        filter: &topic,
        qos: 1,
        retain_as_published: true,
        retain_handling,
        ..Subscription::default()
    };
    late.subscribe_with(asked(RetainForwardRule::Never)).await?;
    late.expect_nothing_more().await?;
    late.subscribe_with(asked(RetainForwardRule::OnNewSubscribe)).await?;
    late.expect_nothing_more().await?;
    late.subscribe_with(asked(RetainForwardRule::OnEverySubscribe)).await?;
    expect(late.receive("handling 0").await?.text(), "here".to_owned(), "retained message")?;
    setter.retain(&topic, "live", 1).await?;
    expect(late.receive("the live message").await?.retain, true, "flag, retain as published")?;
    setter.retain(&topic, "", 1).await?;
    Ok(())
}

async fn properties() -> Outcome {
    let topic = unique("properties");
    let pairs: Vec<_> =
        [("b", "1"), ("a", "2"), ("b", "1")].map(|(k, v)| (k.to_owned(), v.to_owned())).into();
    let given = PublishProperties {
        user_properties: pairs.clone(),
        content_type: Some("text/plain".to_owned()),
        message_expiry_interval: Some(100),
        ..PublishProperties::default()
    };
    let mut setter = Setup::new("setter", Version::V5).connect().await?;
    let mut late = Setup::new("late", Version::V5).connect().await?;
    setter.publish_with(&topic, "x", 1, true, Some(given)).await?;
    late.subscribe(&topic, 1).await?;
    let seen = late.receive("the retained message").await?.properties;
    expect(seen.user_properties, pairs, "user properties")?;
    expect(seen.content_type.as_deref(), Some("text/plain"), "content type")?;
    let expiry = seen.message_expiry_interval.unwrap_or(0);
    expect_that((90..=100).contains(&expiry), || format!("message expiry {expiry}"))?;
    setter.retain(&topic, "", 1).await?;
    Ok(())
}

fn brief(message: &Message) -> (String, bool, u8) {
    (message.text(), message.retain, message.qos)
}
