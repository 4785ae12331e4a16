#!/usr/bin/env bash
# Makes sure that there is the image that ours begins with (BASE_IMAGE, debian:bookworm-slim): found here, pulled, or, where
# no registry answers, made with debootstrap from Debian's packages and given that name. Says nothing if it is there.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/messages.sh

name=${BASE_IMAGE:-debian:bookworm-slim}
release=${name##*:}
release=${release%-slim}
seconds_to_pull=30

# Where this machine gets Debian's packages from.
mirror() {
    local found
    found=$(apt-get indextargets --format '$(SITE)|$(RELEASE)' 'Created-By: Packages' 2>/dev/null |
        sed -n "s/|$release\$//p" | head -n 1)
    printf '%s' "${found:-http://deb.debian.org/debian}"
}

# What images of Debian leave out, so that what is installed later brings no manuals either.
slim_down() {
    cat >"$1/etc/dpkg/dpkg.cfg.d/slim" <<'SLIM'
path-exclude /usr/share/doc/*
path-exclude /usr/share/info/*
path-exclude /usr/share/man/*
path-exclude /usr/share/locale/*
path-exclude /usr/share/lintian/*
path-include /usr/share/doc/*/copyright
path-include /usr/share/locale/locale.alias
SLIM
    printf 'APT::Install-Recommends "false";\nAcquire::Languages "none";\n' >"$1/etc/apt/apt.conf.d/slim"
    # Nobody's mirror: as Debian has it.
    rm -f "$1/etc/apt/sources.list"
    cat >"$1/etc/apt/sources.list.d/debian.sources" <<SOURCES
Types: deb
URIs: http://deb.debian.org/debian
Suites: $release $release-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://deb.debian.org/debian-security
Suites: $release-security
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
SOURCES
    find "$1/usr/share/doc" -type f ! -name copyright -delete
    find "$1/usr/share/doc" -mindepth 1 -type d -empty -delete
    rm -rf "$1"/usr/share/{info,man,lintian}/* "$1"/var/lib/apt/lists/* "$1"/var/cache/apt/* \
        "$1"/var/cache/debconf/*-old "$1"/var/lib/dpkg/*-old "$1/etc/hostname" "$1/etc/resolv.conf"
    find "$1/usr/share/locale" -mindepth 1 -maxdepth 1 ! -name locale.alias -exec rm -rf {} +
    find "$1/var/log" -type f -delete
}

make_base() {
    [ "$(id -u)" = 0 ] || stop "There is no image $name, no registry answers, and only root can make one with debootstrap." \
        "Run 'docker pull $name' where a registry answers, or this as root."
    [ -e "/usr/share/debootstrap/scripts/$release" ] || ! may_install_packages || install_packages debootstrap
    [ -e "/usr/share/debootstrap/scripts/$release" ] || stop "debootstrap knows no Debian release '$release' (of $name):" \
        "install Debian's package debootstrap, or name another image: BASE_IMAGE=…"
    folder=$(mktemp -d)
    trap 'rm -rf "$folder"' EXIT
    say "No registry answers. Making $name with debootstrap from $(mirror | sed -E 's#//[^/@]*@#//#') …"
    debootstrap --variant=minbase "$release" "$folder/root" "$(mirror)" >"$folder/log" 2>&1 || {
        tail -n 15 "$folder/log" >&2
        stop "debootstrap could not make Debian $release: its last lines are above."
    }
    slim_down "$folder/root"
    tar --create --numeric-owner --directory "$folder/root" --exclude=./dev/* --exclude=./proc/* --exclude=./sys/* . |
        docker import --change 'LABEL org.jobrunner.base=true' --change 'CMD ["bash"]' - "$name" >/dev/null
}

if docker image inspect "$name" >/dev/null 2>&1; then exit 0; fi
say "Pulling $name (at most $seconds_to_pull s) …"
timeout "$seconds_to_pull" docker pull --quiet "$name" >/dev/null 2>&1 || make_base
say "Made sure of the image $name: $(($(docker image inspect "$name" --format '{{.Size}}') / 1000000)) MB."
