//! Large messages, many messages, many connections: nothing lost, in order (rumqttc).

use std::process::ExitCode;

use skein_interop::peer::{Setup, VERSIONS, Version};
use skein_interop::report::{Outcome, Report, expect, expect_that, unique};

const LARGE_BYTES: u32 = 200_000;
const BURST: usize = 10_000;
/// Publishers and subscribers, each on a connection of its own, so on every shard of a few.
const CROWD: usize = 5;
const EACH: usize = 200;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let mut report = Report::default();
    for version in VERSIONS {
        let name = format!("200 kB come through whole with QoS 0, 1 and 2, MQTT {version}");
        report.promise(&name, large(version)).await;
        let name =
            format!("10,000 messages of QoS 1 without waiting: all, in order, MQTT {version}");
        report.promise(&name, burst(version)).await;
    }
    let name = "five publishers to five subscribers: everything, in each publisher's order";
    report.promise(name, crowd()).await;
    report.finish()
}

async fn large(version: Version) -> Outcome {
    let topic = unique(&format!("large/{version}"));
    let mut sender = Setup::new("sender", version).connect().await?;
    let mut receiver = Setup::new("receiver", version).connect().await?;
    receiver.subscribe(&topic, 2).await?;
    for qos in 0..=2_u8 {
        // Every place has its own value, so that no block can be lost, doubled or moved unseen.
        let payload: Vec<u8> = (0..LARGE_BYTES / 4)
            .flat_map(|place| {
                (place ^ (u32::from(qos) << 30)).wrapping_mul(2_654_435_761).to_le_bytes()
            })
            .collect();
        sender.send(&topic, payload.clone(), qos).await?;
        let seen = receiver.receive("the large message").await?;
        expect_that(seen.payload == payload, || format!("the payload changed, QoS {qos}"))?;
        if qos > 0 {
            sender.await_acknowledged(1).await?;
        }
    }
    Ok(())
}

async fn burst(version: Version) -> Outcome {
    let topic = unique(&format!("burst/{version}"));
    let mut sender = Setup::new("sender", version).with_in_flight(1_000).connect().await?;
    let mut receiver = Setup::new("receiver", version).connect().await?;
    receiver.subscribe(&topic, 1).await?;
    let wanted: Vec<_> = (0..BURST).map(|number| number.to_string()).collect();
    for text in &wanted {
        sender.send(&topic, text.as_str(), 1).await?;
    }
    sender.await_acknowledged(BURST).await?;
    expect(&receiver.texts(BURST).await?, &wanted, "messages")?;
    receiver.expect_nothing_more().await
}

async fn crowd() -> Outcome {
    let root = unique("crowd");
    let (mut senders, mut receivers) = (Vec::new(), Vec::new());
    for number in 0..CROWD {
        let (one, other) = (VERSIONS[number % 2], VERSIONS[(number + 1) % 2]);
        senders.push(Setup::new(&format!("sender-{number}"), one).connect().await?);
        let mut receiver = Setup::new(&format!("receiver-{number}"), other).connect().await?;
        receiver.subscribe(&format!("{root}/+/+"), 2).await?;
        receivers.push(receiver);
    }
    for number in 0..EACH {
        for (who, sender) in senders.iter().enumerate() {
            for qos in 0..=2 {
                sender.send(&format!("{root}/{who}/{qos}"), number.to_string(), qos).await?;
            }
        }
    }
    for sender in &mut senders {
        sender.await_acknowledged(2 * EACH).await?;
    }
    let wanted: Vec<_> = (0..EACH).map(|number| number.to_string()).collect();
    for receiver in &mut receivers {
        let messages = receiver.until_fence().await?;
        expect(messages.len(), CROWD * 3 * EACH, "number of messages")?;
        for who in 0..CROWD {
            for qos in 0..=2 {
                let topic = format!("{root}/{who}/{qos}");
                let mine = messages.iter().filter(|message| message.topic == topic);
                let seen: Vec<_> = mine.map(|message| message.text()).collect();
                expect(&seen, &wanted, &format!("messages of publisher {who}, QoS {qos}"))?;
            }
        }
    }
    Ok(())
}
