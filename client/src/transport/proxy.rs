//! Proxies: SOCKS5 (RFC 1928, RFC 1929) and HTTP CONNECT (RFC 9110, 9.3.6).

use std::io::{self, Read, Write};
use std::net::{IpAddr, ToSocketAddrs};
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::Address;
use crate::{Error, Login, Result};

/// A server that opens links for others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proxy {
    kind: Kind,
    pub(super) host: String,
    pub(super) port: u16,
    login: Login,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Names are looked up here.
    Socks5,
    /// Names are looked up by the proxy.
    Socks5Names,
    Http,
}

/// The longest head of an answer to CONNECT.
const HEAD_BYTES_MAX: usize = 8192;

impl Proxy {
    /// Parses `socks5://`, `socks5h://` (the proxy looks names up) or `http://`, with
    /// `user:password@host:port` behind it.
    ///
    /// # Errors
    /// [`Error::Address`], which says what is wrong.
    pub fn parse(text: &str) -> Result<Self> {
        const HTTP_PORT: u16 = 8080;
        Self::parse_or(text, HTTP_PORT)
    }

    /// As [`parse`](Self::parse); HTTP is at this port where none is named.
    pub(super) fn parse_or(text: &str, http_port: u16) -> Result<Self> {
        let error = |reason| Error::Address { address: Arc::from(text), reason };
        let (scheme, rest) = text.split_once("://").unwrap_or(("http", text));
        let (kind, default_port) = match scheme {
            "socks5" => (Kind::Socks5, 1080),
            "socks5h" => (Kind::Socks5Names, 1080),
            "http" => (Kind::Http, http_port),
            _ => return Err(error("the scheme is none of socks5, socks5h and http")),
        };
        let Address { host, port, login, .. } = Address::parse_rest(rest, default_port, error)?;
        Ok(Self { kind, host, port, login })
    }

    /// Has the proxy open a link to this host.
    pub(super) fn open(
        &self,
        link: &mut (impl Read + Write),
        host: &str,
        port: u16,
    ) -> io::Result<()> {
        match self.kind {
            Kind::Http => self.open_http(link, host, port),
            Kind::Socks5 | Kind::Socks5Names => self.open_socks(link, host, port),
        }
    }

    fn open_http(&self, link: &mut (impl Read + Write), host: &str, port: u16) -> io::Result<()> {
        let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
        let login = match &self.login.user_name {
            Some(user_name) => {
                let password = self.login.password.as_deref().unwrap_or_default();
                let pair = [user_name.as_bytes(), b":", password].concat();
                format!("Proxy-Authorization: Basic {}\r\n", BASE64.encode(pair))
            }
            None => String::new(),
        };
        let head = format!("CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n{login}\r\n");
        link.write_all(head.as_bytes())?;
        let mut answer = Vec::new();
        // Byte by byte: what follows the head is the server's already.
        while !answer.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            link.read_exact(&mut byte)?;
            answer.extend(byte);
            if answer.len() > HEAD_BYTES_MAX {
                return Err(refusal("its answer does not end"));
            }
        }
        let status = answer.split(|byte| *byte == b' ').nth(1).unwrap_or_default();
        match status {
            [b'2', ..] => Ok(()),
            status => Err(refusal(&format!("status {}", String::from_utf8_lossy(status)))),
        }
    }

    fn open_socks(&self, link: &mut (impl Read + Write), host: &str, port: u16) -> io::Result<()> {
        const VERSION: u8 = 5;
        const NO_LOGIN: u8 = 0;
        const LOGIN: u8 = 2;
        const CONNECT: u8 = 1;
        match self.login.user_name {
            None => link.write_all(&[VERSION, 1, NO_LOGIN])?,
            Some(_) => link.write_all(&[VERSION, 2, NO_LOGIN, LOGIN])?,
        }
        let mut method = [0; 2];
        link.read_exact(&mut method)?;
        match (method, &self.login.user_name) {
            ([VERSION, NO_LOGIN], _) => {}
            ([VERSION, LOGIN], Some(user_name)) => self.login_socks(link, user_name)?,
            _ => return Err(refusal("it wants another kind of login")),
        }
        let mut request = vec![VERSION, CONNECT, 0];
        self.put_socks_address(host, port, &mut request)?;
        request.extend(port.to_be_bytes());
        link.write_all(&request)?;
        let mut answer = [0; 4];
        link.read_exact(&mut answer)?;
        if answer[1] != 0 {
            return Err(refusal(socks_reason(answer[1])));
        }
        skip_socks_address(link, answer[3])
    }

    fn login_socks(&self, link: &mut (impl Read + Write), user_name: &str) -> io::Result<()> {
        let password = self.login.password.as_deref().unwrap_or_default();
        let mut request = vec![1];
        for field in [user_name.as_bytes(), password] {
            request.push(u8::try_from(field.len()).map_err(|_| refusal("the login is too long"))?);
            request.extend(field);
        }
        link.write_all(&request)?;
        let mut answer = [0; 2];
        link.read_exact(&mut answer)?;
        if answer[1] == 0 { Ok(()) } else { Err(refusal("it refused the login")) }
    }

    fn put_socks_address(&self, host: &str, port: u16, out: &mut Vec<u8>) -> io::Result<()> {
        let number = match host.parse::<IpAddr>() {
            Ok(number) => Some(number),
            Err(_) if self.kind == Kind::Socks5 => {
                (host, port).to_socket_addrs()?.next().map(|address| address.ip())
            }
            Err(_) => None,
        };
        match number {
            Some(IpAddr::V4(number)) => {
                out.push(1);
                out.extend(number.octets());
            }
            Some(IpAddr::V6(number)) => {
                out.push(4);
                out.extend(number.octets());
            }
            None => {
                out.push(3);
                out.push(u8::try_from(host.len()).map_err(|_| refusal("the name is too long"))?);
                out.extend(host.as_bytes());
            }
        }
        Ok(())
    }
}

