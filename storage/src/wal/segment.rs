//! How do the bytes of a segment say where records begin and end, and whether they are whole?
//!
//! W1  Every checksum covers the segment's number and the place in it: bytes of another file or place never pass.
//! W2  The records of one group carry the group's number, and the last of them says so: a valid record of a later group
//!     proves that everything before it was synced.
//!
//! The layout is `docs/format/wal.md`. Not here: which segments count (`replay`), when they are written (`mod`).

use super::Record;
use crate::model::{Signal, TenantId};

/// First bytes of every segment.
const MAGIC: [u8; 8] = *b"SPANWAL\n";
/// The format that this program writes, and the newest that it reads.
pub(super) const FORMAT_VERSION: u32 = 1;
/// Bytes of a segment's header.
pub(super) const HEADER_LEN: usize = 40;
/// Bytes of a record's header; tenant and payload follow.
pub(super) const RECORD_HEADER_LEN: usize = 28;
/// `RECORD_HEADER_LEN` as a file length.
pub(super) const RECORD_HEADER_BYTES: u64 = RECORD_HEADER_LEN as u64;
/// `HEADER_LEN` as a file length.
pub(super) const HEADER_BYTES: u64 = HEADER_LEN as u64;
const LAST_OF_GROUP: u8 = 1;
/// Stands for the signal in a record of nothing.
const FILLER: u8 = 0;

/// The segment before, and how many of its bytes count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Previous {
    pub(super) number: u64,
    pub(super) len: u64,
}

/// What a segment's header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Header {
    /// It is whole.
    Valid { previous: Option<Previous> },
    /// It is whole, of another format version.
    Version(u32),
    /// It is not a header, or not the one of this segment.
    Invalid,
}

/// The file name of a segment.
pub(super) fn file_name(number: u64) -> String {
    format!("{number:020}.wal")
}

/// The number of a segment; `None` for any other file.
pub(super) fn parse_file_name(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".wal")?;
    if digits.len() != 20 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    digits.parse().ok()
}

pub(super) fn encode_header(number: u64, previous: Option<Previous>) -> [u8; HEADER_LEN] {
    let mut fields = Vec::with_capacity(HEADER_LEN);
    fields.extend_from_slice(&MAGIC);
    fields.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
    fields.extend_from_slice(&number.to_le_bytes());
    let previous = previous.unwrap_or(Previous { number: 0, len: 0 });
    fields.extend_from_slice(&previous.number.to_le_bytes());
    fields.extend_from_slice(&previous.len.to_le_bytes());
    let crc = crc32c::crc32c(&fields);
    fields.extend_from_slice(&crc.to_le_bytes());
    let mut header = [0; HEADER_LEN];
    header.copy_from_slice(&fields);
    header
}

pub(super) fn decode_header(number: u64, bytes: &[u8; HEADER_LEN]) -> Header {
    let mut fields = Fields(bytes);
    let parsed = (|| {
        let magic = fields.take::<8>()?;
        let version = fields.u32()?;
        let found = fields.u64()?;
        let previous = Previous { number: fields.u64()?, len: fields.u64()? };
        Some((magic, version, found, previous, fields.u32()?))
    })();
    let Some((magic, version, found, previous, crc)) = parsed else { return Header::Invalid };
    let covered = bytes.get(..HEADER_LEN - 4).unwrap_or_default();
    if magic != MAGIC || found != number || crc != crc32c::crc32c(covered) {
        return Header::Invalid;
    }
    if version != FORMAT_VERSION {
        return Header::Version(version);
    }
    match previous {
        Previous { number: 0, .. } => Header::Valid { previous: None },
        Previous { number: before, len } if before < number && len >= HEADER_BYTES => {
            Header::Valid { previous: Some(previous) }
        }
        _ => Header::Invalid,
    }
}

/// What a record's header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RecordHeader {
    pub(super) group: Group,
    pub(super) signal: u8,
    pub(super) tenant_len: u8,
    pub(super) payload_len: u32,
    pub(super) received_at: i64,
    pub(super) body_crc: u32,
}

impl RecordHeader {
    /// Whether it is a record of nothing, which a repair put where records were lost.
    pub(super) fn is_filler(&self) -> bool {
        self.signal == FILLER
    }

    /// Bytes of tenant and payload together.
    pub(super) fn body_len(&self) -> u64 {
        u64::from(self.tenant_len) + u64::from(self.payload_len)
    }

