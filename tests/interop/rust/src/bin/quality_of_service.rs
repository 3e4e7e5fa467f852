//! QoS 0, 1 and 2, published and subscribed, in both versions and between them (rumqttc).

use std::process::ExitCode;

use skein_interop::peer::{Setup, VERSIONS, Version};
use skein_interop::report::{Outcome, Report, expect, unique};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let mut report = Report::default();
    for from in VERSIONS {
        for to in VERSIONS {
            let name = format!("QoS 0, 1 and 2 from MQTT {from} to {to}");
            report.promise(&name, exchange(from, to)).await;
        }
    }
    report.finish()
}

/// Every QoS published against every QoS subscribed: content, order, count and delivered QoS.
async fn exchange(from: Version, to: Version) -> Outcome {
    let mut payloads: Vec<Vec<u8>> = (0..20).map(|number: u32| number.to_string().into()).collect();
    payloads.extend([Vec::new(), (0..=255).collect()]);
    let mut sender = Setup::new("sender", from).connect().await?;
    let mut receiver = Setup::new("receiver", to).connect().await?;
    for subscribed in 0..=2 {
        let topic = unique(&format!("qos/{from}/{to}/{subscribed}"));
        expect(receiver.subscribe(&topic, subscribed).await?, subscribed, "granted QoS")?;
        for published in 0..=2 {
            let what = format!("QoS {published} to {subscribed}");
            for payload in &payloads {
                sender.send(&topic, payload.clone(), published).await?;
            }
            for payload in &payloads {
                let seen = receiver.receive(&what).await?;
                expect(&seen.payload, payload, &what)?;
                expect((seen.qos, seen.retain), (published.min(subscribed), false), &what)?;
            }
            if published > 0 {
                sender.await_acknowledged(payloads.len()).await?;
            }
        }
    }
    receiver.expect_nothing_more().await
}
