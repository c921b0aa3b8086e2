//! How does Jaeger ask a store of spans? By `jaeger.storage.v2.TraceReader` over gRPC; its messages are written here a second time,
//! so that the server's own are not what they are compared with.
//!
//! Not here: what is expected (`jaeger`).

use super::Query;
use opentelemetry_proto::tonic::trace::v1::TracesData;
use prost::Message;
use serde_json::Value;
use std::collections::BTreeSet;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};
use tonic_prost::ProstCodec;

/// A store, seen by Jaeger.
pub(super) struct Storage {
    channel: Channel,
}

#[derive(Clone, PartialEq, Message)]
struct Find {
    #[prost(message, optional, tag = "1")]
    query: Option<Parameters>,
}

#[derive(Clone, PartialEq, Message)]
struct Parameters {
    #[prost(string, tag = "1")]
    service_name: String,
    #[prost(string, tag = "2")]
    operation_name: String,
    #[prost(message, repeated, tag = "3")]
    attributes: Vec<Attribute>,
    #[prost(message, optional, tag = "4")]
    start_time_min: Option<Time>,
    #[prost(message, optional, tag = "5")]
    start_time_max: Option<Time>,
    #[prost(message, optional, tag = "6")]
    duration_min: Option<Time>,
    #[prost(message, optional, tag = "7")]
    duration_max: Option<Time>,
    #[prost(int32, tag = "8")]
    search_depth: i32,
}

#[derive(Clone, PartialEq, Message)]
struct Attribute {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(message, optional, tag = "2")]
    value: Option<AnyValue>,
}

#[derive(Clone, PartialEq, Message)]
struct AnyValue {
    #[prost(oneof = "Plain", tags = "1, 2, 3, 4")]
    value: Option<Plain>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum Plain {
    #[prost(string, tag = "1")]
    Text(String),
    #[prost(bool, tag = "2")]
    Bool(bool),
    #[prost(int64, tag = "3")]
    Int(i64),
    #[prost(double, tag = "4")]
    Double(f64),
}

/// A moment or a length.
#[derive(Clone, Copy, PartialEq, Message)]
struct Time {
    #[prost(int64, tag = "1")]
    seconds: i64,
    #[prost(int32, tag = "2")]
    nanos: i32,
}

#[derive(Clone, PartialEq, Message)]
struct Found {
    #[prost(message, repeated, tag = "1")]
    trace_ids: Vec<TraceId>,
}

/// A trace that was found, and one that is asked for.
#[derive(Clone, PartialEq, Message)]
struct TraceId {
    #[prost(bytes = "vec", tag = "1")]
    id: Vec<u8>,
}

impl Storage {
    pub(super) async fn connect(address: &str) -> Storage {
        Storage { channel: Endpoint::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap() }
    }

    /// The traces that a search finds. The same are found when their ids are searched and then asked for.
    pub(super) async fn find(&self, query: &Query) -> Result<Vec<TracesData>, String> {
        let asked = || Find { query: Some(parameters(query)) };
        let traces: Vec<TracesData> = self.ask("FindTraces", asked()).await?;
        for chunk in &traces {
            let scoped = chunk.resource_spans.iter().flat_map(|part| &part.scope_spans);
            let ids: BTreeSet<&[u8]> = scoped.flat_map(|part| &part.spans).map(|span| &*span.trace_id).collect();
            if ids.len() != 1 {
                return Err(format!("a message has spans of {} traces", ids.len()));
            }
        }
        let found: Vec<Found> = self.ask("FindTraceIDs", asked()).await?;
        let [found] = <[Found; 1]>::try_from(found).map_err(|found| format!("{} messages, not one", found.len()))?;
        let again: Vec<TracesData> = self.ask("GetTraces", found).await?;
        if again == traces { Ok(traces) } else { Err("other traces come by their ids".to_owned()) }
    }

    async fn ask<A: Message + Default + 'static>(
        &self,
        method: &str,
        question: impl Message + 'static,
    ) -> Result<Vec<A>, String> {
        let refused = |status: Status| format!("{method}: {status}");
        let path = format!("/jaeger.storage.v2.TraceReader/{method}").parse().unwrap();
        let mut client = tonic::client::Grpc::new(self.channel.clone());
        client.ready().await.unwrap();
        let answer = client.server_streaming(Request::new(question), path, ProstCodec::default()).await;
        let mut answer = answer.map_err(refused)?.into_inner();
        let mut messages = Vec::new();
        while let Some(message) = answer.message().await.map_err(refused)? {
            messages.push(message);
        }
        Ok(messages)
    }
}

fn parameters(query: &Query) -> Parameters {
    let moment = |text: &str| {
        let moment: jiff::Timestamp = text.parse().unwrap();
        Some(Time { seconds: moment.as_second(), nanos: moment.subsec_nanosecond() })
    };
    let length = |nanos: u64| {
        let (seconds, nanos) = (nanos / 1_000_000_000, nanos % 1_000_000_000);
        Some(Time { seconds: seconds.try_into().unwrap(), nanos: nanos.try_into().unwrap() })
    };
    let value = |value: &Value| match value {
        Value::String(text) => Plain::Text(text.clone()),
        Value::Bool(value) => Plain::Bool(*value),
        other => match other.as_i64() {
            Some(whole) => Plain::Int(whole),
            None => Plain::Double(other.as_f64().unwrap()),
        },
    };
    let attribute = |(key, given): (&String, &Value)| Attribute {
        key: key.clone(),
        value: Some(AnyValue { value: Some(value(given)) }),
    };
    Parameters {
        service_name: query.service_name.clone(),
        operation_name: query.operation_name.clone(),
        attributes: query.tags.iter().flatten().map(attribute).collect(),
        start_time_min: moment(&query.start_time_min),
        start_time_max: moment(&query.start_time_max),
        duration_min: length(query.duration_min),
        duration_max: length(query.duration_max),
        search_depth: query.num_traces.try_into().unwrap(),
    }
}
