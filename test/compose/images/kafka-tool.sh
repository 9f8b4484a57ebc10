#!/bin/bash
# Stand-in for Kafka's tools in /opt/kafka/bin, by the name that it is called by. Source: https://github.com/apache/kafka/tree/3.9/bin
case ${0##*/} in
  kafka-topics.sh) class=TopicCommand ;;
  kafka-console-producer.sh) class=ConsoleProducer ;;
  kafka-console-consumer.sh) class=consumer.ConsoleConsumer ;;
  kafka-consumer-groups.sh) class=consumer.group.ConsumerGroupCommand ;;
  kafka-get-offsets.sh) class=GetOffsetShell ;;
esac
exec /opt/kafka/bin/kafka-run-class.sh "org.apache.kafka.tools.$class" "$@"
