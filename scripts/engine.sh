#!/usr/bin/env bash
# Makes sure that a Docker engine answers: finds it, else starts it, else installs Debian's docker.io and starts that.
# The engine is the machine's and outlives this command. Needs .venv (scripts/setup.sh).
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/messages.sh

log=/var/log/jobrunner-dockerd.log
pid_file=/var/run/docker.pid
containerd_folder=/var/run/docker/containerd
answer=

engine_answers() { answer=$(.venv/bin/python scripts/ask_engine.py); }

# engine_answers_within SECONDS [PID]: gives up earlier when the process PID has ended.
engine_answers_within() {
    local deadline=$((SECONDS + $1))
    until engine_answers; do
        if [ $SECONDS -ge $deadline ]; then return 1; fi
        if [ -n "${2:-}" ] && ! kill -0 "$2" 2>/dev/null; then return 1; fi
        sleep 0.3
    done
}

# process_named PID NAME: is PID alive and called NAME? After a reboot or a crash its number may be another program's.
process_named() { [ -n "$1" ] && [ "$(cat "/proc/$1/comm" 2>/dev/null)" = "$2" ]; }

# end_process PID NAME SECONDS: asks it to end, and makes it end when it has not after SECONDS.
end_process() {
    local deadline=$((SECONDS + $3))
    kill -TERM "$1" 2>/dev/null || return 0
    while process_named "$1" "$2" && [ $SECONDS -lt $deadline ]; do sleep 0.2; done
    if process_named "$1" "$2"; then kill -KILL "$1" 2>/dev/null || true; fi
}

has_systemd() { [ -d /run/systemd/system ] && command -v systemctl >/dev/null; }

start_with_systemd() {
    say "Starting the Docker engine with systemctl …"
    systemctl restart docker.socket docker.service || true
    engine_answers_within 60 || {
        journalctl --no-pager -u docker -n 20 >&2 || true
        stop "systemd could not start the Docker engine: its last lines are above. Once it is mended, run this again."
    }
}

# What a killed engine leaves behind and its successor would stumble over. A hung dockerd is ended, with its containerd.
clear_remains() {
    local pid
    pid=$(cat "$pid_file" 2>/dev/null || true)
    if process_named "$pid" dockerd; then
        say "A Docker engine (process $pid) is there but does not answer. Waiting up to 30 s for it …"
        if engine_answers_within 30 "$pid"; then return; fi
        say "It still does not answer. Ending it …"
        kill -CONT "$pid" 2>/dev/null || true
        end_process "$pid" dockerd 15
    elif [ -n "$pid" ]; then
        say "Removing $pid_file: it names process $pid, which is no Docker engine."
    fi
    rm -f "$pid_file"
    pid=$(cat "$containerd_folder/containerd.pid" 2>/dev/null || true)
    if process_named "$pid" containerd; then
        say "Ending the containerd (process $pid) that an earlier engine left behind …"
        end_process "$pid" containerd 10
    fi
    rm -f "$containerd_folder/containerd.pid"
    # What "docker run -v /var/run/docker.sock:…" makes when there is no engine: a folder in the socket's place.
    if [ -d /var/run/docker.sock ]; then rmdir /var/run/docker.sock; fi
}

# start_dockerd OPTION…: in a session of its own and holding no file of ours: it survives the terminal, make and CI.
start_dockerd() {
    local pid
    printf '\n%s: dockerd %s\n' "$(date -Is)" "$*" >>"$log"
    (
        cd /
        for descriptor in /proc/self/fd/*; do
            descriptor=${descriptor##*/}
            if [ "$descriptor" -gt 2 ]; then eval "exec $descriptor>&-"; fi
        done
        exec setsid dockerd "$@" </dev/null >>"$log" 2>&1
    ) &
    pid=$!
    if engine_answers_within 60 "$pid"; then return; fi
    end_process "$pid" dockerd 10
    return 1
}

start_directly() {
    clear_remains
    if engine_answers; then return; fi
    say "Starting the Docker engine (dockerd; its log is $log) …"
    if start_dockerd; then return; fi
    if tail -n 30 "$log" | grep -qiE 'iptables|nftables|bridge|netlink'; then
        say "It could not set up container networks. Starting it without: jobs that need no network will run …"
        clear_remains
        if start_dockerd --iptables=false --ip6tables=false --bridge=none; then return; fi
    fi
    tail -n 20 "$log" >&2
    stop "The Docker engine did not start: its last lines are above, all of them in $log. In a container it needs" \
        "privileges (docker run --privileged) or the host's socket (-v /var/run/docker.sock:/var/run/docker.sock)."
}

# refuse_to_help CODE: stops where this script must not or cannot help. CODE is what ask_engine.py said.
refuse_to_help() {
    case $1 in
    3) stop "$answer — this user may not use the Docker engine. Ask an administrator for 'usermod -aG docker" \
        "$(id -un)', log in again, and run this again." ;;
    4) stop "$answer — DOCKER_HOST names a Docker engine that does not answer. Start that engine, or unset" \
        "DOCKER_HOST (look in .env too) to use this machine's own." ;;
    5) ;;
    *) stop "scripts/ask_engine.py could not ask the Docker engine (exit code $1; its own words are above). Whether an" \
        "engine runs is not known, so nothing was started. If .venv is damaged, remove it and run 'make setup'." ;;
    esac
    if [ "$(id -u)" != 0 ] || [ "$(uname)" != Linux ]; then
        stop "No Docker engine answers ($answer). Start it ('sudo systemctl start docker', or Docker Desktop) or" \
            "install it (Debian, Ubuntu: 'sudo apt-get install docker.io'), then run this again. If your engine listens" \
            "elsewhere ('docker context ls' shows where), set DOCKER_HOST to its address."
    fi
    if ! command -v dockerd >/dev/null && ! may_install_packages; then
        stop "No Docker engine answers and dockerd is not installed. Install Docker Engine with this system's package" \
            "manager, start it, and run this again."
    fi
}

[ -x .venv/bin/python ] || stop "There is no .venv yet: run 'make setup' first."
code=0
engine_answers || code=$?
if [ $code = 0 ]; then
    say "$answer"
    exit 0
fi
refuse_to_help $code
mkdir -p /run/lock
exec 9>/run/lock/jobrunner-engine.lock
flock --wait 180 9 || stop "Another process has been starting the Docker engine for three minutes; see $log."
if ! engine_answers; then
    # What apt-get starts must not hold our lock: 9>&-.
    if ! command -v dockerd >/dev/null; then install_packages docker.io 9>&-; fi
    if has_systemd; then start_with_systemd; else start_directly; fi
fi
say "$answer answers after $SECONDS s."
