# STUB, not a stand-in: Kafka UI is only available as an image. Serves the health endpoint and lists the broker's topics, as
# user kafkaui, so that the service's part of docker-compose.yml can be tested. Its memory use says nothing about Kafka UI's.
# Source of this behaviour: https://github.com/kafbat/kafka-ui/blob/main/api/Dockerfile
ARG BASE
FROM $BASE
RUN useradd -r kafkaui && mkdir /etc/kafkaui && chown kafkaui /etc/kafkaui \
 && rm -rf /usr/lib/jvm /usr/bin/java /usr/bin/redis-* /usr/sbin/gosu /usr/bin/curl \
 && ln -sf busybox /bin/sh && rm -f /bin/bash
# wget remains GNU's, because Debian's busybox lacks the option -T that Alpine's has.
COPY --from=node / /opt/stand-in/
COPY --from=kafkajs / /opt/stand-in/node_modules/kafkajs/
COPY kafka-ui.mjs /opt/stand-in/
USER kafkaui
EXPOSE 8080
CMD /opt/stand-in/node /opt/stand-in/kafka-ui.mjs
