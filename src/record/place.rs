//! Where a record lies, if it is not held in memory.

use std::fmt::Debug;

/// What is read at a time: little, until it turns out that the records that are wanted next lie behind
/// one another. Those of one client may be spread over all of the log.
const WINDOW_BYTES_MIN: usize = 4 << 10;
const WINDOW_BYTES_MAX: usize = 256 << 10;
/// Of a window in which so many records were wanted, the next one is larger.
const HITS_MIN: u32 = 8;

/// Where the bytes of a record begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Spot {
    /// The file, by a number that the [`Shelf`] knows.
    pub file: u32,
    /// The byte of it.
    pub offset: u64,
}

/// Where a record lies, and how it is known that it is the same one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    spot: Spot,
    bytes: u32,
    crc: u32,
}

/// The files in which records lie.
pub trait Shelf: Debug + Send + Sync {
    /// Opens one.
    ///
    /// # Errors
    /// Why it can not be read.
    fn open(&self, file: u32) -> Result<Box<dyn Pages>, String>;

    /// What the file is called in messages to people.
    fn name_of(&self, file: u32) -> String;
}

/// One file that is read.
pub trait Pages: Debug + Send {
    /// Reads as many bytes as `buffer` has room for, or as the file has from there on; says how many.
    ///
    /// # Errors
    /// As the system says.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, String>;
}

/// A piece of a file, around the record that was read last.
#[derive(Debug, Default)]
pub struct Window {
    file: Option<(u32, Box<dyn Pages>)>,
    /// Where in it the piece begins.
    from: u64,
    buffer: Vec<u8>,
    filled: usize,
    /// What is read at a time, and how many records were found in what was read last.
    size: usize,
    hits: u32,
}

impl Place {
    /// The place of a record.
    pub fn new(spot: Spot, record: &[u8]) -> Self {
        let bytes = u32::try_from(record.len()).unwrap_or(u32::MAX);
        Self { spot, bytes, crc: crc32fast::hash(record) }
    }

    /// Where it begins.
    pub fn spot(&self) -> Spot {
        self.spot
    }

    /// How long the record is, in bytes.
    pub fn bytes(&self) -> usize {
        self.bytes as usize
    }
}

impl Window {
    /// The record that lies there. Cheap if they are asked for in the order in which they lie.
    ///
    /// # Errors
    /// The file can not be read, or is not what it was.
    pub fn record(&mut self, place: &Place, shelf: &dyn Shelf) -> Result<&[u8], String> {
        let at = match self.find(place) {
            Some(at) => {
                self.hits += 1;
                at
            }
            None => {
                self.fill(place, shelf)?;
                0
            }
        };
        let record = self.buffer.get(at..at + place.bytes()).unwrap_or_default();
        if crc32fast::hash(record) != place.crc {
            let (name, offset) = (shelf.name_of(place.spot.file), place.spot.offset);
            return Err(format!(
                "{name}: at byte {offset}: the record has changed since the start"
            ));
        }
        Ok(record)
    }

    /// Bytes of memory that it takes.
    pub fn bytes(&self) -> usize {
        self.buffer.capacity()
    }

    fn find(&self, place: &Place) -> Option<usize> {
        self.file.as_ref().filter(|(file, _)| *file == place.spot.file)?;
        let at = usize::try_from(place.spot.offset.checked_sub(self.from)?).ok()?;
        (at.checked_add(place.bytes())? <= self.filled).then_some(at)
    }

