#!/bin/bash
# Gives a machine without Docker a real engine with Compose v2, for `npm run test:compose`: Debian 12 or newer, as root.
#
#   eval "$(test/compose/install-engine.sh start)"   installs what is missing, starts an engine of its own and names it in
#                                                    DOCKER_HOST; leaves an engine that already answers as it is
#   test/compose/install-engine.sh stop              stops the engine that `start` started and deletes its images and data
#
# The engine listens on a socket of its own, so that only who evaluated the line above finds it. Progress goes to stderr.
# Exit codes: 0 done, 2 wrong use, 3 the engine cannot be installed or started here.
set -euo pipefail
folder=${L2_ENGINE_FOLDER:-/var/lib/l2-test-engine}
socket=unix://$folder/docker.sock
log() { echo "$*" >&2; }
fail() { log "Cannot start a Docker Engine: $*"; exit 3; }

install_missing() {
  local missing=()
  command -v dockerd > /dev/null || missing+=(docker.io)
  command -v docker > /dev/null || missing+=(docker-cli)
  docker compose version > /dev/null 2>&1 && docker-compose version > /dev/null 2>&1 || missing+=(docker-compose)
  docker buildx version > /dev/null 2>&1 || missing+=(docker-buildx)
  command -v debootstrap > /dev/null || missing+=(debootstrap)
  [ ${#missing[@]} -gt 0 ] || return 0
  [ "$(id -u)" = 0 ] || fail "not root, and missing: ${missing[*]}"
  log "Installing ${missing[*]}"
  local files apt
  files=$(mktemp -d)
  apt=(apt-get -qq)
  "${apt[@]}" update >&2 || log 'Some package lists could not be read; trying with the rest'
  # Debian 12 has Compose 1 and Engine 20.10. These packages of Debian 13 need nothing else of it, so their files are fetched
  # by an apt that reads only its list, and the system's own sources serve their dependencies: nothing else is upgraded.
  if [ "$(apt-cache policy docker-compose | sed -n 's/ *Candidate: \([0-9]*\).*/\1/p')" = 1 ]; then
    local mirror
    mirror=$(cat /etc/apt/sources.list /etc/apt/sources.list.d/debian.sources 2> /dev/null |
      sed -nE 's#^(URIs:|deb( \[.*\])?) *(https?://[^ ]*/debian)/?( .*)?$#\3#p' | head -1) || true
    [ -n "$mirror" ] || fail 'no Debian mirror is configured'
    mkdir -p "$files/lists/partial"
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror trixie main" \
      > "$files/trixie.list"
    local newer=("${apt[@]}" -o Dir::Etc::sourcelist="$files/trixie.list" -o Dir::Etc::sourceparts=-
      -o Dir::State::lists="$files/lists" -o Acquire::Languages=none -o APT::Sandbox::User=root)
    "${newer[@]}" update >&2
    local package
    for package in "${!missing[@]}"; do
      [ "${missing[package]}" = debootstrap ] && continue
      (cd "$files" && "${newer[@]}" download "${missing[package]}" >&2) || fail "cannot download ${missing[package]}"
      missing[package]=$(ls "$files/${missing[package]}"_*.deb)
    done
  fi
  chmod -R a+rX "$files"
  DEBIAN_FRONTEND=noninteractive "${apt[@]}" install -y --no-install-recommends "${missing[@]}" >&2 ||
    fail "apt-get install ${missing[*]} failed"
  rm -r "$files"
}

case ${1:-} in
  start)
    if docker info > /dev/null 2>&1 && docker compose version > /dev/null 2>&1; then
      log "A Docker Engine already answers: $(docker version --format '{{.Server.Version}}')"
      exit 0
    fi
    install_missing
    [ "$(id -u)" = 0 ] || fail 'not root'
    mkdir -p "$folder"
    if ! DOCKER_HOST=$socket docker info > /dev/null 2>&1; then
      # Its bridge is the one trace that it would leave behind.
      [ -e /sys/class/net/docker0 ] || touch "$folder/made-bridge"
      dockerd --host "$socket" --data-root "$folder/data" --exec-root "$folder/run" --pidfile "$folder/dockerd.pid" \
        > "$folder/dockerd.log" 2>&1 < /dev/null &
      for ((tries = 0; tries < 150; tries++)); do
        DOCKER_HOST=$socket docker info > /dev/null 2>&1 && break
        kill -0 $! 2> /dev/null || break
        sleep 0.2
      done
      DOCKER_HOST=$socket docker info > /dev/null 2>&1 || fail "$(tail -3 "$folder/dockerd.log")"
    fi
    log "Docker Engine $(DOCKER_HOST=$socket docker version --format '{{.Server.Version}}')," \
      "Compose $(docker compose version --short), socket $socket, log $folder/dockerd.log"
    echo "export DOCKER_HOST=$socket"
    ;;
  stop)
    [ -f "$folder/dockerd.pid" ] || exit 0
    pid=$(cat "$folder/dockerd.pid")
    kill -TERM "$pid" 2> /dev/null || true
    for ((tries = 0; tries < 150; tries++)); do
      kill -0 "$pid" 2> /dev/null || break
      sleep 0.2
    done
    kill -0 "$pid" 2> /dev/null && { log "The engine (process $pid) did not stop within 30 s"; exit 3; }
    [ ! -e "$folder/made-bridge" ] || ip link delete docker0 2> /dev/null || log 'The bridge docker0 stays'
    rm -rf "$folder"
    ;;
  *)
    log "Usage: $0 start|stop"
    exit 2
    ;;
esac
