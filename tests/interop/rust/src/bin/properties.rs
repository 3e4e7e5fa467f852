//! What MQTT 5 adds: properties, aliases, identifiers, reason codes (rumqttc).

use std::process::ExitCode;
use std::time::Duration;

use skein_interop::PublishProperties;
use skein_interop::peer::{Peer, Setup, Subscription, Version, end_session};
use skein_interop::report::{Outcome, Report, expect, expect_that, unique};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let mut report = Report::default();
    report.promise("what belongs to the message is forwarded unaltered", forwarded()).await;
    report.promise("a request is answered with its correlation data", request()).await;
    report
        .promise("message expiry is decremented while a message waits, and ends it", expiry())
        .await;
    report.promise("a message carries the identifier of its subscription", identified()).await;
    let name = "overlapping subscriptions: one copy, the highest QoS and every identifier";
    let deviation = "a broker may send a copy for each subscription";
    report.promise_of_skein(name, deviation, overlapping()).await;
    report.promise("the client's topic aliases stand for their topics", client_aliases()).await;
    report.promise("the broker's topic aliases stand for their topics", broker_aliases()).await;
    report.promise("reason codes when nobody subscribed", reasons()).await;
    let deviation = "a broker may look for subscribers as late as at the PUBREL";
    report.promise_of_skein("the reason code of a PUBREC, too", deviation, pubrec_reason()).await;
    report.promise("a client without an id is told the one it was given", nameless()).await;
    report.promise("no local keeps a client's own messages from it", no_local()).await;
    report.finish()
}

async fn pair() -> Outcome<(Peer, Peer)> {
    let sender = Setup::new("sender", Version::V5).connect().await?;
    Ok((sender, Setup::new("receiver", Version::V5).connect().await?))
}

