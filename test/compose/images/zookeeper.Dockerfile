# Stand-in for the image zookeeper:3.8.6: the ZooKeeper server of the embedded stack's jars, with the image's interface.
# Sources of this behaviour: https://github.com/31z4/zookeeper-docker/tree/master/3.8.6 (Dockerfile, docker-entrypoint.sh)
ARG BASE
FROM $BASE
ENV ZOO_CONF_DIR=/conf ZOO_DATA_DIR=/data ZOO_DATA_LOG_DIR=/datalog ZOO_LOG_DIR=/logs \
    ZOO_TICK_TIME=2000 ZOO_INIT_LIMIT=5 ZOO_SYNC_LIMIT=2 ZOO_AUTOPURGE_PURGEINTERVAL=0 ZOO_AUTOPURGE_SNAPRETAINCOUNT=3 \
    ZOO_MAX_CLIENT_CNXNS=60 ZOO_STANDALONE_ENABLED=true ZOO_ADMINSERVER_ENABLED=true
RUN groupadd -r zookeeper --gid=1000 && useradd -r -g zookeeper --uid=1000 zookeeper \
 && mkdir -p /conf /data /datalog /logs /apache-zookeeper/bin \
 && chown zookeeper:zookeeper /conf /data /datalog /logs \
 && rm -f /usr/bin/redis-* /usr/bin/curl
COPY --from=jars / /apache-zookeeper/lib/
COPY log4j.properties /apache-zookeeper/log/
COPY --chmod=755 zkServer.sh /apache-zookeeper/bin/
COPY --chmod=755 zookeeper-entrypoint.sh /docker-entrypoint.sh
WORKDIR /apache-zookeeper
VOLUME ["/data", "/datalog", "/logs"]
EXPOSE 2181 2888 3888 8080
ENV PATH=$PATH:/apache-zookeeper/bin ZOOCFGDIR=/conf
ENTRYPOINT ["/docker-entrypoint.sh"]
CMD ["zkServer.sh", "start-foreground"]
