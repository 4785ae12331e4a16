#!/bin/sh
# In a build of the image: installs Debian packages, with the newest security updates of all others, and leaves neither
# lists nor logs: their names and lines tell which mirror was used. With WITH_PERL=yes all of Perl is there afterwards.
set -eu
# No manuals and no translations, as in Debian's own images; and not the Perl that only git's mail and Subversion need.
cat >/etc/dpkg/dpkg.cfg.d/jobrunner <<'CONF'
path-exclude /usr/share/man/*
path-exclude /usr/share/info/*
path-exclude /usr/share/doc/*
path-include /usr/share/doc/*/copyright
path-exclude /usr/share/locale/*
path-exclude /usr/share/perl/*
path-exclude /usr/lib/*/perl/*
path-exclude /usr/lib/*/libperl.so*
CONF
if [ -n "${WITH_PERL:-}" ]; then sed -i /perl/d /etc/dpkg/dpkg.cfg.d/jobrunner; fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -q
apt-get upgrade -q -y
if [ -n "${WITH_PERL:-}" ]; then
    # What an earlier layer has left out.
    # shellcheck disable=SC2046 # names of packages
    apt-get install -q -y --no-install-recommends --reinstall \
        $(dpkg-query --show --showformat '${db:Status-Abbrev} ${Package}\n' 'perl-modules*' 'libperl5*' | sed -n 's/^ii *//p')
fi
apt-get install -q -y --no-install-recommends "$@"
apt-get clean
rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/cache/debconf/*-old /var/lib/dpkg/*-old /var/cache/ldconfig
find /var/log -type f -delete
