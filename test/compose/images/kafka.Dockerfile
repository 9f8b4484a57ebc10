# Stand-in for the image apache/kafka:3.9.2: the broker and tools of the embedded stack's jars, with the image's interface.
# Sources of this behaviour: https://github.com/apache/kafka/blob/3.9/docker/jvm/Dockerfile, bin/kafka-server-start.sh,
# bin/kafka-run-class.sh. Differs in the Java version (17, the real image has 21) and the C library.
ARG BASE
FROM $BASE
RUN useradd --uid 1000 --create-home --shell /bin/bash appuser \
 && mkdir -p /opt/kafka/bin /opt/kafka/config /var/lib/kafka/data /etc/kafka/secrets /etc/kafka/docker /mnt/shared/config /usr/logs \
 && rm -f /usr/bin/redis-* /usr/bin/curl /usr/sbin/gosu
# As on Alpine, the small tools are busybox's, with its options; except wget, because Debian's busybox is built without -T.
RUN for tool in nc head tail od tr sed grep; do ln -sf /bin/busybox "$(command -v $tool)"; done
COPY --from=jars / /opt/kafka/libs/
COPY --from=tools / /opt/kafka/libs/
COPY log4j.properties /opt/kafka/config/log4j.properties
RUN cd /opt/kafka/config && sed 's/INFO, /WARN, /; $a log4j.appender.stdout.Target=System.err' log4j.properties > tools-log4j.properties
COPY --chmod=755 kafka-server-start.sh kafka-run-class.sh kafka-tool.sh /opt/kafka/bin/
RUN cd /opt/kafka/bin && for tool in topics console-producer console-consumer consumer-groups get-offsets; do \
      ln -s kafka-tool.sh "kafka-$tool.sh"; done
COPY --chmod=755 kafka-run /etc/kafka/docker/run
RUN chown -R appuser:appuser /opt/kafka /mnt/shared/config /usr/logs && chown -R appuser:root /var/lib/kafka /etc/kafka
USER appuser
EXPOSE 9092
VOLUME ["/etc/kafka/secrets", "/var/lib/kafka/data", "/mnt/shared/config"]
CMD ["/etc/kafka/docker/run"]
