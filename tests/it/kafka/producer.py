"""Sends traces as OpenTelemetry's Collector does: OTLP's protobuf, no key, the tenant in a header, every compression in turn.

Arguments: brokers, topic, tenant, requests for each compression. Each request is a trace of three spans.
"""

import sys
import time

from confluent_kafka import Producer
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


def request(number):
    message = ExportTraceServiceRequest()
    resource = message.resource_spans.add()
    service = resource.resource.attributes.add(key="service.name")
    service.value.string_value = "python"
    scope = resource.scope_spans.add()
    now = time.time_ns()
    for index in range(3):
        scope.spans.add(
            trace_id=(number + 1).to_bytes(16, "big"),
            span_id=(number * 3 + index + 1).to_bytes(8, "big"),
            parent_span_id=b"" if index == 0 else (number * 3 + 1).to_bytes(8, "big"),
            name=f"step {index}",
            kind=2,
            start_time_unix_nano=now - 1_000_000,
            end_time_unix_nano=now,
        )
    return message.SerializeToString()


def main():
    brokers, topic, tenant, count = sys.argv[1:]
    failures = []
    number = 0
    for compression in ["none", "gzip", "snappy", "lz4", "zstd"]:
        producer = Producer(
            {
                "bootstrap.servers": brokers,
                "acks": "all",
                "compression.type": compression,
                "partitioner": "fnv1a_random",
                "linger.ms": 5,
            }
        )
        for _ in range(int(count)):
            producer.produce(
                topic,
                value=request(number),
                headers=[("X-Scope-OrgID", tenant.encode())],
                on_delivery=lambda error, _: failures.append(error) if error else None,
            )
            producer.poll(0)
            number += 1
        producer.flush(60)
    if failures:
        sys.exit(f"{len(failures)} messages were not sent: {failures[0]}")


main()
