//! What the subcommands that speak MQTT share: their options, the connection they make of them, and
//! how messages are printed.

mod auth;
mod connection;
mod debug;
mod exit;
mod format;
mod input;
mod options;
mod printing;
mod property;
mod server;
mod statistics;
mod style;
mod template;
mod tls;
mod topics;
mod url;
mod usage;
mod values;
mod will;
mod words;

pub(super) use connection::{Caller, Connection, Incident};
pub(super) use exit::{Exit, code};
pub(super) use format::Printed;
pub(super) use input::{Content, ContentEncoding, Payload};
pub(super) use options::{ConnectionOptions, ConnectionPlan, Kind, Manner};
pub(super) use printing::{OutputOptions, Printer};
pub(super) use property::Properties;
pub(super) use statistics::{Spans, Statistics};
pub(super) use style::Style;
pub(super) use template::{Filling, Template};
pub(super) use tls::TlsOptions;
pub(super) use topics::{check_filter, check_topic};
pub(super) use usage::UsageError;
pub(super) use will::qos;
pub(super) use words::{prepare, usual_file};
