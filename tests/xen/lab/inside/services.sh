#!/bin/sh
# SPDX-License-Identifier: MIT
# In dom0: start Xen's services by hand (there is no systemd) and wait until they answer.
set -e
B=/usr/lib/xen-4.17/bin
mkdir -p /run/lock /run/xen /run/xenstored /var/lib/xen /var/lib/xenstored /var/log/xen/console
$B/xenstored --pid-file /run/xen/xenstored.pid
i=0
until xenstore-exists / 2>/dev/null; do
	i=$((i+1)); [ $i -lt 100 ] || { echo "xenstored does not answer after 5 s" >&2; exit 1; }
	sleep 0.05
done
$B/xen-init-dom0
$B/xenconsoled --pid-file=/run/xen/xenconsoled.pid --log=guest --log-dir=/var/log/xen/console
# dom0's memory is fixed on Xen's command line: xl must not balloon it down for a guest
sed -i 's/^#*autoballoon=.*/autoballoon="off"/' /etc/xen/xl.conf
