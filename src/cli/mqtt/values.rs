//! Values of options that have words of their own.

use skein_client::Version;

/// A version of MQTT, by any of its names.
pub(super) fn parse_version(text: &str) -> Result<Version, &'static str> {
    match text {
        "mqttv31" | "31" | "3.1" => Ok(Version::V3_1),
        "mqttv311" | "311" | "3.1.1" => Ok(Version::V3_1_1),
        "mqttv5" | "5" | "5.0" => Ok(Version::V5),
        _ => Err("the versions are 31, 311 and 5"),
    }
}

/// A number of seconds, or for ever.
pub(super) fn parse_expiry(text: &str) -> Result<u32, &'static str> {
    match text {
        "∞" | "-1" => Ok(u32::MAX),
        _ => text.parse().map_err(|_| "this is no number of seconds, -1 or ∞"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_version_has_several_names_and_for_ever_two() {
        for (name, version) in
            [("mqttv31", Version::V3_1), ("311", Version::V3_1_1), ("5.0", Version::V5)]
        {
            assert_eq!(parse_version(name), Ok(version));
        }
        assert!(parse_version("4").is_err());
        assert_eq!((parse_expiry("-1"), parse_expiry("∞")), (Ok(u32::MAX), Ok(u32::MAX)));
        assert_eq!(parse_expiry("60"), Ok(60));
        assert!(parse_expiry("-2").is_err());
    }
}
