//! What does a message's header of a name say?
//!
//! The binding ends in a panic where a name is no UTF-8, which Kafka's brokers do not look at: so this file calls C. What C points to belongs to
//! the message, whose borrow what is given back holds. The binding's safe call is the twin that the tests compare with.
#![expect(
    unsafe_code,
    reason = "the binding's safe call panics on names from outside (docs/adr/031-a-batch-that-cannot-be-read-is-passed-over.md)"
)]

use rdkafka::bindings as sys;
use rdkafka::message::{BorrowedHeaders, Headers as _};
use std::ffi::{CStr, c_char, c_void};
use std::{ptr, slice};

/// The value of the first header of that name, in whatever case.
pub(super) fn find<'a>(headers: &'a BorrowedHeaders, name: &str) -> Option<Option<&'a [u8]>> {
    // The binding makes the reference of the pointer that C gave it for the headers, and calls C with the same.
    let native = ptr::from_ref(headers).cast::<sys::rd_kafka_headers_t>();
    (0..headers.count()).find_map(|index| {
        let (mut own, mut value, mut size) = (ptr::null::<c_char>(), ptr::null::<c_void>(), 0);
        // SAFETY: `native` is alive as long as the message that `headers` borrows, and C writes to the three places only.
        let error = unsafe { sys::rd_kafka_header_get_all(native, index, &raw mut own, &raw mut value, &raw mut size) };
        if error != sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR || own.is_null() {
            return None;
        }
        // SAFETY: C gives a name that ends with a zero, and a value of so many bytes or none; both live as long as the headers.
        let (own, value) = unsafe {
            let value = (!value.is_null()).then(|| slice::from_raw_parts(value.cast::<u8>(), size));
            (CStr::from_ptr(own), value)
        };
        own.to_bytes().eq_ignore_ascii_case(name.as_bytes()).then_some(value)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rdkafka::ClientConfig;
    use rdkafka::consumer::{BaseConsumer, Consumer as _};
    use rdkafka::message::{Header, Message as _, OwnedHeaders};
    use rdkafka::mocking::MockCluster;
    use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
    use rdkafka::{Offset, TopicPartitionList};
    use std::time::Duration;

    const WAIT: Duration = Duration::from_secs(10);

    /// The binding's safe call, for names that are UTF-8.
    fn safe_twin<'a>(headers: &'a BorrowedHeaders, name: &str) -> Option<Option<&'a [u8]>> {
        headers.iter().find(|header| header.key.eq_ignore_ascii_case(name)).map(|header| header.value)
    }

    #[test]
    fn headers_are_found_as_by_the_safe_call_and_beside_names_that_are_no_utf8() {
        let cluster = MockCluster::new(1).unwrap();
        cluster.create_topic("a", 1, 1).unwrap();
        let client = |more: &[(&str, &str)]| {
            let mut config = ClientConfig::new();
            config.set("bootstrap.servers", cluster.bootstrap_servers()).set("group.id", "a");
            for (name, value) in more {
                config.set(*name, *value);
            }
            config
        };
        let producer: BaseProducer = client(&[]).create().unwrap();
        let add = |headers: OwnedHeaders, key: &str, value: Option<&str>| headers.insert(Header { key, value });
        let headers = add(OwnedHeaders::new(), "other", Some("x"));
        let headers = add(add(add(headers, "X-Scope", Some("first")), "x-scope", Some("second")), "none", None);
        let headers = add(add(headers, "", Some("empty")), "large", Some(&"v".repeat(100_000)));
        let record: BaseRecord<'_, [u8], [u8]> = BaseRecord::to("a").partition(0).payload(&b"m"[..]).headers(headers);
        producer.send(record).map_err(|(error, _)| error).unwrap();
        producer.flush(WAIT).unwrap();
        let consumer: BaseConsumer = client(&[]).create().unwrap();
        let mut list = TopicPartitionList::new();
        list.add_partition_offset("a", 0, Offset::Offset(0)).unwrap();
        consumer.assign(&list).unwrap();
        let message = consumer.poll(WAIT).unwrap().unwrap();
        let headers = message.headers().unwrap();
        for name in ["other", "X-SCOPE", "x-scope", "none", "", "large", "absent", "oth", "other ", "ü"] {
            assert_eq!(find(headers, name), safe_twin(headers, name), "{name}");
        }
        assert_eq!(find(headers, "x-scope"), Some(Some(&b"first"[..])));
    }
}
