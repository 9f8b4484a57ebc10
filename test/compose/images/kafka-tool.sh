#!/bin/bash
# Stand-in for Kafka's tools in /opt/kafka/bin, selected by the name of the link. Source: https://github.com/apache/kafka/tree/3.9/bin
case ${0##*/} in
  kafka-topics.sh) class=org.apache.kafka.tools.TopicCommand ;;
  kafka-console-producer.sh) class=kafka.tools.ConsoleProducer ;;
  kafka-console-consumer.sh) class=org.apache.kafka.tools.consumer.ConsoleConsumer ;;
  kafka-consumer-groups.sh) class=org.apache.kafka.tools.consumer.group.ConsumerGroupCommand ;;
  kafka-get-offsets.sh) class=org.apache.kafka.tools.GetOffsetShell ;;
esac
exec /opt/kafka/bin/kafka-run-class.sh "$class" "$@"
