//! The bytes of a segment and of a snapshot.
//!
//! ```text
//! file    = header frame*
//! header  = magic(8) version(4) salt(4) number(8) first(8) crc(4)
//! frame   = length(4) kind(4) sequence(8) durable(8) body crc(4) head crc(4) body(length)
//! body    = (length(4) record)*
//! ```
//!
//! Numbers are little-endian. A frame is one batch: after a crash all of its records are there, or
//! none. `durable` is the sequence that was synced when the frame was written. It tells a torn tail
//! from a broken file: a frame that does not hold, and that a later frame calls durable, is no tail.
//! The salt is drawn for each file and goes into each head's checksum, so that a payload which holds
//! the bytes of a frame is never taken for one.

use super::Sequence;

/// Bytes of a file's header.
pub(super) const HEADER_BYTES: usize = 36;
/// Bytes of a frame without its body.
pub(super) const FRAME_BYTES: usize = 32;
/// The version of the format that this code writes; it reads no other so far.
pub(super) const FORMAT_VERSION: u32 = 1;

const SEGMENT_MAGIC: [u8; 8] = *b"skeinlog";
const SNAPSHOT_MAGIC: [u8; 8] = *b"skeinsnp";

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FileKind {
    Segment,
    Snapshot,
}

/// The header of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) kind: FileKind,
    pub(super) salt: u32,
    /// The number of a segment; 0 for a snapshot.
    pub(super) number: u64,
    /// The first sequence of a segment; of a snapshot, the last one that it stands for.
    pub(super) first: u64,
}

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FrameKind {
    /// One batch.
    Batch,
    /// No records; says what is durable, and takes no sequence.
    Mark,
    /// The end of a snapshot: it has as many batches as the sequence says.
    End,
}

/// A frame that holds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame<'a> {
    pub(super) kind: FrameKind,
    pub(super) sequence: u64,
    pub(super) durable: u64,
    pub(super) body: &'a [u8],
}

impl Header {
    pub(super) fn encode(&self) -> [u8; HEADER_BYTES] {
        let magic = match self.kind {
            FileKind::Segment => SEGMENT_MAGIC,
            FileKind::Snapshot => SNAPSHOT_MAGIC,
        };
        let mut bytes = [0; HEADER_BYTES];
        bytes[..8].copy_from_slice(&magic);
        bytes[8..12].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.salt.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.number.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.first.to_le_bytes());
        let crc = crc32fast::hash(&bytes[..32]);
        bytes[32..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// # Errors
    /// Why it does not hold.
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, String> {
        let Some(bytes) = bytes.first_chunk::<HEADER_BYTES>() else {
            return Err("its header is cut".to_owned());
        };
        let kind = match bytes.first_chunk::<8>() {
            Some(magic) if *magic == SEGMENT_MAGIC => FileKind::Segment,
            Some(magic) if *magic == SNAPSHOT_MAGIC => FileKind::Snapshot,
            _ => return Err("it does not begin as a file of this store does".to_owned()),
        };
        if crc32fast::hash(&bytes[..32]) != u32_at(bytes, 32) {
            return Err("the checksum of its header does not hold".to_owned());
        }
        let version = u32_at(bytes, 8);
        if version != FORMAT_VERSION {
            return Err(format!(
                "it has format version {version}, and this program reads version \
                 {FORMAT_VERSION}; use the program that wrote it"
            ));
        }
        let (salt, number, first) = (u32_at(bytes, 12), u64_at(bytes, 16), u64_at(bytes, 24));
        Ok(Self { kind, salt, number, first })
    }
}

impl FrameKind {
    const ALL: [Self; 3] = [Self::Batch, Self::Mark, Self::End];

