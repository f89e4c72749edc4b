#!/bin/busybox sh
# The first program of the guest: brings it up, lets the daemon watch a few calls, and prints what there is to say as sections on the
# serial line. `xtask/src/kernels/judge.rs` reads them.
/bin/busybox mkdir -p /proc /sys /dev /tmp /run /var/lib /root
/bin/busybox --install -s /bin
export PATH=/usr/bin:/bin HOME=/root
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
exec >/dev/ttyS0 2>&1 </dev/null
stty -F /dev/ttyS0 -opost 2>/dev/null
mount -t tmpfs tmpfs /tmp
mount -t cgroup2 cgroup2 /sys/fs/cgroup
echo "@@ up"

section() {
    name=$1
    shift
    echo "@@ begin $name"
    "$@"
    status=$?
    echo "@@ end $name $status"
}

ip link set lo up
# They need each other in another order on each kernel: those that fail are tried again.
for try in 1 2 3 4; do
    for module in $(cat /modules.list); do insmod /modules/$module 2>/dev/null; done
done
ip link set eth0 up
ip addr add 10.0.2.15/24 dev eth0
ip route add default via 10.0.2.2

ai-endpoint --listen 127.0.0.1:4443 --plain 127.0.0.1:8000 --ca-file /tmp/ca.pem >/tmp/endpoint.log 2>&1 &
for wait in $(seq 100); do grep -q listening /tmp/endpoint.log && break; sleep 0.1; done

# Where enforcement can be, its report says all that the other one would.
if [ -e /etc/observer/enforced.yaml ]; then
    section enforcement observer doctor --config /etc/observer/enforced.yaml --format json
    [ $status = 0 ] || section doctor observer doctor --config /etc/observer/observer.yaml --format json
fi

observer run --config /etc/observer/observer.yaml >/tmp/observer.log 2>&1 &
daemon=$!
for wait in $(seq 3000); do wget -q -O /dev/null http://127.0.0.1:9464/healthz 2>/dev/null && break; [ -d /proc/$daemon ] || break; sleep 0.1; done

body='{"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "one two three"}]}'
section tls_call curl --silent --show-error --max-time 30 --cacert /tmp/ca.pem --connect-to ::127.0.0.1:4443 \
    --header 'Content-Type: application/json' --data "$body" https://api.openai.com/v1/chat/completions
section plain_call curl --silent --show-error --max-time 30 \
    --header 'Content-Type: application/json' --data "$body" http://127.0.0.1:8000/v1/chat/completions

# Two intervals of seals, and the row of a connection comes 400 ms after its end.
sleep 3
section metrics wget -q -O - http://127.0.0.1:9464/metrics
kill -TERM $daemon
wait $daemon
ended=$?
section log sh -c "cat /tmp/observer.log; exit $ended"
section dmesg sh -c "dmesg | grep -iE 'bug:|warning|oops|bpf' | head -20; true"
echo "@@ off"
poweroff -f
