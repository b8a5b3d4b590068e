#!/bin/bash
# Start the daemon of a node of up.sh, n1 or n2. It has a host name of its own, so its jobs know that they are on another host.
exec unshare --uts sh -c 'hostname "$1" && exec slurmd -N "$1"' - "$1"
