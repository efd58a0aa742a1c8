"""EIO, ENOSPC and their like at every system call of staging, publishing, archiving, quarantine."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# every call through which Python reaches the file system, counted while ``fault_at`` is set
FAULTY = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

int fault_at, fault_errno, fault_calls, fault_writes_only;

static int hit(int writes) {
    if (!fault_at || (fault_writes_only && !writes) || ++fault_calls != fault_at) return 0;
    errno = fault_errno;
    return 1;
}

#define CALL(type, name, writes, takes, gives) \
    type name takes { \
        static type (*real) takes; \
        if (!real) real = dlsym(RTLD_NEXT, #name); \
        return hit(writes) ? -1 : real gives; \
    }
#define OPEN(name, takes, gives) \
    int name takes { \
        static int (*real) takes; \
        va_list more; \
        int mode; \
        va_start(more, flags); \
        mode = va_arg(more, int); \
        va_end(more); \
        if (!real) real = dlsym(RTLD_NEXT, #name); \
        return hit(flags & O_CREAT) ? -1 : real gives; \
    }

OPEN(open, (const char *path, int flags, ...), (path, flags, mode))
OPEN(open64, (const char *path, int flags, ...), (path, flags, mode))
OPEN(openat, (int dir, const char *path, int flags, ...), (dir, path, flags, mode))
OPEN(openat64, (int dir, const char *path, int flags, ...), (dir, path, flags, mode))
CALL(ssize_t, read, 0, (int fd, void *to, size_t size), (fd, to, size))
CALL(ssize_t, write, 1, (int fd, const void *from, size_t size), (fd, from, size))
CALL(int, fsync, 1, (int fd), (fd))
CALL(int, ftruncate, 1, (int fd, off_t size), (fd, size))
CALL(int, ftruncate64, 1, (int fd, off64_t size), (fd, size))
CALL(int, fchmod, 0, (int fd, mode_t mode), (fd, mode))
CALL(int, futimens, 0, (int fd, const struct timespec times[2]), (fd, times))
CALL(int, fstat, 0, (int fd, struct stat *to), (fd, to))
CALL(int, fstat64, 0, (int fd, struct stat64 *to), (fd, to))
CALL(int, fstatat, 0, (int d, const char *p, struct stat *to, int f), (d, p, to, f))
CALL(int, fstatat64, 0, (int d, const char *p, struct stat64 *to, int f), (d, p, to, f))
CALL(int, mkdir, 1, (const char *path, mode_t mode), (path, mode))
CALL(int, mkdirat, 1, (int dir, const char *path, mode_t mode), (dir, path, mode))
CALL(int, linkat, 1, (int a, const char *b, int c, const char *d, int e), (a, b, c, d, e))
CALL(int, unlink, 0, (const char *path), (path))
CALL(int, unlinkat, 0, (int dir, const char *path, int flags), (dir, path, flags))
CALL(int, rename, 1, (const char *a, const char *b), (a, b))
CALL(int, renameat, 1, (int a, const char *b, int c, const char *d), (a, b, c, d))
CALL(int, renameat2, 1, (int a, const char *b, int c, const char *d, unsigned e), (a, b, c, d, e))
"""


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("needs a C compiler")
    folder = tmp_path_factory.mktemp("faulty")
    (folder / "faulty.c").write_text(FAULTY)
    made = folder / "faulty.so"
    command = [compiler, "-shared", "-fPIC", "-O1", "-o", made, folder / "faulty.c", "-ldl"]
    subprocess.run(command, check=True, capture_output=True)
    return made


@pytest.mark.timeout(300)
def test_a_fault_at_any_system_call_leaves_nothing_half_and_nothing_lost(library, tmp_path):
    with tempfile.TemporaryDirectory(dir="/dev/shm") as other:
        done = subprocess.run(
            [sys.executable, "-m", "tests.sweep", tmp_path / "base", Path(other) / "base"],
            cwd=ROOT,
            env={**os.environ, "LD_PRELOAD": str(library)},
            capture_output=True,
            text=True,
            check=False,
            timeout=280,
        )
    assert done.returncode == 0, done.stderr[-3000:]
    tried = json.loads(done.stdout)
    assert all(count >= 2 for act, count in tried.items() if "EIO" in act), tried
    print("faults:", sum(tried.values()), tried)  # noqa: T201  (for the table of the docs)
