// SPDX-License-Identifier: GPL-2.0-only
/*
 * Files below the root directory. What can't be read is NULL; a failure to allocate ends the
 * program.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sva-check.h"

/* No file that is looked at is larger: a symbol table has some 10 MiB. */
#define MAX_SIZE	(64UL << 20)
/* A record of /dev/kmsg is read as a whole or not at all. */
#define CHUNK		16384

static const char *root = "";

void file_set_root(const char *dir)
{
	root = dir;
}

/* Is this the machine that the program runs on? */
bool file_is_live(void)
{
	return !*root;
}

void give_up(const char *why)
{
	fprintf(stderr, "sva-check: error: %s\n", why);
	exit(4);
}

void copy_text(char *to, size_t size, const char *from)
{
	snprintf(to, size, "%s", from);
}

char *format_text(const char *format, va_list args)
{
	char *text;

	if (vasprintf(&text, format, args) < 0)
		give_up("no memory");
	return text;
}

static char *full_path(const char *format, va_list args)
{
	char *below = format_text(format, args), *path;

	if (asprintf(&path, "%s/%s", root, below) < 0)
		give_up("no memory");
	free(below);
	return path;
}

/* The rest of @fd, with a NUL behind it */
static char *read_all(int fd, size_t *len)
{
	char *bytes = NULL;
	size_t have = 0, room = 0;
	ssize_t n;

	for (;;) {
		/* /proc/kallsyms has megabytes, and comes a page at a time. */
		if (have + CHUNK + 1 > room) {
			room = 2 * room + CHUNK + 1;
			bytes = realloc(bytes, room);
		}
		if (!bytes)
			give_up("no memory");
		n = read(fd, bytes + have, CHUNK);
		/* /dev/kmsg: a record that was overwritten; no more records */
		if (n < 0 && (errno == EPIPE || errno == EINTR))
			continue;
		if (n <= 0)
			break;
		have += n;
		if (have > MAX_SIZE)
			break;
	}
	if (n < 0 && errno != EAGAIN) {
		free(bytes);
		return NULL;
	}
	bytes[have] = '\0';
	if (len)
		*len = have;
	return bytes;
}

/* The contents of a file with a NUL behind them, to be freed; NULL if it can't be read */
char *file_read(size_t *len, const char *format, ...)
{
	va_list args;
	char *path, *bytes = NULL;
	struct stat st;
	int fd;

	va_start(args, format);
	path = full_path(format, args);
	va_end(args);

	fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	free(path);
	if (fd < 0)
		return NULL;
	if (!fstat(fd, &st) && !S_ISDIR(st.st_mode) && !S_ISFIFO(st.st_mode))
		bytes = read_all(fd, len);
	close(fd);
	return bytes;
}

/* The first line of a file without its end, to be freed; NULL if it can't be read */
char *file_line(const char *format, ...)
{
	va_list args;
	char *name, *line;

	va_start(args, format);
	name = format_text(format, args);
	va_end(args);
	line = file_read(NULL, "%s", name);
	free(name);
	if (line)
		line[strcspn(line, "\n")] = '\0';
	return line;
}

bool file_exists(const char *format, ...)
{
	va_list args;
	struct stat st;
	char *path;
	bool is;

	va_start(args, format);
	path = full_path(format, args);
	va_end(args);
	is = !stat(path, &st);
	free(path);
	return is;
}

/* Where a symbolic link points, to be freed; NULL if it is none */
char *file_link(const char *format, ...)
{
	char *path, to[PATH_MAX];
	va_list args;
	ssize_t n;

	va_start(args, format);
	path = full_path(format, args);
	va_end(args);
	n = readlink(path, to, sizeof(to) - 1);
	free(path);
	if (n < 0)
		return NULL;
	to[n] = '\0';
	return strdup(to);
}

/* The contents of a file that gzip has compressed. Without gzip they are unknown. */
char *file_inflate(size_t *len, const char *path)
{
	char *name, *bytes;
	int fds[2], status;
	pid_t child;

	if (asprintf(&name, "%s/%s", root, path) < 0)
		give_up("no memory");
	if (access(name, R_OK) || pipe2(fds, O_CLOEXEC)) {
		free(name);
		return NULL;
	}
	child = fork();
	if (!child) {
		int in = open(name, O_RDONLY), null = open("/dev/null", O_WRONLY);

		if (dup2(in, 0) < 0 || dup2(fds[1], 1) < 0 || dup2(null, 2) < 0)
			_exit(126);
		execlp("gzip", "gzip", "-dc", NULL);
		_exit(127);
	}
	free(name);
	close(fds[1]);
	bytes = child < 0 ? NULL : read_all(fds[0], len);
	close(fds[0]);
	if (child > 0 && (waitpid(child, &status, 0) != child || status)) {
		free(bytes);
		bytes = NULL;
	}
	return bytes;
}

static int not_hidden(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

/* The names in a directory, sorted; returns their number, 0 if it can't be read */
int file_list(char ***names, const char *format, ...)
{
	struct dirent **entries;
	va_list args;
	char *path;
	int nr;

	va_start(args, format);
	path = full_path(format, args);
	va_end(args);
	nr = scandir(path, &entries, not_hidden, alphasort);
	free(path);
	*names = NULL;
	if (nr <= 0) {
		if (!nr)
			free(entries);
		return 0;
	}
	*names = calloc(nr, sizeof(**names));
	if (!*names)
		give_up("no memory");
	for (int i = 0; i < nr; i++) {
		(*names)[i] = strdup(entries[i]->d_name);
		if (!(*names)[i])
			give_up("no memory");
		free(entries[i]);
	}
	free(entries);
	return nr;
}

void file_free_list(char **names, int nr)
{
	for (int i = 0; i < nr; i++)
		free(names[i]);
	free(names);
}
