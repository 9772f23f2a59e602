#!/usr/bin/env bash
# A SLURM of one node for tests: munged, slurmctld and slurmd of this machine, without systemd, cgroups or a database.
# usage: up.sh DIR        needs root and the Debian packages slurmd slurmctld slurm-client munge
# State, logs, pids and slurm.conf lie in DIR. Stop it with down.sh DIR. A SLURM that is configured here is left alone.
set -euo pipefail
[ $# -eq 1 ] || { echo "usage: up.sh DIR" >&2; exit 2; }
if [ -L /etc/slurm/slurm.conf ] && [ ! -e /etc/slurm/slurm.conf ]; then
    echo "up.sh: /etc/slurm/slurm.conf links to nothing, left by a SLURM of a folder that is gone; remove it" >&2
    exit 3
fi
if [ -e /etc/slurm/slurm.conf ] || [ -n "${SLURM_CONF:-}" ]; then
    echo "up.sh: this machine has a SLURM already (/etc/slurm/slurm.conf or SLURM_CONF); nothing was changed" >&2
    exit 3
fi
umask 022
mkdir -p "$1"/{munge,state,spool,log}
DIR=$(cd "$1" && pwd)
HOST=$(hostname -s)
CORES=$(env -u OMP_NUM_THREADS -u OMP_THREAD_LIMIT nproc) # nproc would take these for the number of cores
[ "$CORES" -ge 2 ] || CORES=2 # two MPI ranks must find room; on one core they take turns
MEMORY=$(($(awk '/MemTotal/ {print $2}' /proc/meminfo) / 1024 - 512))

(umask 077; head -c 1024 /dev/urandom > "$DIR/munge/key")
# --force: root may run it, and the folders above may be writable by others (this is a test)
munged --force --key-file="$DIR/munge/key" --socket="$DIR/munge/socket" --pid-file="$DIR/munge/pid" \
    --log-file="$DIR/munge/log" --seed-file="$DIR/munge/seed"

# two daemons need two free ports
read -r PORT_CONTROLLER PORT_NODE < <(python3 -c '
import socket
sockets = [socket.socket() for _ in range(2)]
for s in sockets:
    s.bind(("127.0.0.1", 0))
print(*(s.getsockname()[1] for s in sockets))')

cat > "$DIR/slurm.conf" <<END
ClusterName=one
SlurmctldHost=$HOST(127.0.0.1)
SlurmctldPort=$PORT_CONTROLLER
SlurmdPort=$PORT_NODE
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
# a job whose node failed may start again after cred_expire seconds
AuthInfo=socket=$DIR/munge/socket,cred_expire=10
CryptoType=crypto/munge
StateSaveLocation=$DIR/state
SlurmdSpoolDir=$DIR/spool
SlurmctldPidFile=$DIR/slurmctld.pid
SlurmdPidFile=$DIR/slurmd.pid
SlurmctldLogFile=$DIR/log/slurmctld.log
SlurmdLogFile=$DIR/log/slurmd.log
# no cgroups: processes are followed by their parents, memory is looked at once a second
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=1
JobAcctGatherParams=OverMemoryKill
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
# a test does not wait for the scheduler
SchedulerParameters=sched_interval=1,sched_min_interval=0,batch_sched_delay=0
SlurmctldTimeout=10
SlurmdTimeout=10
KillWait=5
# squeue must still know a job when Snakemake asks
MinJobAge=300
ReturnToService=2
MpiDefault=none
SlurmdParameters=config_overrides
NodeName=$HOST NodeAddr=127.0.0.1 CPUs=$CORES CoresPerSocket=$CORES ThreadsPerCore=1 RealMemory=$MEMORY State=UNKNOWN
PartitionName=main Nodes=$HOST Default=YES MaxTime=INFINITE State=UP OverSubscribe=NO DefMemPerCPU=1024
END

# jobs do not inherit SLURM_CONF from Snakemake, so the file must lie where SLURM looks for it
mkdir -p /etc/slurm
ln -s "$DIR/slurm.conf" /etc/slurm/slurm.conf
slurmctld -c
slurmd -c -N "$HOST" 2>/dev/null || slurmd -c
for _ in $(seq 100); do
    [ "$(sinfo -h -o %T 2>/dev/null)" = idle ] && break
    sleep 0.1
done
sinfo
[ "$(sinfo -h -o %T)" = idle ] || { echo "up.sh: the node did not come up; see $DIR/log" >&2; exit 1; }
