//! A certificate for a broker that is started for a trial.

use std::{fs, io, path::Path};

/// The certificate, in the broker's folder.
pub(super) const CERTIFICATE: &str = "cert.pem";
/// Its key.
pub(super) const KEY: &str = "key.pem";

/// Writes a certificate for this machine, which vouches for itself, and its key.
///
/// # Errors
///
/// The files cannot be written.
pub(super) fn write(folder: &Path) -> io::Result<()> {
    let names = ["localhost", "127.0.0.1"].map(String::from);
    let made = rcgen::generate_simple_self_signed(names).map_err(io::Error::other)?;
    fs::write(folder.join(CERTIFICATE), made.cert.pem())?;
    fs::write(folder.join(KEY), made.signing_key.serialize_pem())
}
