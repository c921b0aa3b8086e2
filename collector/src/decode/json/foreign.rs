//! Which fields have the spans of Jaeger and Zipkin in JSON? They become the makers' own protobuf.
//!
//! Jaeger's is protobuf's JSON, which knows each field by two names. Zipkin's has ids in hex, of 64 or 128 bits and without leading
//! zeros if need be, and addresses as texts.

use super::schema::{Field, Kind, Message, many, one};

pub(super) static JAEGER_SPAN: Message = Message {
    fields: &[
        one("traceId", 1, Kind::Bytes),
        one("trace_id", 1, Kind::Bytes),
        one("spanId", 2, Kind::Bytes),
        one("span_id", 2, Kind::Bytes),
        one("operationName", 3, Kind::String),
        one("operation_name", 3, Kind::String),
        many("references", 4, Kind::Message(&JAEGER_REFERENCE)),
        one("flags", 5, Kind::Uint32),
        one("startTime", 6, Kind::Timestamp),
        one("start_time", 6, Kind::Timestamp),
        one("duration", 7, Kind::Duration),
        many("tags", 8, Kind::Message(&JAEGER_TAG)),
        many("logs", 9, Kind::Message(&JAEGER_LOG)),
        one("process", 10, Kind::Message(&JAEGER_PROCESS)),
        one("processId", 11, Kind::String),
        one("process_id", 11, Kind::String),
        many("warnings", 12, Kind::String),
    ],
};
static JAEGER_REFERENCE: Message = Message {
    fields: &[
        one("traceId", 1, Kind::Bytes),
        one("trace_id", 1, Kind::Bytes),
        one("spanId", 2, Kind::Bytes),
        one("span_id", 2, Kind::Bytes),
        one("refType", 3, Kind::Named(&["CHILD_OF", "FOLLOWS_FROM"])),
        one("ref_type", 3, Kind::Named(&["CHILD_OF", "FOLLOWS_FROM"])),
    ],
};
const TAG_TYPES: Kind = Kind::Named(&["STRING", "BOOL", "INT64", "FLOAT64", "BINARY"]);
static JAEGER_TAG: Message = Message {
    fields: &[
        one("key", 1, Kind::String),
        one("vType", 2, TAG_TYPES),
        one("v_type", 2, TAG_TYPES),
        one("vStr", 3, Kind::String),
        one("v_str", 3, Kind::String),
        one("vBool", 4, Kind::Bool),
        one("v_bool", 4, Kind::Bool),
        one("vInt64", 5, Kind::Int64),
        one("v_int64", 5, Kind::Int64),
        one("vFloat64", 6, Kind::Double),
        one("v_float64", 6, Kind::Double),
        one("vBinary", 7, Kind::Bytes),
        one("v_binary", 7, Kind::Bytes),
    ],
};
static JAEGER_LOG: Message =
    Message { fields: &[one("timestamp", 1, Kind::Timestamp), many("fields", 2, Kind::Message(&JAEGER_TAG))] };
static JAEGER_PROCESS: Message = Message {
    fields: &[
        one("serviceName", 1, Kind::String),
        one("service_name", 1, Kind::String),
        many("tags", 2, Kind::Message(&JAEGER_TAG)),
    ],
};

/// What an array of Zipkin's spans is the value of.
pub(super) static ZIPKIN_SPANS: Field = many("spans", 1, Kind::Message(&ZIPKIN_SPAN));
static ZIPKIN_SPAN: Message = Message {
    fields: &[
        one("traceId", 1, Kind::ShortId),
        one("parentId", 2, Kind::ShortId),
        one("id", 3, Kind::ShortId),
        one("kind", 4, Kind::Named(&["SPAN_KIND_UNSPECIFIED", "CLIENT", "SERVER", "PRODUCER", "CONSUMER"])),
        one("name", 5, Kind::String),
        one("timestamp", 6, Kind::Fixed64),
        one("duration", 7, Kind::Uint64),
        one("localEndpoint", 8, Kind::Message(&ZIPKIN_ENDPOINT)),
        one("remoteEndpoint", 9, Kind::Message(&ZIPKIN_ENDPOINT)),
        many("annotations", 10, Kind::Message(&ZIPKIN_ANNOTATION)),
        many("tags", 11, Kind::Texts),
        one("debug", 12, Kind::Bool),
        one("shared", 13, Kind::Bool),
    ],
};
static ZIPKIN_ENDPOINT: Message = Message {
    fields: &[
        one("serviceName", 1, Kind::String),
        one("ipv4", 2, Kind::Address),
        one("ipv6", 3, Kind::Address),
        one("port", 4, Kind::Int32),
    ],
};
static ZIPKIN_ANNOTATION: Message =
    Message { fields: &[one("timestamp", 1, Kind::Fixed64), one("value", 2, Kind::String)] };
