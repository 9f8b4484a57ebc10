#!/bin/sh
# The contract of the real image's entrypoint: an option or a .conf file means redis-server; as root it becomes user redis
# for redis-server only, after taking the data folder over; further options come after the caller's arguments.
set -e
case "$1" in -* | *.conf) set -- redis-server "$@" ;; esac
if [ "$(command -v "$1")" = /usr/local/bin/redis-server ] && [ "$(id -u)" = 0 ]; then
  find . \! -user redis -exec chown redis {} +
  exec setpriv --reuid redis --regid redis --clear-groups --nnp --inh-caps=-all --bounding-set=-all "$0" "$@"
fi
# Files that the server makes are its own alone.
umask 0077
# The real one appends `--loadmodule FILE` for each of its modules here, so no caller's argument may rely on being the last.
[ "$(command -v "$1")" != /usr/local/bin/redis-server ] || set -- "$@" --set-proc-title yes
exec "$@"
