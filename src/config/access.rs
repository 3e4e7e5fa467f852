//! The part of the table that says who clients are and what they may do.

use std::path::PathBuf;

use toml::de::DeValue;

use super::reader::Reader;
use super::table::{Row, section};
use super::transport::items;
use super::value::{Allowed, Value, quote, words};
use super::written::Written;

section! {
    /// Who may do what: the `[access]` section.
    Access = "access";
    /// Whether clients may connect without proving who they are, where a listener's auth does not
    /// say. A listener that other machines can reach has to say.
    anonymous: bool = true, .., "CONNECT is refused with 0x86";
    /// Filters whose topics nobody may publish to, nor name in a will.
    deny_publish: Vec<String> = Vec::new(), ..,
        "the message goes nowhere; an MQTT 5 publisher with QoS 1 or 2 is told 0x87, a CONNECT with \
         such a will is refused";
    /// Filters nobody may subscribe to: a subscription is refused when one of these matches every
    /// topic that it asks for. A wider subscription is not: it still receives these topics.
    deny_subscribe: Vec<String> = Vec::new(), ..,
        "the filter is refused with 0x87, for MQTT 3.1.1 with 0x80";

    /// Users and the hashes of their passwords, in Mosquitto's format, for "password" in auth;
    /// `skein passwd` writes it.
    password_file: Option<PathBuf> = None, .., "CONNECT is refused with 0x86";
    /// Users and their credentials for enhanced authentication, for "scram" in auth; `skein scram`
    /// writes it.
    scram_file: Option<PathBuf> = None, .., "CONNECT is refused with 0x86";
    /// The access list, in Mosquitto's format: who may publish and receive what. Empty = everybody
    /// everything; an empty file denies everything.
    acl_file: Option<PathBuf> = None, .., "what the list does not allow is denied";
    /// Whether a subscription to more than the access list allows is refused; otherwise it is
    /// granted, and brings only what is allowed.
    acl_strict: bool = false, .., "the filter is refused with 0x87, for MQTT 3.1.1 with 0x80";

    /// How long a password that was right need not be hashed again; 0 = it always is. A reload
    /// forgets them all.
    password_cache_ms: u64 = 60_000, 0..=86_400_000, "the password is hashed again";
    /// How many verified credentials are remembered; 0 = none.
    cached_credentials_max: usize = 100_000, 0..=10_000_000, "those longest unused are forgotten";
    /// How often one address may fail to log in within the window, and one user from one address. A
    /// unix socket has no address: failures there are not counted, delay nothing and ban nobody;
    /// unix_mode says who may connect there at all.
    login_failures_max: u32 = 10, 1..=1_000_000, "they are banned for a time: 0x8A";
    /// How often one user may fail to log in within the window, from whatever addresses. Addresses
    /// from which the user has logged in before are not banned with it.
    login_user_failures_max: u32 = 100, 1..=1_000_000, "the user is banned for a time: 0x8A";
    /// How long a failed login counts.
    login_failure_window_s: u64 = 600, 1..=86_400, "it is forgotten";
    /// How long a user at an address waits after a failed login until the next one is looked at;
    /// twice as long after each further failure.
    login_delay_ms: u64 = 100, 0..=60_000, "an earlier try is refused like a wrong password";
    /// How long a ban lasts.
    login_ban_s: u64 = 300, 0..=86_400, "the ban is over";
    /// How many addresses, users and pairs of both are remembered for their failures.
    login_records_max: usize = 100_000, 2..=10_000_000, "those longest quiet are forgotten";
    /// How many threads verify logins, and how many more ask the HTTP hook. One that verifies an
    /// Argon2id password takes 46 MiB.
    login_workers: usize = 2, 1..=64, "further logins wait";
    /// How many logins wait for a thread, and how many more for the HTTP hook.
    logins_waiting_max: usize = 1_000, 1..=100_000, "CONNECT is refused with 0x89";
    => {
        /// Whether a line of a password file that has no colon is skipped, as Mosquitto does with its
        /// own files; otherwise it is an error.
        skips_lines: bool = false;
        /// Where it was written.
        written: Written = Written::default();
    }
}

