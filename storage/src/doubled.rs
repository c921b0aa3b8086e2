//! How does a small file survive damage to a part of itself? It holds the same frame twice.
//!
//! A frame is a first line, `<magic> <version> <CRC-32C of the body> <length of the body>`, and a body. Who reads one checks it; this
//! says where it may lie.
//!
//! D1  One damaged byte, or a file cut anywhere in its second half, leaves one frame whole.
//! D2  A file of one frame, as older versions wrote it, is its own first candidate.

/// A file that holds a frame twice.
pub(crate) fn doubled(mut frame: Vec<u8>) -> Vec<u8> {
    frame.extend_from_within(..);
    frame
}

/// Where a frame may lie: the whole file, either half, and what the first line says of a file that was cut.
pub(crate) fn frames(bytes: &[u8]) -> [&[u8]; 4] {
    let (first, second) = bytes.split_at_checked(bytes.len() / 2).unwrap_or((bytes, &[]));
    [bytes, first, second, announced(bytes).unwrap_or_default()]
}

/// Whether both frames of a file are the same.
pub(crate) fn is_doubled(bytes: &[u8]) -> bool {
    let [_, first, second, _] = frames(bytes);
    first == second
}

/// The frame at the beginning of a file, by the length in its first line.
fn announced(bytes: &[u8]) -> Option<&[u8]> {
    let body = bytes.iter().position(|&byte| byte == b'\n')? + 1;
    let line = std::str::from_utf8(bytes.get(..body - 1)?).ok()?;
    let length: usize = line.rsplit(' ').next()?.parse().ok()?;
    bytes.get(..body.checked_add(length)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME: &[u8] = b"magic 2 0000abcd 5\nabcde";

    #[test]
    fn d1_after_any_flip_or_cut_one_frame_is_whole() {
        let file = doubled(FRAME.to_vec());
        assert!(is_doubled(&file));
        for at in 0..file.len() {
            let mut flipped = file.clone();
            flipped[at] ^= 0x10;
            assert!(frames(&flipped).contains(&FRAME), "flipped at {at}");
            assert!(!is_doubled(&flipped));
        }
        for len in FRAME.len()..file.len() {
            assert!(frames(&file[..len]).contains(&FRAME), "cut at {len}");
        }
    }

    #[test]
    fn d2_a_single_frame_is_found_and_nothing_in_a_file_without_one() {
        assert_eq!(frames(FRAME)[0], FRAME);
        for short in [&b""[..], b"a", b"magic 2 0 99999999999999999999\n", b"magic 2 0 18446744073709551615\nx"] {
            assert_eq!(frames(short)[3], b"");
        }
    }
}
