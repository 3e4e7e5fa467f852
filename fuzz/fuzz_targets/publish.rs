#![no_main]
//! PUBLISH by the hot path, by the path of all packets and by a plain reading: they agree.

#[path = "../../protocol/tests/oracle/publish.rs"]
mod oracle;

use libfuzzer_sys::fuzz_target;
use skein_protocol::Version;

fuzz_target!(|bytes: &[u8]| {
    let [header, body @ ..] = bytes else { return };
    Version::ALL.iter().for_each(|version| oracle::check(*header, body, *version));
});
