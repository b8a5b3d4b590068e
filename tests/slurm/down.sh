#!/bin/bash
# Stop what up.sh has started, each by the pid that it wrote.
for name in slurmd-n1 slurmd-n2 slurmctld slurmdbd mariadbd; do
	file=/run/slurm-test/$name.pid
	[ -s $file ] && kill "$(cat $file)" 2>/dev/null && sleep 0.5
done
[ -s /run/munge/munged.pid ] && kill "$(cat /run/munge/munged.pid)" 2>/dev/null
rm -f /run/slurm-test/*.pid
