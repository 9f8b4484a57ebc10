#!/bin/bash
# Stand-in for Kafka's bin/kafka-run-class.sh: runs `CLASS ARG…` with the same variables, flags and log folder.
# Source: https://github.com/apache/kafka/blob/3.9/bin/kafka-run-class.sh
gc=
while [[ $1 == -* ]]; do
  case $1 in
    -loggc) gc=-Xlog:gc*:file=/opt/kafka/logs/kafkaServer-gc.log:time,tags:filecount=10,filesize=100M; shift ;;
    -name) shift 2 ;;
    *) echo "This stand-in does not support $1" >&2; exit 2 ;;
  esac
done
mkdir -p /opt/kafka/logs
exec java ${KAFKA_HEAP_OPTS:--Xmx256M} \
  ${KAFKA_JVM_PERFORMANCE_OPTS:--server -XX:+UseG1GC -XX:MaxGCPauseMillis=20 -XX:InitiatingHeapOccupancyPercent=35 -XX:+ExplicitGCInvokesConcurrent -XX:MaxInlineLevel=15 -Djava.awt.headless=true} \
  $gc ${KAFKA_JMX_OPTS:--Dcom.sun.management.jmxremote -Dcom.sun.management.jmxremote.authenticate=false -Dcom.sun.management.jmxremote.ssl=false} \
  -Dkafka.logs.dir=/opt/kafka/logs ${KAFKA_LOG4J_OPTS:--Dlog4j.configuration=file:/opt/kafka/config/tools-log4j.properties} \
  -cp '/opt/kafka/libs/*' $KAFKA_OPTS "$@"
