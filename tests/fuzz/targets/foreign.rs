//! Do any bytes that are said to be a span of Jaeger or Zipkin make the converter panic, or become OTLP that is malformed? The first
//! byte chooses the format.
#![no_main]

use collector::decode::foreign::{Format, to_otlp};
use collector::decode::{DecodeLimits, decode};
use libfuzzer_sys::fuzz_target;
use storage::model::Signal;

/// Small, so that the limit is met, too.
const LIMIT: usize = 4 << 10;
const FORMATS: [Format; 4] = [Format::JaegerProto, Format::JaegerJson, Format::ZipkinProto, Format::ZipkinJson];

fuzz_target!(|input: &[u8]| {
    let Some((&choice, message)) = input.split_first() else { return };
    let format = FORMATS[usize::from(choice) % FORMATS.len()];
    if let Ok(otlp) = to_otlp(format, message, 1, LIMIT) {
        assert!(otlp.len() <= LIMIT);
        decode(Signal::Spans, 1, &otlp, &DecodeLimits::default()).unwrap();
    }
});
