//! The protocol versions and how a CONNECT names them.

use std::fmt;

/// A version of MQTT, as a CONNECT announces it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// MQTT 3.1 of 2010, protocol name `MQIsdp`.
    V3_1,
    /// MQTT 3.1.1.
    V3_1_1,
    /// MQTT 5.0.
    V5,
}

impl Version {
    /// Every version, oldest first.
    pub const ALL: [Self; 3] = [Self::V3_1, Self::V3_1_1, Self::V5];

    /// The protocol level byte of CONNECT [MQTT-3.1.2-2].
    pub fn level(self) -> u8 {
        match self {
            Self::V3_1 => 3,
            Self::V3_1_1 => 4,
            Self::V5 => 5,
        }
    }

    /// The protocol name of CONNECT [MQTT-3.1.2-1].
    pub fn protocol_name(self) -> &'static str {
        match self {
            Self::V3_1 => "MQIsdp",
            Self::V3_1_1 | Self::V5 => "MQTT",
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V3_1 => "3.1",
            Self::V3_1_1 => "3.1.1",
            Self::V5 => "5.0",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_named_as_the_standards_name_them() {
        let rows = Version::ALL.map(|version| {
            (version.to_string(), version.protocol_name().to_owned(), version.level())
        });
        let expected = [("3.1", "MQIsdp", 3), ("3.1.1", "MQTT", 4), ("5.0", "MQTT", 5)];
        assert_eq!(rows, expected.map(|(text, name, level)| (text.into(), name.into(), level)));
    }
}
