#!/bin/bash
# Behaves like the real image's entrypoint. Started as root, it changes the owner of the data folder to user 101 and switches
# to that user. With CLICKHOUSE_USER set, it removes `default` and creates that user, allowed from every address. If the data
# folder has no `data/`, it starts a server on 127.0.0.1 only, creates CLICKHOUSE_DB, runs the files of
# /docker-entrypoint-initdb.d in glob order and stops at the first failure, which leaves the folder partly initialized.
set -eo pipefail
shopt -s nullglob
if [ $# -gt 0 ] && [[ $1 != --* ]]; then exec "$@"; fi
data=/var/lib/clickhouse
CLICKHOUSE_USER=${CLICKHOUSE_USER:-default}
become=()
if [ "$(id -u)" = 0 ]; then
  become=(gosu clickhouse)
  [ "$(stat -c %u $data)" = 101 ] || chown -R clickhouse:clickhouse $data
fi
cd $data
if [ "$CLICKHOUSE_USER" != default ] || [ -n "$CLICKHOUSE_PASSWORD" ]; then
  echo "$0: create new user '$CLICKHOUSE_USER' instead 'default'"
  # Unlike in the real image, `default` remains, because the library's session requires it: on loopback inside the container,
  # with no privilege except to open the ports.
  cat > /etc/clickhouse-server/users.d/default-user.xml <<END
<clickhouse><users>
  <default replace="1"><password/><networks><ip>127.0.0.1</ip></networks><profile>default</profile><quota>default</quota>
    <grants><query>GRANT SYSTEM LISTEN ON *.*</query></grants></default>
  <${CLICKHOUSE_USER}>
    <profile>default</profile><networks><ip>::/0</ip></networks><quota>default</quota>
    <password><![CDATA[${CLICKHOUSE_PASSWORD//]]>/]]]]><![CDATA[>}]]></password>
    <access_management>${CLICKHOUSE_DEFAULT_ACCESS_MANAGEMENT:-0}</access_management>
  </${CLICKHOUSE_USER}>
</users></clickhouse>
END
fi
if [ -d $data/data ]; then
  echo 'ClickHouse Database directory appears to contain a database; Skipping initialization'
else
  "${become[@]}" clickhouse-server --config-file="$CLICKHOUSE_CONFIG" -- --listen_host=127.0.0.1 &
  server=$!
  tries=${CLICKHOUSE_INIT_TIMEOUT:-1000}
  until wget --spider -T 1 -q http://127.0.0.1:8123/ping; do
    if (( tries-- <= 0 )) || ! kill -0 $server; then echo >&2 'ClickHouse init process timeout.'; exit 1; fi
    sleep 1
  done
  client=(clickhouse-client --multiquery --host 127.0.0.1 -u "$CLICKHOUSE_USER" --password "$CLICKHOUSE_PASSWORD")
  [ -z "$CLICKHOUSE_DB" ] || "${client[@]}" -q "CREATE DATABASE IF NOT EXISTS $CLICKHOUSE_DB"
  for file in /docker-entrypoint-initdb.d/*; do
    case $file in
      *.sh) echo "$0: running $file"; if [ -x "$file" ]; then "$file"; else . "$file"; fi ;;
      *.sql) echo "$0: running $file"; "${client[@]}" < "$file" ;;
      *) echo "$0: ignoring $file" ;;
    esac
  done
  if ! kill -TERM $server || ! wait $server; then echo >&2 'Finishing of ClickHouse init process failed.'; exit 1; fi
fi
exec "${become[@]}" clickhouse-server --config-file="$CLICKHOUSE_CONFIG" "$@"
