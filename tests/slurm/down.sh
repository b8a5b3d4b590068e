#!/bin/bash
# Cancel all jobs of up.sh's Slurm, and stop what up.sh has started, each by the pid that it wrote.
if [ -s /run/slurm-test/slurmctld.pid ] && scancel --user="$(id -un)" 2>/dev/null; then
	for _ in $(seq 60); do [ -z "$(squeue -h)" ] && break; sleep 0.5; done
fi
for name in slurmd-n1 slurmd-n2 slurmctld slurmdbd mariadbd; do
	file=/run/slurm-test/$name.pid
	[ -s $file ] && kill "$(cat $file)" 2>/dev/null && sleep 0.5
done
[ -s /run/munge/munged.pid ] && kill "$(cat /run/munge/munged.pid)" 2>/dev/null
rm -f /run/slurm-test/*.pid
