//! Which proxy the environment asks for, as curl reads it.
//!
//! A variable of the scheme comes first, then `all_proxy`; each in small letters, then in capitals.
//! One that is set and empty means: none. `no_proxy` has the hosts that are reached directly, with
//! commas or spaces in between: `*` for all, names with all that ends in a dot and the name,
//! addresses, and networks as `10.0.0.0/8`.

use std::net::IpAddr;

use super::{Address, Proxy, Scheme};
use crate::Result;

/// The proxy for this server; `variable` gives the value of a variable of the environment.
///
/// # Errors
/// [`Error::Address`](crate::Error::Address): the variable names no proxy that can be used.
pub(super) fn proxy_for(
    address: &Address,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<Option<Proxy>> {
    /// Where a proxy is that names no port: curl's choice.
    const PORT: u16 = 1080;
    let both = |name: &str| variable(name).or_else(|| variable(&name.to_ascii_uppercase()));
    let of_scheme = match address.scheme {
        Scheme::Unix => return Ok(None),
        Scheme::Tcp => both("mqtt_proxy"),
        Scheme::Tls => both("mqtts_proxy").or_else(|| both("https_proxy")),
        // In capitals it would be a header of whoever calls a CGI program.
        Scheme::WebSocket => both("ws_proxy").or_else(|| variable("http_proxy")),
        Scheme::WebSocketTls => both("wss_proxy").or_else(|| both("https_proxy")),
    };
    let Some(proxy) = of_scheme.or_else(|| both("all_proxy")) else { return Ok(None) };
    let is_direct = both("no_proxy").is_some_and(|hosts| is_listed(&address.host, &hosts));
    if proxy.is_empty() || is_direct {
        return Ok(None);
    }
    Proxy::parse_or(&proxy, PORT).map(Some)
}

fn is_listed(host: &str, hosts: &str) -> bool {
    if hosts.trim() == "*" {
        return true;
    }
    let host = host.strip_suffix('.').unwrap_or(host);
    let entries = hosts.split([',', ' ', '\t']).filter(|entry| !entry.is_empty());
    match host.parse::<IpAddr>() {
        Ok(number) => entries.into_iter().any(|entry| is_in_network(number, entry)),
        Err(_) => entries.into_iter().any(|entry| is_in_domain(host, entry)),
    }
}

fn is_in_domain(host: &str, entry: &str) -> bool {
    let entry = entry.strip_suffix('.').unwrap_or(entry);
    let entry = entry.strip_prefix('.').unwrap_or(entry);
    let Some(start) = host.len().checked_sub(entry.len()) else { return false };
    let (Some(front), Some(end)) = (host.get(..start), host.get(start..)) else { return false };
    !entry.is_empty()
        && end.eq_ignore_ascii_case(entry)
        && (front.is_empty() || front.ends_with('.'))
}

fn is_in_network(number: IpAddr, entry: &str) -> bool {
    let (network, bits) = match entry.split_once('/') {
        Some((network, bits)) => (network, bits.parse::<u32>().ok()),
        None => (entry, Some(u32::MAX)),
    };
    let network = network.trim_matches(['[', ']']).parse::<IpAddr>();
    let (Ok(network), Some(bits)) = (network, bits) else { return false };
    let (number, network, width) = match (number, network) {
        (IpAddr::V4(number), IpAddr::V4(network)) => {
            (u128::from(number.to_bits()), u128::from(network.to_bits()), 32)
        }
        (IpAddr::V6(number), IpAddr::V6(network)) => (number.to_bits(), network.to_bits(), 128),
        _ => return false,
    };
    let bits = if bits == u32::MAX { width } else { bits };
    // Nothing is left of a number that is shifted by its whole width.
    let head = |number: u128| number.checked_shr(width.saturating_sub(bits)).unwrap_or(0);
    bits <= width && head(number) == head(network)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(server: &str, variables: &[(&str, &str)]) -> Option<String> {
        let address = Address::parse(server).unwrap();
        let variable = |name: &str| {
            let found = variables.iter().find(|(own, _)| *own == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        let proxy = proxy_for(&address, variable).unwrap();
        proxy.map(|proxy| format!("{}:{}", proxy.host, proxy.port))
    }

    #[test]
    fn the_scheme_says_which_variable_counts() {
        let all = [
            ("mqtt_proxy", "http://mqtt:1"),
            ("https_proxy", "http://https:2"),
            ("http_proxy", "http://http:3"),
            ("ALL_PROXY", "socks5h://all:4"),
        ];
        let rows = [
            ("mqtt://h", &all[..], Some("mqtt:1")),
            ("mqtt://h", &all[1..], Some("all:4")),
            ("mqtts://h", &all, Some("https:2")),
            ("wss://h", &all, Some("https:2")),
            ("ws://h", &all, Some("http:3")),
            ("ws://h", &all[3..], Some("all:4")),
            ("unix:///run/mqtt", &all, None),
            ("mqtt://h", &[], None),
            ("mqtts://h", &[("MQTTS_PROXY", "http://own:5"), all[1]], Some("own:5")),
            ("mqtts://h", &[("HTTPS_PROXY", "http://large:6")], Some("large:6")),
            ("mqtts://h", &[("HTTPS_PROXY", "http://large:6"), all[1]], Some("https:2")),
            ("ws://h", &[("HTTP_PROXY", "http://cgi:7")], None),
            ("mqtts://h", &[("https_proxy", ""), ("all_proxy", "http://all:4")], None),
            ("mqtt://h", &[("all_proxy", "plain")], Some("plain:1080")),
            ("mqtt://h", &[("all_proxy", "socks5://u:p@[::1]")], Some("::1:1080")),
        ];
        for (server, variables, expected) in rows {
            assert_eq!(found(server, variables).as_deref(), expected, "{server} {variables:?}");
        }
    }

    #[test]
    fn some_hosts_are_reached_directly() {
        let rows = [
            ("mqtt://h", "*", true),
            ("mqtt://h", "", false),
            ("mqtt://h", "a, h", true),
            ("mqtt://h", "a h\tb", true),
            ("mqtt://mq.example.com", "example.com", true),
            ("mqtt://mq.example.com", ".EXAMPLE.com", true),
            ("mqtt://mq.example.com.", "example.com.", true),
            ("mqtt://example.com", ".example.com", true),
            ("mqtt://badexample.com", "example.com", false),
            ("mqtt://com", "example.com", false),
            ("mqtt://h", ".", false),
            ("mqtt://h\u{FC}", "\u{FC}", false),
            ("mqtt://10.1.2.3", "10.1.2.3", true),
            ("mqtt://10.1.2.3", "2.3", false),
            ("mqtt://10.1.2.3", "10.0.0.0/8", true),
            ("mqtt://11.1.2.3", "10.0.0.0/8", false),
            ("mqtt://10.1.2.3", "10.1.2.2/31", true),
            ("mqtt://10.1.2.3", "10.1.2.3/33", false),
            ("mqtt://10.1.2.3", "10.1.2.3/x", false),
            ("mqtt://10.1.2.3", "0.0.0.0/0", true),
            ("mqtt://[2001:db8::1]", "2001:db8::/32", true),
            ("mqtt://[2001:db8::1]", "[2001:db8::1]", true),
            ("mqtt://[2001:db9::1]", "2001:db8::/32", false),
            ("mqtt://[2001:db8::1]", "10.0.0.0/8,::/0", true),
        ];
        for (server, hosts, is_direct) in rows {
            for name in ["no_proxy", "NO_PROXY"] {
                let proxy = found(server, &[("all_proxy", "http://p:1"), (name, hosts)]);
                assert_eq!(proxy.is_none(), is_direct, "{server} {hosts:?}");
            }
        }
    }

    #[test]
    fn a_proxy_that_cannot_be_used_is_an_error() {
        let address = Address::parse("mqtt://h").unwrap();
        for value in ["ftp://p", "https://p", "http://", "http://p:x"] {
            let variable = |name: &str| (name == "all_proxy").then(|| value.to_owned());
            assert!(proxy_for(&address, variable).is_err(), "{value}");
        }
    }
}
