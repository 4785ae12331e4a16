#!/usr/bin/env bash
# Docker over ssh: `make enable-docker-over-ssh` lets the services use the engine of SSH_USER@SSH_HOST (default: this user and
# this machine; SSH_PORT 22), `make disable-docker-over-ssh` undoes all of it.
#
# Enabling makes a key of its own, in a folder that only this user reads, and adds it to the authorized_keys there as one
# marked line that opens the way to sockets and nothing else: no shell, no terminal, no TCP. SSH_KEY=/path takes a key of
# yours instead, which has to be authorised already. Whoever may use an engine is root of its machine, by ssh as well.
set -euo pipefail
cd "$(dirname "$0")/../.."
. scripts/messages.sh
. scripts/docker/ground.sh

mark="jobrunner-docker-over-ssh"
folder=$SSH_FOLDER
dotenv=${DOTENV_FILE:-.env}
socket=${SSH_SOCKET:-/var/run/docker.sock}

is_this_machine() { [[ $1 =~ ^(localhost|127\.0\.0\.1)$ ]]; }

# The file of the account on this machine.
authorized_keys() {
    local home
    home=$(getent passwd "$1" | cut -d: -f6)
    [ -n "$home" ] || stop "There is no user $1 on this machine: SSH_USER=NAME."
    printf '%s/.ssh/authorized_keys' "$home"
}

# there SCRIPT ARGUMENT…: a shell script on the other machine, with the login that this user has there.
there() {
    local word words="sh -c"
    for word in "$1" sh "${@:2}"; do words+=" '${word//\'/\'\\\'\'}'"; done
    ssh -p "$SSH_PORT" "$SSH_USER@$SSH_HOST" "$words"
}

# as_account SCRIPT ARGUMENT…: the same on this machine. Root becomes the account: its home may hold links to anywhere.
as_account() {
    if [ "$(id -un)" = "$SSH_USER" ]; then
        sh -c "$1" sh "${@:2}"
    else
        runuser -u "$SSH_USER" -- sh -c "$1" sh "${@:2}"
    fi
}

# shellcheck disable=SC2016 # expanded by the shell that runs it
add_line='set -eu; umask 077; file=$1; mkdir -p "$(dirname "$file")"
[ -z "$(tail -c 1 "$file" 2>/dev/null)" ] || echo >>"$file"; printf "%s\n" "$2" >>"$file"'
# shellcheck disable=SC2016
remove_line='set -eu; file=$1; [ -e "$file" ] || exit 0; umask 077
sed "/ $2\$/d" "$file" >"$file.without-jobrunner"; cat "$file.without-jobrunner" >"$file"; rm "$file.without-jobrunner"
[ -s "$file" ] || rm "$file"'

authorise() {
    local line
    line="restrict,port-forwarding,permitopen=\"[$socket]:*\",permitlisten=\"127.0.0.1:1\",command=\"echo This key is for"
    line+=" the Docker engine only.\" $(cut -d' ' -f1,2 "$folder/key.pub") $MARK"
    if is_this_machine "$SSH_HOST"; then
        as_account "$add_line" "$(authorized_keys "$SSH_USER")" "$line" ||
            stop "$(authorized_keys "$SSH_USER") cannot be written: run this as $SSH_USER, or as root."
    else
        say "Signing in as $SSH_USER at $SSH_HOST, to authorise the key there (your own login, perhaps with a password) …"
        # shellcheck disable=SC2016
        there "$(printf 'set -- "$HOME/.ssh/authorized_keys" "$1"; %s' "$add_line")" "$line" ||
            stop "The key could not be authorised there: can you sign in with 'ssh -p $SSH_PORT $SSH_USER@$SSH_HOST'?"
    fi
}

# What is remembered is written first, so that whatever comes next can be undone.
remember() {
    local variable
    for variable in SSH_USER SSH_HOST SSH_PORT SSH_KEY MARK; do
        printf '%s=%q\n' "$variable" "${!variable}"
    done >"$folder/remembered"
}

# Keys of the host, under the names by which it is called: by us, and from within a container.
know_host() {
    local name=$SSH_HOST names found
    if ! getent ahosts "$SSH_HOST" >/dev/null; then
        rm -rf "$folder"
        stop "This machine knows no address of $SSH_HOST: is SSH_HOST spelt right?"
    fi
    if ! found=$(ssh-keyscan -T 10 -p "$SSH_PORT" "$SSH_HOST" 2>/dev/null | grep -v '^#'); then
        rm -rf "$folder" # nothing else was done yet
        stop "No ssh server answers at $SSH_HOST port $SSH_PORT. Debian: 'apt-get install openssh-server' there."
    fi
    names=$name
    if is_this_machine "$name"; then names="localhost 127.0.0.1 host.docker.internal"; fi
    for name in $names; do
        if [ "$SSH_PORT" != 22 ]; then name="[$name]:$SSH_PORT"; fi
        sed "s/^[^ ]* /$name /" <<<"$found"
    done >"$folder/known_hosts"
    say "The keys of $SSH_HOST, which will have to be the same from now on:"
    ssh-keygen -l -f "$folder/known_hosts" | awk '{print "    " $2, $4}' | sort -u
}

