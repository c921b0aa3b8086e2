//! Which topic is it that has this name now? A topic that was deleted and made again has the same name and other messages; its id
//! tells.
//!
//! librdkafka knows the id, the crate that binds it does not pass it on: so this file calls C. Everything that C hands out is copied
//! before it is given back, and given back once, by the guards below, also on errors. The binding's safe call, which knows names and no
//! ids, is the twin that the tests compare with.
#![expect(
    unsafe_code,
    reason = "the binding has no safe call for a topic's id (docs/adr/014-rows-of-kafka-skip-the-log.md)"
)]

use rdkafka::bindings as sys;
use rdkafka::client::{Client, ClientContext};
use rdkafka::types::RDKafka;

use std::collections::BTreeMap;
use std::ffi::{CStr, CString, c_char};
use std::ptr::NonNull;
use std::time::Duration;

/// Gives back what C handed out.
struct Guard<T>(NonNull<T>, unsafe extern "C" fn(*mut T));

impl<T> Guard<T> {
    fn new(pointer: *mut T, destroy: unsafe extern "C" fn(*mut T)) -> Result<Self, String> {
        NonNull::new(pointer).map(|pointer| Guard(pointer, destroy)).ok_or_else(|| "out of memory".to_owned())
    }

    fn get(&self) -> *mut T {
        self.0.as_ptr()
    }
}

impl<T> Drop for Guard<T> {
    fn drop(&mut self) {
        // SAFETY: the pointer came from the constructor that `destroy` belongs to, and is destroyed nowhere else.
        unsafe { (self.1)(self.0.as_ptr()) }
    }
}

/// The ids of topics, by name. A cluster that knows no ids yet (before 2.8) gives each the id of zeros.
pub(super) fn of_topics<C: ClientContext>(
    client: &Client<C>,
    names: &[String],
    at_most: Duration,
) -> Result<BTreeMap<String, String>, String> {
    told_by(client, teller(client, names, at_most)?, names, at_most)
}

/// A broker that tells: any can. librdkafka would ask the controller, and wait for one.
pub(super) fn teller<C: ClientContext>(client: &Client<C>, names: &[String], at_most: Duration) -> Result<i32, String> {
    let metadata =
        client.fetch_metadata(names.first().map(String::as_str), at_most).map_err(|error| error.to_string())?;
    let known = metadata.brokers().iter().map(rdkafka::metadata::MetadataBroker::id);
    Ok(known.min_by_key(|id| (*id != metadata.orig_broker_id(), *id)).ok_or("the cluster has no broker")?)
}

/// The ids of topics, by name, as a broker tells them.
pub(super) fn told_by<C: ClientContext>(
    client: &Client<C>,
    broker: i32,
    names: &[String],
    at_most: Duration,
) -> Result<BTreeMap<String, String>, String> {
    let names: Vec<CString> = names.iter().filter_map(|name| CString::new(name.as_str()).ok()).collect();
    let mut pointers: Vec<*const c_char> = names.iter().map(|name| name.as_ptr()).collect();
    let millis = i32::try_from(at_most.as_millis()).unwrap_or(i32::MAX);
    // The client outlives this call, and with it its handle.
    let handle: *mut RDKafka = client.native_ptr();
    // SAFETY: `handle` is alive, the array has `len` pointers to texts that `names` keeps alive, and C copies them.
    let (queue, topics) = unsafe {
        let topics = sys::rd_kafka_TopicCollection_of_topic_names(pointers.as_mut_ptr(), pointers.len());
        (
            Guard::new(sys::rd_kafka_queue_new(handle), sys::rd_kafka_queue_destroy)?,
            Guard::new(topics, sys::rd_kafka_TopicCollection_destroy)?,
        )
    };
    // SAFETY: all pointers are alive; the request keeps copies of what it needs of topics and options.
    let event = unsafe {
        let operation = sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS;
        let options =
            Guard::new(sys::rd_kafka_AdminOptions_new(handle, operation), sys::rd_kafka_AdminOptions_destroy)?;
        let mut ignored = [0; 128];
        sys::rd_kafka_AdminOptions_set_request_timeout(options.get(), millis, ignored.as_mut_ptr(), ignored.len());
        sys::rd_kafka_AdminOptions_set_broker(options.get(), broker, ignored.as_mut_ptr(), ignored.len());
        sys::rd_kafka_DescribeTopics(handle, topics.get(), options.get(), queue.get());
        Guard::new(sys::rd_kafka_queue_poll(queue.get(), millis.saturating_add(1_000)), sys::rd_kafka_event_destroy)
            .map_err(|_| "the cluster did not describe its topics in time".to_owned())?
    };
    read(&event)
}

