//! What is wrong with a command line.

/// Options that make no sense, in words that say what would.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(in crate::cli) struct UsageError(String);

impl UsageError {
    pub(in crate::cli) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}
