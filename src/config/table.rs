//! The one table of settings. A row is: what it means, `key: type = default, what is allowed,
//! what happens at the limit`. Units stand last in the key; "0 = …" says what nothing means. The
//! sections about identities stand in `access.rs`.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use skein_protocol::QoS;

use super::access::{Access, Authentication, CertificateName, HttpHook, Jwt};
use super::address::{Address, Network};
use super::reader::Reader;
use super::transport::{ClientCertificates, Protocol, TlsVersion, UnixMode};
use super::value::{Allowed, LogFormat, LogLevel, Overflow, Value};
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
            pub(super) fn read(reader: &mut Reader<'_, '_, '_>) -> Self {
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

            pub(super) fn rows() -> Vec<Row> {
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
    => {
        /// The addresses the broker listens on, at least one.
        listeners: Vec<Listener> = vec![Listener::default()];
        /// The bounds on what clients can make the broker hold and do.
        limits: Limits = Limits::default();
        /// Who may do what.
        access: Access = Access::default();
        /// Signed tokens in place of passwords.
        jwt: Jwt = Jwt::default();
        /// A web server that says who may connect.
        http_hook: HttpHook = HttpHook::default();
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
    /// How many connections may be open here at once; 0 = no limit of its own.
    connections_max: usize = 0, 0..=CONNECTIONS_MAX, "a further connection is closed and counted";
    /// How many messages per second all that connected here may publish together, and as many at
    /// once; each shard its share; 0 = no limit.
    publishes_per_s_max: u32 = 0, 0..=1_000_000_000,
        "who publishes more is not read until it is paid for, and counted (publishers_throttled)";
    /// How many bytes of PUBLISH packets per second all that connected here may send together, and
    /// as many at once; each shard its share; 0 = no limit.
    publish_bytes_per_s_max: usize = 0, 0..=BYTES_MAX,
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
        "a revoked certificate, and one that no list speaks for, is refused";
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
    origins: Vec<Box<str>> = Vec::new(), .., "pages from elsewhere are answered with 403";
    /// The longest payload of one frame. A packet may lie in several frames.
    frame_bytes_max: u64 = 16_777_216, 125..=9_223_372_036_854_775_807,
        "the connection is closed with 1009";
}

section! {
    /// Bounds on what clients can make the broker hold and do: the `[limits]` section.
    Limits = "limits";

    /// How long a new connection may take until its CONNECT is whole, the handshakes of TLS and
    /// WebSocket included.
    connect_timeout_ms: u64 = 10_000, 1..=600_000,
        "the connection is closed and counted (connect_timeouts)";
    /// How long the handshakes of TLS and WebSocket may take together, and the header of the PROXY
    /// protocol.
    tls_handshake_ms_max: u64 = 10_000, 1..=600_000,
        "the connection is closed and counted (handshake_timeouts)";
    /// How long a packet that was begun may make no progress: of one that does not become whole, at
    /// least 4,096 bytes have to come in this time; 0 = as long as it likes.
    packet_stalled_ms_max: u64 = 30_000, 0..=3_600_000,
        "the connection is closed within twice the time, for MQTT 5 with 0x83, and counted \
         (packets_stalled)";
    /// The longest packet a client may send, header included; MQTT 5 clients are told.
    packet_bytes_max: usize = 1_048_576, 1_024..=PACKET_BYTES_MAX,
        "the connection is closed, for MQTT 5 with 0x95";
    /// The longest packet that is read from a connection before its CONNECT was accepted, and never
    /// more than packet_bytes_max.
    packet_bytes_before_connect_max: usize = 65_536, 256..=PACKET_BYTES_MAX,
        "the connection is closed";
    /// How many levels a topic or a filter may have.
    topic_levels_max: usize = 128, 1..=65_535,
        "a topic closes the connection with 0x90, a filter is refused with 0x8F";
    /// The longest client identifier, in bytes of UTF-8.
    client_id_bytes_max: usize = 1_024, 23..=65_535, "CONNECT is refused with 0x85";
    /// How many subscriptions one session may have.
    subscriptions_per_client_max: usize = 10_000, 1..=10_000_000,
        "a further filter is refused with 0x97 and counted (subscriptions_refused)";
    /// How many bytes the filters of all sessions may take together, each counted where it is held;
    /// each shard its share.
    subscription_bytes_max: usize = 268_435_456, 1_024..=BYTES_MAX,
        "a further filter is refused with 0x97 and counted (subscriptions_refused)";
    /// How many user properties one packet may carry.
    user_properties_max: usize = 1_000, 0..=100_000, "the connection is closed with 0x97";
    /// How many topic aliases a client may use towards the broker; it is told this Topic Alias
    /// Maximum, 0 = none.
    topic_alias_maximum: u16 = 16, 0..=65_535, "a higher alias closes the connection with 0x94";
    /// How many bytes the topics may take together that one client has given aliases.
    topic_alias_bytes_max: usize = 65_536, 1_024..=BYTES_MAX,
        "a further one closes the connection with 0x97";
    /// How many topic aliases the broker uses towards a client that allows them, and never more
    /// than the client allows; 0 = none.
    topic_alias_outgoing_max: u16 = 16, 0..=65_535, "further topics are sent in full";
    /// The longest keep alive; a client that asks for more, or for none, is given this one,
    /// 0 = what the client asks.
    keep_alive_s_max: u16 = 0, 0..=65_535,
        "silence for one and a half times the keep alive closes the connection with 0x8D";
    /// How many QoS 1 and QoS 2 messages an MQTT 5 client may have unfinished towards the broker; it
    /// is told this Receive Maximum.
    receive_maximum: u16 = 1_024, 1..=65_535, "one more closes the connection with 0x93";
    /// How many QoS 1 and QoS 2 messages the broker has unfinished towards one client, and never
    /// more than the client's own Receive Maximum.
    in_flight_max: u16 = 1_024, 1..=65_535, "further messages wait in the session's queue";

    /// The highest QoS a client may publish with; it is told.
    maximum_qos: QoS = QoS::ExactlyOnce, ..,
        "a higher QoS closes the connection with 0x9B, a subscription is granted this one";
    /// Whether messages are retained; MQTT 5 clients are told.
    retain_available: bool = true, .., "a retained message closes the connection with 0x9A";
    /// Whether filters may hold + and #; MQTT 5 clients are told.
    wildcard_subscription_available: bool = true, .., "such a filter is refused with 0xA2";
    /// Whether filters may begin with $share; MQTT 5 clients are told.
    shared_subscription_available: bool = true, .., "such a filter is refused with 0x9E";
    /// Whether a SUBSCRIBE may carry a Subscription Identifier; MQTT 5 clients are told.
    subscription_identifiers_available: bool = true, ..,
        "such a SUBSCRIBE closes the connection with 0xA1";

    /// The longest a session outlives its connection; 4294967295 = it never expires.
    session_expiry_s_max: u32 = 4_294_967_295, 0..=u32::MAX,
        "a client that asks for more is given this and told so";
    /// How long the session of an MQTT 3.1 or 3.1.1 client that connects with clean session 0
    /// outlives its connection, and never longer than session_expiry_s_max; 4294967295 = it never
    /// expires.
    session_expiry_v3_s: u32 = 4_294_967_295, 0..=u32::MAX, "the session and its queue are gone";
    /// How many sessions the whole broker holds, connected or not; each shard holds its share.
    sessions_max: usize = 1_000_000, 1..=100_000_000,
        "a client without a session is refused with 0x97";

    /// How many messages wait for one session.
    queue_messages_max: usize = 100_000, 1..=100_000_000, "the listener's overflow decides";
    /// How many bytes of messages wait for one session.
    queue_bytes_max: usize = 16_777_216, 1_024..=BYTES_MAX, "the listener's overflow decides";
    /// How many bytes wait to be written to one connection, whatever happens.
    outbox_bytes_max: usize = 8_388_608, 4_096..=BYTES_MAX,
        "messages go to the session's queue, QoS 0 is dropped and counted";
    /// A connection with more bytes waiting than this pauses those who publish to it.
    outbox_high_water_bytes: usize = 262_144, 1_024..=BYTES_MAX, "publishers are not read";
    /// Publishers are read again when no more bytes than this wait for the connection.
    outbox_low_water_bytes: usize = 65_536, 0..=BYTES_MAX, "publishers are read again";
    /// How long a connection may pause its publishers before it counts as slow; 0 = it never may.
    /// One that was slow lately may for a fiftieth of the time since.
    slow_consumer_grace_ms: u64 = 500, 0..=600_000,
        "nobody waits for it any more: QoS 0 is dropped and counted, QoS 1 and 2 are queued";

    /// How many batches wait in the lane from one shard to another; a power of two.
    lane_slots: usize = 1_024, 2..=65_536, "further batches wait behind the lane, in order";
    /// How many bytes wait behind one lane; less where the lanes of all shards together could
    /// overfill one outbox.
    lane_waiting_bytes_max: usize = 4_194_304, 1_024..=BYTES_MAX,
        "the shard stops reading publishers until the lane has moved";
    /// How many messages per second one client may publish, and as many at once; 0 = no limit.
    publishes_per_client_per_s_max: u32 = 0, 0..=1_000_000_000,
        "it is not read until it is paid for, and counted (publishers_throttled)";
    /// How many bytes of PUBLISH packets per second one client may send, and as many at once;
    /// 0 = no limit.
    publish_bytes_per_client_per_s_max: usize = 0, 0..=BYTES_MAX,
        "it is not read until it is paid for, and counted (publishers_throttled)";
    /// How many bytes are read from one connection before the others have their turn.
    read_budget_bytes: usize = 131_072, 1_024..=16_777_216, "the rest is read in the next turn";

    /// How many messages the whole broker retains; each shard holds its share.
    retained_messages_max: usize = 1_000_000, 0..=100_000_000,
        "a further topic is not retained: an MQTT 5 publisher with QoS 1 or 2 is told 0x97, other \
         messages are delivered, and counted";
    /// How many bytes of retained messages the whole broker holds; each shard holds its share.
    retained_bytes_max: usize = 1_073_741_824, 0..=BYTES_MAX,
        "a further topic is not retained: an MQTT 5 publisher with QoS 1 or 2 is told 0x97, other \
         messages are delivered, and counted";
    /// How many retained topics are looked at in one step of answering a SUBSCRIBE.
    retained_step_topics: usize = 256, 1..=65_536, "the next step follows after other work";

    /// How much memory all clients' data may take in the whole broker, each shard its share;
    /// 0 = half of the memory this process may use.
    memory_bytes_max: usize = 0, 0..=BYTES_MAX,
        "at 80 % new connections are refused, at 90 % QoS 0 that would wait is dropped, at 95 % \
         queues no longer grow, at 100 % publishers are paused";
    /// How many connections may be open at once in the whole broker; 0 = no limit.
    connections_max: usize = 0, 0..=CONNECTIONS_MAX, "a further connection is closed and counted";
    /// How many connections one address may have open at once; 0 = no limit. Of IPv6, all addresses
    /// with the same first 64 bits are one; behind a proxy, the one that the proxy names counts.
    connections_per_address_max: usize = 16_384, 0..=CONNECTIONS_MAX,
        "a further connection is closed and counted (connections_crowded)";
    /// How many connections may come from one address in a second, and as many at once; 0 = no limit.
    connections_per_address_per_s_max: u32 = 2_000, 0..=1_000_000,
        "a further connection is closed and counted (connections_crowded)";
    /// The addresses and networks whose connections are not counted by address.
    addresses_unlimited: Vec<Network> = Network::loopback(), ..,
        "the limits for one address do not hold for them";
    /// How long a shutdown may take to write out what waits for the clients; no connection is
    /// waited for longer than a second.
    shutdown_ms_max: u64 = 5_000, 0..=600_000, "the rest is left and the broker ends";
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

/// The longest packet MQTT can express: a length of 268,435,455 and a header of five bytes.
const PACKET_BYTES_MAX: usize = 268_435_460;
/// Far above what one machine holds, and small enough that sums of limits cannot overflow.
const BYTES_MAX: usize = 1 << 48;
/// Slots of connections are numbered with 24 bits.
const CONNECTIONS_MAX: usize = (1 << 24) - 1;

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
        Access::rows(),
        Jwt::rows(),
        HttpHook::rows(),
        Log::rows(),
    ]
    .concat()
}
