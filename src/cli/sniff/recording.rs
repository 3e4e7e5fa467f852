//! Recorded traffic: a file of pcap or pcapng becomes segments of TCP.

use std::io::Read;
use std::net::{IpAddr, SocketAddr};

use etherparse::{EtherType, LaxNetSlice, LaxSlicedPacket, TransportSlice};
use jiff::Timestamp;
use pcap_parser::pcapng::Block;
use pcap_parser::traits::{PcapNGPacketBlock, PcapReaderIterator};
use pcap_parser::{Linktype, PcapBlockOwned, PcapError, create_reader};

/// What is read of the file at once, and the longest block there can be.
const BUFFER_BYTES: usize = 64 * 1024;
const BLOCK_BYTES_MAX: usize = 16 * 1024 * 1024;

/// A segment of TCP, as it was recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Recorded<'a> {
    pub(super) at: Timestamp,
    pub(super) from: SocketAddr,
    pub(super) to: SocketAddr,
    pub(super) sequence: u32,
    pub(super) is_first: bool,
    pub(super) bytes: &'a [u8],
    /// Bytes behind them that were not recorded.
    pub(super) cut: u64,
}

/// What was in a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Contents {
    pub(super) packets: u64,
    /// Packets that hold no TCP, or are broken or parts of one.
    pub(super) passed_over: u64,
    /// Packets of links that nobody knows here.
    pub(super) of_unknown_links: u64,
}

/// What is wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} (after {packets} packets)")]
pub(super) struct FileError {
    what: String,
    packets: u64,
}

/// An interface of a recording.
#[derive(Clone, Copy)]
struct Interface {
    link: Linktype,
    /// Units of its clock in a second.
    resolution: u64,
    offset_s: i64,
}

/// Reads a recording to its end and gives each segment to `take`, which may say that it is enough.
///
/// # Errors
/// What is no recording, or a broken one.
pub(super) fn read(
    file: impl Read + Send,
    mut take: impl FnMut(Recorded<'_>) -> bool,
) -> Result<Contents, FileError> {
    let mut contents = Contents::default();
    let failed = |what: &str, packets| FileError { what: what.to_owned(), packets };
    let mut reader = create_reader(BUFFER_BYTES, file).map_err(|error| match error {
        PcapError::Eof => failed("the file is empty", 0),
        _ => failed("this is no recording: neither pcap nor pcapng", 0),
    })?;
    let mut interfaces = Vec::new();
    let mut capacity = BUFFER_BYTES;
    loop {
        let next = match reader.next() {
            Ok((size, block)) => {
                let packet = packet_of(&block, &mut interfaces);
                Ok((size, packet.is_none_or(|packet| look(&packet, &mut contents, &mut take))))
            }
            Err(PcapError::Eof) => return Ok(contents),
            Err(PcapError::Incomplete(_)) => Err(Trouble::Incomplete),
            Err(PcapError::BufferTooSmall) => Err(Trouble::TooLong),
            Err(PcapError::UnexpectedEof) => Err(Trouble::CutOff),
            Err(_) => Err(Trouble::Broken),
        };
        match next {
            Ok((size, goes_on)) => {
                reader.consume(size);
                if !goes_on {
                    return Ok(contents);
                }
            }
            Err(trouble) => mend(&mut *reader, trouble, &mut capacity)
                .map_err(|what| failed(what, contents.packets))?,
        }
    }
}

/// Why there is no next block.
#[derive(Clone, Copy)]
enum Trouble {
    /// More has to be read.
    Incomplete,
    /// It is longer than what is read at once.
    TooLong,
    CutOff,
    Broken,
}

/// Does what can be done about it.
///
/// # Errors
/// Nothing can; this is why.
fn mend(
    reader: &mut dyn PcapReaderIterator,
    trouble: Trouble,
    capacity: &mut usize,
) -> Result<(), &'static str> {
    const CUT_OFF: &str = "the file ends in the middle of a packet";
    const UNREADABLE: &str = "the file cannot be read";
    match trouble {
        Trouble::Incomplete if reader.reader_exhausted() => Err(CUT_OFF),
        Trouble::Incomplete => reader.refill().map_err(|_| UNREADABLE),
        Trouble::TooLong if *capacity < BLOCK_BYTES_MAX => {
            *capacity *= 2;
            reader.grow(*capacity);
            reader.refill().map_err(|_| UNREADABLE)
        }
        Trouble::CutOff => Err(CUT_OFF),
        Trouble::TooLong | Trouble::Broken => Err("the file is broken"),
    }
}

/// A packet as it was on its link.
struct OnLink<'a> {
    at: Timestamp,
    link: Linktype,
    bytes: &'a [u8],
}

