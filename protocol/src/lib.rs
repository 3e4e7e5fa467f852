#![forbid(unsafe_code)]
//! MQTT without I/O.
