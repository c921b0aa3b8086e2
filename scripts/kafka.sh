#!/usr/bin/env bash
# Apache Kafka in KRaft mode, for the tests and for a look by hand. Needs Java 17 and Maven.
#
#   scripts/kafka.sh                prints the folder of its jars, after fetching them where they are missing (a minute, once)
#   scripts/kafka.sh cluster COUNT  runs one broker, or three, on 127.0.0.1 from port 9092 on, until it is interrupted
#   scripts/kafka.sh broker DIR NUMBER HOST CLIENT:CONTROLLER...
#                                   becomes broker NUMBER (from 0) of as many as there are pairs of ports, with its files in DIR
set -euo pipefail
. "$(dirname "$0")/env.sh"

VERSION=4.1.0
# What brokers that form a cluster agree on.
CLUSTER=MkU3OEVBNTcwNTJENDM2Qg

jars() {
  local tools="$CARGO_TARGET_DIR/tools/kafka-$VERSION"
  if [ ! -e "$tools/kafka_2.13-$VERSION.jar" ]; then
    fetch "$tools"
  fi
  echo "$tools"
}

fetch() {
  local tools=$1 project
  echo "kafka.sh: fetching Apache Kafka $VERSION (a minute)" >&2
  project=$(mktemp -d)
  # shellcheck disable=SC2064
  trap "rm -rf '$project'" EXIT
  cat >"$project/pom.xml" <<XML
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>spanlight</groupId>
  <artifactId>broker</artifactId>
  <version>1</version>
  <dependencies>
    <dependency>
      <groupId>org.apache.kafka</groupId>
      <artifactId>kafka_2.13</artifactId>
      <version>$VERSION</version>
    </dependency>
  </dependencies>
</project>
XML
  mvn -q -B -f "$project/pom.xml" dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory="$project/lib" \
    </dev/null >&2
  mkdir -p "$(dirname "$tools")"
  rm -rf "$tools"
  mv "$project/lib" "$tools"
}

# Prints a broker's settings.
settings() {
  local dir=$1 number=$2 host=$3
  shift 3
  local replicas=$(($# < 3 ? $# : 3)) voters="" id=0 pair client controller
  for pair in "$@"; do
    id=$((id + 1))
    voters="$voters${voters:+,}$id@$host:${pair#*:}"
    if [ "$id" = $((number + 1)) ]; then
      client=${pair%:*} controller=${pair#*:}
    fi
  done
  cat <<PROPERTIES
process.roles=broker,controller
node.id=$((number + 1))
controller.quorum.voters=$voters
listeners=PLAINTEXT://$host:$client,CONTROLLER://$host:$controller
advertised.listeners=PLAINTEXT://$host:$client
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs=$dir/log-$number
auto.create.topics.enable=false
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
offsets.topic.replication.factor=$replicas
offsets.topic.num.partitions=3
transaction.state.log.replication.factor=$replicas
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=3
log.retention.check.interval.ms=1000
file.delete.delay.ms=100
PROPERTIES
}

# Becomes a broker; one that had files in the folder goes on with them.
broker() {
  local dir=$1 number=$2
  local properties="$dir/$number.properties" lib
  lib=${SPANLIGHT_KAFKA_LIB:-$(jars)}
  java=(java -Xmx384m -Xss512k -cp "$lib/*")
  if [ ! -e "$dir/log-$number/meta.properties" ]; then
    settings "$@" >"$properties"
    "${java[@]}" kafka.tools.StorageTool format -t "$CLUSTER" -c "$properties" >&2
  fi
  exec "${java[@]}" kafka.Kafka "$properties"
}

# Runs brokers until it is interrupted.
cluster() {
  local count=$1 dir pairs=() number
  dir=$(mktemp -d)
  # shellcheck disable=SC2064
  trap "kill \$(jobs -p) 2>/dev/null; wait; rm -rf '$dir'" EXIT
  trap 'exit 130' INT TERM
  SPANLIGHT_KAFKA_LIB=$(jars)
  export SPANLIGHT_KAFKA_LIB
  for ((number = 0; number < count; number++)); do
    pairs+=("$((9092 + number)):$((19092 + number))")
  done
  for ((number = 0; number < count; number++)); do
    bash "$0" broker "$dir" "$number" 127.0.0.1 "${pairs[@]}" >"$dir/$number.log" 2>&1 &
  done
  echo "kafka.sh: brokers on 127.0.0.1, ports ${pairs[*]%:*}; files in $dir; ctrl-c ends them"
  wait
}

case ${1:-} in
  "") jars ;;
  broker) shift; broker "$@" ;;
  cluster) cluster "${2:-1}" ;;
  *) echo "kafka.sh: say nothing, broker or cluster, not $1" >&2; exit 2 ;;
esac
