//! What `tests/layering.rs` knows about the shape of the code.

pub(crate) mod layers;
pub(crate) mod paths;
pub(crate) mod pure;
pub(crate) mod size;
pub(crate) mod source;
