#!/bin/sh
# exit_code.sh FILE: print success or failed, for a job that has ended.
# The jobscript.sh of a profile writes the exit code into this file; a job that was killed leaves none.
for _ in 1 2 3 4 5; do [ -s "$1" ] || sleep 2; done  # a shared file system may be late
[ "$(cat "$1" 2> /dev/null)" = 0 ] && echo success || echo failed
