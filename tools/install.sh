# shellcheck shell=bash
# What ./run and ./test share: saying things, installing what is missing, building the pages.
# Sourced from the repository root with `set -euo pipefail` in force.

say() { printf '\033[1mrushlight:\033[0m %s\n' "$*" >&2; }
die() {
  printf '\033[1;31mrushlight: %s\033[0m\n' "$*" >&2
  exit 1
}

has() { command -v "$1" >/dev/null 2>&1; }

# version_at_least HAVE WANT: compares dotted versions.
version_at_least() { [ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n1)" = "$2" ]; }

as_root() {
  if [ "$(id -u)" = 0 ]; then
    "$@"
  elif has sudo; then
    sudo "$@"
  else
    return 1
  fi
}

apt_missing() {
  local package
  for package in "$@"; do
    [ "$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || printf '%s\n' "$package"
  done
}

apt_get() { as_root env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 "$@" </dev/null; }

# apt_install PACKAGE...: installs those that are missing; fails if any cannot be had.
apt_install() {
  local missing
  mapfile -t missing < <(apt_missing "$@")
  [ "${#missing[@]}" = 0 ] && return 0
  has apt-get || return 1
  if [ "$(id -u)" != 0 ] && ! has sudo; then return 1; fi
  say "installing ${missing[*]}"
  if [ -z "${apt_lists_fresh:-}" ]; then
    apt_get update -qq >/dev/null || say "apt-get update failed; trying with the package lists at hand"
    apt_lists_fresh=1
  fi
  apt_get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

rust_wanted() { sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml; }

rust_is_enough() {
  has cargo && has rustc && version_at_least "$(rustc --version 2>/dev/null | awk '{ print $2 }')" "$(rust_wanted)"
}

ensure_build_tools() {
  if ! has cc || ! has curl; then
    apt_install build-essential curl ca-certificates ||
      die "a C compiler and curl are needed and could not be installed; run: apt-get install build-essential curl"
  fi
}

ensure_rust() {
  export PATH="${CARGO_HOME:-$HOME/.cargo}/bin:$PATH"
  rust_is_enough && return 0
  if ! has rustup && apt-cache show rustup >/dev/null 2>&1; then
    apt_install rustup || true
  fi
  if has rustup; then
    say "installing the current Rust with rustup"
    rustup toolchain install stable --profile minimal -c clippy -c rustfmt && rustup default stable
  else
    say "installing rustup and the current Rust"
    curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- -y --profile minimal -c clippy -c rustfmt
  fi || die "Rust $(rust_wanted) or newer is needed and could not be installed; see https://rustup.rs"
  hash -r
  rust_is_enough || die "Rust $(rust_wanted) or newer is needed, but 'rustc --version' says: $(rustc --version 2>&1)"
}

# What the engine links: the codecs of FFmpeg, and what reads their headers.
codec_packages=(libavcodec-dev libavutil-dev libswscale-dev libswresample-dev clang libclang-dev pkg-config)

# ensure_codecs: fails if they cannot be had. FFmpeg 4.2 is the oldest that the bindings know.
ensure_codecs() {
  has pkg-config && has clang && pkg-config --exists libavcodec libswscale libswresample && return 0
  say "installing the codecs of FFmpeg, for transcoding"
  apt_install "${codec_packages[@]}"
}

node_wanted=18

ensure_node() {
  if ! has node || ! has npm; then
    apt_install nodejs npm || die "Node.js $node_wanted or newer with npm is needed and could not be installed"
    hash -r
  fi
  version_at_least "$(node --version | tr -d v)" "$node_wanted" ||
    die "Node.js $node_wanted or newer is needed, but this is $(node --version); see https://nodejs.org"
}

# sources_hash FOLDER: one hash over every source file below it.
sources_hash() {
  find "$1" -type d \( -name node_modules -o -name dist \) -prune -o -type f -print0 |
    sort -z | xargs -0 sha256sum | sha256sum | cut -d' ' -f1
}

# npm_install FOLDER: `npm ci` where the lock file changed since the last time.
npm_install() {
  local stamp="$1/node_modules/.installed" lock
  lock=$(sha256sum "$1/package-lock.json" | cut -d' ' -f1)
  [ "$(cat "$stamp" 2>/dev/null)" = "$lock" ] && return 0
  say "installing the npm packages of $1"
  (cd "$1" && npm ci --no-audit --no-fund --loglevel=error </dev/null) || return 1
  printf '%s\n' "$lock" >"$stamp"
}

# build_web: web/dist from web/, where a source changed since the last time.
build_web() {
  local stamp=web/node_modules/.built hash
  hash=$(sources_hash web)
  if [ "$(cat "$stamp" 2>/dev/null)" = "$hash" ] && [ -n "$(ls -A web/dist 2>/dev/null)" ]; then return 0; fi
  ensure_node
  npm_install web || die "npm ci failed in web/"
  say "building the pages"
  (cd web && npm run --silent build </dev/null >&2) || die "npm run build failed in web/"
  printf '%s\n' "$hash" >"$stamp"
}
