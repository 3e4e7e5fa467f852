//! The configuration: a TOML file in, typed and checked [`Settings`] out.
//!
//! Everything a user may set stands in one table (`table.rs` and `access.rs`). The structs, their defaults, the
//! parser, the reference page and the example file are all made from it, so they cannot disagree.
//!
//! ```
//! let settings = skein::config::parse("shards = 2\n", "skein.toml").unwrap();
//! assert_eq!(settings.shards, 2);
//! let error = skein::config::parse("[limits]\nqueue_message_max = 5\n", "skein.toml").unwrap_err();
//! assert_eq!(
//!     error.to_string(),
//!     "skein.toml:2: unknown key \"queue_message_max\" in [limits]; \
//!      did you mean \"queue_messages_max\"?"
//! );
//! ```

mod access;
mod address;
mod bridge;
mod describe;
mod error;
mod identity;
mod limits;
mod listener;
mod mosquitto;
mod parse;
mod reader;
mod relations;
mod store;
mod table;
mod transport;
mod value;
mod written;

pub use access::{Access, Authentication, CertificateName, HttpHook, Jwt};
pub use address::{Address, Network};
pub use bridge::{Bridge, BridgeStatus, BridgeTls, BridgeTopic, BridgeVersion, Direction};
pub use describe::{documentation, example};
pub use error::{ConfigError, Problem};
pub use identity::{check_identities, told_in_the_clear};
pub use limits::Limits;
pub use mosquitto::{Imported, Machine, load_mosquitto, mosquitto_documentation};
pub use parse::{load, parse};
pub use store::Store;
pub use table::{Listener, Log, SHARDS_MAX, Settings, Tls, WebSocket};
pub use transport::{ClientCertificates, Origin, Protocol, TlsVersion, UnixMode};
pub use value::{DurabilityMode, LogFormat, LogLevel, Overflow};
pub use written::Written;

#[cfg(test)]
mod tests;
