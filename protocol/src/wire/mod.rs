//! The data representations of section 1.5: what every packet is made of.

mod reader;
mod varint;
mod writer;

pub use reader::Reader;
pub(crate) use varint::peek_varint;
pub use varint::{VARINT_MAX, varint_len};
pub use writer::{put_binary, put_string, put_u8, put_u16, put_u32, put_varint};
