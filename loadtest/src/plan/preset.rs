//! Loads that others have published figures for.

use clap::ValueEnum;

use super::{Load, Shape};

/// A load that others have published figures for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Preset {
    /// SurgeMQ's benchmark of 2014 as it was run: 1,000,000 messages of 1 KiB for 1:1, 20:1 and
    /// 1:20, 100,000 of each client for mesh:20, QoS 0, with its stop rules and its denominators.
    Surge,
    /// The same shapes with nothing cut off: every delivery required and checked, one clock from the
    /// first publish to the last receipt, repeated, the median shown with the range.
    SurgeStrict,
}

/// What a preset asks for besides the options of a load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    /// Messages of each publisher.
    pub(crate) messages: u64,
    /// Runs that count, and whether one goes before that does not.
    pub(crate) repeats: u32,
    /// Whether the stop rules of 2014 hold.
    pub(crate) is_faithful: bool,
}

impl Preset {
    /// Fills in what the command line left open; what else the preset asks for.
    ///
    /// # Errors
    /// The preset has no such shape.
    pub(crate) fn apply(self, load: &mut Load) -> Result<Run, String> {
        let shape = load.shape();
        let Shape { publishers, subscribers, topics: 1, mesh } = shape else {
            return Err(format!("the presets have the shapes {SHAPES}, not {shape}"));
        };
        let messages = match (self, publishers, subscribers, mesh) {
            (Self::Surge, 1, 1 | 20, false) | (Self::Surge, 20, 1, false) => 1_000_000,
            (Self::Surge, 20, 20, true) => 100_000,
            (Self::SurgeStrict, 1, 1, false) => 5_000_000,
            (Self::SurgeStrict, 20, 1, false) => 250_000,
            (Self::SurgeStrict, 1, 20, false) => 500_000,
            (Self::SurgeStrict, 20, 20, true) => 25_000,
            _ => return Err(format!("the presets have the shapes {SHAPES}, not {shape}")),
        };
        load.topic.get_or_insert_with(|| "test".to_owned());
        load.payload.get_or_insert(1024);
        load.target.keep_alive.get_or_insert(10);
        load.target.user.get_or_insert_with(|| "surgemq".to_owned());
        load.target.password.get_or_insert_with(|| "verysecret".to_owned());
        load.target.has_will = true;
        let is_faithful = self == Self::Surge;
        if is_faithful {
            // 20 ms between two connections.
            load.target.connect_rate.get_or_insert(50);
        } else {
            load.expect = true;
        }
        Ok(Run { messages, repeats: if is_faithful { 1 } else { 5 }, is_faithful })
    }
}

const SHAPES: &str = "1:1, 20:1, 1:20 and mesh:20";

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        load: Load,
    }

    fn load(arguments: &[&str]) -> Load {
        Line::parse_from([&["loadtest"], arguments].concat()).load
    }

    #[test]
    fn a_preset_leaves_what_was_given() {
        let mut load = load(&["--shape", "1:20", "--payload", "64"]);
        let run = Preset::SurgeStrict.apply(&mut load).unwrap();
        assert_eq!((run.messages, run.repeats, run.is_faithful), (500_000, 5, false));
        assert_eq!((load.payload(), load.topic(), load.target.keep_alive()), (64, "test", 10));
        assert!(load.expect);
    }

    #[test]
    fn a_preset_has_four_shapes() {
        for shape in ["1:1", "20:1", "1:20", "mesh:20"] {
            assert!(Preset::Surge.apply(&mut load(&["--shape", shape])).is_ok(), "{shape}");
        }
        for shape in ["2:1", "mesh:3", "pairs:20"] {
            assert!(Preset::Surge.apply(&mut load(&["--shape", shape])).is_err(), "{shape}");
        }
    }
}
