# Stand-in for the image clickhouse/clickhouse-server:26.3: ClickHouse as the library that the embedded stack runs,
# with the image's interface. Sources of this behaviour: https://github.com/ClickHouse/ClickHouse/tree/26.3/docker/server
# (Dockerfile.ubuntu, entrypoint.sh, docker_related_config.xml) and programs/server/config.xml, users.xml
ARG BASE
FROM $BASE
# The base image's package redis-server uses these ids. In the real image, the volume's files belong to 101.
RUN userdel redis; groupdel redis; groupadd -r clickhouse --gid=101 && useradd -r -g clickhouse --uid=101 --home-dir=/var/lib/clickhouse --shell=/bin/bash clickhouse \
 && mkdir -p /var/lib/clickhouse /var/log/clickhouse-server /etc/clickhouse-server/config.d /etc/clickhouse-server/users.d /docker-entrypoint-initdb.d \
 && rm -rf /usr/lib/jvm /usr/bin/java /usr/bin/redis-* /usr/bin/curl /usr/bin/nc /bin/nc
COPY --from=libraries / /opt/stand-in/
COPY --from=node / /opt/stand-in/
COPY --from=jiti / /opt/stand-in/node_modules/jiti/
COPY clickhouse-config.xml /etc/clickhouse-server/config.xml
COPY clickhouse-users.xml /etc/clickhouse-server/users.xml
COPY clickhouse-docker-config.xml /etc/clickhouse-server/config.d/docker_related_config.xml
COPY --from=scripts / /opt/stand-in/lib/
COPY --chmod=755 clickhouse-server clickhouse-client /usr/bin/
COPY --chmod=755 clickhouse-entrypoint.sh /entrypoint.sh
RUN chmod -R ugo+Xrw /var/lib/clickhouse /var/log/clickhouse-server /etc/clickhouse-server
ENV LANG=C.UTF-8 TZ=UTC CLICKHOUSE_CONFIG=/etc/clickhouse-server/config.xml
EXPOSE 9000 8123 9009
VOLUME /var/lib/clickhouse
ENTRYPOINT ["/entrypoint.sh"]
