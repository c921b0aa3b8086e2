//! Which targets does a URL list, in Prometheus's form for that?

use super::super::client::Client;
use super::super::config::HttpDiscovery;
use super::super::fetch;
use super::{Group, LIST_TIMEOUT, MAX_LIST_BYTES, note};
use reqwest::Method;
use reqwest::header::ACCEPT;

const INTERVAL_HEADER: &str = "x-prometheus-refresh-interval-seconds";

pub(super) async fn look(settings: &HttpDiscovery, client: &Client) -> Result<Vec<Group>, String> {
    let ask = async {
        let request = client.request(Method::GET, &settings.url).await?;
        let interval = settings.refresh_interval.as_secs_f64().to_string();
        let request = request.header(ACCEPT, "application/json").header(INTERVAL_HEADER, interval);
        fetch::whole(request, MAX_LIST_BYTES, &mut |_| Ok(())).await.map_err(String::from)
    };
    let told = |error: String| format!("{}: {error}", settings.url);
    let answer = tokio::time::timeout(LIST_TIMEOUT, ask).await;
    let answer = answer.unwrap_or_else(|_| Err(format!("no answer within {} s", LIST_TIMEOUT.as_secs())));
    let answer = answer.map_err(told)?;
    let essence = answer.content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if essence != "application/json" {
        return Err(told(format!("Content-Type {:?} is not application/json", answer.content_type)));
    }
    let groups: Option<Vec<Group>> = serde_json::from_slice(&answer.body).map_err(|error| told(error.to_string()))?;
    let mut groups = groups.unwrap_or_default();
    note(&mut groups, "__meta_url", &settings.url);
    Ok(groups)
}
