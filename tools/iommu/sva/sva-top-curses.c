// SPDX-License-Identifier: GPL-2.0-only
/*
 * sva-top: the view on a terminal, a serial console's included
 *
 * Lines are cut at the right edge: what matters most is on the left.
 */
#include <curses.h>
#include <stdlib.h>

#include "sva-top.h"

#define LINE	256

static const char help[] = "order: r rate, n requests, l latency, x refusals;  q quits";

static void draw(const struct reading *now, const struct reading *before, enum order order)
{
	int height, width;
	struct row *rows;
	unsigned int nr;
	char line[LINE];

	getmaxyx(stdscr, height, width);
	rows = make_rows(now, before, order, &nr);
	erase();
	format_head(line, sizeof(line), now, before);
	mvaddnstr(0, 0, line, width);
	attron(A_REVERSE);
	format_title(line, sizeof(line));
	mvaddnstr(2, 0, line, width);
	attroff(A_REVERSE);
	for (unsigned int i = 0; i < nr && (int)i + 4 < height; i++) {
		format_row(line, sizeof(line), &rows[i]);
		mvaddnstr((int)i + 3, 0, line, width);
	}
	mvaddnstr(height - 1, 0, help, width);
	free(rows);
	refresh();
}

/* False: the user has had enough. */
static bool obey(int key, enum order *order)
{
	switch (key) {
	case 'r':
		*order = BY_RATE;
		return true;
	case 'n':
		*order = BY_REQUESTS;
		return true;
	case 'l':
		*order = BY_LATENCY;
		return true;
	case 'x':
		*order = BY_REFUSED;
		return true;
	default:
		return key != 'q';
	}
}

static int watch(const char *root, enum order order)
{
	struct reading now, before = {};
	int key, ret;

	ret = read_all(&now, root);
	while (!ret) {
		draw(&now, before.when ? &before : NULL, order);
		key = getch();
		if (key != ERR) {
			if (!obey(key, &order))
				break;
			continue;
		}
		forget_reading(&before);
		before = now;
		ret = read_all(&now, root);
	}
	forget_reading(&before);
	forget_reading(&now);
	return ret;
}

/* Returns 0, or 2 if there is no terminal, or there are no statistics any more. */
int show_screen(const char *root, double delay, enum order order)
{
	const char *type = getenv("TERM");
	SCREEN *screen;
	int ret;

	/* A serial console's login may not have set it. */
	if (!type || !*type)
		type = "vt100";
	screen = newterm(type, stdout, stdin);
	if (!screen) {
		fprintf(stderr, "sva-top: no terminal '%s': --batch and --once need none\n", type);
		return 2;
	}
	cbreak();
	noecho();
	curs_set(0);
	timeout((int)(delay * 1000));
	ret = watch(root, order);
	endwin();
	delscreen(screen);
	if (ret)
		fprintf(stderr, "sva-top: the statistics have gone\n");
	return ret ? 2 : 0;
}
