//! The formats that features bring. Each reads a whole payload, and what follows the value is an
//! error.

/// How deep values may be nested; deeper ones are an attack on the stack.
#[cfg(any(feature = "cbor", feature = "messagepack"))]
const DEPTH_MAX: usize = 128;

#[cfg(feature = "json")]
pub(super) mod json {
    use serde::Serialize;
    use serde::de::DeserializeOwned;

    pub(in crate::format) fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, String> {
        serde_json::to_vec(value).map_err(|error| error.to_string())
    }

    pub(in crate::format) fn decode<T: DeserializeOwned>(payload: &[u8]) -> Result<T, String> {
        serde_json::from_slice(payload).map_err(|error| error.to_string())
    }
}

#[cfg(feature = "cbor")]
pub(super) mod cbor {
    use serde::Serialize;
    use serde::de::DeserializeOwned;

    use super::{DEPTH_MAX, check_end};

    pub(in crate::format) fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, String> {
        let mut bytes = Vec::new();
        ciborium::into_writer(value, &mut bytes).map_err(|error| error.to_string())?;
        Ok(bytes)
    }

    pub(in crate::format) fn decode<T: DeserializeOwned>(payload: &[u8]) -> Result<T, String> {
        let mut rest = payload;
        let value = ciborium::de::from_reader_with_recursion_limit(&mut rest, DEPTH_MAX)
            .map_err(|error| error.to_string())?;
        check_end(rest).map(|()| value)
    }
}

#[cfg(feature = "messagepack")]
pub(super) mod message_pack {
    use serde::Serialize;
    use serde::de::DeserializeOwned;

    use super::{DEPTH_MAX, check_end};

    /// With the names of fields, as most other languages expect them.
    pub(in crate::format) fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, String> {
        rmp_serde::to_vec_named(value).map_err(|error| error.to_string())
    }

    pub(in crate::format) fn decode<T: DeserializeOwned>(payload: &[u8]) -> Result<T, String> {
        let mut rest = payload;
        let mut deserializer = rmp_serde::Deserializer::new(&mut rest);
        deserializer.set_max_depth(DEPTH_MAX);
        let value = T::deserialize(&mut deserializer).map_err(|error| error.to_string())?;
        check_end(rest).map(|()| value)
    }
}

#[cfg(any(feature = "cbor", feature = "messagepack"))]
fn check_end(rest: &[u8]) -> Result<(), String> {
    match rest.len() {
        0 => Ok(()),
        count => Err(format!("{count} bytes follow the value")),
    }
}
