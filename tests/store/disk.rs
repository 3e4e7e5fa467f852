//! A disk in memory that keeps no more than it must: after a crash, what was synced and any part of
//! the rest. It fills up, fails, and forgets what a failed sync was to write.

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use fastrand::Rng;
use skein::store::disk::{Disk, DiskFile, DiskPages, DiskReader};

/// A write is torn at any byte, or into pieces of this size of which any are there.
const SECTOR_BYTES: usize = 512;

/// The disk, as the test sees it; the log has one of its own that shares all of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct SimDisk(Arc<Mutex<World>>);

/// What goes wrong.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Faults {
    /// Bytes that all files together may have.
    pub(crate) bytes_max: Option<usize>,
    /// The next sync of a file fails.
    pub(crate) fails_sync: bool,
    /// The next write fails.
    pub(crate) fails_write: bool,
    /// Cutting files fails.
    pub(crate) fails_truncate: bool,
    /// The next sync of the folder fails.
    pub(crate) fails_folder: bool,
    /// Nothing can be removed.
    pub(crate) fails_remove: bool,
}

impl Faults {
    pub(crate) fn any(&self) -> bool {
        self.bytes_max.is_some()
            || self.fails_sync
            || self.fails_write
            || self.fails_truncate
            || self.fails_folder
            || self.fails_remove
    }
}

#[derive(Clone, Debug, Default)]
struct World {
    inodes: Vec<Inode>,
    names: BTreeMap<String, usize>,
    synced_names: BTreeMap<String, usize>,
    name_changes: Vec<NameChange>,
    faults: Faults,
    /// Files that were opened before the last crash do nothing any more.
    boots: u64,
    /// How often the disk was asked to change or sync anything, or to open what can be changed.
    touches: u64,
    rng: Option<Rng>,
}

#[derive(Clone, Debug, Default)]
struct Inode {
    /// As the system's memory has it.
    current: Vec<u8>,
    /// As the disk has it.
    synced: Vec<u8>,
    changes: Vec<Change>,
}

#[derive(Clone, Debug)]
enum Change {
    Write(usize, Vec<u8>),
    Truncate(usize),
}

#[derive(Clone, Debug)]
enum NameChange {
    Link(String, usize),
    Unlink(String),
    Rename(String, String, usize),
}

/// A file of the simulated disk.
#[derive(Debug)]
pub(crate) struct SimFile {
    disk: SimDisk,
    inode: usize,
    boot: u64,
}

impl SimDisk {
    pub(crate) fn new(seed: u64) -> Self {
        let disk = Self::default();
        disk.world().rng = Some(Rng::with_seed(seed));
        disk
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// For what changes something, whether it fails or not.
    fn touch(&self) -> MutexGuard<'_, World> {
        let mut world = self.world();
        world.touches += 1;
        world
    }

    /// How often anything was to be changed, synced, or opened for that.
    pub(crate) fn touches(&self) -> u64 {
        self.world().touches
    }

    pub(crate) fn set_faults(&self, faults: Faults) {
        self.world().faults = faults;
    }

    pub(crate) fn faults(&self) -> Faults {
        self.world().faults
    }

    pub(crate) fn bytes(&self) -> usize {
        self.world().bytes()
    }

    /// The power goes. Of what was not synced any part is there.
    pub(crate) fn crash(&self) {
        let world = &mut *self.world();
        let rng = world.rng.as_mut().expect("it was given a seed");
        // Now and then all of it, or nothing: both are likely in life.
        let chance = [0.0, 0.3, 0.7, 0.95, 1.0][rng.usize(..5)];
        for inode in &mut world.inodes {
            for change in std::mem::take(&mut inode.changes) {
                keep_some(&mut inode.synced, &change, chance, rng);
            }
            inode.current.clone_from(&inode.synced);
        }
        for change in std::mem::take(&mut world.name_changes) {
            if rng.f64() < chance {
                change.apply(&mut world.synced_names);
            }
        }
        world.names.clone_from(&world.synced_names);
        world.boots += 1;
        world.faults = Faults::default();
    }

    /// The process is killed: the system's memory is still there.
    pub(crate) fn kill(&self) {
        self.world().boots += 1;
    }

    /// Flips a bit of one file, in memory and on the disk; says of which file, and where.
    pub(crate) fn flip(&self, name: &str, bit: usize) {
        let world = &mut *self.world();
        let inode = &mut world.inodes[world.names[name]];
        for bytes in [&mut inode.current, &mut inode.synced] {
            if let Some(byte) = bytes.get_mut(bit / 8) {
                *byte ^= 1 << (bit % 8);
            }
        }
    }

    pub(crate) fn contents(&self, name: &str) -> Vec<u8> {
        let world = self.world();
        world.inodes[world.names[name]].current.clone()
    }

    /// A copy with a life of its own.
    pub(crate) fn fork(&self) -> Self {
        Self(Arc::new(Mutex::new(self.world().clone())))
    }

    fn file(&self, inode: usize) -> SimFile {
        SimFile { disk: self.clone(), inode, boot: self.world().boots }
    }
}

