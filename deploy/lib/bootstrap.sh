# shellcheck shell=bash
# What both commands need before any Python of ours can run: Debian packages, a virtual environment by hash, accounts, a Docker engine.
# Each step says what it did and how long it took; each is quick when nothing is missing.

REPO=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
PYTHON=/usr/bin/python3
QUIET=${QUIET:-}

now() { date +%s%N; }
seconds_since() { local ms=$((($(now) - $1) / 1000000)); printf '%d.%d s' $((ms / 1000)) $((ms % 1000 / 100)); }
tty() { [ -t 2 ] && [ -z "$QUIET" ]; }
say() { [ -n "$QUIET" ] || printf '  %-13s %s\n' "$1" "$2" >&2; }
die() { printf '%s\n' "$*" >&2; exit 4; }

# bar NAME PERCENT TEXT: a progress bar on one line; silent in a pipe
bar() {
  tty || return 0
  local filled=$(($2 / 5)) full='████████████████████' empty='░░░░░░░░░░░░░░░░░░░░'
  printf '\r  %-13s %s%s  %3d %%  %.40s\033[K' "$1" "${full:0:filled}" "${empty:filled}" "$2" "$3" >&2
}
clear_bar() { if tty; then printf '\r\033[K' >&2; fi; }

is_root() { [ "$(id -u)" = 0 ]; }

missing_packages() {
  local package
  for package in "$@"; do
    [ "$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || printf '%s ' "$package"
  done
}

# install_packages NAME...: what is missing from Debian's archive, with apt's own progress
install_packages() {
  local wanted begun log status
  wanted=$(missing_packages "$@")
  [ -n "$wanted" ] || return 0
  is_root || die "These Debian packages are missing and only root can install them:  apt-get install $wanted"
  begun=$(now)
  log=$(mktemp)
  bar packages 0 "reading the archive's lists"
  apt-get update -qq >"$log" 2>&1 || { clear_bar; cat "$log" >&2; die "apt-get update failed (above); without Debian's archive nothing can be installed."; }
  # shellcheck disable=SC2086  # a list of names
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends -o APT::Status-Fd=3 $wanted 3>&1 >"$log" 2>&1 |
    while IFS=: read -r kind _ percent text; do
      case $kind in dlstatus) bar packages "$((${percent%%.*} / 2))" "$text" ;; pmstatus) bar packages "$((50 + ${percent%%.*} / 2))" "$text" ;; esac
    done
  status=${PIPESTATUS[0]}
  clear_bar
  [ "$status" = 0 ] || { tail -n 20 "$log" >&2; die "apt-get could not install: $wanted"; }
  rm -f "$log"
  say packages "$wanted  $(seconds_since "$begun")"
}

# make_venv FOLDER REQUIREMENTS: a virtual environment whose every package has a pinned hash, and our own code in it
make_venv() {
  local folder=$1 requirements=$2 begun stamp index args=()
  stamp=$(cd "$REPO" && { cat "$requirements" pyproject.toml && [ -n "${EDITABLE:-}" ] || find reprove service workers pyproject.toml -type f ! -path '*/__pycache__/*' -print0 | sort -z | xargs -0 sha256sum; } | sha256sum | cut -c1-16)
  [ "$(cat "$folder/stamp" 2>/dev/null)" = "$stamp" ] && return 0
  begun=$(now)
  bar python 5 "virtual environment"
  [ -x "$folder/bin/python" ] || $PYTHON -m venv "$folder" || die "python3 -m venv failed: install the Debian package python3-venv."
  if ! cmp -s "$REPO/$requirements" "$folder/requirements.txt"; then
    bar python 15 "uv"
    sed -n '/^uv==/,/[^\\]$/p' "$REPO/$requirements" >"$folder/uv.txt"
    "$folder/bin/pip" install -q --disable-pip-version-check --no-deps --require-hashes -r "$folder/uv.txt" || die "pip could not install uv from the package index of its own configuration."
    index=$("$folder/bin/pip" config get global.index-url 2>/dev/null || true)
    index=${PIP_INDEX_URL:-$index}
    [ -z "$index" ] || args=(--default-index "$index")
    bar python 35 "packages by hash"
    SSL_CERT_FILE=${SSL_CERT_FILE:-/etc/ssl/certs/ca-certificates.crt} "$folder/bin/uv" pip install -q --no-config --compile-bytecode "${args[@]}" \
      --python "$folder/bin/python" --require-hashes -r "$REPO/$requirements" || die "uv could not install the packages of $requirements (above)."
    cp "$REPO/$requirements" "$folder/requirements.txt"
  fi
  bar python 85 "our own code"
  install_own_code "$folder"
  echo "$stamp" >"$folder/stamp"
  clear_bar
  say python "$(basename "$folder"), $(grep -c == "$REPO/$requirements") packages by hash  $(seconds_since "$begun")"
}

