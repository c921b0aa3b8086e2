//! Does any protobuf make the decoder panic, or judge otherwise than prost? The first byte chooses the signal.
#![no_main]

use collector::decode::{DecodeLimits, count_records, decode};
use libfuzzer_sys::fuzz_target;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;
use storage::model::Signal;

fuzz_target!(|input: &[u8]| {
    let Some((&choice, message)) = input.split_first() else { return };
    let signal = Signal::ALL[usize::from(choice) % Signal::ALL.len()];
    let prost = match signal {
        Signal::Spans => ExportTraceServiceRequest::decode(message).map(drop),
        Signal::Logs => ExportLogsServiceRequest::decode(message).map(drop),
        Signal::Metrics => ExportMetricsServiceRequest::decode(message).map(drop),
    };
    let decoded = decode(signal, 1, message, &DecodeLimits::default());
    if let Ok(decoded) = &decoded {
        let rows = decoded.batch.num_rows() as u64 + decoded.rejected;
        assert!(rows <= count_records(signal, message) as u64, "more rows than were reserved for");
        let again = decode(signal, 1, message, &DecodeLimits::default()).unwrap();
        assert_eq!(again.batch.columns(), decoded.batch.columns(), "replay must give the same rows");
    }
    // The two documented differences: how depth is counted, and how much of a value may be given piecewise.
    let is_piecewise = decoded.as_ref().is_err_and(|error| error.to_string().contains("piecewise"));
    match prost {
        Err(error) if error.to_string().contains("recursion limit") => {}
        _ if is_piecewise => {}
        prost => assert_eq!(prost.is_ok(), decoded.is_ok(), "prost {prost:?}, we {:?}", decoded.err()),
    }
});
