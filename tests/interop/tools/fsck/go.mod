module reprove.invalid/interop/fsck

go 1.26

require github.com/transparency-dev/tessera v1.0.4