# install_own_code FOLDER: a copy of the code that only root can change (DESIGN section 4); built from a copy, so that the tree stays clean
install_own_code() {
  local copy
  if [ -n "${EDITABLE:-}" ]; then
    "$1/bin/uv" pip install -q --no-config --offline --no-deps --no-build-isolation --python "$1/bin/python" -e "$REPO" || die "could not install our own code (above)."
    return
  fi
  copy=$(mktemp -d)
  cp -r "$REPO"/{reprove,service,workers,pyproject.toml,README.md} "$copy/"
  find "$copy" -name __pycache__ -prune -exec rm -rf {} +
  "$1/bin/uv" pip install -q --no-config --compile-bytecode --offline --no-deps --no-build-isolation --reinstall-package reprove --python "$1/bin/python" "$copy" || die "could not install our own code (above)."
  rm -rf "$copy"
}

engine_answers() { timeout 10 docker info >/dev/null 2>&1; }

# start_engine: only where no engine answers; a second one would delete the first one's bridge
start_engine() {
  local begun pid version
  engine_answers && return 0
  is_root || die "No Docker engine answers, and only root can start one:  dockerd"
  begun=$(now)
  if [ -d /run/systemd/system ]; then
    systemctl start docker || die "systemctl start docker failed; see  journalctl -u docker"
  else
    for pid in /var/run/docker.pid /run/docker/containerd/containerd.pid; do
      if [ -f "$pid" ] && ! grep -qE 'docker|containerd' "/proc/$(cat "$pid")/comm" 2>/dev/null; then rm -f "$pid"; fi
    done
    pgrep -x dockerd >/dev/null && die "A dockerd runs but does not answer; look at it before starting Reprove."
    setsid nohup dockerd >/var/log/reprove-dockerd.log 2>&1 </dev/null &
  fi
  for second in $(seq 1 40); do
    engine_answers && break
    bar docker $((second * 2)) "starting the engine"
    sleep 1
  done
  clear_bar
  engine_answers || die "The Docker engine did not start within 40 s; see /var/log/reprove-dockerd.log"
  version=$(docker version -f '{{.Server.Version}}')
  say docker "engine $version started (nobody answered)  $(seconds_since "$begun")"
}

# make_accounts: one Unix user for each process, so that each holds only its own secrets
make_accounts() {
  local group user
  for group in reprove-records reprove-sockets reprove-submit; do
    getent group $group >/dev/null || groupadd --system $group
  done
  while read -r user groups; do
    id "$user" >/dev/null 2>&1 || useradd --system --user-group --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin ${groups:+--groups "$groups"} "$user"
  done <<'ACCOUNTS'
reprove-redis reprove-sockets
reprove-api reprove-records
reprove-workerapi reprove-records
reprove-scheduler reprove-records
reprove-resolver
reprove-proxy reprove-sockets
reprove-attester reprove-records,reprove-submit
reprove-sequencer reprove-sockets,reprove-submit
reprove-witness
ACCOUNTS
}
