#!/bin/sh
# status.sh NUMBER: print running (also while the job waits), success or failed.
case $(qstat -j "$1" 2>&1) in
    *"do not exist"*) ;;
    *"error reason"*) qdel "$1" > /dev/null 2>&1 ;;  # it could not be started
    *) echo running; exit ;;  # also if the scheduler does not answer
esac
exec "$(dirname "$0")/../exit_code.sh" "results/logs/sge/$1.exit"
