//! Which service is worst, and is a change more than noise?
//!
//! R1  Worst first: by share of errors that is beyond chance, then by errors, then by rate.
//! R2  A change is told only when both ranges hold enough requests and the difference is beyond their scatter.

use super::order;
use query_api::service::{Red, Service};

/// Requests that a quantile needs on both sides before its change is told.
const ENOUGH: u64 = 50;

/// How a figure moved against the range before.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Change {
    /// No data before, too little, or within noise.
    Quiet,
    /// The share by which it moved: 0.5 is half as much again.
    Moved(f64),
}

/// Share of requests that failed.
pub fn error_share(red: &Red) -> f64 {
    if red.request_count == 0 { 0.0 } else { red.error_count as f64 / red.request_count as f64 }
}

/// Lower end of the 95 % Wilson interval of the error share: what is surely failing.
pub fn sure_error_share(red: &Red) -> f64 {
    if red.request_count == 0 {
        return 0.0;
    }
    let (n, p, z) = (red.request_count as f64, error_share(red), 1.96f64);
    let centre = p + z * z / (2.0 * n);
    let spread = z * (p * (1.0 - p) / n + z * z / (4.0 * n * n)).sqrt();
    ((centre - spread) / (1.0 + z * z / n)).max(0.0)
}

/// What a table of services is sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// Worst first.
    Worst,
    /// Name.
    Name,
    /// Rate.
    Rate,
    /// Error share.
    Errors,
    /// Median.
    P50,
    /// 95th percentile.
    P95,
    /// 99th percentile.
    P99,
}

impl By {
    /// The order that the URL names.
    pub fn named(name: &str) -> By {
        match name {
            "name" => By::Name,
            "rate" => By::Rate,
            "errors" => By::Errors,
            "p50" => By::P50,
            "p95" => By::P95,
            "p99" => By::P99,
            _ => By::Worst,
        }
    }
}

/// The services in order; equal ones stay as they were: by name, as the API has them.
pub fn sorted(services: Vec<Service>, by: By) -> Vec<Service> {
    let by_rate = |services| order::falling(services, |s: &Service| s.red.rate);
    match by {
        By::Worst => order::falling(by_rate(services), |s| sure_error_share(&s.red)),
        By::Name => services,
        By::Rate => by_rate(services),
        By::Errors => order::falling(services, |s| error_share(&s.red)),
        By::P50 => order::falling(services, |s| s.red.p50_nano.unwrap_or(-1) as f64),
        By::P95 => order::falling(services, |s| s.red.p95_nano.unwrap_or(-1) as f64),
        By::P99 => order::falling(services, |s| s.red.p99_nano.unwrap_or(-1) as f64),
    }
}

/// How a duration quantile moved: told beyond 15 % and 1 ms/20, with enough requests on both sides.
pub fn quantile_change(now: Option<i64>, before: Option<i64>, requests: (u64, u64)) -> Change {
    let (Some(now), Some(before)) = (now, before) else { return Change::Quiet };
    if requests.0.min(requests.1) < ENOUGH || before <= 0 {
        return Change::Quiet;
    }
    let share = (now - before) as f64 / before as f64;
    // The scatter of a quantile shrinks with the root of the requests.
    let noise = 0.15f64.max(3.0 / (requests.0.min(requests.1) as f64).sqrt());
    if share.abs() > noise && (now - before).abs() > 50_000 { Change::Moved(share) } else { Change::Quiet }
}

/// How the rate moved: beyond 20 % and three times the scatter of a Poisson count.
pub fn rate_change(now: &Red, before: &Red) -> Change {
    if before.request_count < ENOUGH || now.request_count + before.request_count == 0 {
        return Change::Quiet;
    }
    let (n, b) = (now.request_count as f64, before.request_count as f64);
    let share = (n - b) / b;
    if share.abs() > 0.2 && (n - b).abs() > 3.0 * (n + b).sqrt() { Change::Moved(share) } else { Change::Quiet }
}

/// How the error share moved, in points (0.02 is two points): beyond three times its scatter and 0.3 points.
pub fn error_change(now: &Red, before: &Red) -> Change {
    if now.request_count.min(before.request_count) < ENOUGH {
        return Change::Quiet;
    }
    let (n, b) = (now.request_count as f64, before.request_count as f64);
    let pooled = (now.error_count + before.error_count) as f64 / (n + b);
    let scatter = (pooled * (1.0 - pooled) * (1.0 / n + 1.0 / b)).sqrt();
    let points = error_share(now) - error_share(before);
    if points.abs() > 3.0 * scatter && points.abs() > 0.003 { Change::Moved(points) } else { Change::Quiet }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn red(requests: u64, errors: u64) -> Red {
        Red { request_count: requests, error_count: errors, rate: requests as f64 / 60.0, ..Red::default() }
    }

    fn service(name: &str, requests: u64, errors: u64) -> Service {
        Service { name: name.into(), red: red(requests, errors), ..Service::default() }
    }

    #[test]
    fn one_failure_of_one_is_not_worse_than_many_of_many() {
        let list = vec![service("once", 1, 1), service("fine", 1_000, 0), service("burning", 1_000, 400)];
        let list = sorted(list, By::Worst);
        let names: Vec<&str> = list.iter().map(|s| s.name.as_str()).collect();
        assert_eq!(names, ["burning", "once", "fine"]);
    }

    #[test]
    fn services_without_errors_come_by_rate() {
        let list = vec![service("a", 10, 0), service("b", 1_000, 0)];
        let list = sorted(list, By::Worst);
        assert_eq!(list[0].name, "b");
    }

    #[test]
    fn noise_is_not_told() {
        assert_eq!(quantile_change(Some(105), Some(100), (1_000, 1_000)), Change::Quiet);
        assert_eq!(quantile_change(Some(30_000_000), Some(10_000_000), (10, 10)), Change::Quiet);
        assert_eq!(quantile_change(Some(30_000_000), Some(10_000_000), (1_000, 1_000)), Change::Moved(2.0));
        assert_eq!(rate_change(&red(1_050, 0), &red(1_000, 0)), Change::Quiet);
        assert_eq!(rate_change(&red(2_000, 0), &red(1_000, 0)), Change::Moved(1.0));
        assert_eq!(error_change(&red(1_000, 11), &red(1_000, 9)), Change::Quiet);
        assert_eq!(error_change(&red(1_000, 110), &red(1_000, 10)), Change::Moved(0.1));
        assert_eq!(error_change(&red(0, 0), &red(0, 0)), Change::Quiet);
    }
}
