//! When may a client send the same request again, and after how long? The rules of the OTLP specification, as functions.
//!
//! Invariants
//! - Y1: HTTP: only 429, 502, 503 and 504 are tried again; everything else that is not 2xx is dropped.
//! - Y2: gRPC: CANCELLED, DEADLINE_EXCEEDED, ABORTED, OUT_OF_RANGE, UNAVAILABLE and DATA_LOSS are tried again,
//!   RESOURCE_EXHAUSTED only with `RetryInfo`; everything else is dropped.
//! - Y3: a server that names a pause is not asked before it is over.
//! - Y4: pauses grow exponentially to a limit, with jitter.
//!
//! A connection that cannot be made or breaks is no answer at all; it is tried again (`transport`).

use std::time::Duration;

use tonic::Code;

/// What an answer means for the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The endpoint has taken it (perhaps in part).
    Accepted,
    /// Send it again, not before this pause is over if there is one.
    Again(Option<Duration>),
    /// Sending it again would not help.
    Drop,
}

/// The first pause, before jitter.
pub const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest pause that the client chooses by itself, before jitter.
pub const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Judges an HTTP status code and its `Retry-After`.
pub fn http(status: u16, retry_after: Option<Duration>) -> Verdict {
    match status {
        200..=299 => Verdict::Accepted,
        429 | 502 | 503 | 504 => Verdict::Again(retry_after),
        _ => Verdict::Drop,
    }
}

/// Judges a gRPC status and the pause of its `RetryInfo`.
pub fn grpc(code: Code, retry_info: Option<Duration>) -> Verdict {
    match code {
        Code::Ok => Verdict::Accepted,
        Code::Cancelled
        | Code::DeadlineExceeded
        | Code::Aborted
        | Code::OutOfRange
        | Code::Unavailable
        | Code::DataLoss => Verdict::Again(retry_info),
        Code::ResourceExhausted => retry_info.map_or(Verdict::Drop, |pause| Verdict::Again(Some(pause))),
        Code::Unknown
        | Code::InvalidArgument
        | Code::NotFound
        | Code::AlreadyExists
        | Code::PermissionDenied
        | Code::FailedPrecondition
        | Code::Unimplemented
        | Code::Internal
        | Code::Unauthenticated => Verdict::Drop,
    }
}

/// Reads `Retry-After`: seconds, or a date, which is measured from `now` (seconds since 1970).
pub fn retry_after(value: &str, now: i64) -> Option<Duration> {
    let value = value.trim();
    if let Ok(seconds) = value.parse::<u32>() {
        return Some(Duration::from_secs(u64::from(seconds)));
    }
    let date = jiff::fmt::rfc2822::parse(value).ok()?;
    let wait = date.timestamp().as_second().saturating_sub(now);
    Some(Duration::from_secs(u64::try_from(wait).unwrap_or(0)))
}

/// The pause before the next attempt: `attempt` is 0 after the first failure, `jitter` is uniform in `[0, 1)`.
pub fn pause(attempt: u32, server: Option<Duration>, jitter: f64) -> Duration {
    let own = FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(attempt)).min(LONGEST_PAUSE).mul_f64(0.5 + jitter);
    match server {
        // A tenth more at most, so that many clients do not come back in the same moment.
        Some(server) => server.mul_f64(1.0 + jitter / 10.0).max(own.min(server.mul_f64(1.1))),
        None => own,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn y1_http_statuses() {
        let again = Verdict::Again(None);
        for status in 100..600 {
            let expected = match status {
                200..=299 => Verdict::Accepted,
                429 | 502 | 503 | 504 => again,
                _ => Verdict::Drop,
            };
            assert_eq!(http(status, None), expected, "{status}");
        }
        assert_eq!(http(503, Some(Duration::from_secs(7))), Verdict::Again(Some(Duration::from_secs(7))));
        assert_eq!(http(500, Some(Duration::from_secs(7))), Verdict::Drop);
    }

    #[test]
    fn y2_grpc_codes() {
        let second = Some(Duration::from_secs(1));
        let retryable = [1, 4, 10, 11, 14, 15];
        for number in 1..17 {
            let code = Code::from_i32(number);
            let (without, with) = match number {
                8 => (Verdict::Drop, Verdict::Again(second)),
                _ if retryable.contains(&number) => (Verdict::Again(None), Verdict::Again(second)),
                _ => (Verdict::Drop, Verdict::Drop),
            };
            assert_eq!((grpc(code, None), grpc(code, second)), (without, with), "{code:?}");
        }
        assert_eq!(grpc(Code::Ok, None), Verdict::Accepted);
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        // 1994-11-06T08:49:37Z
        let moment = 784_111_777;
        for (value, expected) in [
            ("120", Some(120)),
            (" 0 ", Some(0)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(7)),
            ("Sun, 06 Nov 1994 08:49:00 GMT", Some(0)),
            ("-5", None),
            ("soon", None),
            ("", None),
            ("1e9", None),
        ] {
            assert_eq!(retry_after(value, moment - 7), expected.map(Duration::from_secs), "{value:?}");
        }
    }

    #[test]
    fn y3_the_servers_pause_is_kept() {
        for attempt in [0, 3, 40] {
            for jitter in [0.0, 0.5, 0.999] {
                let server = Duration::from_secs(3);
                let pause = pause(attempt, Some(server), jitter);
                assert!(pause >= server && pause <= server.mul_f64(1.1), "{pause:?}");
            }
        }
    }

    #[test]
    fn y4_own_pauses_double_up_to_a_limit() {
        let at = |attempt| pause(attempt, None, 0.5);
        assert_eq!(at(0), FIRST_PAUSE);
        assert_eq!(at(1), FIRST_PAUSE * 2);
        assert_eq!(at(3), FIRST_PAUSE * 8);
        assert_eq!(at(60), LONGEST_PAUSE);
        assert!(pause(0, None, 0.0) < pause(0, None, 0.9));
    }
}
