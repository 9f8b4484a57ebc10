# STUB, not a stand-in: no build of Kafka UI exists outside its image. Answers the health endpoint and lists the broker's
# topics, as user kafkaui, so that the service's place in docker-compose.yml can be tested; proves nothing about its memory.
# Source of each promise: https://github.com/kafbat/kafka-ui/blob/main/api/Dockerfile
ARG BASE
FROM $BASE
RUN useradd -r kafkaui && mkdir /etc/kafkaui && chown kafkaui /etc/kafkaui \
 && rm -rf /usr/lib/jvm /usr/bin/java /usr/bin/redis-* /usr/sbin/gosu /usr/bin/curl \
 && ln -sf busybox /bin/sh && rm -f /bin/bash
# wget stays GNU's: Debian's busybox is built without wget's -T, which Alpine's has.
COPY --from=node / /opt/stand-in/
COPY --from=kafkajs / /opt/stand-in/node_modules/kafkajs/
COPY kafka-ui.mjs /opt/stand-in/
USER kafkaui
EXPOSE 8080
CMD /opt/stand-in/node /opt/stand-in/kafka-ui.mjs
