#include "config.h"

#include "exporter/auth.h"

#include "base/crypto.h"
#include "base/text.h"

#define BASIC_MAX	1024

/* Digests are compared: their length says nothing of the token's. */
static bool
is_token(struct rh_slice given, struct rh_slice token)
{
	unsigned char a[RH_SHA256_LEN], b[RH_SHA256_LEN];

	rh_sha256(a, given.p, given.n);
	rh_sha256(b, token.p, token.n);
	return rh_same_bytes(a, b, sizeof(a));
}

/* What stands behind the colon of name:password, in plain base64. */
static bool
is_password(struct rh_slice coded, struct rh_slice token)
{
	char url[BASIC_MAX], plain[BASIC_MAX];
	struct rh_slice rest;
	size_t n;

	while (coded.n && coded.p[coded.n - 1] == '=')
		coded.n--;
	if (coded.n == 0 || coded.n > sizeof(url))
		return false;
	for (size_t i = 0; i < coded.n; i++)
		url[i] = coded.p[i] == '+' ? '-' : coded.p[i] == '/' ? '_' :
		    coded.p[i];
	n = rh_base64url_get(plain, sizeof(plain),
	    (struct rh_slice){ url, coded.n });
	if (n == SIZE_MAX)
		return false;
	rest = (struct rh_slice){ plain, n };
	rh_slice_cut(&rest, ':');
	return rest.p && is_token(rest, token);
}

bool
auth_is_granted(struct rh_slice authorization, struct rh_slice token)
{
	struct rh_slice rest = rh_slice_trim(authorization);
	struct rh_slice scheme = rh_slice_cut(&rest, ' ');

	if (token.n == 0)
		return true;
	if (!rest.p)
		return false;
	rest = rh_slice_trim(rest);
	if (rh_slice_is_nocase(scheme, RH_SLICE("Bearer")))
		return is_token(rest, token);
	return rh_slice_is_nocase(scheme, RH_SLICE("Basic")) &&
	    is_password(rest, token);
}
