/* A disk that is worse than most, loaded into the broker before the C library (LD_PRELOAD).
 *
 *   DISK_SEED    What is written stays in this process until it is synced; now and then some of it
 *                gets to the file earlier, whole, in part, or in sectors with gaps between them. So
 *                the end of the process is to its files what a power cut is to a disk.
 *   DISK_FAILS   "FIRST:COUNT": these calls of fdatasync fail with EIO, and what they were to make
 *                durable is gone, as Linux does it.
 *   DISK_SLOW    How many microseconds a sync takes longer than it would.
 *   DISK_FULL    A file: as long as it is there, no byte can be written.
 *   DISK_BROKEN  A file: as long as it is there, each of these calls fails so.
 *   DISK_STUCK   A file: as long as it is there, no sync comes to an end.
 *   SHARD_STUCK  A file: as long as it is there, the thread of the first shard does nothing.
 *
 * Not done here, but by the simulated disk of tests/store: renames that a power cut takes back. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/types.h>
#include <unistd.h>

enum { SECTOR = 512 };

struct write {
    struct write *next;
    int fd;
    off_t at;
    size_t count;
    char bytes[];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
/* What was written and not synced, oldest first. */
static struct write *unsynced;
static struct write **unsynced_end = &unsynced;
static int loses, fails_first, fails_count, syncs, slow_us;
static const char *full, *broken, *stuck, *shard_stuck;
static unsigned seed;

static ssize_t (*real_pwrite)(int, const void *, size_t, off_t);
static int (*real_fdatasync)(int);
static int (*real_fsync)(int);
static int (*real_ftruncate)(int, off_t);
static int (*real_close)(int);
static int (*real_epoll_wait)(int, struct epoll_event *, int, int);

__attribute__((constructor)) static void begin(void) {
    real_pwrite = dlsym(RTLD_NEXT, "pwrite64");
    real_fdatasync = dlsym(RTLD_NEXT, "fdatasync");
    real_fsync = dlsym(RTLD_NEXT, "fsync");
    real_ftruncate = dlsym(RTLD_NEXT, "ftruncate64");
    real_close = dlsym(RTLD_NEXT, "close");
    real_epoll_wait = dlsym(RTLD_NEXT, "epoll_wait");
    const char *text = getenv("DISK_SEED");
    loses = text != NULL;
    seed = text ? (unsigned)strtoul(text, NULL, 10) : 0;
    text = getenv("DISK_FAILS");
    if (text) sscanf(text, "%d:%d", &fails_first, &fails_count);
    text = getenv("DISK_SLOW");
    slow_us = text ? atoi(text) : 0;
    full = getenv("DISK_FULL");
    broken = getenv("DISK_BROKEN");
    stuck = getenv("DISK_STUCK");
    shard_stuck = getenv("SHARD_STUCK");
}

static int is_there(const char *file) {
    return file && access(file, F_OK) == 0;
}

static void wait_while_there(const char *file) {
    while (is_there(file)) usleep(1000);
}

static void write_now(int fd, const char *bytes, size_t count, off_t at) {
    while (count > 0) {
        ssize_t done = real_pwrite(fd, bytes, count, at);
        if (done <= 0) abort();
        bytes += done, count -= done, at += done;
    }
}

/* What the system happens to write before it is asked to. */
static void write_some(int fd, const char *bytes, size_t count, off_t at) {
    int how = rand_r(&seed) % 4;
    for (size_t from = 0; from < count && how > 0; from += SECTOR) {
        if (how == 2 && rand_r(&seed) % 4 == 0) return;
        if (how == 3 && rand_r(&seed) % 2 == 0) continue;
        size_t left = count - from;
        write_now(fd, bytes + from, left < SECTOR ? left : SECTOR, at + (off_t)from);
    }
}

/* Takes out what waits for this file; writes it first if it is to be kept. */
static void settle(int fd, int keeps) {
    struct write **place = &unsynced;
    while (*place) {
        struct write *it = *place;
        if (it->fd != fd) {
            place = &it->next;
            continue;
        }
        if (keeps) write_now(fd, it->bytes, it->count, it->at);
        *place = it->next;
        free(it);
    }
    unsynced_end = place;
}

ssize_t pwrite64(int fd, const void *bytes, size_t count, off_t at) {
    if (is_there(full)) {
        errno = ENOSPC;
        return -1;
    }
    if (!loses || count == 0) return real_pwrite(fd, bytes, count, at);
    struct write *it = malloc(sizeof *it + count);
    if (!it) abort();
    *it = (struct write){NULL, fd, at, count};
    memcpy(it->bytes, bytes, count);
    pthread_mutex_lock(&lock);
    *unsynced_end = it;
    unsynced_end = &it->next;
    write_some(fd, bytes, count, at);
    pthread_mutex_unlock(&lock);
    return (ssize_t)count;
}

ssize_t pwrite(int fd, const void *bytes, size_t count, off_t at) {
    return pwrite64(fd, bytes, count, at);
}

int fdatasync(int fd) {
    wait_while_there(stuck);
    if (slow_us > 0) usleep((useconds_t)slow_us);
    pthread_mutex_lock(&lock);
    syncs++;
    int fails = syncs >= fails_first && syncs < fails_first + fails_count;
    fails |= is_there(broken);
    settle(fd, !fails);
    pthread_mutex_unlock(&lock);
    if (fails) {
        errno = EIO;
        return -1;
    }
    return real_fdatasync(fd);
}

int fsync(int fd) {
    pthread_mutex_lock(&lock);
    settle(fd, 1);
    pthread_mutex_unlock(&lock);
    return real_fsync(fd);
}

/* Whatever waits stands before the cut, or is cut off. */
int ftruncate64(int fd, off_t length) {
    pthread_mutex_lock(&lock);
    settle(fd, 1);
    pthread_mutex_unlock(&lock);
    return real_ftruncate(fd, length);
}

int ftruncate(int fd, off_t length) {
    return ftruncate64(fd, length);
}

int epoll_wait(int fd, struct epoll_event *events, int count, int ms) {
    char name[16];
    if (is_there(shard_stuck) && prctl(PR_GET_NAME, name) == 0 && strcmp(name, "shard-0") == 0) {
        wait_while_there(shard_stuck);
    }
    return real_epoll_wait(fd, events, count, ms);
}

/* What was not synced when a file was closed may never be. */
int close(int fd) {
    if (loses) {
        pthread_mutex_lock(&lock);
        settle(fd, 0);
        pthread_mutex_unlock(&lock);
    }
    return real_close(fd);
}
