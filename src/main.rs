//! The binary `skein`: parse, run, exit code.
fn main() {}
