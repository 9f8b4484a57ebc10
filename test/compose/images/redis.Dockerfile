# Stand-in for the image redis:8.10.1-alpine: the system's redis-server, with the image's interface.
# Sources of this behaviour: https://github.com/redis/docker-library-redis/tree/release/8.10/alpine (Dockerfile, docker-entrypoint.sh)
ARG BASE
FROM $BASE
# The package's user has another id. In the real image, the volume's files belong to 999.
RUN userdel redis && (groupdel redis || true) && groupadd -r -g 1000 redis && useradd -r -g redis -u 999 redis \
 && mv /usr/bin/redis-check-rdb /usr/local/bin/redis-server && ln -s /usr/bin/redis-cli /usr/local/bin/redis-cli \
 && mkdir /data && chown redis:redis /data && rm -f /usr/bin/redis-server
COPY --chmod=755 redis-entrypoint.sh /usr/local/bin/docker-entrypoint.sh
# As on Alpine, sh and the small tools are busybox's, and there is no bash, curl or Java.
RUN for tool in nc sed grep find head tail tr; do ln -sf /bin/busybox "$(command -v $tool)"; done \
 && rm -rf /usr/lib/jvm /usr/bin/java /etc/alternatives/java /usr/sbin/gosu /usr/bin/curl \
 && ln -sf busybox /bin/sh && rm -f /bin/bash
WORKDIR /data
EXPOSE 6379
ENTRYPOINT ["docker-entrypoint.sh"]
CMD ["redis-server"]
