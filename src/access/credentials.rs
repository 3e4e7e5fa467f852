//! What a client shows of itself when it connects.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use zeroize::Zeroizing;

/// What a client shows of itself when it connects. A value that may travel to another thread.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// The client identifier, also when the broker chose it.
    pub client_id: Box<str>,
    /// The User Name of CONNECT (3.1.3.5).
    pub user_name: Option<Box<str>>,
    /// The Password of CONNECT (3.1.3.6).
    pub password: Option<Secret>,
    /// The client's certificate as DER, once TLS has verified it.
    pub certificate: Option<Arc<[u8]>>,
    /// Where it comes from; `None` for a unix socket.
    pub address: Option<IpAddr>,
}

impl Credentials {
    /// Whether the client shows anything at all.
    pub fn are_none(&self) -> bool {
        self.user_name.is_none() && self.password.is_none() && self.certificate.is_none()
    }
}

/// A password or a token: overwritten when it is dropped, and never shown.
#[derive(Clone)]
pub struct Secret(Zeroizing<Box<[u8]>>);

impl Secret {
    /// Takes a copy of the bytes.
    pub fn new(bytes: &[u8]) -> Self {
        Self(Zeroizing::new(bytes.into()))
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}
