//! Which topics are read, from where, and as what?

use super::letter;
use super::message::Encoding;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use regex_automata::nfa::thompson::pikevm::PikeVM;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::Ipv6Addr;
use storage::model::{Signal, TenantId};

/// Kafka, as a person writes it in the settings file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct KafkaConfig {
    /// Some of the cluster's brokers, `host:port`, separated by commas. Empty: Kafka is not read.
    pub brokers: String,
    /// What this process does with it.
    pub role: Role,
    /// The consumer group. Its members share one store: a group belongs to a data directory or to a bucket.
    pub group: String,
    /// The header of a message that names its tenant; without it a message is its topic's.
    pub tenant_header: String,
    /// Where a partition is begun that was never read.
    pub begin: Begin,
    /// What is done where messages were deleted before they were read.
    pub on_loss: OnLoss,
    /// Further settings of librdkafka, by its own names: TLS, SASL, fetch sizes.
    pub librdkafka: BTreeMap<String, String>,
    /// The topics, by name or, where that begins with `^`, by regular expression.
    pub topics: BTreeMap<String, TopicConfig>,
}

/// What a process does with Kafka.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Its store takes what is in the topics; what its own doors receive goes to its own log.
    Storage,
    /// What its doors receive goes to the topics, and is acknowledged when the cluster has it. Nothing is read.
    Front,
    /// Both: all that is stored has been in Kafka.
    Both,
}

/// What a topic's messages are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TopicConfig {
    /// `spans`, `logs` or `metrics`.
    pub signal: String,
    /// How they are written.
    #[serde(default = "otlp_proto")]
    pub encoding: String,
    /// Whose they are, unless a header says so.
    #[serde(default = "default_tenant")]
    pub tenant: String,
}

/// Where a partition is begun that was never read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Begin {
    /// With the oldest message that is there.
    Earliest,
    /// With the next message that comes.
    Latest,
}

/// What is done where messages were deleted before they were read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnLoss {
    /// Their number is told and counted, and the rest is read.
    Continue,
    /// The partition is left alone until somebody decides.
    Stop,
}

fn otlp_proto() -> String {
    Encoding::OtlpProto.name().into()
}

fn default_tenant() -> String {
    TenantId::default().to_string()
}

impl Default for KafkaConfig {
    fn default() -> Self {
        let topic = |signal: Signal| TopicConfig {
            signal: signal.as_str().into(),
            encoding: otlp_proto(),
            tenant: default_tenant(),
        };
        KafkaConfig {
            brokers: String::new(),
            role: Role::Storage,
            group: "spanlight".into(),
            tenant_header: "X-Scope-OrgID".into(),
            begin: Begin::Earliest,
            on_loss: OnLoss::Continue,
            librdkafka: BTreeMap::new(),
            // What OpenTelemetry's collector calls them.
            topics: Signal::ALL.map(|signal| (format!("otlp_{signal}"), topic(signal))).into(),
        }
    }
}

/// What exactly-once and acknowledging rest on is not for others to set.
const OURS: [&str; 16] = [
    "acks",
    "auto.offset.reset",
    "bootstrap.servers",
    "enable.auto.commit",
    "enable.auto.offset.store",
    "enable.idempotence",
    "enable.partition.eof",
    "group.id",
    "isolation.level",
    "metadata.broker.list",
    "partition.assignment.strategy",
    "queue.buffering.max.kbytes",
    "queue.buffering.max.messages",
    "request.required.acks",
    "statistics.interval.ms",
    "transactional.id",
];

impl KafkaConfig {
    /// Whether Kafka is read.
    pub fn is_read(&self) -> bool {
        !self.brokers.is_empty() && self.role != Role::Front
    }

    /// Whether what the doors receive goes to Kafka.
    pub fn is_front(&self) -> bool {
        self.role != Role::Storage
    }

    /// Whether it can be used; the error names the setting.
    pub fn check(&self) -> Result<(), String> {
        if let Some(name) = self.librdkafka.keys().find(|name| OURS.contains(&name.as_str())) {
            return Err(format!(
                "`kafka.librdkafka` must not set `{name}`: what is read exactly once or acknowledged rests on it"
            ));
        }
        if self.is_read() && (self.group.is_empty() || self.topics.is_empty()) {
            return Err("`kafka.group` or `kafka.topics` is empty, and `kafka.brokers` is not".into());
        }
        check_brokers(&self.brokers)?;
        Topics::new(self)?;
        if self.tenant_header.contains(char::is_control) {
            return Err("`kafka.tenant_header` has a control character".into());
        }
        if self.is_front() {
            self.check_front()?;
        }
        super::check_client(self)
    }

