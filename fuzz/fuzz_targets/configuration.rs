#![no_main]
//! A configuration file. It is read, or each problem names a line that there is.

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = str::from_utf8(bytes) else { return };
    let lines = text.split('\n').count();
    match skein::config::parse(text, "file") {
        Ok(settings) => {
            assert!(!settings.listeners.is_empty());
            assert!(settings.limits.lane_slots.is_power_of_two());
        }
        Err(error) => {
            assert!(!error.problems.is_empty());
            for problem in &error.problems {
                assert!(problem.line.is_none_or(|line| (1..=lines).contains(&line)), "{error}");
            }
        }
    }
});
