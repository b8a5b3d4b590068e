/* A preloaded library that lets one call of a process fail, once: the k-th write, fsync, rename, open or read that
   concerns a file below results/ or logs/. Which one, and with which error, stands in the environment:
   FAULT_CALL (write, fsync, rename, open, read), FAULT_AT (k, from 1), FAULT_ERRNO, and FAULT_ONCE, a file that the
   process that fails creates: so one call of one process of a run fails, and no other. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static int counted = 0;

static int concerns(const char *path) {
    return path && (strstr(path, "results/") || strncmp(path, "results", 7) == 0);
}

static int concerns_open(int fd) {
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return concerns(path);
}

static int fails(const char *call) {
    const char *wanted = getenv("FAULT_CALL"), *at = getenv("FAULT_AT"), *number = getenv("FAULT_ERRNO"), *once = getenv("FAULT_ONCE");
    if (!wanted || !at || !number || !once || strcmp(wanted, call)) return 0;
    if (++counted != atoi(at)) return 0;
    int (*real)(const char *, int, ...) = dlsym(RTLD_NEXT, "open");
    int fd = real(once, O_CREAT | O_EXCL | O_WRONLY, 0600);
    if (fd < 0) return 0;
    close(fd);
    errno = atoi(number);
    return 1;
}

ssize_t write(int fd, const void *data, size_t size) {
    static ssize_t (*real)(int, const void *, size_t);
    if (!real) real = dlsym(RTLD_NEXT, "write");
    if (getenv("FAULT_CALL") && concerns_open(fd) && fails("write")) return -1;
    return real(fd, data, size);
}

ssize_t read(int fd, void *data, size_t size) {
    static ssize_t (*real)(int, void *, size_t);
    if (!real) real = dlsym(RTLD_NEXT, "read");
    if (getenv("FAULT_CALL") && concerns_open(fd) && fails("read")) return -1;
    return real(fd, data, size);
}

ssize_t pread64(int fd, void *data, size_t size, off64_t at) {
    static ssize_t (*real)(int, void *, size_t, off64_t);
    if (!real) real = dlsym(RTLD_NEXT, "pread64");
    if (getenv("FAULT_CALL") && concerns_open(fd) && fails("read")) return -1;
    return real(fd, data, size, at);
}

ssize_t pread(int fd, void *data, size_t size, off_t at) {
    static ssize_t (*real)(int, void *, size_t, off_t);
    if (!real) real = dlsym(RTLD_NEXT, "pread");
    if (getenv("FAULT_CALL") && concerns_open(fd) && fails("read")) return -1;
    return real(fd, data, size, at);
}

int fsync(int fd) {
    static int (*real)(int);
    if (!real) real = dlsym(RTLD_NEXT, "fsync");
    if (concerns_open(fd) && fails("fsync")) return -1;
    return real(fd);
}

int rename(const char *from, const char *to) {
    static int (*real)(const char *, const char *);
    if (!real) real = dlsym(RTLD_NEXT, "rename");
    if ((concerns(from) || concerns(to)) && fails("rename")) return -1;
    return real(from, to);
}

static int open_any(const char *name, const char *path, int flags, mode_t mode) {
    int (*real)(const char *, int, ...) = dlsym(RTLD_NEXT, name);
    if (concerns(path) && fails("open")) return -1;
    return real(path, flags, mode);
}

#define OPENS(name)                                       \
    int name(const char *path, int flags, ...) {          \
        va_list more;                                     \
        va_start(more, flags);                            \
        mode_t mode = va_arg(more, mode_t);               \
        va_end(more);                                     \
        return open_any(#name, path, flags, mode);        \
    }
OPENS(open)
OPENS(open64)
