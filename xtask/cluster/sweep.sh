# Waits until it is told to end, then takes away what outlives the kubelet and containerd of the folder $1: their containers, control groups
# and mounts, and the kernel's settings that the kubelet changed.
dir=$1
settings='vm/overcommit_memory vm/panic_on_oom kernel/panic kernel/panic_on_oops kernel/keys/root_maxkeys kernel/keys/root_maxbytes'
kept=$(for name in $settings; do echo "$name $(cat "/proc/sys/$name")"; done)

# The kubelet and containerd of the folder, which are told to end at the same time, and would start anew what is swept.
masters() {
    pgrep -f "^[^ ]*(kubelet|containerd) --config $dir/" >/dev/null
}

sweep() {
    tries=0
    while masters && [ $tries -lt 14 ]; do sleep 0.5; tries=$((tries + 1)); done
    pgrep -f "^[^ ]*containerd-shim.* $dir/" | xargs -r kill -KILL 2>/dev/null
    find /sys/fs/cgroup -path '*/kubepods*' -name cgroup.procs -exec cat {} + 2>/dev/null | sort -u | xargs -r kill -KILL 2>/dev/null
    sleep 0.3
    find /sys/fs/cgroup -depth -type d -path '*/kubepods*' -exec rmdir {} + 2>/dev/null
    awk -v dir="$dir/" 'index($2, dir) == 1 { print $2 }' /proc/self/mounts | sort -r | xargs -r umount -l
    echo "$kept" | while read -r name value; do
        [ "$(cat "/proc/sys/$name")" = "$value" ] || echo "$value" >"/proc/sys/$name"
    done
}

trap 'kill $!; sweep; exit 0' TERM
trap '' INT HUP
echo ready
while :; do
    sleep 3600 &
    wait $!
done
