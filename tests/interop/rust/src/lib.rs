//! What the scripts share: how they report, and one client that speaks either version.

mod inbox;
mod link;
pub mod peer;
pub mod report;
mod setup;

pub use rumqttc::v5::mqttbytes::v5::{LastWillProperties, PublishProperties, RetainForwardRule};
