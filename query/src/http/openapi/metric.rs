//! What is told about the cardinality of metrics, and of points that stand for others.

use super::schema::{Field, count, double, list_of, object, reference, text, wide};
use Field::{Always, Sometimes};
use serde_json::Value;

/// The answer and its parts, by name.
pub(super) fn schemas() -> Vec<(&'static str, Value)> {
    let answer = [
        Always("active", reference("ActiveSeries")),
        Always("series_count", count()),
        Always("created_count", count()),
        Always("created", list_of("CreatedSeries")),
        Always("metric_count", count()),
        Always("metrics", list_of("MetricCardinality")),
        Always("label_count", count()),
        Always("labels", list_of("LabelCardinality")),
        Always("pairs", list_of("PairCardinality")),
        Always("stats", reference("Stats")),
    ];
    let active = [Sometimes("count", count()), Sometimes("limit", count())];
    let created = [Always("start_unix_nano", wide()), Always("count", count())];
    let metric = [Always("name", text()), Always("series_count", count()), Always("created_count", count())];
    let label = [Always("name", text()), Always("value_count", count()), Always("series_count", count())];
    let pair = [Always("name", text()), Always("value", text()), Always("series_count", count())];
    let downsampled =
        [Always("count", count()), Sometimes("sum", double()), Sometimes("min", double()), Sometimes("max", double())];
    vec![
        ("Downsampled", object("The points of a window that one of them stands for.", downsampled)),
        ("CardinalityResponse", object("Series by metric, label and value, those with the most first.", answer)),
        ("ActiveSeries", object("The tenant's series of which a sample came within half an hour to an hour.", active)),
        ("CreatedSeries", object("Series of an hour that had no sample before the range.", created)),
        ("MetricCardinality", object("A metric and its series.", metric)),
        ("LabelCardinality", object("A label and its values.", label)),
        ("PairCardinality", object("A label with one of its values.", pair)),
    ]
}