/// Copies names and ids out of an answer.
fn read(event: &Guard<sys::rd_kafka_event_t>) -> Result<BTreeMap<String, String>, String> {
    let mut ids = BTreeMap::new();
    // SAFETY: the event is alive as long as `event`; what is read below belongs to it, and C says how many pointers there are.
    unsafe {
        if sys::rd_kafka_event_error(event.get()) != sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
            return Err(text(sys::rd_kafka_event_error_string(event.get())));
        }
        let result = sys::rd_kafka_event_DescribeTopics_result(event.get());
        if result.is_null() {
            return Err("the cluster gave another answer than was asked for".into());
        }
        let mut count = 0;
        let topics = sys::rd_kafka_DescribeTopics_result_topics(result, &raw mut count);
        for index in 0..count {
            let topic = *topics.add(index);
            let error = sys::rd_kafka_TopicDescription_error(topic);
            if !error.is_null()
                && sys::rd_kafka_error_code(error) != sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR
            {
                continue;
            }
            let id = sys::rd_kafka_TopicDescription_topic_id(topic);
            let (high, low) = if id.is_null() {
                (0, 0)
            } else {
                (sys::rd_kafka_Uuid_most_significant_bits(id), sys::rd_kafka_Uuid_least_significant_bits(id))
            };
            ids.insert(text(sys::rd_kafka_TopicDescription_name(topic)), format!("{high:016x}{low:016x}"));
        }
    }
    Ok(ids)
}

/// Copies a text of C; empty where there is none.
///
/// # Safety
///
/// The pointer is null or points to a text that ends with a zero.
unsafe fn text(pointer: *const c_char) -> String {
    if pointer.is_null() {
        return String::new();
    }
    // SAFETY: the caller vouches for it.
    unsafe { CStr::from_ptr(pointer) }.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rdkafka::ClientConfig;
    use rdkafka::consumer::{BaseConsumer, Consumer};
    use rdkafka::mocking::MockCluster;
    use std::collections::BTreeSet;

    const WAIT: Duration = Duration::from_secs(10);

    /// The binding's safe call knows which topics there are, though not their ids.
    fn safe_twin(consumer: &BaseConsumer) -> BTreeSet<String> {
        let metadata = consumer.fetch_metadata(None, WAIT).unwrap();
        metadata.topics().iter().map(|topic| topic.name().to_owned()).collect()
    }

    #[test]
    fn those_are_described_that_there_are_whatever_is_asked() {
        let cluster = MockCluster::new(2).unwrap();
        let there: Vec<String> = (0..40).map(|number| format!("topic.{number}")).collect();
        there.iter().for_each(|name| cluster.create_topic(name, 1, 1).unwrap());
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", cluster.bootstrap_servers())
            .set("allow.auto.create.topics", "false")
            .create()
            .unwrap();
        let known = safe_twin(&consumer);
        assert_eq!(known, there.iter().cloned().collect());
        let odd = ["", "a\0b", "none", "ü", "topic.1\0", &"x".repeat(10_000)].map(str::to_owned);
        let mut answers = 0;
        for count in 0..there.len() {
            // Many and few, doubled, and among names that no topic has.
            let mut names: Vec<String> = there.iter().take(count).cloned().collect();
            match count % 4 {
                1 => names.extend(there.first().cloned()),
                3 => names.extend(odd.get(count / 4 % odd.len()).cloned()),
                _ => {}
            }
            names.rotate_left(count / 2);
            // A name that no topic can have, or that comes twice, may fail the whole question; it must not do worse.
            let Ok(found) = of_topics(consumer.client(), &names, WAIT) else { continue };
            answers += 1;
            let asked: BTreeSet<String> = names.iter().filter(|name| known.contains(*name)).cloned().collect();
            assert_eq!(found.keys().cloned().collect::<BTreeSet<_>>(), asked, "{names:?}");
            assert!(found.values().all(|id| id.len() == 32 && id.bytes().all(|digit| digit.is_ascii_hexdigit())));
        }
        assert!(answers > there.len() / 3, "{answers}");
        let plain = of_topics(consumer.client(), &there, WAIT).unwrap();
        assert_eq!(plain.keys().cloned().collect::<BTreeSet<_>>(), known);
        assert_eq!(plain, of_topics(consumer.client(), &there, WAIT).unwrap(), "ids stay");
    }

    #[test]
    fn a_cluster_that_does_not_answer_is_an_error_in_time() {
        let consumer: BaseConsumer = ClientConfig::new().set("bootstrap.servers", "127.0.0.1:1").create().unwrap();
        let short = Duration::from_millis(200);
        assert!(of_topics(consumer.client(), &["a".to_owned()], short).is_err());
    }
}
