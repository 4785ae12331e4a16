#!/bin/sh
# In a build of the image: installs Debian packages, with the newest security updates of all others, and leaves neither
# lists nor logs: their names and lines tell which mirror was used.
set -eu
export DEBIAN_FRONTEND=noninteractive
apt-get update -q
apt-get upgrade -q -y
apt-get install -q -y --no-install-recommends "$@"
apt-get clean
rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/cache/debconf/*-old /var/lib/dpkg/*-old /var/cache/ldconfig
find /var/log -type f -delete
