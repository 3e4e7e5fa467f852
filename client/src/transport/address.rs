//! Addresses of servers: `mqtt://user:password@host:port`.

use std::sync::Arc;

use crate::{Error, Login, Result};

/// Where a server is, and how to speak to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// How.
    pub scheme: Scheme,
    /// The host's name or number; the path of the socket for [`Scheme::Unix`].
    pub host: String,
    /// The port; 0 for [`Scheme::Unix`].
    pub port: u16,
    /// What follows the host, with its slash; only WebSocket has a use for it.
    pub path: String,
    /// User name and password, if the address has some.
    pub login: Login,
}

/// How to speak to a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// TCP: `mqtt`, `tcp`.
    Tcp,
    /// TLS over TCP: `mqtts`, `tls`, `ssl`, `tcps`.
    Tls,
    /// WebSocket: `ws`.
    WebSocket,
    /// WebSocket over TLS: `wss`.
    WebSocketTls,
    /// A socket of this machine: `unix`.
    Unix,
}

impl Scheme {
    fn new(text: &str) -> Option<Self> {
        Some(match text {
            "mqtt" | "tcp" => Self::Tcp,
            "mqtts" | "tls" | "ssl" | "tcps" => Self::Tls,
            "ws" => Self::WebSocket,
            "wss" => Self::WebSocketTls,
            "unix" => Self::Unix,
            _ => return None,
        })
    }

    fn default_port(self) -> u16 {
        match self {
            Self::Tcp => 1883,
            Self::Tls => 8883,
            Self::WebSocket => 80,
            Self::WebSocketTls => 443,
            Self::Unix => 0,
        }
    }
}

impl Address {
    /// Parses `scheme://user:password@host:port/path`; without a scheme it is `mqtt`.
    ///
    /// # Errors
    /// [`Error::Address`], which says what is wrong.
    pub fn parse(text: &str) -> Result<Self> {
        let error = |reason| Error::Address { address: Arc::from(text), reason };
        let (scheme, rest) = text.split_once("://").unwrap_or(("mqtt", text));
        let scheme = Scheme::new(scheme)
            .ok_or_else(|| error("the scheme is none of mqtt, mqtts, ws, wss and unix"))?;
        if scheme == Scheme::Unix {
            let (host, path, login) = (rest.to_owned(), String::new(), Login::default());
            return match rest {
                "" => Err(error("the path of the socket is missing")),
                _ => Ok(Self { scheme, host, port: 0, path, login }),
            };
        }
        let address = Self::parse_rest(rest, scheme.default_port(), error)?;
        Ok(Self { scheme, ..address })
    }

    /// Parses what follows the scheme, as that of TCP.
    pub(super) fn parse_rest(
        rest: &str,
        default_port: u16,
        error: impl Fn(&'static str) -> Error,
    ) -> Result<Self> {
        let (authority, path) = match rest.find('/') {
            Some(slash) => rest.split_at(slash),
            None => (rest, ""),
        };
        let (login, host) = match authority.rsplit_once('@') {
            Some((login, host)) => (parse_login(login).map_err(&error)?, host),
            None => (Login::default(), authority),
        };
        let (host, port) = parse_host(host, default_port).map_err(error)?;
        Ok(Self { scheme: Scheme::Tcp, host, port, path: path.to_owned(), login })
    }
}

fn parse_login(text: &str) -> Result<Login, &'static str> {
    let (user_name, password) = match text.split_once(':') {
        Some((user_name, password)) => (user_name, Some(password)),
        None => (text, None),
    };
    let decode = |text| decode_percent(text).ok_or("a % is not followed by two hex digits");
    let user_name = String::from_utf8(decode(user_name)?);
    let user_name = user_name.map_err(|_| "the user name is not UTF-8")?;
    let password = password.map(decode).transpose()?;
    Ok(Login { user_name: Some(user_name), password: password.map(Into::into) })
}

fn parse_host(text: &str, default_port: u16) -> Result<(String, u16), &'static str> {
    // An IPv6 address has colons of its own, and brackets around it.
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, rest)) => (host, rest.strip_prefix(':')),
        None => match text.rsplit_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    if host.is_empty() {
        return Err("the host is missing");
    }
    let port = port.map_or(Ok(default_port), str::parse);
    Ok((host.to_owned(), port.map_err(|_| "the port is no number from 0 to 65535")?))
}

fn decode_percent(text: &str) -> Option<Vec<u8>> {
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => {
                let mut digit = || char::from(bytes.next()?).to_digit(16);
                u8::try_from(digit()? * 16 + digit()?).ok()?
            }
            byte => byte,
        });
    }
    Some(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(scheme: Scheme, host: &str, port: u16, path: &str, login: Login) -> Address {
        Address { scheme, host: host.into(), port, path: path.into(), login }
    }

    #[test]
    fn addresses_are_understood() {
        let none = Login::default;
        let rows = [
            ("mqtt://a", address(Scheme::Tcp, "a", 1883, "", none())),
            ("a", address(Scheme::Tcp, "a", 1883, "", none())),
            ("127.0.0.1:1", address(Scheme::Tcp, "127.0.0.1", 1, "", none())),
            ("mqtts://a.b:99/", address(Scheme::Tls, "a.b", 99, "/", none())),
            ("ssl://[::1]:5", address(Scheme::Tls, "::1", 5, "", none())),
            ("tcp://[::1]", address(Scheme::Tcp, "::1", 1883, "", none())),
            ("wss://a/mqtt?x=1", address(Scheme::WebSocketTls, "a", 443, "/mqtt?x=1", none())),
            ("ws://a", address(Scheme::WebSocket, "a", 80, "", none())),
            ("unix:///run/mqtt.sock", address(Scheme::Unix, "/run/mqtt.sock", 0, "", none())),
            ("mqtt://u:p@a", address(Scheme::Tcp, "a", 1883, "", Login::new("u", "p"))),
            (
                "mqtt://u%40x:p%3a%2F@a",
                address(Scheme::Tcp, "a", 1883, "", Login::new("u@x", "p:/")),
            ),
        ];
        for (text, expected) in rows {
            assert_eq!(Address::parse(text).unwrap(), expected, "{text}");
        }
        let only_user = Address::parse("mqtt://u@a").unwrap().login;
        assert_eq!((only_user.user_name.as_deref(), only_user.password), (Some("u"), None));
    }

    #[test]
    fn what_is_no_address_is_refused_with_a_reason() {
        for (text, words) in [
            ("http://a", "scheme"),
            ("mqtt://", "host is missing"),
            ("mqtt://a:70000", "port"),
            ("mqtt://a:", "port"),
            ("mqtt://u%4@a", "hex"),
            ("unix://", "path"),
        ] {
            let error = Address::parse(text).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    }
}
