#!/bin/sh
# Runs one client in the network, mount and process namespaces that it is started in (see tests/src/clients/sandbox.rs):
# only loopback, own hosts file and certificates, own home, the AI endpoint on 127.0.0.1. Nothing of the host changes.
#
#   sandbox.sh DIR ENDPOINT HOSTS SECONDS WEB_SOCKETS COMMAND...
#
# DIR gets: home/ (kept between runs of a client), ca.pem, bundle.pem, trace.jsonl (what the endpoint saw), out, err.
# The exit code is the client's; 124 when it was ended for being late.
set -u
dir=$1 endpoint=$2 hosts=$3 seconds=$4 web_sockets=$5
shift 5

fail() { echo "sandbox: $*" >&2; exit 125; }

mount --make-rprivate / || fail "private mounts"
ip link set lo up || fail "loopback"
{
    echo "127.0.0.1 localhost"
    for name in $hosts; do echo "127.0.0.1 $name"; done
} >"$dir/hosts"
mount --bind "$dir/hosts" /etc/hosts || fail "hosts"
# Nobody answers there: a name that is not in the file is unknown at once, not after a time-out.
echo "nameserver 127.0.0.1" >"$dir/resolv.conf"
mount --bind "$dir/resolv.conf" /etc/resolv.conf || fail "resolv.conf"

# Of an earlier run in this folder.
rm -f "$dir/endpoint.out" "$dir/ca.pem" "$dir/trace.jsonl"
names=
for name in $hosts; do names="$names --host $name"; done
# shellcheck disable=SC2086 # names are host names
"$endpoint" --listen 127.0.0.1:443 --plain 127.0.0.1:11434 --ca-file "$dir/ca.pem" --http2 \
    --web-sockets "$web_sockets" --trace "$dir/trace.jsonl" $names --host localhost >"$dir/endpoint.out" 2>"$dir/endpoint.err" &
server=$!
tries=0
until grep -q listening "$dir/endpoint.out" 2>/dev/null; do
    kill -0 $server 2>/dev/null || fail "endpoint: $(cat "$dir/endpoint.err")"
    tries=$((tries + 1))
    [ $tries -lt 200 ] || fail "the endpoint is late"
    sleep 0.05
done

bundle=/etc/ssl/certs/ca-certificates.crt
cat $bundle "$dir/ca.pem" >"$dir/bundle.pem"
mount --bind "$dir/bundle.pem" $bundle || fail "certificates"

mkdir -p "$dir/home"
cd "$dir/home" || fail "home"
export HOME="$dir/home" TMPDIR="$dir/home" XDG_RUNTIME_DIR="$dir/home" OBSERVER_CA="$dir/ca.pem"
export SSL_CERT_FILE="$dir/bundle.pem" REQUESTS_CA_BUNDLE="$dir/bundle.pem" CURL_CA_BUNDLE="$dir/bundle.pem"
export NODE_EXTRA_CA_CERTS="$dir/ca.pem" DENO_TLS_CA_STORE=system GIT_SSL_CAINFO="$dir/bundle.pem"
export GRPC_DEFAULT_SSL_ROOTS_FILE_PATH="$dir/bundle.pem" PYTHONDONTWRITEBYTECODE=1
timeout --kill-after=2 "$seconds" "$@" </dev/null >"$dir/out" 2>"$dir/err"
