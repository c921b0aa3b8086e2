#!/usr/bin/env bash
# Prints the folder with Apache Kafka's jars for the tests, after fetching them where they are missing (a minute, once).
#
# The tests start brokers in KRaft mode from it. Needs Java 17 and Maven.
set -euo pipefail
. "$(dirname "$0")/env.sh"

VERSION=4.1.0
tools="$CARGO_TARGET_DIR/tools/kafka-$VERSION"
if [ ! -e "$tools/kafka_2.13-$VERSION.jar" ]; then
  echo "kafka.sh: fetching Apache Kafka $VERSION (a minute)" >&2
  project=$(mktemp -d)
  trap 'rm -rf "$project"' EXIT
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
fi
echo "$tools"
