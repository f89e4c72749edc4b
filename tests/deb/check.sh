#!/usr/bin/env bash
# The package on a Debian with systemd, for real: install, doctor, start, upgrade, remove, purge.
# Started by `cargo xtask deb --check` as root: check.sh FOLDER FIRST.deb SECOND.deb
# FOLDER keeps a debootstrap root between runs. Nothing else of this machine is touched; what is started here is ended here.
set -euo pipefail
folder=$1 first=$2 second=$3
base=$folder/systemd-base root=$folder/systemd-root port=19464
machine=obs$$ lead=

say() { echo "[deb] $*" >&2; }
fail() {
    say "FAILED: $*"
    inside journalctl --no-pager -q -u observer -n 30 >&2 || true
    exit 1
}
inside() { nsenter -t "$lead" -a --root --wd=/ "$@"; }
expect() { # what, wanted, got
    [ "$2" = "$3" ] || fail "$1: expected '$2', got '$3'"
}

if [ ! -e "$base/etc/debian_version" ]; then
    say "debootstrap with systemd"
    debootstrap --variant=minbase --include=systemd,systemd-sysv,dbus bookworm "$base" http://deb.debian.org/debian >&2
fi
rm -rf "$root"
cp -a "$base" "$root"
cp "$first" "$root/first.deb"
cp "$second" "$root/second.deb"

# A terminal is needed, and its own filter for system calls refuses bpf(2).
capabilities=CAP_BPF,CAP_PERFMON,CAP_SYS_ADMIN,CAP_SYS_PTRACE,CAP_DAC_READ_SEARCH,CAP_CHECKPOINT_RESTORE
setsid script -qec "env SYSTEMD_SECCOMP=0 systemd-nspawn -q -D $root --register=no --keep-unit -M $machine --capability=$capabilities -b" \
    /dev/null < /dev/null > "$folder/nspawn.log" 2>&1 &
terminal=$!
stop() {
    if [ -n "$lead" ]; then
        inside systemctl poweroff --no-wall > /dev/null 2>&1 || true
        for _ in $(seq 100); do [ -e "/proc/$lead" ] || break; sleep 0.1; done
        [ ! -e "/proc/$lead" ] || kill -KILL "$lead" 2> /dev/null || true
    fi
    wait "$terminal" 2> /dev/null || true
    rmdir /sys/fs/cgroup/{unified,systemd}/{payload,supervisor} 2> /dev/null || true
}
trap stop EXIT

for _ in $(seq 300); do
    nspawn=$(pgrep -f "^systemd-nspawn .*-M $machine " | tail -1 || true)
    [ -z "$nspawn" ] || lead=$(pgrep -P "$nspawn" | tail -1 || true)
    [ -n "$lead" ] && inside systemctl is-system-running 2> /dev/null | grep -qE 'running|degraded' && break
    sleep 0.1
done
[ -n "$lead" ] || { say "the system did not boot:"; cat "$folder/nspawn.log" >&2; exit 1; }
say "booted systemd $(inside systemctl --version | sed -n '1s/systemd \([0-9]*\).*/\1/p')"

say "install"
inside dpkg -i /first.deb > /dev/null
inside observer --version >&2
expect "enabled by the installation" disabled "$(inside systemctl is-enabled observer || true)"
expect "running after the installation" inactive "$(inside systemctl is-active observer || true)"
expect "mode of the configuration" 640 "$(inside stat -c %a /etc/observer/observer.yaml)"
# A minimal Debian leaves documentation out (path-exclude), so the list of the package is asked.
for file in /usr/share/man/man1/observer-doctor.1.gz /usr/share/bash-completion/completions/observer; do
    inside dpkg -L observer | grep -qx "$file" || fail "the package has no $file"
done

say "doctor"
inside observer doctor > "$folder/doctor.txt" || true
grep -qE '^ *ok +kernel programs' "$folder/doctor.txt" || { cat "$folder/doctor.txt" >&2; fail "doctor cannot load the kernel programs"; }

say "start"
# A store that is away: rows wait in the spool.
printf 'store:\n  url: http://127.0.0.1:1\nmetrics:\n  listen: 127.0.0.1:%s\nalerts:\n  to: file:/var/log/observer/alerts.json\n' $port > "$root/etc/observer/observer.yaml"
inside systemctl enable --now -q observer
ready() {
    for _ in $(seq 600); do
        inside bash -c "exec 3<>/dev/tcp/127.0.0.1/$port && printf 'GET /healthz HTTP/1.0\r\n\r\n' >&3 && grep -q '^ok' <&3" 2> /dev/null && return
        sleep 0.2
    done
    fail "the service is not ready"
}
ready
pid=$(inside systemctl show -P MainPID observer)
rights=$(inside grep -E '^(CapEff|NoNewPrivs|Seccomp):' "/proc/$pid/status" | tr -d '\t' | tr '\n' ' ')
say "rights of the service: $rights"
# BPF, PERFMON, SYS_ADMIN, SYS_PTRACE, DAC_READ_SEARCH, CHECKPOINT_RESTORE.
expect "rights" "CapEff:000001c000280004 NoNewPrivs:1 Seccomp:2 " "$rights"
key=$(inside sha256sum /var/lib/observer/hmac.key)
expect "mode of the state" 700 "$(inside stat -c %a /var/lib/observer)"
expect "mode of the logs" 750 "$(inside stat -c %a /var/log/observer)"
inside nsenter -t "$pid" -m test -w /var/log/observer || fail "the service cannot write alerts"

say "upgrade"
inside dpkg -i /second.deb > /dev/null
expect "version" "$(dpkg-deb -f "$second" Version)" "$(inside dpkg-query -W -f '${Version}' observer)"
ready
next=$(inside systemctl show -P MainPID observer)
[ "$next" != "$pid" ] || fail "the service was not restarted"
expect "key after the upgrade" "$key" "$(inside sha256sum /var/lib/observer/hmac.key)"
grep -q "$port" "$root/etc/observer/observer.yaml" || fail "the upgrade changed the configuration"

say "remove"
inside dpkg -r observer > /dev/null
expect "after the removal" inactive "$(inside systemctl is-active observer || true)"
[ -e "$root/etc/observer/observer.yaml" ] || fail "the removal took the configuration"
[ -e "$root/var/lib/observer/hmac.key" ] || fail "the removal took the keys"
[ ! -e "$root/usr/bin/observer" ] || fail "the program is still there"

say "purge"
inside dpkg -P observer > /dev/null
for left in /etc/observer /var/lib/observer /var/log/observer /run/observer /etc/systemd/system/multi-user.target.wants/observer.service; do
    [ ! -e "$root$left" ] && [ ! -L "$root$left" ] || fail "the purge left $left"
done
say "all steps as expected"
