#!/usr/bin/env bash
# Runs every function with `sam local invoke`, in containers, against a local AWS that has the whole sample mesh.
# Brings what is missing: a container engine (Debian's docker.io; that needs root) and, where the public base image of
# the Lambda runtime cannot be pulled, a stand-in made from this machine's own Python. Stops what it started.
set -euo pipefail
cd "$(dirname "$0")/.."

PYTHON=.venv/bin/python
STATE=$PWD/.local/sam-local
PULL_TIMEOUT=60 # seconds; an image that takes longer is not worth waiting for: the stand-in takes 15

say() { echo "sam-local: $*"; }
fail() {
  echo "sam-local: $*" >&2
  exit 1
}

[ -x "$PYTHON" ] || fail "run make setup first"
mkdir -p "$STATE"

# ── The engine ──────────────────────────────────────────────────────────────────────────────────────────────────
engine_answers() { docker info >/dev/null 2>&1; }

wait_for_engine() { # seconds
  local end=$((SECONDS + $1))
  until engine_answers; do
    [ "$SECONDS" -lt "$end" ] || return 1
    sleep 0.2
  done
}

install_engine() {
  command -v dockerd >/dev/null && return
  [ "$(id -u)" = 0 ] || fail "no container engine answers, and installing one needs root: start Docker, or run this as root"
  command -v apt-get >/dev/null || fail "no container engine answers, and there is no apt-get to install docker.io with"
  say "installing docker.io"
  DEBIAN_FRONTEND=noninteractive apt-get update -qq >"$STATE/apt.log" 2>&1 &&
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends docker.io iptables >>"$STATE/apt.log" 2>&1 ||
    fail "could not install docker.io:"$'\n'"$(tail -n 15 "$STATE/apt.log")"
}

start_engine() {
  wait_for_engine 2 && return # installing it may have started it
  [ "$(id -u)" = 0 ] || fail "Docker is installed but does not answer, and starting it needs root"
  if pgrep -x dockerd >/dev/null; then
    wait_for_engine 30 && return
    fail "a dockerd runs but does not answer: a second one beside it would break it, so this ends here"
  fi
  rm -f /var/run/docker.pid # of a dockerd that is gone
  say "starting dockerd"
  setsid dockerd >"$STATE/dockerd.log" 2>&1 </dev/null &
  OUR_DOCKERD=$!
  wait_for_engine 60 || fail "dockerd did not come up:"$'\n'"$(tail -n 15 "$STATE/dockerd.log")"
}

OUR_DOCKERD=
stop_what_we_started() {
  [ -n "$OUR_DOCKERD" ] || return 0
  say "stopping dockerd"
  kill "$OUR_DOCKERD" 2>/dev/null || true
  wait "$OUR_DOCKERD" 2>/dev/null || true
}
trap stop_what_we_started EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

if ! engine_answers; then
  install_engine
  start_engine
fi

# ── The base image ──────────────────────────────────────────────────────────────────────────────────────────────
VERSION=$("$PYTHON" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
case $(uname -m) in
  x86_64) PROCESSOR=x86_64 ;;
  aarch64 | arm64) PROCESSOR=arm64 ;;
  *) fail "Lambda has no processor like $(uname -m)" ;;
esac
IMAGE=public.ecr.aws/lambda/python:$VERSION-$PROCESSOR

if ! docker image inspect "$IMAGE" >/dev/null 2>&1; then
  if timeout "$PULL_TIMEOUT" docker pull -q "$IMAGE" >"$STATE/pull.log" 2>&1; then
    say "pulled $IMAGE"
  else
    say "$IMAGE cannot be pulled: building a stand-in from $("$PYTHON" -c 'import sys; print(sys.base_prefix)')"
    scripts/stand-in-image.sh "$PYTHON" "$IMAGE" "$STATE"
  fi
fi

# ── The functions ───────────────────────────────────────────────────────────────────────────────────────────────
BRIDGE=$(docker network inspect bridge -f '{{(index .IPAM.Config 0).Gateway}}')
"$PYTHON" scripts/sam_local.py --host-address "${BRIDGE:-172.17.0.1}" "$@"
