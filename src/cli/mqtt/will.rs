//! The options of the will.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use skein_client::{QoS, Will};

use super::property::Properties;
use super::topics::check_topic;
use super::usage::UsageError;

/// What the broker publishes when this client is gone without a goodbye.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Will")]
pub(super) struct WillOptions {
    /// Have the broker publish to this topic when the connection breaks
    #[arg(long, value_name = "TOPIC")]
    will_topic: Option<String>,

    /// What it publishes then; nothing without it
    #[arg(long, value_name = "TEXT", conflicts_with = "will_file")]
    will_payload: Option<OsString>,

    /// The same, taken from a file
    #[arg(long, value_name = "FILE")]
    will_file: Option<PathBuf>,

    /// The QoS of the will
    #[arg(long, value_name = "QOS", value_parser = clap::value_parser!(u8).range(0..=2), default_value_t = 0)]
    will_qos: u8,

    /// Have the broker retain the will
    #[arg(long)]
    will_retain: bool,

    /// How many seconds the broker waits for this client to come back; MQTT 5.0
    #[arg(long, value_name = "SECONDS")]
    will_delay: Option<u32>,
}

impl WillOptions {
    /// Whether they need MQTT 5.0.
    pub(super) fn needs_v5(&self) -> bool {
        self.will_delay.is_some()
    }

    /// The will they make, if there is one.
    ///
    /// # Errors
    /// Something that belongs to a will, but no topic; a topic that is none; an unreadable file.
    pub(super) fn plan(&self, properties: &Properties) -> Result<Option<Will>, UsageError> {
        let Some(topic) = &self.will_topic else {
            return match (&self.will_payload, &self.will_file, self.will_retain) {
                (None, None, false) => Ok(None),
                (None, None, true) => {
                    Err(UsageError::new("Will retain given, but no will topic given."))
                }
                _ => Err(UsageError::new("Will payload given, but no will topic given.")),
            };
        };
        check_topic("will", topic)?;
        let payload = match (&self.will_payload, &self.will_file) {
            (Some(text), _) => text.clone().into_vec(),
            (None, Some(file)) => fs::read(file)
                .map_err(|error| UsageError::new(format!("{}: {error}", file.display())))?,
            (None, None) => Vec::new(),
        };
        let mut will = Will::new(topic, payload).qos(qos(self.will_qos));
        if self.will_retain {
            will = will.retain();
        }
        if let Some(delay_s) = self.will_delay.or(properties.will_delay_s) {
            will = will.delay(Duration::from_secs(delay_s.into()));
        }
        *will.properties_mut() = properties.will.clone();
        Ok(Some(will))
    }
}

/// The QoS of a number that was checked to be one.
pub(in crate::cli) fn qos(number: u8) -> QoS {
    match number {
        0 => QoS::AtMostOnce,
        1 => QoS::AtLeastOnce,
        _ => QoS::ExactlyOnce,
    }
}
