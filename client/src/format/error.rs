//! Why a payload could not be written or read.

use std::sync::Arc;

/// Why a value could not be made a payload, or a payload a value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FormatError {
    /// The message does not say what it is; before MQTT 5.0 none does.
    #[error("the message has no content type; name it with `decode_as`")]
    Missing,
    /// Nobody knows how to write or read this.
    #[error(
        "no format is known for the content type {content_type:?}; \
         add one to the builder, or turn on the feature that has it"
    )]
    Unknown {
        /// The content type, as it was given.
        content_type: Arc<str>,
    },
    /// The format has nothing for this value.
    #[error("the value cannot be written as {content_type:?}: {why}")]
    Encode {
        /// The content type, as it was given.
        content_type: Arc<str>,
        /// What the format said.
        why: String,
    },
    /// The payload is not what its content type says, or holds another type than was asked for.
    #[error("the payload cannot be read as {content_type:?}: {why}; ask its publisher")]
    Decode {
        /// The content type, as the message says it.
        content_type: Arc<str>,
        /// What the format said.
        why: String,
    },
}

impl FormatError {
    /// The content type it is about, if there is one.
    pub fn content_type(&self) -> Option<&str> {
        match self {
            Self::Missing => None,
            Self::Unknown { content_type }
            | Self::Encode { content_type, .. }
            | Self::Decode { content_type, .. } => Some(content_type),
        }
    }
}
