//! The thread that keeps parts of long queues, as shards and their desks know it.

use std::path::Path;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use super::error::StartError;
use super::store::StoreError;
use crate::net::{SpillAnswer, SpillDesk};
use crate::session::ShardId;
use crate::shard::{Spill, Spilled};
use crate::store::spill::{self, ChunkFiles};

/// What may wait for the thread: some megabytes.
const REQUESTS_MAX: usize = 256;
/// How long it waits for a shard that has not taken its answers.
const FULL_DESK_WAIT: Duration = Duration::from_millis(1);

/// Starts the thread for a store in this folder, which is locked; it ends when the last shard has.
pub(super) fn start_spilling(
    folder: &Path,
    mut desks: Vec<SpillDesk>,
) -> Result<SyncSender<(ShardId, Spill)>, StartError> {
    let unusable = |error| StoreError::Unreadable { folder: folder.to_owned(), error };
    let files = ChunkFiles::open(folder).map_err(unusable).map_err(StartError::Store)?;
    let (ask, requests) = sync_channel(REQUESTS_MAX);
    let answer = move |shard: ShardId, chunk: u64, outcome: Spilled| {
        if let Some(desk) = desks.get_mut(shard.index()) {
            hand_in(desk, SpillAnswer { chunk, outcome });
        }
    };
    spill::start(files, requests, answer).map_err(StartError::Kernel)?;
    Ok(ask)
}

fn hand_in(desk: &mut SpillDesk, mut answer: SpillAnswer) {
    while let Err(back) = desk.answers.push(answer) {
        if desk.answers.is_abandoned() {
            return;
        }
        answer = back;
        desk.doorbell.ring();
        thread::sleep(FULL_DESK_WAIT);
    }
    desk.doorbell.ring();
}
