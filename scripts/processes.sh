# shellcheck shell=bash
# How scripts hold several processes together: begun with a log each, watched, and ended all at once. To be sourced after
# messages.sh. Wants `python` and `WORK_DIR`, and `begin` wants that `own_folder` was called; the caller sets its own traps.

names=()
logs=()
pids=()
# Nothing of this outlives the script, even when it is killed and cannot end anything itself.
end_with_me=()
if setpriv --pdeathsig TERM true 2>/dev/null; then end_with_me=(setpriv --pdeathsig TERM --); fi
# Ctrl-C of the terminal reaches this script only, which then ends each process once: a worker of gunicorn that gets a
# second signal while it ends may hang until it is killed, 30 s later (seen in 5 of 22 tries).
if command -v setsid >/dev/null; then end_with_me=(setsid ${end_with_me[@]+"${end_with_me[@]}"}); fi

# free_port PORT VARIABLE COMMAND: stops where the port is taken.
free_port() {
    local why
    # As servers do: what is left of connections that have ended does not matter.
    if ! why=$("$python" -c 'import socket, sys; socket.create_server(("127.0.0.1", int(sys.argv[1])))' "$1" 2>&1); then
        why=${why##*$'\n'}
        stop "Port $1 of this machine cannot be used (${why%% (while*}). Choose another: $2=… $3."
    fi
}

# own_folder COMMAND ADVICE: nobody else may work in WORK_DIR. The processes inherit the lock: the last one that ends
# gives it back.
own_folder() {
    local pid live=
    mkdir -p "$(dirname "$WORK_DIR")"
    exec 8>>"$WORK_DIR.lock"
    if ! flock --nonblock 8; then
        say "An earlier $1 still works in $WORK_DIR. Waiting up to 10 s for its end …"
        if ! flock --wait 10 8; then
            while read -r pid; do if kill -0 "$pid" 2>/dev/null; then live+=" $pid"; fi; done <"$WORK_DIR.lock"
            stop "It goes on. End it with Ctrl-C in its terminal, or with 'kill$live'$2."
        fi
    fi
    echo $$ >"$WORK_DIR.lock"
}

secret() { "$python" -c 'import secrets; print(secrets.token_hex(16))'; }

# begin NAME LOG COMMAND…: in the background, with a log of its own.
begin() {
    names+=("$1")
    logs+=("$WORK_DIR/$2.log")
    shift 2
    ${end_with_me[@]+"${end_with_me[@]}"} "$@" >"${logs[-1]}" 2>&1 </dev/null &
    pids+=($!)
    echo $! >>"$WORK_DIR.lock"
}

end_all() {
    trap - EXIT INT TERM
    [ ${#pids[@]} -eq 0 ] || kill "${pids[@]}" 2>/dev/null || true
    wait 2>/dev/null || true
}

all_live() {
    for pid in "${pids[@]}"; do
        kill -0 "$pid" 2>/dev/null || return 1
    done
}

# how_ended PID: in words, in `how`; a subshell could not wait for it.
how_ended() {
    local code=0
    wait "$1" 2>/dev/null || code=$?
    how="has ended (exit code $code)"
    [ $code -le 128 ] || how="was killed (signal $((code - 128)))"
}

# Which process has ended, how, and where it says why.
stop_for_ended() {
    local i how
    for i in "${!pids[@]}"; do
        if kill -0 "${pids[i]}" 2>/dev/null; then continue; fi
        how_ended "${pids[i]}"
        stop "${names[i]} $how: see ${logs[i]}."
    done
}

# until_true SECONDS WHAT COMMAND…
until_true() {
    local last=$((SECONDS + $1)) what=$2 came=yes
    shift 2
    # The shell's own word about a killed process would stand beside ours.
    {
        until "$@" >/dev/null; do
            if ! all_live || [ $SECONDS -ge $last ]; then
                came=
                break
            fi
            sleep 0.2
        done
    } 2>/dev/null
    [ -n "$came" ] || stop_for_ended
    [ -n "$came" ] || stop "$what did not come about; see the logs in $WORK_DIR."
}

answers() { "$python" -c 'import sys, urllib.request; urllib.request.urlopen(sys.argv[1], timeout=5)' "$1"; }

# Says of each process that ends how and how to start it again; returns only through `stop`, when the first one has ended,
# without which there is nothing left to look at.
wait_for_the_pages() {
    local i how
    while :; do
        # First: what has ended before the wait begins may not end it (seen with bash 5.2).
        for i in "${!pids[@]}"; do
            if kill -0 "${pids[i]}" 2>/dev/null; then continue; fi
            [ "$i" != 0 ] || stop_for_ended
            how_ended "${pids[i]}"
            say "${names[i]} $how: see ${logs[i]}. The pages go on without it; once its log says" \
                "nothing against that, start it again in another terminal: cd $PWD && .venv/bin/python ${names[i]}"
            unset "pids[i]" "names[i]" "logs[i]"
        done
        wait -n "${pids[@]}" 2>/dev/null || true
    done
}

# Returns only through `stop`, when one of the processes has ended.
wait_for_the_first_end() {
    while all_live; do
        wait -n "${pids[@]}" 2>/dev/null || true
    done
    stop_for_ended
}
