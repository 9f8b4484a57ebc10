#!/bin/bash
# Installs a real engine with Compose v2 on a machine without Docker, for `npm run test:compose`. Needs Debian 12 or newer and
# root.
#
#   eval "$(test/compose/install-engine.sh start)"   installs missing packages, starts a dedicated engine and sets DOCKER_HOST
#                                                    to it. Does nothing if an engine is already running. Sets
#                                                    L2_ENGINE_STARTED only if it started an engine
#   test/compose/install-engine.sh stop              stops the engine that `start` started and deletes its images and data
#
# The engine listens on a dedicated socket, so only shells that evaluated the line above use it. Progress goes to stderr.
# Exit codes: 0 done, 2 invalid usage, 3 the engine cannot be installed or started here.
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
  apt=(apt-get -qq -o Acquire::Retries=3)
  "${apt[@]}" update >&2 || log 'Some package lists could not be downloaded; continuing without them'
  # Debian 12 has Compose 1 and Engine 20.10. These packages of Debian 13 depend on nothing else of Debian 13, so an apt that
  # reads only its list downloads their files, and the system's own sources provide their dependencies. Nothing else is upgraded.
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

# Prints the process id of the engine that `start` started. Fails if it has exited, even if another process now has its id.
engine_pid() {
  local pid
  pid=$(cat "$folder/dockerd.pid" 2> /dev/null) && [ -r "/proc/$pid/cmdline" ] || return 1
  tr '\0' ' ' < "/proc/$pid/cmdline" | grep -qF -- "--data-root $folder/data " || return 1
  echo "$pid"
}

end_engine() { # PID
  kill -TERM "$1" 2> /dev/null || true
  for ((tries = 0; tries < 150; tries++)); do
    kill -0 "$1" 2> /dev/null || return 0
    sleep 0.2
  done
  log "The engine (process $1) did not stop within 30 s"
  return 3
}

clear_away() {
  if [ -e "$folder/made-bridge" ] && [ -e /sys/class/net/docker0 ]; then
    ip link delete docker0 2> /dev/null || log 'Cannot delete the bridge docker0'
  fi
  # A killed engine leaves its mounts behind.
  cut -d ' ' -f 2 /proc/mounts | { grep -F -- "$folder/" || true; } | tac | xargs -r umount || log "Cannot unmount all mounts in $folder"
  rm -rf "$folder"
}

answers() { DOCKER_HOST=$socket timeout 20 docker info > /dev/null 2>&1; }

case ${1:-} in
  start)
    if timeout 20 docker info > /dev/null 2>&1 && docker compose version > /dev/null 2>&1; then
      log "A Docker Engine is already running: $(docker version --format '{{.Server.Version}}')"
      exit 0
    fi
    install_missing
    [ "$(id -u)" = 0 ] || fail 'not root'
    started=
    if ! answers; then
      ! pid=$(engine_pid) || fail "the one from an earlier start (process $pid) does not answer; stop it with: $0 stop"
      # `stop` deletes the folder with everything in it.
      [ -e "$folder/dockerd.log" ] || [ -z "$(ls -A "$folder" 2> /dev/null)" ] || fail "$folder contains other files"
      mkdir -p "$folder"
      # Left behind by a killed engine. The new engine would not start if another process now has this id.
      rm -f "$folder/dockerd.pid"
      # The bridge is all that an engine leaves behind outside the folder.
      [ -e /sys/class/net/docker0 ] || touch "$folder/made-bridge"
      dockerd --host "$socket" --data-root "$folder/data" --exec-root "$folder/run" --pidfile "$folder/dockerd.pid" \
        > "$folder/dockerd.log" 2>&1 < /dev/null &
      started=$!
      trap 'end_engine $started && clear_away' EXIT
      for ((tries = 0; tries < 150; tries++)); do
        answers && break
        kill -0 "$started" 2> /dev/null || break
        sleep 0.2
      done
      answers || fail "$(tail -3 "$folder/dockerd.log")"
    fi
    log "Docker Engine $(DOCKER_HOST=$socket docker version --format '{{.Server.Version}}')," \
      "Compose $(docker compose version --short), socket $socket, log $folder/dockerd.log"
    trap - EXIT
    echo "export DOCKER_HOST=$socket${started:+ L2_ENGINE_STARTED=$started}"
    ;;
  stop)
    [ -f "$folder/dockerd.log" ] || exit 0
    if pid=$(engine_pid); then end_engine "$pid" || exit 3; fi
    clear_away
    ;;
  *)
    log "Usage: $0 start|stop"
    exit 2
    ;;
esac
