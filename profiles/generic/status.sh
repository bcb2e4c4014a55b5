#!/bin/sh
# status.sh NUMBER: print running (also while the job waits), success or failed.
# jobscript.sh writes the exit code; a job that was killed leaves none.
# With PBS, for instance: running=$(qstat "$1" 2>/dev/null)
running=$(ps -o stat= -p "$1" | grep -v '^Z')
if [ -n "$running" ]; then
    echo running
    exit
fi
exit_code=results/logs/generic/$1.exit
for _ in 1 2 3 4 5; do [ -s "$exit_code" ] || sleep 2; done  # a shared file system may be late
[ "$(cat "$exit_code" 2> /dev/null)" = 0 ] && echo success || echo failed
