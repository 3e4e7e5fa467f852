//! The one table of settings. A row is: what it means, `key: type = default, what is allowed,
//! what happens at the limit`. Units stand last in the key; "0 = …" says what nothing means. The
//! sections about identities stand in `access.rs`, the limits in `limits.rs`.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use super::access::{Access, Authentication, CertificateName, HttpHook, Jwt};
use super::address::{Address, Network};
use super::bridge::{Bridge, BridgeTls, BridgeTopic};
use super::limits::Limits;
use super::reader::Reader;
use super::store::Store;
use super::transport::{ClientCertificates, Origin, Protocol, TlsVersion, UnixMode};
use super::value::{Allowed, DurabilityMode, LogFormat, LogLevel, Overflow, Value};
use super::written::Written;

/// The most shards one process can have: interest is a bit per shard in one word.
pub const SHARDS_MAX: usize = 64;

/// One row of the table, for people.
#[derive(Clone)]
pub(super) struct Row {
    /// The section of the file, empty for the top.
    pub(super) section: &'static str,
    pub(super) key: &'static str,
    /// As TOML.
    pub(super) default: String,
    pub(super) allowed: String,
    pub(super) meaning: String,
    pub(super) reaction: &'static str,
}

/// Expands a section of the table to the struct, its `Default`, its reader and its rows.
macro_rules! section {
    (
        $(#[$attribute:meta])*
        $name:ident = $section:literal;
        $(
            $(#[doc = $meaning:literal])+
            $key:ident: $type:ty = $default:expr, $allowed:expr, $reaction:literal;
        )+
        $(=> {$(
            $(#[doc = $part_meaning:literal])+
            $part:ident: $part_type:ty = $part_default:expr;
        )+})?
    ) => {
        $(#[$attribute])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct $name {
            $(
                $(#[doc = $meaning])+
                #[doc = ""]
                #[doc = concat!("At the limit: ", $reaction, ".")]
                pub $key: $type,
            )+
            $($($(#[doc = $part_meaning])+ pub $part: $part_type,)+)?
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $($key: $default,)+ $($($part: $part_default,)+)? }
            }
        }

        impl $name {
            /// The keys of this section as the file sets them; the rest by default.
            pub(in crate::config) fn read(reader: &mut Reader<'_, '_, '_>) -> Self {
                Self {
                    $($key: reader.value(stringify!($key), $default, &$allowed),)+
                    $($($part: $part_default,)+)?
                }
            }

            /// Takes from `old` each key that differs and that `keeps` names, and says which
            /// those were. Not every section has keys that a running broker cannot change.
            #[allow(dead_code)]
            pub(crate) fn keep(
                &mut self,
                old: &Self,
                keeps: impl Fn(&str) -> bool,
            ) -> Vec<&'static str> {
                let mut kept = Vec::new();
                $(
                    if self.$key != old.$key && keeps(stringify!($key)) {
                        self.$key = old.$key.clone();
                        kept.push(stringify!($key));
                    }
                )+
                kept
            }

            pub(in crate::config) fn rows() -> Vec<Row> {
                vec![$(Row {
                    section: $section,
                    key: stringify!($key),
                    default: <$type as Value>::show(&$default),
                    allowed: Allowed::<$type>::describe(&$allowed),
                    meaning: [$($meaning),+].map(str::trim).join(" "),
                    reaction: $reaction,
                }),+]
            }
        }
    };
}

pub(super) use section;

section! {
    /// Everything a user may set, checked. Made by [`parse`](super::parse()) and
    /// [`load`](super::load), or by `Default`: one listener on 127.0.0.1:1883, anonymous.
    Settings = "";
    /// How many event loops share the work, each on a thread of its own;
    /// 0 = as many as the cores this process may use.
    shards: usize = 0, 0..=SHARDS_MAX, "more cores than this are left to others";
    /// How often the files named here are looked at: certificates, keys, revocation lists,
    /// passwords, access lists. One that has changed is read again, as SIGHUP does; 0 = only at
    /// SIGHUP. This file itself is read at SIGHUP alone.
    reload_check_s: u64 = 5, 0..=86_400, "a file that is wrong leaves what was read before in use";
    /// How often the broker says below $SYS how it is: clients, messages, bytes, the slowest clients,
    /// what was dropped. Who may read that is a matter of the access list; 0 = never.
    sys_interval_s: u64 = 5, 0..=86_400, "what is said between two times is not told apart";
    => {
        /// The addresses the broker listens on, at least one.
        listeners: Vec<Listener> = vec![Listener::default()];
        /// The bounds on what clients can make the broker hold and do.
        limits: Limits = Limits::default();
        /// What outlives the broker.
        store: Store = Store::default();
        /// Who may do what.
        access: Access = Access::default();
        /// Signed tokens in place of passwords.
        jwt: Jwt = Jwt::default();
        /// A web server that says who may connect.
        http_hook: HttpHook = HttpHook::default();
        /// Other brokers that messages go to and come from.
        bridges: Vec<Bridge> = Vec::new();
        /// How the broker reports what happens.
        log: Log = Log::default();
    }
}

section! {
    /// One address to listen on: a `[[listener]]` block.
    Listener = "listener";
    /// What log lines call the listener; the address when it is not set.
    name: String = "default".to_owned(), .., "two listeners of one name are refused";
    /// The IP address and port to listen on, or the path of a Unix socket; every block has to name
    /// one.
    address: Address = Address::Internet(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 1883)), ..,
        "two listeners on one address are refused";
    /// What clients speak here: MQTT, or MQTT in WebSocket frames. With the section listener.tls,
    /// either is spoken over TLS.
    protocol: Protocol = Protocol::Mqtt, .., "a client that speaks something else is closed";
    /// Who may connect to a Unix socket: the permissions of its path, in octal.
    unix_mode: UnixMode = UnixMode(0o660), .., "the system refuses others";
    /// The proxies in front of this listener, as IP addresses or networks like 10.0.0.0/8. When
    /// there are any, every connection has to come from one of them and to begin with a header of
    /// the PROXY protocol, version 1 or 2.
    proxy_protocol_from: Vec<Network> = Vec::new(), ..,
        "a connection from elsewhere or without a header is closed";
    /// How clients prove who they are, in the order in which it is tried; the first that knows a
    /// client decides. Alone, "anonymous" lets everybody in, whatever they say; beside others, those
    /// who say nothing. Empty = as access.anonymous says, which is enough only where other machines
    /// cannot connect.
    auth: Vec<Authentication> = Vec::new(), .., "CONNECT is refused with 0x86";
    /// What of a client's certificate is its user name, for "certificate" in auth: the common name,
    /// the first alternative name or the whole subject.
    certificate_name: CertificateName = CertificateName::Cn, ..,
        "a certificate without such a name proves nothing";
    /// Users and the hashes of their passwords for those who connect here, in Mosquitto's format;
    /// empty = those of access.password_file.
    password_file: Option<PathBuf> = None, .., "CONNECT is refused with 0x86";
    /// The access list for those who connect here, in Mosquitto's format; empty = that of
    /// access.acl_file.
    acl_file: Option<PathBuf> = None, .., "what the list does not allow is denied";
    /// Whether a subscription to more than the access list allows is refused here; otherwise it is
    /// granted, and brings only what is allowed. Where access.acl_strict is true, it is everywhere.
    acl_strict: bool = false, .., "the filter is refused with 0x87, for MQTT 3.1.1 with 0x80";
    /// What happens to a message that does not fit the queue of a session which connected here.
    overflow: Overflow = Overflow::DropNewest, ..,
        "drop-newest and drop-oldest drop and count a message, disconnect closes the session's \
         connection with 0x97, refuse answers an MQTT 5 publisher 0x97 when nobody could take its \
         message and else does as drop-newest";
    /// What an acknowledgement promises to clients that connected here, where there is a
    /// store.data_dir: "disk", that what it is for survives a power cut; "os", that it survives the
    /// end of the broker; "memory", nothing, and their sessions end with the broker. A listener that
    /// does not say has that of store.durability.
    durability: DurabilityMode = DurabilityMode::Disk, ..,
        "while the store does not work, MQTT 5 publishers are refused with 0x97 or 0x83 and those of \
         3.1.1 are closed";
    /// How many connections may be open here at once; 0 = no limit of its own.
    connections_max: usize = 0, 0..=CONNECTIONS_MAX, "a further connection is closed and counted";
    /// How many messages per second all that connected here may publish together, and as many at
    /// once; each shard its share; 0 = no limit. The default is that of a hundred clients.
    publishes_per_s_max: u32 = 1_000_000_000, 0..=1_000_000_000,
        "who publishes more is not read until it is paid for, and counted (publishers_throttled)";
    /// How many bytes of PUBLISH packets per second all that connected here may send together, and
    /// as many at once; each shard its share; 0 = no limit. The default is that of a hundred clients.
    publish_bytes_per_s_max: usize = 1_099_511_627_776, 0..=BYTES_MAX,
        "who publishes more is not read until it is paid for, and counted (publishers_throttled)";
    => {
        /// TLS, if it is spoken here.
        tls: Tls = Tls::default();
        /// WebSocket, if it is spoken here.
        websocket: WebSocket = WebSocket::default();
        /// Where it was written.
        written: Written = Written::default();
    }
}

section! {
    /// TLS on a listener: its `[listener.tls]` section. Without a certificate there is no TLS.
    Tls = "listener.tls";
    /// The file with the server's certificate and those above it, in PEM. Several files serve
    /// several names: a client gets the first whose certificate is for the name that it asked for,
    /// or else the first of all. None = no TLS.
    certificate: Vec<PathBuf> = Vec::new(), .., "the broker does not start without them";
    /// The file with the certificate's private key, in PEM; as many as there are certificates, in
    /// the same order.
    key: Vec<PathBuf> = Vec::new(), .., "the broker does not start without them";
    /// Whether clients must show a certificate that an authority of client_ca has signed.
    client_certificates: ClientCertificates = ClientCertificates::None, ..,
        "with required, a client without one is refused; a wrong one is refused with optional too";
    /// The files with the authorities that sign clients' certificates, in PEM.
    client_ca: Vec<PathBuf> = Vec::new(), .., "a certificate of another authority is refused";
    /// The files with the authorities' lists of revoked certificates, in PEM. When there are any,
    /// each authority that signs clients needs one, and one that is not out of date.
    crl: Vec<PathBuf> = Vec::new(), ..,
        "a revoked certificate, and one that no list speaks for, is refused; a client that is there \
         when its certificate comes onto a list is closed with 0x87";
    /// The protocols that clients may name by ALPN; empty = mqtt, or http/1.1 where WebSocket is
    /// spoken. A client that names none is served.
    alpn: Vec<Box<str>> = Vec::new(), .., "a client that names only others is refused";
    /// The versions of TLS.
    versions: Vec<TlsVersion> = vec![TlsVersion::V1_2, TlsVersion::V1_3], ..,
        "a client that knows none of them is refused";
}

section! {
    /// WebSocket on a listener: its `[listener.websocket]` section.
    WebSocket = "listener.websocket";
    /// The path that clients must ask for.
    path: String = "/mqtt".to_owned(), .., "other paths are answered with 404";
    /// The origins whose pages may connect, like `https://example.org`; empty = all. Programs that
    /// are no browsers say no origin and may connect.
    origins: Vec<Origin> = Vec::new(), .., "pages from elsewhere are answered with 403";
    /// The longest payload of one frame. A packet may lie in several frames.
    frame_bytes_max: u64 = 16_777_216, 125..=9_223_372_036_854_775_807,
        "the connection is closed with 1009";
}

section! {
    /// How the broker reports what happens: the `[log]` section.
    Log = "log";
    /// How a log line looks.
    format: LogFormat = LogFormat::Text, .., "there is none";
    /// The least important lines that are written.
    level: LogLevel = LogLevel::Info, .., "less important lines are not written";
    /// How many lines of one kind are written per second, for kinds that clients can cause.
    lines_per_second_max: u32 = 10, 1..=1_000_000, "further lines are counted, the count is written";
}

/// Far above what one machine holds, and small enough that sums of limits cannot overflow.
pub(super) const BYTES_MAX: usize = 1 << 48;
/// Slots of connections are numbered with 24 bits.
pub(super) const CONNECTIONS_MAX: usize = (1 << 24) - 1;

impl Listener {
    /// A listener on `address`, named after it, the rest by default.
    #[must_use]
    pub fn at(address: impl Into<Address>) -> Self {
        let address = address.into();
        Self { name: address.to_string(), address, ..Self::default() }
    }
}

/// Every row, in the order in which the sections are documented.
pub(super) fn rows() -> Vec<Row> {
    [
        Settings::rows(),
        Listener::rows(),
        Tls::rows(),
        WebSocket::rows(),
        Limits::rows(),
        Store::rows(),
        Access::rows(),
        Jwt::rows(),
        HttpHook::rows(),
        Bridge::rows(),
        BridgeTls::rows(),
        BridgeTopic::rows(),
        Log::rows(),
    ]
    .concat()
}
