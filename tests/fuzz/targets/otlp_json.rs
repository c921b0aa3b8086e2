//! Does any JSON make the reader panic, or become protobuf that is malformed? The first byte chooses the signal.
#![no_main]

use collector::decode::{DecodeLimits, decode, json};
use libfuzzer_sys::fuzz_target;
use storage::model::Signal;

/// Small, so that the limit is met, too.
const LIMIT: usize = 4 << 10;

fuzz_target!(|input: &[u8]| {
    let Some((&choice, text)) = input.split_first() else { return };
    let signal = Signal::ALL[usize::from(choice) % Signal::ALL.len()];
    if let Ok(transcoded) = json::to_protobuf(signal, text, LIMIT) {
        assert!(transcoded.protobuf.len() <= LIMIT);
        decode(signal, 1, &transcoded.protobuf, &DecodeLimits::default()).unwrap();
    }
});
