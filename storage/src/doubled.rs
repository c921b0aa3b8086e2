//! How does a small file survive damage to a part of itself? It holds the same frame twice.
//!
//! A frame is a first line, `<magic> <version> <CRC-32C of the body> <length of the body>`, and a body. Who reads one checks it; this
//! says where it may lie.
//!
//! D1  One damaged byte, a file cut anywhere behind its first frame, or [`APART`] bytes that the disk does not give leave one frame
//!     whole: zeros fill the room between the first and the multiple of [`APART`] at which the second begins.
//! D2  Older formats are read: one frame, or two without room between them.

/// A disk loses no more than this at once, unless it loses much.
const APART: usize = 4096;

/// A file that holds a frame twice.
pub(crate) fn doubled(frame: Vec<u8>) -> Vec<u8> {
    let mut file = frame.clone();
    file.resize(frame.len().next_multiple_of(APART), 0);
    file.extend(frame);
    file
}

/// Where a frame may lie: the whole file; either of two apart; either half; and what the first line says of a file that was cut.
pub(crate) fn frames(bytes: &[u8]) -> [&[u8]; 6] {
    let [first, second] = halves(bytes);
    let [apart, far] = apart(bytes).unwrap_or_default();
    [bytes, apart, far, first, second, announced(bytes).unwrap_or_default()]
}

/// Whether both frames of a file are the same, and nothing is between them.
pub(crate) fn is_doubled(bytes: &[u8]) -> bool {
    let [first, second] = halves(bytes);
    let is_filler = |first: &[u8]| bytes.iter().skip(first.len()).take(APART).take_while(|&&byte| byte == 0).count();
    first == second
        || apart(bytes).is_some_and(|[first, second]| {
            first == second && is_filler(first) == first.len().next_multiple_of(APART) - first.len()
        })
}

fn halves(bytes: &[u8]) -> [&[u8]; 2] {
    let (first, second) = bytes.split_at_checked(bytes.len() / 2).unwrap_or((bytes, &[]));
    [first, second]
}

/// Both frames of a file whose second begins at a multiple. The file's length tells which: of `n` multiples and a frame that takes
/// `n` of them there is one for each length.
fn apart(bytes: &[u8]) -> Option<[&[u8]; 2]> {
    let second = bytes.len().div_ceil(2 * APART) * APART;
    let length = bytes.len().checked_sub(second)?;
    (length > 0).then_some([bytes.get(..length)?, bytes.get(second..)?])
}

/// The frame at the beginning of a file, by the length in its first line.
fn announced(bytes: &[u8]) -> Option<&[u8]> {
    let body = bytes.iter().position(|&byte| byte == b'\n')? + 1;
    let line = std::str::from_utf8(bytes.get(..body - 1)?).ok()?;
    let length: usize = line.rsplit(' ').next()?.parse().ok()?;
    bytes.get(..body.checked_add(length)?)
}

/// Where the second frame of a file begins, for tests of what damages one.
#[cfg(test)]
pub(crate) fn second_at(file: &[u8]) -> usize {
    file.len().div_ceil(2 * APART) * APART
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A frame of some length.
    fn frame(length: usize) -> Vec<u8> {
        let body = length - b"magic 2 0000abcd 00000\n".len();
        let mut frame = format!("magic 2 0000abcd {body:05}\n").into_bytes();
        frame.extend((0..body).map(|at| b'a' + (at % 23) as u8));
        frame
    }

    #[test]
    fn d1_after_any_flip_cut_or_lost_piece_one_frame_is_whole() {
        for length in [24, 100, APART - 1, APART, APART + 1, 2 * APART, 2 * APART + 1, 3 * APART - 7] {
            let frame = frame(length);
            let file = doubled(frame.clone());
            assert!(is_doubled(&file), "{length}");
            for at in (0..file.len()).step_by(if length > 100 { 61 } else { 1 }) {
                let mut flipped = file.clone();
                flipped[at] ^= 0x10;
                assert!(frames(&flipped).contains(&&frame[..]), "{length} flipped at {at}");
                assert!(!is_doubled(&flipped), "{length} flipped at {at}");
            }
            for len in (frame.len()..file.len()).step_by(if length > 100 { 61 } else { 1 }) {
                assert!(frames(&file[..len]).contains(&&frame[..]), "{length} cut at {len}");
            }
            for piece in (0..file.len()).step_by(APART) {
                let mut lost = file.clone();
                let end = (piece + APART).min(file.len());
                lost[piece..end].fill(0);
                assert!(frames(&lost).contains(&&frame[..]), "{length} lost at {piece}");
                assert!(!is_doubled(&lost), "{length} lost at {piece}");
            }
        }
    }

    #[test]
    fn d2_older_files_are_read_and_nothing_in_one_without_a_frame() {
        for length in [24, 100, APART, 2 * APART + 1] {
            let frame = frame(length);
            assert_eq!(frames(&frame)[0], frame);
            let close = [&frame[..], &frame[..]].concat();
            assert!(is_doubled(&close) && frames(&close).contains(&&frame[..]));
        }
        for short in [&b""[..], b"a", b"magic 2 0 99999999999999999999\n", b"magic 2 0 18446744073709551615\nx"] {
            assert_eq!(frames(short)[5], b"");
        }
    }
}
