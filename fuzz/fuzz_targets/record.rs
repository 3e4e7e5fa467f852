#![no_main]
//! Bytes of a log: a record or an error, and a record comes back from its own bytes.

use libfuzzer_sys::fuzz_target;
use skein::record::Record;
use skein::record::state::State;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(record) = Record::decode(bytes) {
        let mut again = Vec::new();
        record.encode(&mut again);
        assert_eq!(Record::decode(&again), Ok(record));
    }
    // The first byte of each piece says how long it is.
    let mut state = State::default();
    let mut rest = bytes;
    while let Some((length, behind)) = rest.split_first() {
        let (record, behind) = behind.split_at(behind.len().min(usize::from(*length)));
        let _ = state.apply_bytes(record);
        rest = behind;
    }
    let mut copy = State::default();
    state.records().for_each(|record| copy.apply(record).expect("a snapshot can be applied"));
    assert!(copy.records().eq(state.records()), "a snapshot adds up to the same");
});
