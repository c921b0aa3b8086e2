//! Which fields has the comparison of two traces?

use super::{Field, Named, count, flag, hex, integer, list_of, object, reference, text, wide};

use Field::{Always, Sometimes};

pub(super) fn schemas() -> Vec<Named> {
    vec![
        ("CompareResponse", answer()),
        ("ComparedTrace", trace()),
        ("CompareCounts", counts()),
        ("ComparedService", service()),
        ("ServiceSums", sums()),
        ("ResourceDifference", resource()),
        ("CompareNode", node()),
        ("ComparedSpan", span()),
        ("AttributeDifference", attribute()),
    ]
}

fn answer() -> serde_json::Value {
    let fields = [
        Always("base", reference("ComparedTrace")),
        Always("other", reference("ComparedTrace")),
        Always("counts", reference("CompareCounts")),
        Always("services", list_of("ComparedService")),
        Always("nodes", list_of("CompareNode")),
        Always("node_count", count()),
        Sometimes("next_cursor", text()),
        Always("stats", reference("Stats")),
    ];
    object(
        "How two traces differ. `nodes` is a page of both trees as one, in the order of a walk; `node_count` counts those of all \
         pages, `counts` all spans.",
        fields,
    )
}

fn trace() -> serde_json::Value {
    let fields = [
        Always("trace_id", hex(32)),
        Always("root_service", text()),
        Always("root_name", text()),
        Always("start_unix_nano", wide()),
        Always("duration_nano", integer()),
        Always("span_count", count()),
        Always("error_count", count()),
        Always("detached_count", count()),
    ];
    object("One of the two; `detached_count` spans stand at the top although they name a parent.", fields)
}

fn counts() -> serde_json::Value {
    let fields = ["both", "only_base", "only_other", "status_changed", "attributes_changed"];
    object("How many spans are where, and how many of those in both differ.", fields.map(|name| Always(name, count())))
}

fn service() -> serde_json::Value {
    let fields = [
        Always("name", text()),
        Always("base", reference("ServiceSums")),
        Always("other", reference("ServiceSums")),
        Always("resource", list_of("ResourceDifference")),
    ];
    object("A service's part of both; the largest change of self time stands first.", fields)
}

fn sums() -> serde_json::Value {
    let fields = [
        Always("span_count", count()),
        Always("error_count", count()),
        Always("only_count", count()),
        Always("duration_nano", integer()),
        Always("self_nano", integer()),
    ];
    object("Sums over a service's spans; `only_count` of them are not in the other trace.", fields)
}

fn resource() -> serde_json::Value {
    let fields = [Always("key", text()), Always("base", list_of("AnyValue")), Always("other", list_of("AnyValue"))];
    object("A resource attribute with other values, of which ten are told.", fields)
}

fn node() -> serde_json::Value {
    let fields = [
        Always("depth", count()),
        Always("service", text()),
        Always("name", text()),
        Always("kind", integer()),
        Sometimes("base", reference("ComparedSpan")),
        Sometimes("other", reference("ComparedSpan")),
        Sometimes("attributes", list_of("AttributeDifference")),
    ];
    object("A place in both trees. Its parent is the nearest node before it that is one step higher.", fields)
}

fn span() -> serde_json::Value {
    let fields = [
        Always("span_id", hex(16)),
        Always("start_nano", integer()),
        Always("duration_nano", integer()),
        Always("self_nano", integer()),
        Sometimes("status", integer()),
        Sometimes("status_message", text()),
        Sometimes("detached", flag()),
    ];
    object("A span of one of the two; its start is told after that of its trace.", fields)
}

fn attribute() -> serde_json::Value {
    let fields =
        [Always("key", text()), Sometimes("base", reference("AnyValue")), Sometimes("other", reference("AnyValue"))];
    object("An attribute that differs; absent where a span does not have it.", fields)
}