    fn fill(&mut self, place: &Place, shelf: &dyn Shelf) -> Result<(), String> {
        let Spot { file, offset } = place.spot;
        let is_known = self.file.as_ref().is_some_and(|(known, _)| *known == file);
        self.size = match is_known && self.hits >= HITS_MIN {
            true => (self.size * 4).min(WINDOW_BYTES_MAX),
            false => WINDOW_BYTES_MIN,
        };
        let bytes = place.bytes().max(self.size);
        (self.from, self.filled, self.hits) = (offset, 0, 0);
        if bytes.max(WINDOW_BYTES_MAX) < self.buffer.len() || bytes > self.buffer.len() {
            self.buffer = vec![0; bytes];
        }
        let opened = match self.file.take_if(|_| is_known) {
            Some((_, opened)) => Ok(opened),
            None => shelf.open(file),
        };
        let read = opened.and_then(|opened| {
            self.filled = opened.read_at(offset, &mut self.buffer[..bytes])?;
            self.file = Some((file, opened));
            Ok(())
        });
        let name = || shelf.name_of(file);
        read.map_err(|error| format!("{}: read: {error}", name()))?;
        if self.filled < place.bytes() {
            return Err(format!("{}: it is shorter than it was at the start", name()));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    };

    use super::*;

    /// One file, and how many bytes of it were read, in how many pieces.
    #[derive(Clone, Debug)]
    struct OneFile(Vec<u8>, Arc<[AtomicUsize; 2]>);

    impl Shelf for OneFile {
        fn open(&self, _: u32) -> Result<Box<dyn Pages>, String> {
            Ok(Box::new(self.clone()))
        }

        fn name_of(&self, file: u32) -> String {
            format!("file-{file}")
        }
    }

    impl Pages for OneFile {
        fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, String> {
            let rest = &self.0[usize::try_from(offset).expect("it is small")..];
            let count = rest.len().min(buffer.len());
            buffer[..count].copy_from_slice(&rest[..count]);
            self.1[0].fetch_add(count, Relaxed);
            self.1[1].fetch_add(1, Relaxed);
            Ok(count)
        }
    }

    fn file(bytes: usize) -> OneFile {
        OneFile((0..bytes).map(|at| (at / 7) as u8).collect(), Arc::default())
    }

    fn place(file: &OneFile, offset: usize, bytes: usize) -> Place {
        let spot = Spot { file: 0, offset: offset as u64 };
        Place::new(spot, &file.0[offset..offset + bytes])
    }

    /// Reads records of 300 bytes that lie so far apart; says how many bytes were read, how often, and
    /// how many are held.
    fn read(file: &OneFile, step: usize) -> [usize; 3] {
        let mut window = Window::default();
        for offset in (0..file.0.len() - 300).step_by(step) {
            let record = window.record(&place(file, offset, 300), file).expect("it is there");
            assert_eq!(record, &file.0[offset..offset + 300]);
        }
        let [bytes, reads] = file.1.each_ref().map(|count| count.load(Relaxed));
        [bytes, reads, window.bytes()]
    }

    #[test]
    fn records_in_a_row_are_read_in_large_pieces_and_no_more_is_held() {
        let file = file(8 * WINDOW_BYTES_MAX);
        let [bytes, reads, held] = read(&file, 300);
        assert!(bytes < file.0.len() + 300 * reads && reads < 15, "{bytes} bytes in {reads} reads");
        assert_eq!(held, WINDOW_BYTES_MAX);
    }

    #[test]
    fn records_far_from_each_other_are_read_in_small_pieces() {
        let file = file(8 * WINDOW_BYTES_MAX);
        let [bytes, reads, held] = read(&file, 30_000);
        assert_eq!((bytes, held), (reads * WINDOW_BYTES_MIN, WINDOW_BYTES_MIN));
    }

    #[test]
    fn a_record_that_is_larger_than_the_window_is_read_whole() {
        let file = file(2 * WINDOW_BYTES_MAX);
        let large = place(&file, 9, WINDOW_BYTES_MAX + 5);
        let mut window = Window::default();
        assert_eq!(window.record(&large, &file).map(<[u8]>::len), Ok(WINDOW_BYTES_MAX + 5));
        assert_eq!(window.record(&place(&file, 20, 3), &file), Ok(&file.0[20..23]));
        window.record(&place(&file, 0, 3), &file).expect("it is there");
        assert!(window.bytes() <= WINDOW_BYTES_MAX, "what was large is let go of");
    }

    #[test]
    fn what_has_changed_is_named() {
        let mut file = file(1_000);
        let (there, end) = (place(&file, 500, 10), place(&file, 990, 10));
        file.0[505] ^= 1;
        file.0.truncate(995);
        let why = |place| Window::default().record(&place, &file).map(drop).expect_err("changed");
        assert_eq!(why(there), "file-0: at byte 500: the record has changed since the start");
        assert_eq!(why(end), "file-0: it is shorter than it was at the start");
    }
}