async fn forwarded() -> Outcome {
    let topic = unique("forwarded");
    let given = PublishProperties {
        payload_format_indicator: Some(1),
        response_topic: Some("answer/here".to_owned()),
        correlation_data: Some((0..=255).collect::<Vec<u8>>().into()),
        content_type: Some("text/plain; charset=utf-8".to_owned()),
        user_properties: [("b", "1"), ("a", "2"), ("b", "1"), ("", ""), ("key", "wert ü")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
        ..PublishProperties::default()
    };
    let (mut sender, mut receiver) = pair().await?;
    receiver.subscribe(&topic, 2).await?;
    for qos in 0..=2 {
        sender.publish_with(&topic, "text", qos, false, Some(given.clone())).await?;
        expect(&receiver.receive("the message").await?.properties, &given, "properties")?;
    }
    Ok(())
}

async fn request() -> Outcome {
    let (question, answer) = (unique("question"), unique("answer"));
    let (mut asker, mut responder) = pair().await?;
    responder.subscribe(&question, 1).await?;
    asker.subscribe(&answer, 1).await?;
    let asked = PublishProperties {
        response_topic: Some(answer),
        correlation_data: Some(vec![7].into()),
        ..PublishProperties::default()
    };
    asker.publish_with(&question, "2+2", 1, false, Some(asked.clone())).await?;
    let request = responder.receive("the request").await?.properties;
    let answered = PublishProperties {
        correlation_data: request.correlation_data,
        ..PublishProperties::default()
    };
    let to = request.response_topic.unwrap_or_default();
    responder.publish_with(&to, "4", 1, false, Some(answered)).await?;
    let response = asker.receive("the response").await?;
    expect(response.text(), "4".to_owned(), "response")?;
    expect(response.properties.correlation_data, asked.correlation_data, "correlation data")
}

async fn expiry() -> Outcome {
    let topic = unique("expiry");
    let mut sleeper = Setup::persistent("expiry", Version::V5).connect().await?;
    sleeper.subscribe(&topic, 1).await?;
    sleeper.cut().await?;
    // Nothing says when the broker has seen the end; what it sends before is resent, not expired.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let mut sender = Setup::new("sender", Version::V5).connect().await?;
    for (text, seconds) in [("short", 1), ("long", 100)] {
        let given = PublishProperties {
            message_expiry_interval: Some(seconds),
            ..PublishProperties::default()
        };
        sender.publish_with(&topic, text, 1, false, Some(given)).await?;
    }
    // Time itself is what is tested.
    tokio::time::sleep(Duration::from_millis(2_100)).await;
    sleeper.connect().await?;
    let seen = sleeper.receive("the message of long life").await?;
    expect(seen.text(), "long".to_owned(), "message of long life")?;
    let left = seen.properties.message_expiry_interval.unwrap_or(0);
    expect_that((95..=98).contains(&left), || format!("message expiry {left} after 2 s of 100"))?;
    sleeper.expect_nothing_more().await?;
    sleeper.disconnect().await?;
    end_session("expiry", Version::V5).await
}

async fn identified() -> Outcome {
    let root = unique("identified");
    let (mut sender, mut receiver) = pair().await?;
    for (filter, identifier) in [("a", 1), ("b/+", 268_435_455)] {
        let filter = &format!("{root}/{filter}");
        let identifier = Some(identifier);
        let asked = Subscription { filter, qos: 1, identifier, ..Subscription::default() };
        receiver.subscribe_with(asked).await?;
    }
    for (topic, identifier) in [("a", 1), ("b/x", 268_435_455)] {
        sender.publish(&format!("{root}/{topic}"), "x", 1).await?;
        let seen = receiver.receive("the message").await?.properties.subscription_identifiers;
        expect(seen, vec![identifier], topic)?;
    }
    Ok(())
}

async fn overlapping() -> Outcome {
    let root = unique("overlap");
    let (mut sender, mut receiver) = pair().await?;
    // The client miscounts the bytes of identifiers and takes a third one for payload.
    for (qos, filter) in [(0, "a"), (2, "+")] {
        let identifier = Some(usize::from(qos) + 1);
        let filter = &format!("{root}/{filter}");
        let asked = Subscription { filter, qos, identifier, ..Subscription::default() };
        receiver.subscribe_with(asked).await?;
    }
    sender.publish(&format!("{root}/a"), "x", 2).await?;
    let seen = receiver.receive("the copy").await?;
    let mut identifiers = seen.properties.subscription_identifiers;
    identifiers.sort_unstable();
    expect((seen.qos, identifiers), (2, vec![1, 3]), "QoS and identifiers of the copy")?;
    receiver.expect_nothing_more().await
}

async fn client_aliases() -> Outcome {
    let (first, second) = (unique("alias/1"), unique("alias/2"));
    let (mut sender, mut receiver) = pair().await?;
    receiver.subscribe(&unique("alias/#"), 1).await?;
    let steps = [(&first, &*first), (&first, ""), (&first, ""), (&second, &*second), (&second, "")];
    for (topic, name) in steps {
        let alias = PublishProperties { topic_alias: Some(1), ..PublishProperties::default() };
        sender.publish_with(name, "x", 1, false, Some(alias)).await?;
        expect(&receiver.receive("the message").await?.topic, topic, "topic")?;
    }
    Ok(())
}

async fn broker_aliases() -> Outcome {
    let setup = Setup::new("aliased", Version::V5).with_topic_alias_maximum(3);
    let mut receiver = setup.connect().await?;
    let sender = Setup::new("sender", Version::V5).connect().await?;
    receiver.subscribe(&unique("outgoing-alias/#"), 1).await?;
    let topics: Vec<_> =
        (0..40).map(|number| unique(&format!("outgoing-alias/{}", number % 5))).collect();
    for topic in &topics {
        sender.send(topic, topic.as_str(), 1).await?;
    }
    for topic in &topics {
        let seen = receiver.receive("the message").await?;
        let alias = seen.properties.topic_alias.unwrap_or(1);
        expect_that((1..=3).contains(&alias), || format!("alias {alias}"))?;
        // The client announces what came; the topic of an alias that stands alone it keeps to
        // itself, so the payload tells that order and content are right.
        expect(&seen.text(), topic, "payload")?;
        expect_that(seen.topic.is_empty() || seen.topic == *topic, || seen.topic.clone())?;
    }
    Ok(())
}

async fn reasons() -> Outcome {
    let topic = unique("lonely");
    let mut alone = Setup::new("alone", Version::V5).connect().await?;
    expect(alone.publish(&topic, "x", 1).await?.as_str(), "NoMatchingSubscribers", "PUBACK")?;
    let wanted = vec!["NoSubscriptionExisted".to_owned()];
    expect(alone.unsubscribe(&topic).await?, wanted, "UNSUBACK")?;
    for qos in 0..=2 {
        expect(alone.subscribe(&topic, qos).await?, qos, "SUBACK")?;
    }
    expect(alone.publish(&topic, "x", 1).await?.as_str(), "Success", "PUBACK")?;
    expect(alone.unsubscribe(&topic).await?, vec!["Success".to_owned()], "UNSUBACK")
}

async fn pubrec_reason() -> Outcome {
    let topic = unique("lonely-2");
    let mut alone = Setup::new("alone", Version::V5).connect().await?;
    for wanted in ["NoMatchingSubscribers", "Success"] {
        alone.publish(&topic, "x", 2).await?;
        expect(alone.received_reason().await?.as_str(), wanted, "PUBREC")?;
        alone.subscribe(&topic, 0).await?;
    }
    Ok(())
}

async fn nameless() -> Outcome {
    let one = Setup::new("", Version::V5).connect().await?.assigned_client_id;
    let two = Setup::new("", Version::V5).connect().await?.assigned_client_id;
    let good = one.is_some() && two.is_some() && one != two && one.as_deref() != Some("");
    expect_that(good, || format!("assigned client ids {one:?} and {two:?}"))
}

async fn no_local() -> Outcome {
    let topic = unique("no-local");
    let (mut own, mut other) = pair().await?;
    let asked = Subscription { filter: &topic, qos: 1, no_local: true, ..Subscription::default() };
    own.subscribe_with(asked).await?;
    own.publish(&topic, "own", 1).await?;
    other.publish(&topic, "other", 1).await?;
    expect(own.receive("the message").await?.text(), "other".to_owned(), "first message")?;
    own.expect_nothing_more().await
}