    fn check_front(&self) -> Result<(), String> {
        if self.brokers.is_empty() || self.tenant_header.is_empty() {
            return Err("`kafka.brokers` or `kafka.tenant_header` is empty, and `kafka.role` is not `storage`".into());
        }
        self.front_topics().map(drop)
    }

    /// Where what the doors receive goes, in the order of [`Signal::ALL`]: of each signal the one topic in OTLP's protobuf that has a
    /// name; of several, the one that OpenTelemetry's collector would choose.
    pub(super) fn front_topics(&self) -> Result<[String; 3], String> {
        let find = |signal: Signal| {
            let fits = |(name, topic): &(&String, &TopicConfig)| {
                !name.starts_with('^') && topic.signal == signal.as_str() && topic.encoding == otlp_proto()
            };
            let mut fitting = self.topics.iter().filter(fits).map(|(name, _)| name.clone());
            let usual = format!("otlp_{signal}");
            match (fitting.next(), fitting.next()) {
                (Some(only), None) => Ok(only),
                (None, _) => Err(format!("`kafka.topics` names none of {signal} in `otlp_proto`, for `kafka.role`")),
                _ if self.topics.get_key_value(&usual).as_ref().is_some_and(fits) => Ok(usual),
                _ => Err(format!("`kafka.topics` names several of {signal} in `otlp_proto`, and none is `{usual}`")),
            }
        };
        let [spans, logs, metrics] = Signal::ALL.map(find);
        Ok([spans?, logs?, metrics?])
    }
}

/// Whether these are addresses, or there are none.
fn check_brokers(brokers: &str) -> Result<(), String> {
    if brokers.is_empty() {
        return Ok(());
    }
    let wrong = brokers.split(',').map(str::trim).find(|broker| !is_broker(broker));
    wrong.map_or(Ok(()), |broker| {
        Err(format!("`kafka.brokers`: `{broker}` is no `host:port`; commas stand between several"))
    })
}

/// Whether a text is `host`, `host:port`, or that after a protocol and `://`.
fn is_broker(text: &str) -> bool {
    const PROTOCOLS: [&str; 4] = ["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"];
    let address = match text.split_once("://") {
        Some((protocol, _)) if PROTOCOLS.iter().all(|known| !known.eq_ignore_ascii_case(protocol)) => return false,
        Some((_, address)) => address,
        None => text,
    };
    let is_v6 = |host: &str| host.parse::<Ipv6Addr>().is_ok();
    let (is_host, port) = match address.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, "")) => (is_v6(host), None),
        Some((host, port)) => (is_v6(host), Some(port.strip_prefix(':').unwrap_or_default())),
        None if is_v6(address) => (true, None),
        None => {
            let (host, port) = address.split_once(':').map_or((address, None), |(host, port)| (host, Some(port)));
            let fits = |letter: char| letter.is_alphanumeric() || ['.', '-', '_'].contains(&letter);
            (!host.is_empty() && host.chars().all(fits), port)
        }
    };
    is_host && port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0))
}

/// The topics, ready to be looked up.
#[derive(Debug)]
pub(super) struct Topics(Vec<(Pattern, Topic)>);

#[derive(Debug)]
enum Pattern {
    Name(String),
    Expression(String, Box<PikeVM>),
}

impl Pattern {
    fn text(&self) -> &str {
        match self {
            Pattern::Name(name) | Pattern::Expression(name, _) => name,
        }
    }
}

/// Whether a cluster takes it as the name of a topic.
fn is_name(name: &str) -> bool {
    let legal = |letter: char| letter.is_ascii_alphanumeric() || "._-".contains(letter);
    (1..=249).contains(&name.len()) && name.chars().all(legal) && name != "." && name != ".."
}

/// A topic's settings, read.
#[derive(Debug, Clone)]
pub(super) struct Topic {
    pub(super) signal: Signal,
    pub(super) encoding: Encoding,
    pub(super) tenant: TenantId,
}

