//! The shell around the pure core: sockets, buffers, lanes and the turn of each event loop.

pub mod lane;