    fn number(self) -> u32 {
        match self {
            Self::Batch => 0,
            Self::Mark => 1,
            Self::End => 2,
        }
    }
}

/// Appends a frame whose head is still to be [sealed](seal).
pub(super) fn put_frame(out: &mut Vec<u8>, kind: FrameKind, sequence: u64, body: &[u8]) {
    let length = u32::try_from(body.len()).expect("a batch is below 4 GiB");
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(&kind.number().to_le_bytes());
    out.extend_from_slice(&sequence.to_le_bytes());
    out.extend_from_slice(&[0; 8]);
    out.extend_from_slice(&crc32fast::hash(body).to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(body);
}

/// Completes the heads of frames for the file into which they go now.
pub(super) fn seal(frames: &mut [u8], salt: u32, durable: u64) {
    let mut at = 0;
    while let Some(head) = frames.get_mut(at..).and_then(|rest| rest.first_chunk_mut::<32>()) {
        head[16..24].copy_from_slice(&durable.to_le_bytes());
        let crc = head_crc(head, salt);
        head[28..].copy_from_slice(&crc.to_le_bytes());
        at += FRAME_BYTES + u32_at(head, 0) as usize;
    }
}

/// The batches of frames that were never anywhere but in memory.
pub(super) fn frames_in_memory(mut rest: &[u8]) -> impl Iterator<Item = (Sequence, &[u8])> {
    std::iter::from_fn(move || {
        let (head, behind) = rest.split_first_chunk::<FRAME_BYTES>()?;
        let (body, behind) = behind.split_at_checked(u32_at(head, 0) as usize)?;
        rest = behind;
        Some((Sequence(u64_at(head, 8)), body))
    })
}

/// How many bytes the frame at the front of `bytes` takes, as far as its head is there and holds.
pub(super) fn frame_bytes(bytes: &[u8], salt: u32) -> usize {
    let head = bytes.first_chunk().filter(|head| parse_head(head, salt).is_some());
    FRAME_BYTES + head.map_or(0, |head| u32_at(head, 0) as usize)
}

/// The frame at the front of `bytes`; `None` where they end.
///
/// # Errors
/// Why it does not hold.
pub(super) fn parse(bytes: &[u8], salt: u32) -> Result<Option<Frame<'_>>, &'static str> {
    if bytes.is_empty() {
        return Ok(None);
    }
    let Some((head, rest)) = bytes.split_first_chunk::<FRAME_BYTES>() else {
        return Err("the head of a batch is cut");
    };
    let Some((kind, sequence, durable)) = parse_head(head, salt) else {
        return Err("the checksum of a batch's head does not hold");
    };
    let Some(body) = rest.get(..u32_at(head, 0) as usize) else {
        return Err("a batch is cut");
    };
    if crc32fast::hash(body) != u32_at(head, 24) {
        return Err("the checksum of a batch does not hold");
    }
    Ok(Some(Frame { kind, sequence, durable, body }))
}

/// Whether the head of any frame behind the first byte says that `sequence` was durable.
pub(super) fn is_called_durable(bytes: &[u8], salt: u32, sequence: u64) -> bool {
    bytes.windows(FRAME_BYTES).skip(1).any(|head| {
        let head: &[u8; FRAME_BYTES] = head.try_into().expect("a window has this length");
        // The cheap question first: it is asked at every byte.
        u64_at(head, 16) >= sequence
            && u64_at(head, 8) >= u64_at(head, 16)
            && parse_head(head, salt).is_some()
    })
}

fn parse_head(head: &[u8; FRAME_BYTES], salt: u32) -> Option<(FrameKind, u64, u64)> {
    let kind = FrameKind::ALL.into_iter().find(|kind| kind.number() == u32_at(head, 4))?;
    let holds = head_crc(head, salt) == u32_at(head, 28);
    holds.then(|| (kind, u64_at(head, 8), u64_at(head, 16)))
}

fn head_crc(head: &[u8; FRAME_BYTES], salt: u32) -> u32 {
    let mut hasher = crc32fast::Hasher::new_with_initial(salt);
    hasher.update(&head[..28]);
    hasher.finalize()
}

fn u32_at<const N: usize>(bytes: &[u8; N], at: usize) -> u32 {
    u32::from_le_bytes(std::array::from_fn(|index| bytes[at + index]))
}

fn u64_at<const N: usize>(bytes: &[u8; N], at: usize) -> u64 {
    u64::from_le_bytes(std::array::from_fn(|index| bytes[at + index]))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: Header = Header { kind: FileKind::Segment, salt: 7, number: 3, first: 9 };

    fn frame() -> Vec<u8> {
        let mut bytes = Vec::new();
        put_frame(&mut bytes, FrameKind::Batch, 9, b"body");
        seal(&mut bytes, 7, 8);
        bytes
    }

    /// What is on disk today must be read tomorrow.
    #[test]
    fn the_bytes_are_those_of_format_version_1() {
        let header: String = HEADER.encode().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(
            header,
            "736b65696e6c6f670100000007000000030000000000000009000000000000007457620c"
        );
        let frame: String = frame().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(
            frame,
            "040000000000000009000000000000000800000000000000b20ba8db89bfefb0626f6479"
        );
    }

    #[test]
    fn any_flipped_bit_is_seen() {
        assert_eq!(Header::decode(&HEADER.encode()), Ok(HEADER));
        for bit in 0..HEADER_BYTES * 8 {
            let mut bytes = HEADER.encode();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(Header::decode(&bytes).is_err(), "bit {bit} of the header");
        }
        let whole = frame();
        assert!(parse(&whole, 7).is_ok_and(|frame| frame.is_some_and(|it| it.body == b"body")));
        for bit in 0..whole.len() * 8 {
            let mut bytes = whole.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(parse(&bytes, 7).is_err(), "bit {bit} of a frame");
        }
    }

    #[test]
    fn a_frame_of_another_file_does_not_hold() {
        assert!(parse(&frame(), 8).is_err());
    }

    #[test]
    fn another_version_is_named() {
        let mut bytes = HEADER.encode();
        bytes[8] = 2;
        let crc = crc32fast::hash(&bytes[..32]);
        bytes[32..].copy_from_slice(&crc.to_le_bytes());
        let why = Header::decode(&bytes).expect_err("another version");
        assert!(why.contains("format version 2"), "{why}");
    }

    #[test]
    fn what_a_later_frame_calls_durable_is_found() {
        let bytes = [b"torn".as_slice(), &frame()].concat();
        assert!(is_called_durable(&bytes, 7, 8));
        assert!(!is_called_durable(&bytes, 7, 9), "9 was not durable yet");
        assert!(!is_called_durable(&bytes, 6, 8), "a payload may hold bytes like these");
        assert!(!is_called_durable(&[0; 100], 7, 1));
    }
}
