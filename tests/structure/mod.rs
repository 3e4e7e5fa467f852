//! What `tests/layering.rs` knows about the shape of the code.

pub mod layers;
pub mod paths;
pub mod pure;
pub mod size;
pub mod source;
