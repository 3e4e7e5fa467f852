#![no_main]
//! Any bytes, cut into frames and read in every version; what is read is written and read again.

#[path = "../../protocol/tests/oracle/packet.rs"]
mod oracle;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| oracle::check(bytes));