/// Reads past the address the proxy bound, which is of no use.
fn skip_socks_address(link: &mut impl Read, kind: u8) -> io::Result<()> {
    let bytes = match kind {
        1 => 4,
        4 => 16,
        3 => {
            let mut length = [0];
            link.read_exact(&mut length)?;
            usize::from(length[0])
        }
        _ => return Err(refusal("its answer is no SOCKS5")),
    };
    let mut rest = vec![0; bytes + 2];
    link.read_exact(&mut rest)
}

/// The words of RFC 1928, 6.
fn socks_reason(code: u8) -> &'static str {
    match code {
        2 => "not allowed by its rules",
        3 => "network unreachable",
        4 => "host unreachable",
        5 => "connection refused",
        6 => "time to live expired",
        7 => "it does not know CONNECT",
        8 => "it does not know this kind of address",
        _ => "general failure",
    }
}

fn refusal(why: &str) -> io::Error {
    io::Error::other(format!("the proxy did not open the link: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is read, and what was written.
    struct Script(io::Cursor<Vec<u8>>, Vec<u8>);

    impl Script {
        fn new(answer: &[u8]) -> Self {
            Self(io::Cursor::new(answer.to_vec()), Vec::new())
        }
    }

    impl Read for Script {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.0.read(buffer)
        }
    }

    impl Write for Script {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.1.extend(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn socks_logs_in_and_names_the_host() {
        let proxy = Proxy::parse("socks5h://u:pw@p:99").unwrap();
        assert_eq!((proxy.host.as_str(), proxy.port), ("p", 99));
        let mut script = Script::new(b"\x05\x02\x01\x00\x05\x00\x00\x01\0\0\0\0\0\0rest");
        proxy.open(&mut script, "host", 1883).unwrap();
        let said = b"\x05\x02\x00\x02\x01\x01u\x02pw\x05\x01\x00\x03\x04host\x07\x5b";
        assert_eq!(script.1, said);
        assert_eq!(script.0.position(), 14, "what follows is the server's");
    }

    #[test]
    fn socks_takes_numbers_as_they_are() {
        let proxy = Proxy::parse("socks5://p").unwrap();
        let mut script = Script::new(b"\x05\x00\x05\x00\x00\x03\x01x\0\0");
        proxy.open(&mut script, "::1", 1).unwrap();
        assert!(script.1.starts_with(b"\x05\x01\x00\x05\x01\x00\x04"));
    }

    #[test]
    fn http_logs_in_and_reads_to_the_end_of_the_head() {
        let proxy = Proxy::parse("http://u:p@p").unwrap();
        let mut script = Script::new(b"HTTP/1.1 200 Fine\r\nX: y\r\n\r\nrest");
        proxy.open(&mut script, "::1", 1883).unwrap();
        assert_eq!(
            String::from_utf8(script.1).unwrap(),
            "CONNECT [::1]:1883 HTTP/1.1\r\nHost: [::1]:1883\r\n\
             Proxy-Authorization: Basic dTpw\r\n\r\n"
        );
    }

    #[test]
    fn refusals_say_why() {
        let rows: [(&str, &[u8], &str); 5] = [
            ("http://p", b"HTTP/1.1 407 No\r\n\r\n", "status 407"),
            ("socks5://p", b"\x05\xff", "another kind of login"),
            ("socks5://u:p@p", b"\x05\x02\x01\x01", "refused the login"),
            ("socks5://p", b"\x05\x00\x05\x05\x00\x01", "connection refused"),
            ("socks5://p", b"\x05\x00\x05\x00\x00\x09", "no SOCKS5"),
        ];
        for (proxy, answer, words) in rows {
            let opened = Proxy::parse(proxy).unwrap().open(&mut Script::new(answer), "::1", 1);
            let error = opened.unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
        let cut = Proxy::parse("http://p").unwrap().open(&mut Script::new(b"HTTP"), "a", 1);
        assert_eq!(cut.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        assert!(Proxy::parse("ftp://p").is_err());
    }
}