/// The packet in a block, if it is one. Blocks that describe interfaces are remembered.
fn packet_of<'a>(
    block: &'a PcapBlockOwned<'_>,
    interfaces: &mut Vec<Interface>,
) -> Option<OnLink<'a>> {
    match block {
        PcapBlockOwned::LegacyHeader(header) => {
            let resolution =
                if header.is_nanosecond_precision() { 1_000_000_000 } else { 1_000_000 };
            interfaces.push(Interface { link: header.network, resolution, offset_s: 0 });
            None
        }
        PcapBlockOwned::Legacy(packet) => {
            let interface = interfaces.first()?;
            let units = u64::from(packet.ts_sec) * interface.resolution + u64::from(packet.ts_usec);
            Some(OnLink { at: interface.time(units), link: interface.link, bytes: packet.data })
        }
        PcapBlockOwned::NG(Block::SectionHeader(_)) => {
            interfaces.clear();
            None
        }
        PcapBlockOwned::NG(Block::InterfaceDescription(described)) => {
            interfaces.push(Interface {
                link: described.linktype,
                resolution: described.ts_resolution().unwrap_or(1_000_000).max(1),
                offset_s: described.ts_offset(),
            });
            None
        }
        PcapBlockOwned::NG(Block::EnhancedPacket(packet)) => {
            let interface = interfaces.get(usize::try_from(packet.if_id).ok()?)?;
            let units = u64::from(packet.ts_high) << 32 | u64::from(packet.ts_low);
            let (at, link) = (interface.time(units), interface.link);
            Some(OnLink { at, link, bytes: packet.packet_data() })
        }
        PcapBlockOwned::NG(Block::SimplePacket(packet)) => {
            let link = interfaces.first()?.link;
            Some(OnLink { at: Timestamp::UNIX_EPOCH, link, bytes: packet.packet_data() })
        }
        PcapBlockOwned::NG(_) => None,
    }
}

impl Interface {
    fn time(&self, units: u64) -> Timestamp {
        let seconds = i64::try_from(units / self.resolution).unwrap_or(i64::MAX);
        let rest = u128::from(units % self.resolution) * 1_000_000_000;
        let nanoseconds = i32::try_from(rest / u128::from(self.resolution)).unwrap_or(0);
        Timestamp::new(seconds.saturating_add(self.offset_s), nanoseconds)
            .unwrap_or(Timestamp::UNIX_EPOCH)
    }
}

/// Gives on what a packet holds of TCP; false if that was enough.
fn look(
    packet: &OnLink<'_>,
    contents: &mut Contents,
    take: &mut impl FnMut(Recorded<'_>) -> bool,
) -> bool {
    contents.packets += 1;
    let Some(sliced) = slice(packet.link, packet.bytes) else {
        contents.of_unknown_links += 1;
        return true;
    };
    match sliced.as_ref().and_then(|sliced| segment(packet.at, sliced)) {
        Some(recorded) => take(recorded),
        None => {
            contents.passed_over += 1;
            true
        }
    }
}

/// What lies in a packet of this link, as far as it is understood; `None` for links that are not.
fn slice(link: Linktype, bytes: &[u8]) -> Option<Option<LaxSlicedPacket<'_>>> {
    let behind = |size: usize| bytes.get(size..);
    let ip = |at: usize| behind(at).and_then(|bytes| LaxSlicedPacket::from_ip(bytes).ok());
    let typed = |at: usize, size: usize| {
        let number = u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?);
        Some(LaxSlicedPacket::from_ether_type(EtherType(number), behind(size)?))
    };
    Some(match link {
        Linktype::ETHERNET => LaxSlicedPacket::from_ethernet(bytes).ok(),
        // The family in four bytes, in whichever order; the version of IP says as much.
        Linktype::NULL | Linktype::LOOP => ip(4),
        Linktype::RAW | Linktype::IPV4 | Linktype::IPV6 => ip(0),
        // OpenBSD and others call it so.
        Linktype(12 | 14) => ip(0),
        // Linux "cooked": what type follows stands at the end of the first kind of header, and at the
        // beginning of the second.
        Linktype::LINUX_SLL => typed(14, 16),
        Linktype::LINUX_SLL2 => typed(0, 20),
        _ => return None,
    })
}

fn segment<'a>(at: Timestamp, sliced: &LaxSlicedPacket<'a>) -> Option<Recorded<'a>> {
    let Some(TransportSlice::Tcp(tcp)) = &sliced.transport else { return None };
    let (source, destination, length): (IpAddr, IpAddr, usize) = match sliced.net.as_ref()? {
        LaxNetSlice::Ipv4(ip) => {
            let header = ip.header();
            let length = usize::from(header.total_len()).checked_sub(header.slice().len());
            (header.source_addr().into(), header.destination_addr().into(), length.unwrap_or(0))
        }
        LaxNetSlice::Ipv6(ip) => {
            let header = ip.header();
            let length = usize::from(header.payload_length());
            let extensions = ip.extensions().slice().len();
            let length = length.saturating_sub(extensions);
            (header.source_addr().into(), header.destination_addr().into(), length)
        }
        LaxNetSlice::Arp(_) => return None,
    };
    let bytes = tcp.payload();
    // Where the network card cuts large segments, the length of the packet may not be filled in.
    let wanted = length.saturating_sub(tcp.header_slice().len());
    Some(Recorded {
        at,
        from: SocketAddr::new(source, tcp.source_port()),
        to: SocketAddr::new(destination, tcp.destination_port()),
        sequence: tcp.sequence_number(),
        is_first: tcp.syn(),
        bytes,
        cut: wanted.saturating_sub(bytes.len()) as u64,
    })
}

#[cfg(test)]
#[path = "recording_tests.rs"]
mod tests;
