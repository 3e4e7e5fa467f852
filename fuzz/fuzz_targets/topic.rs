#![no_main]
//! A filter and a name, divided by the first U+0000: taken, refused and matched as a plain reading
//! of the standard has it.

#[path = "../../protocol/tests/oracle/topic.rs"]
mod oracle;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let (filter, name) = text.split_once('\0').unwrap_or((text, text));
    oracle::check(filter, name);
});
