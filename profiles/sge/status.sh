#!/bin/sh
# status.sh NUMBER: print running (also while the job waits), success or failed.
# jobscript.sh writes the exit code; a job that was killed leaves none.
running=yes  # also if the scheduler does not answer
case $(qstat -j "$1" 2>&1) in
    *"do not exist"*) running= ;;
    *"error reason"*) qdel "$1" > /dev/null 2>&1; running= ;;  # it could not be started
esac
if [ -n "$running" ]; then
    echo running
    exit
fi
exit_code=results/logs/sge/$1.exit
for _ in 1 2 3 4 5; do [ -s "$exit_code" ] || sleep 2; done  # a shared file system may be late
[ "$(cat "$exit_code" 2> /dev/null)" = 0 ] && echo success || echo failed