/// Keeps a part of a change that was not synced.
fn keep_some(bytes: &mut Vec<u8>, change: &Change, chance: f64, rng: &mut Rng) {
    match change {
        Change::Truncate(_) if rng.f64() < chance => change.apply(bytes),
        Change::Truncate(_) => {}
        Change::Write(at, written) if rng.bool() => {
            let kept = if rng.f64() < chance { written.len() } else { rng.usize(..=written.len()) };
            Change::Write(*at, written[..kept].to_vec()).apply(bytes);
        }
        Change::Write(at, written) => {
            for (index, sector) in written.chunks(SECTOR_BYTES).enumerate() {
                if rng.f64() < chance {
                    Change::Write(at + index * SECTOR_BYTES, sector.to_vec()).apply(bytes);
                }
            }
        }
    }
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Truncate(length) => bytes.resize(*length, 0),
            Self::Write(at, written) => {
                let end = at + written.len();
                if bytes.len() < end && !written.is_empty() {
                    bytes.resize(end, 0);
                }
                bytes.get_mut(*at..end).unwrap_or_default().copy_from_slice(written);
            }
        }
    }
}

impl NameChange {
    fn apply(self, names: &mut BTreeMap<String, usize>) {
        match self {
            Self::Link(name, inode) => drop(names.insert(name, inode)),
            Self::Unlink(name) => drop(names.remove(&name)),
            Self::Rename(from, to, inode) => {
                names.remove(&from);
                names.insert(to, inode);
            }
        }
    }
}

impl World {
    fn bytes(&self) -> usize {
        self.names.values().map(|inode| self.inodes[*inode].current.len()).sum()
    }

    fn change_names(&mut self, change: &NameChange) {
        change.clone().apply(&mut self.names);
        self.name_changes.push(change.clone());
    }

    fn change(&mut self, inode: usize, change: Change) {
        let inode = &mut self.inodes[inode];
        change.apply(&mut inode.current);
        inode.changes.push(change);
    }

    fn find(&self, name: &str) -> io::Result<usize> {
        self.names.get(name).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

fn broken() -> io::Error {
    io::Error::other("the disk does not work")
}

impl Disk for SimDisk {
    type File = SimFile;
    type Reader = Self;

    fn create(&mut self, name: &str) -> io::Result<SimFile> {
        let mut world = self.touch();
        let inode = if let Ok(inode) = world.find(name) {
            world.change(inode, Change::Truncate(0));
            inode
        } else {
            world.inodes.push(Inode::default());
            let inode = world.inodes.len() - 1;
            world.change_names(&NameChange::Link(name.to_owned(), inode));
            inode
        };
        drop(world);
        Ok(self.file(inode))
    }

    fn open(&mut self, name: &str) -> io::Result<SimFile> {
        let inode = self.touch().find(name)?;
        Ok(self.file(inode))
    }

    fn reader(&self) -> Self {
        self.clone()
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        let mut world = self.touch();
        let inode = world.find(from)?;
        world.change_names(&NameChange::Rename(from.to_owned(), to.to_owned(), inode));
        Ok(())
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        let mut world = self.touch();
        world.find(name)?;
        if world.faults.fails_remove {
            return Err(broken());
        }
        world.change_names(&NameChange::Unlink(name.to_owned()));
        Ok(())
    }

    fn sync_folder(&mut self) -> io::Result<()> {
        let mut world = self.touch();
        if std::mem::take(&mut world.faults.fails_folder) {
            return Err(broken());
        }
        world.name_changes.clear();
        world.synced_names = world.names.clone();
        Ok(())
    }
}

impl DiskReader for SimDisk {
    fn list(&self) -> io::Result<Vec<(String, u64)>> {
        let world = self.world();
        let files = world.names.iter();
        Ok(files.map(|(name, at)| (name.clone(), world.inodes[*at].current.len() as u64)).collect())
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn DiskPages>> {
        let inode = self.world().find(name)?;
        Ok(Box::new(self.file(inode)))
    }

    fn path_of(&self, name: &str) -> String {
        name.to_owned()
    }
}

impl DiskPages for SimFile {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let world = self.disk.world();
        let bytes = &world.inodes[self.inode].current;
        let offset = usize::try_from(offset).expect("it is a small disk").min(bytes.len());
        let count = buffer.len().min(bytes.len() - offset);
        buffer[..count].copy_from_slice(&bytes[offset..offset + count]);
        Ok(count)
    }
}

impl DiskFile for SimFile {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<usize> {
        let mut world = self.disk.touch();
        if world.boots != self.boot || std::mem::take(&mut world.faults.fails_write) {
            return Err(broken());
        }
        let offset = usize::try_from(offset).expect("it is a small disk");
        let room =
            world.faults.bytes_max.map_or(usize::MAX, |most| most.saturating_sub(world.bytes()));
        let within = world.inodes[self.inode].current.len().saturating_sub(offset);
        let count = bytes.len().min(within.saturating_add(room));
        if count == 0 && !bytes.is_empty() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        world.change(self.inode, Change::Write(offset, bytes[..count].to_vec()));
        Ok(count)
    }

    /// After a failure the next sync succeeds, and what this one was to write is not there.
    fn sync(&mut self) -> io::Result<()> {
        let world = &mut *self.disk.touch();
        if world.boots != self.boot {
            return Err(broken());
        }
        let fails = std::mem::take(&mut world.faults.fails_sync);
        let inode = &mut world.inodes[self.inode];
        for change in std::mem::take(&mut inode.changes) {
            if fails {
                let rng = world.rng.as_mut().expect("it was given a seed");
                keep_some(&mut inode.synced, &change, 0.5, rng);
            } else {
                change.apply(&mut inode.synced);
            }
        }
        if fails { Err(broken()) } else { Ok(()) }
    }

    fn truncate(&mut self, bytes: u64) -> io::Result<()> {
        let mut world = self.disk.touch();
        if world.boots != self.boot || world.faults.fails_truncate {
            return Err(broken());
        }
        let length = usize::try_from(bytes).expect("it is a small disk");
        world.change(self.inode, Change::Truncate(length));
        Ok(())
    }
}