impl Topics {
    pub(super) fn new(config: &KafkaConfig) -> Result<Topics, String> {
        let topic = |(name, topic): (&String, &TopicConfig)| {
            let wrong = |what: &str| format!("`kafka.topics.\"{name}\"`: {what}");
            let signal = Signal::from_name(&topic.signal)
                .ok_or_else(|| wrong(&format!("`{}` is none of spans, logs, metrics", topic.signal)))?;
            let encoding = Encoding::from_name(&topic.encoding, signal).map_err(|what| wrong(&what))?;
            let tenant = letter::tenant_of_others(&topic.tenant).map_err(|why| wrong(&why))?;
            let pattern = if name.starts_with('^') {
                // What there is not is a letter to POSIX, and would match nothing unsaid.
                if let Some(class) = ["\\d", "\\D", "\\p", "\\P"].into_iter().find(|class| name.contains(class)) {
                    return Err(wrong(&format!("extended regular expressions of POSIX have no `{class}`")));
                }
                let expression = PikeVM::new(name).map_err(|error| wrong(&error.to_string()))?;
                Pattern::Expression(name.clone(), Box::new(expression))
            } else if is_name(name) {
                Pattern::Name(name.clone())
            } else {
                return Err(wrong("a topic's name has up to 249 letters, digits, `.`, `_` and `-`"));
            };
            Ok((pattern, Topic { signal, encoding, tenant }))
        };
        config.topics.iter().map(topic).collect::<Result<_, String>>().map(Topics)
    }

    /// Has a consumer read them. An `Err` names one that it does not take: its expressions are those of POSIX.
    pub(super) fn subscribe<C: ConsumerContext>(&self, consumer: &BaseConsumer<C>) -> Result<(), String> {
        let names: Vec<&str> = self.0.iter().map(|(pattern, _)| pattern.text()).collect();
        let Err(error) = consumer.subscribe(&names) else { return Ok(()) };
        let culprit = names.iter().find(|name| consumer.subscribe(&[**name]).is_err()).copied().unwrap_or_default();
        Err(format!("`kafka.topics.\"{culprit}\"` is no extended regular expression of POSIX: {error}"))
    }

