#include "config.h"

#include "serve/privilege.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <unistd.h>

#include "base/text.h"

#define NAME_MAX_BYTES	64

static bool
name_of(struct rh_slice name, char text[NAME_MAX_BYTES])
{
	if (name.n >= NAME_MAX_BYTES)
		return false;
	memcpy(text, name.p, name.n);
	text[name.n] = '\0';
	return true;
}

static bool
number_of(struct rh_slice name, unsigned *id)
{
	uint64_t number;

	if (!rh_u64_get(&number, name) || number >= UINT32_MAX)
		return false;
	*id = (unsigned)number;
	return true;
}

bool
rh_privilege_uid(struct rh_slice name, unsigned *uid, struct rh_buf *why)
{
	char text[NAME_MAX_BYTES];
	const struct passwd *pw;

	if (name_of(name, text) && (pw = getpwnam(text)) != NULL) {
		*uid = pw->pw_uid;
		return true;
	}
	if (number_of(name, uid))
		return true;
	rh_buf_printf(why, "there is no user \"%.*s\"", RH_SLICE_ARG(name));
	return false;
}

bool
rh_privilege_gid(struct rh_slice name, unsigned *gid, struct rh_buf *why)
{
	char text[NAME_MAX_BYTES];
	const struct group *gr;

	if (name_of(name, text) && (gr = getgrnam(text)) != NULL) {
		*gid = gr->gr_gid;
		return true;
	}
	if (number_of(name, gid))
		return true;
	rh_buf_printf(why, "there is no group \"%.*s\"", RH_SLICE_ARG(name));
	return false;
}

static bool
ids_of(struct rh_slice user, struct rh_slice group, unsigned ids[2],
    struct rh_buf *why)
{
	const struct passwd *pw;

	ids[0] = geteuid();
	ids[1] = getegid();
	if (user.n && !rh_privilege_uid(user, &ids[0], why))
		return false;
	if (group.n)
		return rh_privilege_gid(group, &ids[1], why);
	if (user.n && (pw = getpwuid(ids[0])) != NULL)
		ids[1] = pw->pw_gid;
	return true;
}

bool
rh_privilege_drop(struct rh_slice user, struct rh_slice group,
    struct rh_buf *why)
{
	unsigned ids[2];
	gid_t gid;

	if (user.n == 0 && group.n == 0)
		return true;
	if (!ids_of(user, group, ids, why))
		return false;
	if (geteuid() != 0 && ids[0] == geteuid() && ids[1] == getegid())
		return true;
	gid = ids[1];
	/* the user last: after it nothing else may be changed */
	if (setgroups(1, &gid) == 0 && setresgid(gid, gid, gid) == 0 &&
	    setresuid(ids[0], ids[0], ids[0]) == 0)
		return true;
	rh_buf_printf(why, "cannot become user %u, group %u: %s", ids[0],
	    ids[1], strerror(errno));
	return false;
}
