//! A snapshot: written beside the running log, worth nothing before it has its name.

use super::{
    super::disk::{Disk, DiskFile, DiskReader, write_all},
    Batch, LogError, Sequence,
    files::KeptSnapshot,
    frame::{FileKind, FrameKind, HEADER_BYTES, Header, put_frame, seal},
    layout::{SNAPSHOT_DRAFT, snapshot_name},
    segmented::SegmentedLog,
};

/// After so many bytes a draft is synced: one large sync at its end would hold up the commits.
const SYNC_BYTES: u64 = 1 << 20;

/// A snapshot that is being written.
#[derive(Debug)]
pub(super) struct Draft<F> {
    file: F,
    covers: Sequence,
    salt: u32,
    end: u64,
    synced: u64,
    batches: u64,
}

impl<D: Disk> SegmentedLog<D> {
    pub(super) fn begin_draft(&mut self, covers: Sequence) -> Result<(), LogError> {
        debug_assert!(covers <= self.durable, "a snapshot stands for what is durable");
        self.draft = None;
        let salt = self.salt(!covers.0);
        let header = Header { kind: FileKind::Snapshot, salt, number: 0, first: covers.0 };
        let made = self.disk.create(SNAPSHOT_DRAFT).and_then(|mut file| {
            write_all(&mut file, 0, &header.encode())?;
            Ok(file)
        });
        let file = made.map_err(|error| self.files.failed("make", SNAPSHOT_DRAFT, error))?;
        let end = HEADER_BYTES as u64;
        self.draft = Some(Draft { file, covers, salt, end, synced: 0, batches: 0 });
        Ok(())
    }

    pub(super) fn add_to_draft(&mut self, batch: &Batch) -> Result<(), LogError> {
        let Some(mut draft) = self.draft.take() else { return Ok(()) };
        draft.batches += 1;
        match draft.put(FrameKind::Batch, batch.as_bytes()) {
            Ok(()) => self.draft = Some(draft),
            Err(error) => return Err(self.give_up("write", error)),
        }
        Ok(())
    }

    pub(super) fn finish_draft(&mut self) -> Result<(), LogError> {
        let Some(mut draft) = self.draft.take() else { return Ok(()) };
        let whole = draft.put(FrameKind::End, &[]).and_then(|()| draft.file.sync());
        whole.map_err(|error| self.give_up("sync", error))?;
        let name = snapshot_name(draft.covers.0);
        // From here on the name may be durable or not: either is right, until older files go.
        let named = self.disk.rename(SNAPSHOT_DRAFT, &name);
        named
            .and_then(|()| self.disk.sync_folder())
            .map_err(|error| self.files.failed("put in place", &name, error))?;
        self.files.snapshot = Some(KeptSnapshot { name, covers: draft.covers, bytes: draft.end });
        self.trim();
        Ok(())
    }

    fn give_up(&mut self, doing: &'static str, error: std::io::Error) -> LogError {
        let _ = self.disk.remove(SNAPSHOT_DRAFT);
        self.files.failed(doing, SNAPSHOT_DRAFT, error)
    }

    /// Removes what the snapshot stands for. What can not be removed now is found at the next
    /// start.
    pub(super) fn trim(&mut self) {
        self.files.forget_covered();
        if self.files.snapshot.is_none() {
            return;
        }
        let Ok(found) = self.files.reader.list() else { return };
        for (name, _) in found.iter().filter(|(name, _)| self.files.is_covered(name)) {
            let _ = self.disk.remove(name);
        }
    }
}

impl<F: DiskFile> Draft<F> {
    fn put(&mut self, kind: FrameKind, body: &[u8]) -> std::io::Result<()> {
        let mut frame = Vec::new();
        put_frame(&mut frame, kind, self.batches, body);
        seal(&mut frame, self.salt, 0);
        write_all(&mut self.file, self.end, &frame)?;
        self.end += frame.len() as u64;
        if self.end - self.synced >= SYNC_BYTES {
            self.file.sync()?;
            self.synced = self.end;
        }
        Ok(())
    }
}
