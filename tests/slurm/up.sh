#!/bin/bash
# Set up a Slurm of two nodes, n1 and n2, on this Debian machine, for `make test-slurm`. Needs root, not systemd.
#   up.sh [MB_PER_NODE]     nodes of one core each; memory is enforced by polling each second; down.sh stops it
set -euo pipefail
mb=${1:-2500} host=$(hostname -s) run=/run/slurm-test log=/var/log/slurm-test

[ "$(id -u)" = 0 ] || { echo "tests/slurm/up.sh: run as root: Slurm's daemons need it" >&2; exit 1; }
for needed in munged mariadbd slurmdbd slurmctld slurmd; do
	PATH=$PATH:/usr/sbin command -v $needed >/dev/null && continue
	apt-get -qq update
	DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends \
		munge mariadb-server slurmdbd slurmctld slurmd slurm-client
	break
done
if [ -s $run/slurmctld.pid ] && kill -0 "$(cat $run/slurmctld.pid)" 2>/dev/null; then
	echo "a Slurm of these tests is at work; stop it first: tests/slurm/down.sh" >&2; exit 1
fi
trap '[ $? = 0 ] || "$(dirname "$0")/down.sh"' EXIT
wait_for() { # COMMAND: until it succeeds, five minutes at most: the machine may be busy
	for _ in $(seq 600); do eval "$1" >/dev/null 2>&1 && return; sleep 0.5; done
	echo "tests/slurm/up.sh: not in five minutes: $1; logs: $log" >&2; exit 1
}
rm -rf $run; mkdir -p $run/spool-n1 $run/spool-n2 $run/state $log /run/munge /run/mysqld /etc/slurm
for name in "$host" n1 n2; do grep -qw "$name" /etc/hosts || echo "127.0.0.1 $name" >>/etc/hosts; done

[ -s /etc/munge/munge.key ] || dd if=/dev/urandom of=/etc/munge/munge.key bs=1024 count=1 status=none
chown munge: /etc/munge/munge.key /run/munge; chmod 400 /etc/munge/munge.key; chmod 755 /run/munge
setpriv --reuid=munge --regid=munge --clear-groups munged --force # a container's parents may be writable by their group

chown mysql: /run/mysqld
mariadbd --user=mysql --skip-networking --innodb-buffer-pool-size=32M >$log/mariadb.log 2>&1 &
echo $! >$run/mariadbd.pid
wait_for "mariadb -e 'select 1'"
mariadb -e "create database if not exists slurm_acct_db; create user if not exists root@localhost identified via unix_socket"

cat >/etc/slurm/slurmdbd.conf <<X
AuthType=auth/munge
DbdHost=localhost
SlurmUser=root
StorageType=accounting_storage/mysql
StorageUser=root
StorageLoc=slurm_acct_db
LogFile=$log/slurmdbd.log
PidFile=$run/slurmdbd.pid
X
chmod 600 /etc/slurm/slurmdbd.conf
cat >/etc/slurm/slurm.conf <<X
ClusterName=test
SlurmctldHost=$host
SlurmUser=root
AuthType=auth/munge
SlurmctldPidFile=$run/slurmctld.pid
SlurmdPidFile=$run/slurmd-%n.pid
SlurmdSpoolDir=$run/spool-%n
StateSaveLocation=$run/state
SlurmctldLogFile=$log/slurmctld.log
SlurmdLogFile=$log/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SlurmdParameters=config_overrides
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=localhost
SlurmdTimeout=20
MinJobAge=60
ReturnToService=2
SchedulerParameters=sched_interval=5,bf_interval=5
NodeName=n1 NodeHostname=$host NodeAddr=127.0.0.1 Port=17001 CPUs=1 RealMemory=$mb
NodeName=n2 NodeHostname=$host NodeAddr=127.0.0.1 Port=17002 CPUs=1 RealMemory=$mb
PartitionName=batch Nodes=n1,n2 Default=YES MaxTime=600 DefMemPerCPU=200 State=UP
X
slurmdbd
wait_for "sacctmgr -n list cluster"
sacctmgr -iQ add cluster test >/dev/null 2>&1 || true
sacctmgr -iQ add account test >/dev/null 2>&1 || true
sacctmgr -iQ add user root account=test >/dev/null 2>&1 || true
slurmctld
for node in n1 n2; do "$(dirname "$0")/node.sh" $node; done
wait_for '[ "$(sinfo -hN -t idle | wc -l)" = 2 ]'
sinfo -N -l
