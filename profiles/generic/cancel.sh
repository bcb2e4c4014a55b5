#!/bin/sh
# cancel.sh NUMBER...: end jobs. With PBS, for instance: exec qdel "$@"
for number; do kill -TERM -- "-$number"; done
