#!/usr/bin/env bash
# Stop the SLURM that up.sh DIR started, with its jobs.
# usage: down.sh DIR
set -u
[ $# -eq 1 ] && [ -d "$1" ] || { echo "usage: down.sh DIR (the folder given to up.sh)" >&2; exit 2; }
DIR=$(cd "$1" && pwd)
if [ "$(readlink /etc/slurm/slurm.conf)" = "$DIR/slurm.conf" ]; then
    scancel --state=PENDING,RUNNING --user="$(id -un)" 2>/dev/null
    for _ in $(seq 50); do
        [ -z "$(squeue -h -t RUNNING,COMPLETING 2>/dev/null)" ] && break
        sleep 0.1
    done
fi
PIDS=$(cat "$DIR/slurmctld.pid" "$DIR/slurmd.pid" "$DIR/munge/pid" 2>/dev/null)
for PID in $PIDS; do kill "$PID" 2>/dev/null; done
for PID in $PIDS; do
    for _ in $(seq 50); do
        kill -0 "$PID" 2>/dev/null || break
        sleep 0.1
    done
    kill -9 "$PID" 2>/dev/null
done
[ "$(readlink /etc/slurm/slurm.conf)" = "$DIR/slurm.conf" ] && rm /etc/slurm/slurm.conf
exit 0
