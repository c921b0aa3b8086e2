//! What is wrong with a trace, in words?

use super::super::format;
use query_api::outline::{OutlineFlaw, OutlineFlaws};

/// Why a row stands at the top although it names a parent.
pub fn words(flaw: OutlineFlaw) -> &'static str {
    match flaw {
        OutlineFlaw::MissingParent => "its parent has not arrived",
        OutlineFlaw::SelfParent => "it names itself as its parent",
        OutlineFlaw::Cycle => "its parents lead back to itself; the circle is cut here",
    }
}

/// A sentence for each thing that is wrong with a trace of so many spans.
pub fn told(flaws: &OutlineFlaws, count: usize) -> Vec<String> {
    let mut told = Vec::new();
    if flaws.missing_parent > 0 {
        let lost = spans(flaws.missing_parent);
        told.push(format!("{lost} without parent here: it was not sent, was sampled away, or is yet to come"));
    }
    if flaws.roots > 1 {
        told.push(format!("{} root spans: one trace id was used for several requests", flaws.roots));
    } else if flaws.roots == 0 && count > 0 {
        told.push("no root span has arrived".into());
    }
    if flaws.cycle > 0 {
        told.push(format!("{} whose parents lead back to itself", spans(flaws.cycle)));
    }
    if flaws.backwards > 0 {
        told.push(format!("{} that end before they start, shown without length", spans(flaws.backwards)));
    }
    if flaws.early > 0 {
        told.push(format!(
            "{} starting before their parent, by up to {}: the clocks of their hosts differ",
            spans(flaws.early),
            format::duration(flaws.earliest_nano)
        ));
    }
    if flaws.late > 0 {
        told.push(format!(
            "{} beginning after their caller had ended, by up to {}: the clocks of their hosts differ, or the caller gave up",
            spans(flaws.late),
            format::duration(flaws.latest_nano)
        ));
    }
    if flaws.same_id > 0 {
        told.push(format!("{} sharing an id with another", spans(flaws.same_id)));
    }
    told
}

fn spans(count: usize) -> String {
    format::counted(count as u64, "span")
}