    fn encode(&self, buffer: &mut Vec<u8>, place: Place) -> Option<()> {
        let flags = if self.group.last { LAST_OF_GROUP } else { 0 };
        let start = buffer.len();
        buffer.extend_from_slice(&[0; 4]);
        buffer.extend_from_slice(&self.body_crc.to_le_bytes());
        buffer.extend_from_slice(&self.payload_len.to_le_bytes());
        buffer.extend_from_slice(&self.group.number.to_le_bytes());
        buffer.extend_from_slice(&self.received_at.to_le_bytes());
        buffer.extend_from_slice(&[self.signal, self.tenant_len, flags, 0]);
        let (crc, fields) = buffer.get_mut(start..)?.split_first_chunk_mut::<4>()?;
        *crc = crc32c::crc32c_append(place.crc(), fields).to_le_bytes();
        Some(())
    }
}

/// Where a record lies: its segment, and the place of its first byte there.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) segment: u64,
    pub(super) offset: u64,
}

impl Place {
    fn crc(self) -> u32 {
        crc32c::crc32c_append(crc32c::crc32c(&self.segment.to_le_bytes()), &self.offset.to_le_bytes())
    }

    /// The checksum of tenant and payload at this place.
    pub(super) fn body_crc(self, parts: &[&[u8]]) -> u32 {
        parts.iter().fold(self.crc(), |crc, part| crc32c::crc32c_append(crc, part))
    }
}

/// Which group of its segment a record belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Group {
    /// Counted from 0 in each segment.
    pub(super) number: u32,
    /// Whether this is its last record.
    pub(super) last: bool,
}

/// Appends a record's header and tenant; the payload is the caller's to write behind them. `None` if tenant or payload
/// are longer than the format can say.
pub(super) fn encode_record(buffer: &mut Vec<u8>, place: Place, record: &Record<'_>, group: Group) -> Option<()> {
    let tenant = record.tenant.as_str().as_bytes();
    let header = RecordHeader {
        group,
        signal: record.signal.code(),
        tenant_len: u8::try_from(tenant.len()).ok()?,
        payload_len: u32::try_from(record.payload.len()).ok()?,
        received_at: record.received_at,
        body_crc: place.body_crc(&[tenant, record.payload]),
    };
    header.encode(buffer, place)?;
    buffer.extend_from_slice(tenant);
    Some(())
}

/// Appends a record of nothing whose payload, zeros, has a length. `None` if that is longer than the format can say.
pub(super) fn encode_filler(buffer: &mut Vec<u8>, place: Place, payload_len: u64, group: Group) -> Option<()> {
    let payload = vec![0; usize::try_from(payload_len).ok()?];
    let header = RecordHeader {
        group,
        signal: FILLER,
        tenant_len: 0,
        payload_len: u32::try_from(payload_len).ok()?,
        received_at: 0,
        body_crc: place.body_crc(&[&payload]),
    };
    header.encode(buffer, place)?;
    buffer.extend_from_slice(&payload);
    Some(())
}

/// Reads a record's header; `None` if it is not the header of a record at this place.
pub(super) fn decode_record(place: Place, bytes: &[u8]) -> Option<RecordHeader> {
    let bytes = bytes.get(..RECORD_HEADER_LEN)?;
    let mut fields = Fields(bytes);
    let crc = fields.u32()?;
    let body_crc = fields.u32()?;
    let payload_len = fields.u32()?;
    let group = fields.u32()?;
    let received_at = fields.i64()?;
    let [signal, tenant_len, flags, reserved] = fields.take::<4>()?;
    // Cheap refusals first: the search for later groups asks at every byte.
    if reserved != 0 || flags > LAST_OF_GROUP || crc != crc32c::crc32c_append(place.crc(), bytes.get(4..)?) {
        return None;
    }
    let group = Group { number: group, last: flags == LAST_OF_GROUP };
    Some(RecordHeader { group, signal, tenant_len, payload_len, received_at, body_crc })
}

/// Reads whose record it is from a body whose checksum holds; an `Err` says what this program does not know.
pub(super) fn decode_body<'a>(
    header: &RecordHeader,
    body: &'a [u8],
) -> Result<(TenantId, Signal, &'a [u8]), &'static str> {
    let (tenant, payload) =
        body.split_at_checked(usize::from(header.tenant_len)).ok_or("the tenant is longer than the record")?;
    let tenant = std::str::from_utf8(tenant).ok().and_then(|name| TenantId::new(name).ok());
    let tenant = tenant.ok_or("the tenant has no valid name")?;
    let signal = Signal::from_code(header.signal).ok_or("the signal is unknown")?;
    Ok((tenant, signal, payload))
}

/// Fixed-width little-endian fields, one after the other.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (first, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*first)
    }

    fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }

    fn i64(&mut self) -> Option<i64> {
        self.take().map(i64::from_le_bytes)
    }
}
