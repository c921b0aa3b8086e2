//! What is asked about metrics is read, or refused with what is wrong.

use super::*;

#[tokio::test]
async fn a_selector_that_is_none_is_refused_with_its_place_and_one_that_is_counts() {
    let server = Server::new().await;
    let answer = server.get("/metrics/cardinality?selector=%7Bjob%3D").await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    let error = answer.error();
    assert_eq!(error.r#where.as_deref(), Some("selector"));
    assert!(error.message.contains("parse error"), "{}", error.message);
    let counted = async |rest: &str| {
        let answer: query_api::cardinality::CardinalityResponse =
            server.get(&format!("/metrics/cardinality{rest}")).await.read();
        answer.series_count
    };
    let all = counted("").await;
    assert!(all > 0);
    assert_eq!(counted("?selector=%7Bjob%3D~%22.%2B%22%7D").await, all);
    assert_eq!(counted("?selector=%7Bjob%3D%22nobody%22%7D").await, 0);
}
