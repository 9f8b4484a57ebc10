#!/bin/bash
# Stand-in for Kafka's bin/kafka-server-start.sh. Source: https://github.com/apache/kafka/blob/3.9/bin/kafka-server-start.sh
export KAFKA_LOG4J_OPTS="${KAFKA_LOG4J_OPTS:--Dlog4j.configuration=file:/opt/kafka/config/log4j.properties}"
export KAFKA_HEAP_OPTS="${KAFKA_HEAP_OPTS:--Xmx1G -Xms1G}"
exec /opt/kafka/bin/kafka-run-class.sh ${EXTRA_ARGS--name kafkaServer -loggc} kafka.Kafka "$@"