section! {
    /// Signed tokens in place of passwords, for "jwt" in auth: the `[jwt]` section. Of keys_file,
    /// keys_url and secret_file, one is set.
    Jwt = "jwt";
    /// The keys that sign tokens, as a JWK set (RFC 7517). Each key says which algorithms it serves.
    /// With a key that is taken out go those whose tokens it has signed.
    keys_file: Option<PathBuf> = None, .., "a token signed with another key is refused with 0x86";
    /// Where to get the keys, as a JWK set: `https://…`.
    keys_url: String = String::new(), .., "without keys every token is refused with 0x86";
    /// A file whose bytes are the secret for HS256, HS384 and HS512, at least 32 of them; a line
    /// break at its end does not count.
    secret_file: Option<PathBuf> = None, .., "a token signed otherwise is refused with 0x86";
    /// How often the keys are fetched from keys_url.
    keys_refresh_s: u64 = 3_600, 1..=604_800, "when that fails, those fetched before stay in use";
    /// The file with the authorities that sign keys_url's certificate, in PEM; empty = those of
    /// this machine.
    ca_file: Option<PathBuf> = None, .., "the keys are not fetched";
    /// Whose tokens are accepted: the claim iss. Empty = everybody's whose key is known.
    issuer: String = String::new(), .., "the token is refused with 0x86";
    /// Whom tokens have to be for: one of the claim aud. Empty = only tokens without it.
    audience: String = String::new(), .., "the token is refused with 0x86";
    /// How far the clocks of the issuer and of this machine may differ.
    leeway_s: u64 = 30, 0..=3_600, "the token is refused with 0x86";
    /// The claim that holds the user name.
    user_name_claim: String = "sub".to_owned(), .., "a token without it is refused with 0x86";
    /// The claim that holds the filters of topics that the client may publish to.
    publish_claim: String = "publish".to_owned(), ..,
        "a token without this claim and the next leaves it to the access list";
    /// The claim that holds the filters of topics that the client may receive.
    subscribe_claim: String = "subscribe".to_owned(), ..,
        "a token without this claim and the one above leaves it to the access list";
    /// The claim that has to hold the client identifier; empty = a token serves every client.
    client_id_claim: String = String::new(), .., "the token is refused with 0x86";
    => {
        /// Where it was written.
        written: Written = Written::default();
    }
}

section! {
    /// A web server that is asked who a client is, for "http" in auth: the `[http_hook]` section.
    HttpHook = "http_hook";
    /// Where it is: `https://…`, or `http://…` on this machine or a network that may be trusted
    /// with passwords.
    url: String = String::new(), .., "CONNECT is refused with 0x87";
    /// How long an answer may take.
    timeout_ms: u64 = 2_000, 1..=60_000, "CONNECT is refused with 0x88";
    /// How long an answer that allows need not be asked for again; 0 = it always is.
    cache_ms: u64 = 0, 0..=86_400_000, "it is asked again";
    /// The file with the authorities that sign its certificate, in PEM; empty = those of this
    /// machine.
    ca_file: Option<PathBuf> = None, .., "CONNECT is refused with 0x88";
    => {
        /// Where it was written.
        written: Written = Written::default();
    }
}

/// One way for clients to prove who they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Authentication {
    /// They need not.
    Anonymous,
    /// By the certificate that they show in TLS.
    Certificate,
    /// By a user name and a password of the password file.
    Password,
    /// By a signed token in place of the password.
    Jwt,
    /// By what a web server says of them.
    Http,
    /// By enhanced authentication (4.12) with SCRAM.
    Scram,
}

words!(
    Authentication,
    "\"anonymous\", \"certificate\", \"password\", \"jwt\", \"http\" or \"scram\"",
    Authentication::Anonymous = "anonymous",
    Authentication::Certificate = "certificate",
    Authentication::Password = "password",
    Authentication::Jwt = "jwt",
    Authentication::Http = "http",
    Authentication::Scram = "scram"
);

/// What of a client's certificate is its user name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CertificateName {
    /// The common name of the subject.
    Cn,
    /// The first of the subject alternative names.
    San,
    /// The whole subject, the distinguished name.
    Dn,
}

words!(
    CertificateName,
    "\"cn\", \"san\" or \"dn\"",
    CertificateName::Cn = "cn",
    CertificateName::San = "san",
    CertificateName::Dn = "dn"
);

impl Value for Vec<Authentication> {
    const WANTED: &'static str = "a list of \"anonymous\", \"certificate\", \"password\", \"jwt\", \
        \"http\" and \"scram\"";

    fn read(value: &DeValue<'_>) -> Result<Self, String> {
        let ways: Self = items(value, Authentication::read)?;
        for (index, way) in ways.iter().enumerate() {
            if ways.iter().take(index).any(|before| before == way) {
                return Err(format!("{} stands there twice", way.show()));
            }
        }
        Ok(ways)
    }

    fn show(&self) -> String {
        let ways: Vec<String> = self.iter().map(Value::show).collect();
        format!("[{}]", ways.join(", "))
    }
}

impl Value for Option<PathBuf> {
    const WANTED: &'static str = "a path, like \"/etc/skein/passwords\"; \"\" = none";

    fn read(value: &DeValue<'_>) -> Result<Self, String> {
        let path = String::read(value)?;
        Ok((!path.is_empty()).then(|| path.into()))
    }

    fn show(&self) -> String {
        let path = self.as_deref().unwrap_or("".as_ref());
        quote(&path.to_string_lossy())
    }
}
