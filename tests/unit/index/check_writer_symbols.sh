#!/bin/sh
# The reader library must not contain a way to write the index: a worker that calls one does not link.
# Usage: check_writer_symbols.sh LIBIDXR LIBIDXW
echo 1..2
if nm "$1" | grep -E '[TtDdBbRr] (idxw_|idx_genw_)'; then echo "not ok 1 - writer symbols in the reader library"
else echo "ok 1 - no writer symbol in the reader library"; fi
if nm "$2" | grep -q 'T idxw_put' && nm "$2" | grep -q 'T idx_genw_open'; then echo "ok 2 - they are in the writer library"
else echo "not ok 2 - the writer library lacks them: test 1 proves nothing"; fi
