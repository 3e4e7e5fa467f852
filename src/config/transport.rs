//! The types of what a listener's clients speak below MQTT.

use std::path::PathBuf;

use toml::de::DeValue;

use super::address::Network;
use super::value::{Value, quote, words};

/// What the clients of a listener speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// MQTT upon the socket, or upon TLS.
    Mqtt,
    /// MQTT in WebSocket frames.
    WebSocket,
}

words!(
    Protocol,
    "\"mqtt\" or \"websocket\"",
    Protocol::Mqtt = "mqtt",
    Protocol::WebSocket = "websocket"
);

/// Whether clients show certificates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientCertificates {
    /// They are not asked for any.
    None,
    /// They are asked, and may have none.
    Optional,
    /// Who has none is refused.
    Required,
}

words!(
    ClientCertificates,
    "\"none\", \"optional\" or \"required\"",
    ClientCertificates::None = "none",
    ClientCertificates::Optional = "optional",
    ClientCertificates::Required = "required"
);

/// A version of TLS that may be spoken. Older ones are broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsVersion {
    /// TLS 1.2.
    V1_2,
    /// TLS 1.3.
    V1_3,
}

words!(TlsVersion, "\"1.2\" or \"1.3\"", TlsVersion::V1_2 = "1.2", TlsVersion::V1_3 = "1.3");

/// The permissions of a path, as chmod(1) takes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnixMode(pub u32);

impl Value for UnixMode {
    const WANTED: &'static str = "permissions in octal, like 0o660";

    fn read(value: &DeValue<'_>) -> Result<Self, String> {
        let mode = u32::read(value)?;
        if mode > 0o777 { Err(format!("{mode} is out of range")) } else { Ok(Self(mode)) }
    }

    fn show(&self) -> String {
        format!("0o{:03o}", self.0)
    }
}

/// A list that may also be written as its only item.
pub(super) fn items<T>(
    value: &DeValue<'_>,
    read: impl Fn(&DeValue<'_>) -> Result<T, String>,
) -> Result<Vec<T>, String> {
    match value.as_array() {
        Some(array) => array.iter().map(|item| read(item.get_ref())).collect(),
        None => Ok(vec![read(value)?]),
    }
}

fn show_items(items: impl Iterator<Item = String>) -> String {
    format!("[{}]", items.collect::<Vec<_>>().join(", "))
}

impl Value for Vec<PathBuf> {
    const WANTED: &'static str = "the path of a file, like \"/etc/skein/broker.pem\", or a list \
        of paths";

    fn read(value: &DeValue<'_>) -> Result<Self, String> {
        items(value, |item| match String::read(item)?.as_str() {
            "" => Err("a path is empty".to_owned()),
            path => Ok(path.into()),
        })
    }

    fn show(&self) -> String {
        show_items(self.iter().map(|path| quote(&path.to_string_lossy())))
    }
}

impl Value for Vec<Box<str>> {
    const WANTED: &'static str = "a list of texts, like [\"a\", \"b\"]";

    fn read(value: &DeValue<'_>) -> Result<Self, String> {
        items(value, |item| match String::read(item)?.as_str() {
            "" => Err("a text is empty".to_owned()),
            text => Ok(text.into()),
        })
    }

    fn show(&self) -> String {
        show_items(self.iter().map(|text| quote(text)))
    }
}

/// The origin of a web page as browsers say it (RFC 6454, 6.2): a scheme, a host and, if it is not the
/// usual one, a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin(pub Box<str>);

/// Reads an origin; the error says how browsers say it.
fn origin(text: &str) -> Result<Origin, String> {
    if text == "*" {
        return Err("\"*\" is no origin; where all pages may connect there is no list".to_owned());
    }
    let Some((scheme, rest)) = text.split_once("://") else {
        return Err(format!("{text:?} has no scheme; write \"https://{text}\""));
    };
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let usual_port = if scheme.eq_ignore_ascii_case("http") { ":80" } else { ":443" };
    let said = host.strip_suffix(usual_port).unwrap_or(host);
    if said.is_empty() || !said.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(format!("{text:?} names no host"));
    }
    if said != rest {
        return Err(format!("browsers say {text:?} as \"{scheme}://{said}\": write that"));
    }
    Ok(Origin(text.into()))
}

impl Value for Vec<Origin> {
    const WANTED: &'static str = "a list of origins, like [\"https://example.org\"]";

    fn read(value: &DeValue<'_>) -> Result<Self, String> {
        items(value, |item| origin(&String::read(item)?))
    }

    fn show(&self) -> String {
        show_items(self.iter().map(|origin| quote(&origin.0)))
    }
}

impl Value for Vec<Network> {
    const WANTED: &'static str = "a list of IP addresses and networks, like [\"10.0.0.0/8\"]";

    fn read(value: &DeValue<'_>) -> Result<Self, String> {
        items(value, |item| String::read(item)?.parse())
    }

    fn show(&self) -> String {
        show_items(self.iter().map(|network| quote(&network.to_string())))
    }
}

impl Value for Vec<TlsVersion> {
    const WANTED: &'static str = "\"1.2\", \"1.3\" or both, like [\"1.2\", \"1.3\"]";

    fn read(value: &DeValue<'_>) -> Result<Self, String> {
        match items(value, TlsVersion::read)? {
            none if none.is_empty() => Err("no version is left".to_owned()),
            versions => Ok(versions),
        }
    }

    fn show(&self) -> String {
        show_items(self.iter().map(TlsVersion::show))
    }
}
