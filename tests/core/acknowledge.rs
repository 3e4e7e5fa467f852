//! acknowledge
