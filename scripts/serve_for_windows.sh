#!/usr/bin/env bash
# On a Linux host, for a contributor's Windows machine in a VM on it: serves this repository (to be read only, by git's
# own protocol) and this machine's Docker engine (by TCP) until Ctrl-C: docs/windows.md. The commands for the other side
# are printed.
#
#   LISTEN=127.0.0.1   where: this machine only. An address of a host-only network is for that network's VM, and needs
#   CLIENT=ADDRESS     the one address that is then served
#   GIT_PORT=9418 ENGINE_PORT=2375
#
# Whoever reaches the engine is root on this machine, without a password. On 127.0.0.1 that is each user who is logged in
# here: run this only where that is you, and end it when you are done.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/messages.sh

listen=${LISTEN:-127.0.0.1}
client=${CLIENT:-}
git_port=${GIT_PORT:-9418}
engine_port=${ENGINE_PORT:-2375}
socket=${ENGINE_SOCKET:-/var/run/docker.sock}
pids=()
folder=

end() {
    trap - EXIT
    [ ${#pids[@]} -eq 0 ] || kill "${pids[@]}" 2>/dev/null || true
    wait 2>/dev/null || true
    [ -z "$folder" ] || rm -rf "$folder"
    say "Stopped: neither the repository nor the engine is served any more."
}

# The folder of a script that was killed is named after its process.
clear_up_after_the_killed() {
    local left pid
    for left in "${TMPDIR:-/tmp}"/jobrunner-serve.*.*; do
        pid=${left##*/jobrunner-serve.}
        pid=${pid%%.*}
        if [ -O "$left" ] && [ -d "$left" ] && [ ! -L "$left" ] && [ ! -e "/proc/$pid" ]; then rm -rf "$left"; fi
    done
}

# What is started here ends with this script, even when that is killed; and Ctrl-C comes to this script alone.
command -v setpriv >/dev/null || stop "setpriv is missing (Debian: util-linux): without it a script that is killed would" \
    "leave the engine open."
with_me=(setsid setpriv --pdeathsig TERM --)

case $listen in
127.* | ::1) ;;
0.0.0.0 | :: | "") stop "LISTEN=$listen would open this machine's engine to everybody. Name one address of this machine." ;;
*) [ -n "$client" ] || stop "LISTEN=$listen can be reached from outside, and whoever reaches the engine is root here. Name" \
    "the one machine that may: CLIENT=ADDRESS (in the VM: ipconfig)." ;;
esac
[[ $client =~ ^[0-9a-fA-F.:]*$ ]] || stop "CLIENT=$client is no address: four numbers with dots, or IPv6."
[ -S "$socket" ] || stop "There is no engine's socket $socket. Start Docker ('make engine'), or name it: ENGINE_SOCKET=…"
[ -w "$socket" ] || stop "This user may not use the engine ($socket): see 'make engine'."
python=$(command -v python3) || stop "There is no python3 on this machine."

trap end EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
clear_up_after_the_killed
folder=$(mktemp -d "${TMPDIR:-/tmp}/jobrunner-serve.$$.XXXXXX")
ln -s "$PWD" "$folder/jobrunner"
# git says who calls; an address of IPv6 stands in brackets.
cat >"$folder/may-read" <<HOOK
#!/bin/sh
case \$REMOTE_ADDR in "" | "$client" | "[$client]") exit 0 ;; esac
echo "this machine does not serve \$REMOTE_ADDR"
exit 1
HOOK
chmod +x "$folder/may-read"

# until_listening PORT PID NAME LOG
until_listening() {
    local last=$((SECONDS + 20))
    until "$python" -c 'import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 2)' "$listen" "$1" \
        2>/dev/null; do
        if ! kill -0 "$2" 2>/dev/null || [ $SECONDS -ge $last ]; then
            stop "$3 could not be served on $listen port $1: $(tail -n 1 "$4"). Choose another port, or see who has it."
        fi
        sleep 0.2
    done
}

# Nothing can be pushed: that service of git's is off unless it is asked for.
"${with_me[@]}" "$(git --exec-path)/git-daemon" --listen="$listen" --port="$git_port" --reuseaddr --export-all \
    --base-path="$folder" --informative-errors ${client:+--access-hook="$folder/may-read"} "$folder/jobrunner" </dev/null >"$folder/git.log" 2>&1 8>&- &
pids+=($!)
"${with_me[@]}" "$python" scripts/forward.py "$listen" "$engine_port" "$socket" ${client:+"$client"} \
    </dev/null >"$folder/engine.log" 2>&1 &
pids+=($!)
until_listening "$git_port" "${pids[0]}" "The repository" "$folder/git.log"
until_listening "$engine_port" "${pids[1]}" "The engine" "$folder/engine.log"

say "Serving this repository and this machine's engine on $listen. On the Windows side, in PowerShell:"
cat <<TEXT

    git clone -c core.autocrlf=false git://$listen:$git_port/jobrunner
    cd jobrunner
    \$env:DOCKER_HOST = "tcp://$listen:$engine_port"
    docker version

  later:
    git pull

TEXT
case $listen in 127.* | ::1)
    say "That address is this machine's own. From a VM, forward both ports to it (VirtualBox with NAT: use 10.0.2.2 in its" \
        "place), or serve on the host-only network: LISTEN=192.168.56.1 CLIENT=192.168.56.101 $0"
    ;;
esac
say "Whoever reaches that port has this machine. Ctrl-C ends both."
wait -n "${pids[@]}" 2>/dev/null || true
stop "One of the two has ended: $(tail -n 2 "$folder/git.log" "$folder/engine.log" | tr '\n' ' ')"
