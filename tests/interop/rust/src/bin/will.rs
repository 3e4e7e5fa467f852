//! The will: published when a connection breaks, and only then (rumqttc).

use std::process::ExitCode;
use std::time::{Duration, Instant};

use skein_interop::LastWillProperties;
use skein_interop::peer::{Setup, VERSIONS, Version, Will, await_no_subscriber};
use skein_interop::report::{Outcome, Report, expect, expect_that, unique};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let mut report = Report::default();
    for version in VERSIONS {
        let name = format!("a will for a cut, none for a DISCONNECT, MQTT {version}");
        report.promise(&name, cut_and_disconnect(version)).await;
        let name = format!("a retained will is there for who comes later, MQTT {version}");
        report.promise(&name, retained(version)).await;
    }
    report.promise("a will keeps its properties and its delay", delayed()).await;
    let name = "a client that comes back within the delay has no will published";
    report.promise(name, cancelled()).await;
    report.finish()
}

async fn cut_and_disconnect(version: Version) -> Outcome {
    let topic = unique(&format!("will/{version}"));
    let mut watcher = Setup::new("watcher", version).connect().await?;
    watcher.subscribe(&topic, 2).await?;
    for qos in 0..=2 {
        let will = Will { topic: topic.clone(), qos, ..Will::default() };
        Setup::new("mortal", version).with_will(will).connect().await?.cut().await?;
        let seen = watcher.receive("the will").await?;
        expect((seen.text(), seen.qos, seen.retain), ("gone".to_owned(), qos, false), "will")?;
    }
    let will = Will { topic, qos: 1, ..Will::default() };
    let alive = unique(&format!("alive/{version}"));
    let mut mortal = Setup::new("mortal", version).with_will(will).connect().await?;
    mortal.subscribe(&alive, 0).await?;
    mortal.disconnect().await?;
    await_no_subscriber(&alive).await?;
    watcher.expect_nothing_more().await
}

async fn retained(version: Version) -> Outcome {
    let topic = unique(&format!("retained-will/{version}"));
    let mut watcher = Setup::new("watcher", version).connect().await?;
    let mut late = Setup::new("late", version).connect().await?;
    watcher.subscribe(&topic, 1).await?;
    let will = Will { topic: topic.clone(), qos: 1, retain: true, properties: None };
    Setup::new("mortal", version).with_will(will).connect().await?.cut().await?;
    expect(watcher.receive("the will").await?.retain, false, "retain flag, live")?;
    late.subscribe(&topic, 1).await?;
    let seen = late.receive("the retained will").await?;
    expect((seen.text(), seen.retain), ("gone".to_owned(), true), "retained will")?;
    watcher.retain(&topic, "", 1).await?;
    Ok(())
}

fn delay(seconds: u32) -> LastWillProperties {
    LastWillProperties {
        delay_interval: Some(seconds),
        payload_format_indicator: None,
        message_expiry_interval: None,
        content_type: Some("text/plain".to_owned()),
        response_topic: Some("answer".to_owned()),
        correlation_data: Some(vec![0, 255].into()),
        user_properties: [("z", "1"), ("a", "2"), ("z", "1")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
    }
}

async fn delayed() -> Outcome {
    let topic = unique("delayed");
    let mut watcher = Setup::new("watcher", Version::V5).connect().await?;
    watcher.subscribe(&topic, 1).await?;
    let given = delay(1);
    let will = Will { topic, qos: 1, retain: false, properties: Some(given.clone()) };
    let mut mortal = Setup::persistent("mortal", Version::V5).with_will(will).connect().await?;
    let started = Instant::now();
    mortal.cut().await?;
    let seen = watcher.receive("the will").await?.properties;
    let elapsed = started.elapsed();
    let in_time = Duration::from_millis(900)..Duration::from_secs(4);
    expect_that(in_time.contains(&elapsed), || format!("the will came after {elapsed:?}"))?;
    expect(seen.user_properties, given.user_properties, "user properties")?;
    expect(seen.content_type, given.content_type, "content type")?;
    expect(seen.response_topic, given.response_topic, "response topic")?;
    expect(seen.correlation_data, given.correlation_data, "correlation data")
}

async fn cancelled() -> Outcome {
    let topic = unique("cancelled");
    let mut watcher = Setup::new("watcher", Version::V5).connect().await?;
    watcher.subscribe(&topic, 1).await?;
    let will = Will { topic, qos: 1, retain: false, properties: Some(delay(60)) };
    let mut mortal = Setup::persistent("mortal", Version::V5).with_will(will).connect().await?;
    mortal.cut().await?;
    mortal.connect().await?;
    expect(mortal.session_present, true, "session present")?;
    watcher.expect_nothing_more().await?;
    mortal.disconnect().await
}
