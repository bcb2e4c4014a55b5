#!/bin/sh
# status.sh NUMBER: print running (also while the job waits), success or failed.
# With PBS, for instance: if qstat "$1" > /dev/null 2>&1; then
if ps -o stat= -p "$1" | grep -qv '^Z'; then
    echo running
else
    exec "$(dirname "$0")/../exit_code.sh" "results/logs/generic/$1.exit"
fi
