//! Whom did a trace wait for? The critical path by service.
//!
//! Not here: the path (`query_api::tree`).

use super::tree::Trace;
use query_api::tree::Section;

/// How many nanoseconds of the path each service has, by service index.
pub fn by_service(trace: &Trace, path: &[Section]) -> Vec<i64> {
    let mut shares = vec![0; trace.services.len()];
    for section in path {
        shares[trace.rows[section.row].service] += section.end - section.start;
    }
    shares
}

/// The row of a service that was waited for longest at a stretch.
pub fn longest_of(trace: &Trace, path: &[Section], service: usize) -> Option<usize> {
    let of_service = path.iter().filter(|section| trace.rows[section.row].service == service);
    of_service.max_by_key(|section| section.end - section.start).map(|section| section.row)
}

#[cfg(test)]
mod tests {
    use super::super::sample::trace;
    use super::*;
    use query_api::tree::critical_path;

    #[test]
    fn a_service_has_its_part_of_the_path_and_the_row_that_was_waited_for_longest() {
        let trace = trace(&[(1, 0, 0, 100), (2, 1, 10, 40), (3, 1, 40, 90)]);
        let path = critical_path(&trace);
        assert_eq!(by_service(&trace, &path), [100]);
        assert_eq!((longest_of(&trace, &path, 0), longest_of(&trace, &path, 1)), (Some(2), None));
    }
}