    /// Those that have a name, and no expression.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter(|(pattern, _)| matches!(pattern, Pattern::Name(_))).map(|(pattern, _)| pattern.text())
    }

    /// The settings of a topic: those of its name, else of the first expression that matches it.
    pub(super) fn find(&self, topic: &str) -> Option<&Topic> {
        let by_name = self.0.iter().find(|(pattern, _)| matches!(pattern, Pattern::Name(name) if name == topic));
        let matches = |pattern: &Pattern| match pattern {
            Pattern::Name(_) => false,
            Pattern::Expression(_, vm) => vm.is_match(&mut vm.create_cache(), topic),
        };
        by_name.or_else(|| self.0.iter().find(|(pattern, _)| matches(pattern))).map(|(_, topic)| topic)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(name: &str, signal: &str, encoding: &str) -> KafkaConfig {
        let topic = TopicConfig { signal: signal.into(), encoding: encoding.into(), tenant: "t".into() };
        KafkaConfig { topics: BTreeMap::from([(name.to_owned(), topic)]), ..KafkaConfig::default() }
    }

    #[test]
    fn a_topic_is_found_by_its_name_before_an_expression() {
        let mut config = config("^otlp_.*", "logs", "otlp_json");
        config.topics.extend(KafkaConfig::default().topics);
        let topics = Topics::new(&config).unwrap();
        assert_eq!(topics.find("otlp_spans").unwrap().signal, Signal::Spans);
        assert_eq!(topics.find("otlp_other").unwrap().signal, Signal::Logs);
        assert!(topics.find("another").is_none());
    }

    #[test]
    fn wrong_settings_are_named() {
        let error = |config: KafkaConfig| config.check().unwrap_err();
        assert!(error(config("a", "traces", "otlp_proto")).contains("`kafka.topics.\"a\"`: `traces` is none of"));
        assert!(error(config("a", "logs", "avro")).contains("`avro`"));
        assert!(error(config("^(", "logs", "raw")).contains("\"^(\""));
        for name in ["^rx-\\d+$", "^rx-\\p{Nd}$", "", "bad topic/name"] {
            assert!(error(config(name, "logs", "raw")).contains(&format!("`kafka.topics.\"{name}\"`")), "{name}");
        }
        let brokers = "a:1".to_owned();
        let error = error(KafkaConfig { brokers, ..config("^rx-(?:1|2)$", "logs", "raw") });
        assert!(error.contains("`kafka.topics.\"^rx-(?:1|2)$\"`"), "{error}");
        let error = |config: KafkaConfig| config.check().unwrap_err();
        assert!(error(config("a", "spans", "raw")).contains("raw"));
        let librdkafka = BTreeMap::from([("group.id".to_owned(), "x".to_owned())]);
        assert!(error(KafkaConfig { librdkafka, ..KafkaConfig::default() }).contains("group.id"));
        assert!(error(KafkaConfig { role: Role::Front, ..KafkaConfig::default() }).contains("`kafka.brokers`"));
        let tenant_header = "a\0b".to_owned();
        assert!(error(KafkaConfig { tenant_header, ..KafkaConfig::default() }).contains("`kafka.tenant_header`"));
    }

    #[test]
    fn values_that_the_client_does_not_take_are_told_before_anything_is_begun() {
        let error = |role: Role, name: &str, value: &str| {
            let librdkafka = BTreeMap::from([(name.to_owned(), value.to_owned())]);
            let config = KafkaConfig { brokers: "a:1".into(), role, librdkafka, ..KafkaConfig::default() };
            config.check().unwrap_err()
        };
        for role in [Role::Storage, Role::Front, Role::Both] {
            assert!(error(role, "no.such.setting", "1").contains("no.such.setting"), "{role:?}");
            assert!(error(role, "socket.timeout.ms", "soon").contains("socket.timeout.ms"), "{role:?}");
        }
        assert!(error(Role::Both, "linger.ms", "-7").contains("linger.ms"));
        assert!(error(Role::Front, "message.max.bytes", "1000").contains("less than"));
        if !cfg!(feature = "kafka-tls") {
            assert!(error(Role::Front, "security.protocol", "SASL_SSL").contains("--features kafka-tls"));
        }
    }

    #[test]
    fn lists_of_brokers_that_are_none_are_told() {
        let check = |brokers: &str| KafkaConfig { brokers: brokers.into(), ..KafkaConfig::default() }.check();
        let good = "a, b-1.example.org:9092,SASL_SSL://c:9093,ssl://d,10.0.0.1:1,[::1]:9092,::1,[fe80::1],kafka_0:9092,bücher:1";
        for brokers in good.split(',').chain([good]) {
            assert_eq!(check_brokers(brokers), Ok(()), "{brokers}");
        }
        for (brokers, wrong) in [
            ("a:9092,", "``"),
            ("a:9092,,b", "``"),
            ("a:9092 b:9092", "`a:9092 b:9092`"),
            ("a:9092;b:9092", "`a:9092;b:9092`"),
            ("http://a:9092", "`http://a:9092`"),
            ("a:port", "`a:port`"),
            ("a:0", "`a:0`"),
            ("a:65536", "`a:65536`"),
            ("a:", "`a:`"),
            (":9092", "`:9092`"),
            ("a:9092/topic", "`a:9092/topic`"),
            ("[::1", "`[::1`"),
            ("[::1]9092", "`[::1]9092`"),
            ("b:1,a\u{0}:1", "`a\u{0}:1`"),
        ] {
            let error = check(brokers).unwrap_err();
            assert!(error.starts_with("`kafka.brokers`") && error.contains(wrong), "{brokers}: {error}");
        }
    }

    #[test]
    fn a_front_writes_to_one_topic_of_each_signal() {
        let mut config = KafkaConfig { brokers: "a:1".into(), role: Role::Front, ..KafkaConfig::default() };
        assert_eq!(config.front_topics().unwrap(), ["otlp_spans", "otlp_logs", "otlp_metrics"]);
        let spans = config.topics["otlp_spans"].clone();
        config.topics.insert("a".into(), spans.clone());
        config.topics.insert("^b".into(), spans.clone());
        assert_eq!(config.front_topics().unwrap()[0], "otlp_spans");
        config.topics.remove("otlp_spans");
        assert_eq!(config.front_topics().unwrap()[0], "a");
        config.topics.insert("b".into(), spans);
        assert!(config.check().unwrap_err().contains("several of spans"));
        config.topics.retain(|name, _| name.starts_with(['o', '^']));
        assert!(config.check().unwrap_err().contains("none of spans"));
    }
}
