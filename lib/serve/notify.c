#include "config.h"

#include "serve/notify.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/text.h"

static bool
number_of(const char *name, uint64_t *value)
{
	const char *text = getenv(name);

	return text && rh_u64_get(value, rh_slice_of(text));
}

/* Meant for us, not for whoever started us and left its environment to us. */
static uint64_t
watchdog_ms(void)
{
	uint64_t usec, pid;

	if (!number_of("WATCHDOG_USEC", &usec))
		return 0;
	if (number_of("WATCHDOG_PID", &pid) && pid != (uint64_t)getpid())
		return 0;
	return RH_MAX(usec / 2000, 1);
}

void
rh_notify_open(struct rh_notify *n)
{
	const char *name = getenv("NOTIFY_SOCKET");
	size_t bytes = name ? strlen(name) : 0;

	*n = (struct rh_notify){ .fd = -1, .to.sun_family = AF_UNIX };
	if (bytes < 2 || bytes >= sizeof(n->to.sun_path) ||
	    (name[0] != '/' && name[0] != '@'))
		return;
	memcpy(n->to.sun_path, name, bytes);
	if (name[0] == '@')
		n->to.sun_path[0] = '\0';
	n->to_bytes = (unsigned)(offsetof(struct sockaddr_un, sun_path) + bytes);
	n->watchdog_ms = watchdog_ms();
	n->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
}

void
rh_notify_close(struct rh_notify *n)
{
	if (n->fd >= 0)
		close(n->fd);
	n->fd = -1;
}

void
rh_notify_say(const struct rh_notify *n, const char *fmt, ...)
{
	char text[512];
	va_list ap;
	int bytes;

	if (n->fd < 0)
		return;
	va_start(ap, fmt);
	bytes = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (bytes <= 0)
		return;
	sendto(n->fd, text, RH_MIN((size_t)bytes, sizeof(text) - 1),
	    MSG_NOSIGNAL | MSG_DONTWAIT, (const struct sockaddr *)&n->to,
	    n->to_bytes);
}