# Whether the engine answers through the key, exactly as the services will ask it.
engine_answers() {
    local pid probe answer= deadline=$((SECONDS + 20))
    probe=$(mktemp -d /tmp/jobrunner-XXXXXX) # short: the path of a socket has 107 letters at most
    ssh -N -F none -i "$key" -p "$SSH_PORT" -o IdentitiesOnly=yes -o BatchMode=yes -o StrictHostKeyChecking=yes \
        -o "UserKnownHostsFile=$folder/known_hosts" -o ExitOnForwardFailure=yes -o ConnectTimeout=10 \
        -L "$probe/s:$socket" "$SSH_USER@$SSH_HOST" 2>"$folder/said" &
    pid=$!
    while [ $SECONDS -lt $deadline ] && kill -0 "$pid" 2>/dev/null; do
        if answer=$(docker -H "unix://$probe/s" version --format '{{.Server.Version}}' 2>/dev/null); then break; fi
        if grep -q "open failed" "$folder/said"; then break; fi # the socket there is not opened, now or later
        sleep 0.2
    done
    kill "$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null || true
    rm -rf "$probe"
    [ -n "$answer" ] || return 1
    say "Docker $answer answers at ssh://$SSH_USER@$SSH_HOST:$SSH_PORT"
}

enable() {
    local key
    for key in ssh ssh-keygen ssh-keyscan docker; do
        command -v $key >/dev/null || stop "There is no $key. Debian, Ubuntu: 'apt-get install openssh-client docker.io'."
    done
    if [ -e "$folder" ]; then disable; fi
    SSH_USER=${SSH_USER:-$(id -un)} SSH_HOST=${SSH_HOST:-localhost} SSH_PORT=${SSH_PORT:-22} SSH_KEY=${SSH_KEY:-}
    [[ $SSH_USER@$SSH_HOST:$SSH_PORT =~ ^[A-Za-z0-9_][A-Za-z0-9_.-]*@[A-Za-z0-9._-]+:[0-9]+$ ]] ||
        stop "$SSH_USER@$SSH_HOST, port $SSH_PORT is no address of ssh: see SSH_USER, SSH_HOST (a name, or IPv4) and SSH_PORT."
    [ -z "$SSH_KEY" ] || [ -r "$SSH_KEY" ] || stop "SSH_KEY: $SSH_KEY cannot be read."
    MARK=$mark-$(random 9 | tr -dc a-zA-Z0-9)
    (umask 077 && mkdir "$folder")
    remember
    know_host
    if [ -n "$SSH_KEY" ]; then
        key=$(realpath "$SSH_KEY")
    else
        key=$folder/key
        ssh-keygen -q -t ed25519 -N "" -C "$MARK" -f "$key"
        authorise
    fi
    if ! engine_answers; then
        sort -u "$folder/said" >&2
        disable
        stop "No Docker engine answers at $SSH_USER@$SSH_HOST through its socket $socket: ssh's words are above, if it said" \
            "any. May $SSH_USER use the engine there ('docker version'), and does its sshd allow AllowStreamLocalForwarding?" \
            "Everything is as it was before."
    fi
    have_dotenv
    [ -z "$(tail -c 1 "$dotenv")" ] || echo >>"$dotenv"
    printf '%s\n' "DOCKER_HOST=ssh://$SSH_USER@$SSH_HOST:$SSH_PORT # $mark" "SSH_KEY_FILE=$key # $mark" \
        "SSH_KNOWN_HOSTS_FILE=$folder/known_hosts # $mark" >>"$dotenv"
    say "From their next start on the services use that engine ($dotenv). Undo it: make disable-docker-over-ssh"
}

# The copies of the key that the services had (scripts/docker/ground.sh), in a folder that is theirs. Compose asks for the
# files, so they stay, empty.
forget_copies() {
    local copies empty
    SECRETS=$(realpath -m "$(setting SECRETS "$CHECKOUT/secrets")")
    copies=("$SECRETS/SSH_KEY" "$SECRETS/SSH_KNOWN_HOSTS")
    # shellcheck disable=SC2016 # expanded by the shell that runs it
    empty='for each; do if [ -L "$each" ]; then rm "$each" || exit 1; fi; [ ! -e "$each" ] || : >"$each" || exit 1; done'
    if sh -c "$empty" sh "${copies[@]}" 2>/dev/null; then return; fi
    PLACES=("$SECRETS")
    find_user 2>/dev/null && for_services sh -c "$empty" sh "${copies[@]}" ||
        stop "Docker over ssh is undone but for the services' copies, which this user may not change: sudo rm ${copies[*]}"
}

disable() {
    if [ ! -e "$folder" ]; then
        say "Docker over ssh is not enabled here: nothing to do."
        return
    fi
    if [ -f "$dotenv" ]; then
        sed "/ # $mark\$/d" "$dotenv" >"$dotenv.without-ssh"
        cat "$dotenv.without-ssh" >"$dotenv"
        rm "$dotenv.without-ssh"
    fi
    if [ -f "$folder/remembered" ]; then
        (
            # shellcheck disable=SC1091
            . "$folder/remembered"
            [ -z "$SSH_KEY" ] && [ -f "$folder/key" ] || exit 0
            if is_this_machine "$SSH_HOST"; then
                as_account "$remove_line" "$(authorized_keys "$SSH_USER")" "$MARK"
            else
                say "Signing in as $SSH_USER at $SSH_HOST, to remove the key there …"
                # shellcheck disable=SC2016
                there "$(printf 'set -- "$HOME/.ssh/authorized_keys" "$1"; %s' "$remove_line")" "$MARK"
            fi
        ) || stop "The key is still authorised: remove the line that ends with" \
            "$(sed -n 's/^MARK=//p' "$folder/remembered") from the authorized_keys of that account, then 'rm -r $folder'."
    fi
    rm -rf "$folder"
    forget_copies
    say "Docker over ssh is undone: the key, its line in authorized_keys, and the settings in $dotenv."
}

case ${1:-} in
enable) enable ;;
disable) disable ;;
*) stop "Say scripts/docker/over_ssh.sh enable or disable." ;;
esac
