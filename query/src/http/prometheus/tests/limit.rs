//! Queries that would take more than a server has.

use super::*;

/// With the limits that a server has unless it is told others. What cannot double its labels any further is refused at once.
#[tokio::test]
async fn labels_that_double_with_each_call_end_at_a_limit() {
    let server = server().await;
    let nested = |function: &str, depth: usize| {
        let start = "label_replace(http_requests_total,\"a\",\"0123456789abcdef\",\"\",\"\")".to_owned();
        (0..depth).fold(start, |inner, _| match function {
            "join" => format!("label_join({inner},\"a\",\"\",\"a\",\"a\")"),
            _ => format!("label_replace({inner},\"a\",\"$1$1\",\"a\",\"(.*)\")"),
        })
    };
    let time = format!("time={T}");
    for function in ["join", "replace"] {
        for depth in [24, 32, 60] {
            let began = std::time::Instant::now();
            let form = form_urlencoded(&[("query", &nested(function, depth))]) + "&" + &time;
            let (status, text) = server.post("/query", &form).await;
            assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{function} {depth}");
            let reason =
                "the value of label \\\"a\\\" would have 2097152 bytes; a query makes none of more than 1048576";
            assert!(text.contains(reason), "{function} {depth}: {text}");
            assert!(began.elapsed().as_secs() < 10, "{function} {depth}: {:?}", began.elapsed());
        }
        let form = form_urlencoded(&[("query", &nested(function, 8))]) + "&" + &time;
        let (status, text) = server.post("/query", &form).await;
        assert!(status.is_success() && text.len() > 16 << 8, "{function}: {text}");
    }
    // Many series, no label of which is too long: the memory of a query ends them.
    let one = |nth: usize| format!("label_join({},\"b{nth}\",\"\",\"a\")", nested("join", 16));
    let many = (0..150).map(one).collect::<Vec<_>>().join(" or ");
    let (status, text) = server.post("/query", &(form_urlencoded(&[("query", &many)]) + "&" + &time)).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{}", text.len());
    assert!(text.contains("256 MiB"), "{text}");
    // What an aggregation drops is given back: two hundred such sums would else need more than a query may hold.
    let sums = vec![format!("sum({})", nested("join", 16)); 200].join(" + ");
    let (status, text) = server.post("/query", &(form_urlencoded(&[("query", &sums)]) + "&" + &time)).await;
    assert!(status.is_success() && text.contains("\"48000\""), "{text}");
}

/// The value that is no bound is not told in its whole length, of each series another.
#[tokio::test]
async fn notes_and_errors_show_the_beginning_of_long_labels() {
    let server = server().await;
    let double = |inner: String, label: &str| format!("label_join({inner},\"{label}\",\"\",\"{label}\",\"{label}\")");
    let start = |label: &str| format!("label_replace(http_requests_total,\"{label}\",\"0123456789abcdef\",\"\",\"\")");
    let long = |label: &str| (0..14).fold(start(label), |inner, _| double(inner, label));
    let asked = async |query: String| {
        server.post("/query", &format!("{}&time={T}", form_urlencoded(&[("query", &query)]))).await
    };
    let (status, text) = asked(format!("histogram_quantile(0.5, {})", long("le"))).await;
    assert!(status.is_success() && text.contains("0123456789abcdef") && text.contains('…'), "{text}");
    assert!(text.len() < 4_096, "{}", text.len());
    let (a, twins) = (long("a"), "label_replace(http_requests_total,\"b\",\"x\",\"\",\"\")");
    let (status, text) = asked(format!("http_requests_total * on(job) ({a} or {twins})")).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(text.contains("found duplicate series") && text.len() < 70_000, "{}", text.len());
}

fn form_urlencoded(pairs: &[(&str, &String)]) -> String {
    let escaped = |text: &str| -> String { text.bytes().map(|byte| format!("%{byte:02X}")).collect() };
    pairs.iter().map(|(name, value)| format!("{name}={}", escaped(value))).collect::<Vec<_>>().join("&")
}
