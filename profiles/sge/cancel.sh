#!/bin/sh
# cancel.sh NUMBER...: end jobs.
exec qdel "$@"
