#!/bin/sh
# Behaves like the real image's entrypoint: an option or a .conf file means redis-server. Started as root for redis-server, it
# changes the owner of the data folder and switches to user redis. Appends options to the caller's arguments.
set -e
case "$1" in -* | *.conf) set -- redis-server "$@" ;; esac
if [ "$(command -v "$1")" = /usr/local/bin/redis-server ] && [ "$(id -u)" = 0 ]; then
  find . \! -user redis -exec chown redis {} +
  exec setpriv --reuid redis --regid redis --clear-groups --nnp --inh-caps=-all --bounding-set=-all "$0" "$@"
fi
# Only the server's user can read the files that it creates.
umask 0077
# The real one appends `--loadmodule FILE` for each of its modules here, so callers must not rely on an argument being the last.
[ "$(command -v "$1")" != /usr/local/bin/redis-server ] || set -- "$@" --set-proc-title yes
exec "$@"
