//! The proof of durability against the real process: clients that take down all they see, a broker
//! that is killed, and a check of the history.
//!
//! ```text
//! cargo xtask durability                     # as in CI: some minutes
//! cargo xtask durability --kills 1000        # the long run
//! cargo xtask durability --minutes 60        # histories with kills, pauses and clock jumps
//! cargo xtask durability --seed 4711         # what another seed draws
//! ```
//!
//! A seed draws who takes part, what they do and what is done to the broker; the threads of the
//! system draw the rest, so a seed that fails may have to be played several times.
//!
//! | file | what it shows |
//! |---|---|
//! | `kills.rs` | SIGKILL at random points, at each step of the handshakes, at each failpoint; SIGTERM |
//! | `faults.rs` | a disk that loses what was not synced, and one whose sync fails |
//! | `lazyfs.rs` | the same on LazyFS, where there is a build of it |
//! | `long.rs` | kills, pauses and jumps of the clock over minutes |
//! | `rates.rs` | how long acknowledgements and starts take, as ratios |
//! | `stops.rs` | SIGTERM while the disk is full, fails or does not answer, or a shard hangs |
//! | `upgrade.rs` | files of earlier versions |

mod broker;
mod client;
mod crowd;
mod faults;
mod history;
mod kills;
mod lazyfs;
mod long;
mod options;
mod peer;
mod rates;
mod round;
mod scene;
mod stops;
mod upgrade;
