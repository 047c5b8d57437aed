#include "config.h"

#include "jobs/out_guard.h"

#include <arpa/inet.h>
#include <ctype.h>

#include "base/text.h"
#include "jobs/out.h"

enum { URL_MAX = 2048, HOST_MAX = 253, PORT_MAX = 65535 };

/* ---- addresses ---- */

/*
 * Of IPv6 all but what is given to the public (2000::/3), and of that what is
 * not; of IPv4 what is special. A tunnel's address hides an IPv4 one: 6to4 and
 * Teredo, which nobody uses any more, are refused with their whole networks.
 */
static const char *const special[] = {
	"0.0.0.0/8",	   /* this network; 0.0.0.0 connects to this host */
	"10.0.0.0/8",	   /* private */
	"100.64.0.0/10",   /* carrier-grade NAT; 100.100.100.200 is metadata */
	"127.0.0.0/8",	   /* loopback */
	"168.63.129.16",   /* Azure's host agent */
	"169.254.0.0/16",  /* link-local; 169.254.169.254 is metadata */
	"172.16.0.0/12",   /* private */
	"192.0.0.0/24",	   /* protocol assignments; 192.0.0.192 is metadata */
	"192.0.2.0/24",	   /* documentation */
	"192.88.99.0/24",  /* 6to4 relays */
	"192.168.0.0/16",  /* private */
	"198.18.0.0/15",   /* benchmarking */
	"198.51.100.0/24", /* documentation */
	"203.0.113.0/24",  /* documentation */
	"224.0.0.0/4",	   /* multicast */
	"240.0.0.0/4",	   /* reserved, broadcast */
	"2001::/23", /* protocol assignments: Teredo, benchmarking, ORCHID */
	"2001:db8::/32", /* documentation */
	"2002::/16",	 /* 6to4 */
	"3fff::/20",	 /* documentation */
};

static bool
is_in(const unsigned char address[16], const struct rh_cidr *net)
{
	unsigned whole = net->bits / 8, rest = net->bits % 8;

	return memcmp(address, net->net, whole) == 0 &&
	    (rest == 0 ||
		(address[whole] ^ net->net[whole]) >> (8 - rest) == 0);
}

static bool
is_special(const unsigned char address[16])
{
	struct rh_cidr net;

	for (size_t i = 0; i < RH_COUNT(special); i++) {
		bool known = rh_cidr_get(&net, rh_slice_of(special[i]));

		rh_assert(known);
		if (is_in(address, &net))
			return true;
	}
	return false;
}

static bool
is_allowed(const unsigned char address[16], const struct rh_cidrs *allow)
{
	for (size_t i = 0; allow && i < allow->n; i++)
		if (is_in(address, &allow->list[i]))
			return true;
	return false;
}

static const unsigned char mapped[12] = { [10] = 0xff, [11] = 0xff };

/* 64:ff9b::a.b.c.d: what DNS64 answers where there is no IPv4. */
static bool
is_nat64(const unsigned char address[16])
{
	static const unsigned char prefix[12] = { 0x00, 0x64, 0xff, 0x9b };

	return memcmp(address, prefix, sizeof(prefix)) == 0;
}

bool
rh_out_address_passes(const unsigned char address[16],
    const struct rh_cidrs *allow)
{
	unsigned char inner[16];
	bool is_v4 = memcmp(address, mapped, sizeof(mapped)) == 0;

	if (is_allowed(address, allow))
		return true;
	if (is_nat64(address)) {
		memcpy(inner, mapped, sizeof(mapped));
		memcpy(inner + 12, address + 12, 4);
		return rh_out_address_passes(inner, allow);
	}
	if (!is_v4 && (address[0] & 0xe0) != 0x20)
		return false;
	return !is_special(address);
}

/* ---- ports ---- */

/* Where something listens that a request's bytes may mean something to. */
static const uint16_t bad_ports[] = { 0, 1, 7, 9, 11, 13, 15, 17, 19, 20, 21,
	22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 101, 102, 103, 104, 109,
	110, 111, 113, 115, 117, 119, 123, 135, 137, 139, 143, 161, 179, 389,
	427, 465, 512, 513, 514, 515, 526, 530, 531, 532, 540, 548, 554, 556,
	563, 587, 601, 636, 989, 990, 993, 995, 1719, 1720, 1723, 2049, 3659,
	4045, 4190, 5060, 5061, 6000, 6566, 6665, 6666, 6667, 6668, 6669, 6679,
	6697, 10080 };

bool
rh_out_port_is_bad(unsigned port)
{
	for (size_t i = 0; i < RH_COUNT(bad_ports); i++)
		if (bad_ports[i] == port)
			return true;
	return port > PORT_MAX;
}

/* ---- hosts ---- */

/* Decimal, 0x hexadecimal or 0 octal; false: none, or too large for any part. */
static bool
number_get(uint64_t *to, struct rh_slice text)
{
	unsigned base = 10;

	*to = 0;
	if (text.n >= 2 && text.p[0] == '0' && (text.p[1] | 0x20) == 'x') {
		base = 16;
		text = rh_slice_from(text, 2);
	} else if (text.n >= 2 && text.p[0] == '0') {
		base = 8;
		text = rh_slice_from(text, 1);
	} else if (text.n == 0) {
		return false;
	}
	for (size_t i = 0; i < text.n; i++) {
		int c = tolower((unsigned char)text.p[i]);
		unsigned digit = c >= 'a' ? (unsigned)c - 'a' + 10 :
					    (unsigned)c - '0';

		if (!isxdigit(c) || digit >= base || *to > UINT32_MAX)
			return false;
		*to = *to * base + digit;
	}
	return *to <= UINT32_MAX;
}

/* 127.1, 0x7f.1, 017700000001, 2130706433. */
static bool
ipv4_get(unsigned char to[16], struct rh_slice text)
{
	uint64_t all = 0, part = 0;
	unsigned parts = 0;

	while (text.p) {
		if (++parts > 4 || part > UINT8_MAX ||
		    !number_get(&part, rh_slice_cut(&text, '.')))
			return false;
		if (text.p)
			all = all << 8 | part;
	}
	if (parts == 0 || part >> 8 * (5 - parts))
		return false;
	all = all << 8 * (5 - parts) | part;
	memcpy(to, mapped, sizeof(mapped));
	for (unsigned i = 0; i < 4; i++)
		to[12 + i] = (unsigned char)(all >> 8 * (3 - i));
	return true;
}

/* What stands behind the last dot is a number: no name ends so. */
static bool
ends_in_number(struct rh_slice host)
{
	struct rh_slice last = host;
	uint64_t n;
	bool digits = true;

	for (size_t i = 0; i < host.n; i++)
		if (host.p[i] == '.')
			last = rh_slice_from(host, i + 1);
	for (size_t i = 0; i < last.n; i++)
		digits &= last.p[i] >= '0' && last.p[i] <= '9';
	return (digits && last.n) || number_get(&n, last);
}

static bool
is_host_byte(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	    (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_';
}

static const char *
host_get(struct rh_out_url *to, struct rh_slice host)
{
	if (host.n && host.p[host.n - 1] == '.')
		host.n--;
	if (host.n == 0 || host.n > HOST_MAX)
		return "refused.url";
	/* no percent signs: libcurl would decode them */
	for (size_t i = 0; i < host.n; i++)
		if (!is_host_byte(host.p[i]))
			return "refused.url";
	to->host = host;
	to->is_address = ends_in_number(host);
	if (to->is_address && !ipv4_get(to->address, host))
		return "refused.address";
	return NULL;
}

/* A scope is no part of an address that others could mean. */
static const char *
bracketed_get(struct rh_out_url *to, struct rh_slice host)
{
	if (memchr(host.p, '%', host.n))
		return "refused.address";
	to->host = host;
	to->is_address = true;
	return memchr(host.p, ':', host.n) &&
		rh_address_get(to->address, host) ?
	    NULL :
	    "refused.url";
}

/* ---- the URL ---- */

static const char *
port_get(struct rh_out_url *to, struct rh_slice text)
{
	uint64_t port;

	to->port = to->tls ? 443 : 80;
	if (text.n == 0)
		return NULL;
	if (!rh_u64_get(&port, text) || port > PORT_MAX)
		return "refused.url";
	to->port = (unsigned)port;
	return rh_out_port_is_bad(to->port) ? "refused.port" : NULL;
}

/* Cuts it off; false: it is neither of the two. */
static bool
scheme_cut(struct rh_out_url *to, struct rh_slice *url)
{
	static const struct rh_slice schemes[] = { RH_SLICE_INIT("http://"),
		RH_SLICE_INIT("https://") };

	for (size_t i = 0; i < RH_COUNT(schemes); i++)
		if (url->n >= schemes[i].n &&
		    rh_slice_is_nocase((struct rh_slice){ url->p,
					   schemes[i].n },
			schemes[i])) {
			to->tls = i == 1;
			*url = rh_slice_from(*url, schemes[i].n);
			return true;
		}
	return false;
}

/* Without the host where that is in brackets, else up to the port. */
static const char *
authority_get(struct rh_out_url *to, struct rh_slice text)
{
	struct rh_slice host = text, port = RH_SLICE_NONE;
	const char *end = NULL, *fault;

	if (memchr(text.p, '@', text.n))
		return "refused.credentials";
	if (text.n && text.p[0] == '[') {
		end = memchr(text.p, ']', text.n);
		if (!end || (end + 1 < text.p + text.n && end[1] != ':'))
			return "refused.url";
		host = (struct rh_slice){ text.p + 1,
			(size_t)(end - text.p) - 1 };
		end = end + 1 < text.p + text.n ? end + 1 : NULL;
		fault = bracketed_get(to, host);
	} else {
		if ((end = memchr(text.p, ':', text.n)))
			host.n = (size_t)(end - text.p);
		fault = host_get(to, host);
	}
	if (fault)
		return fault;
	if (end)
		port = rh_slice_from(text, (size_t)(end + 1 - text.p));
	return port_get(to, port);
}

/*
 * Stricter than any parser: printable ASCII and no backslash, which some read
 * as a slash. So we and libcurl cannot mean different hosts.
 */
static bool
is_plain(struct rh_slice url)
{
	for (size_t i = 0; i < url.n; i++)
		if (url.p[i] <= ' ' || url.p[i] >= 0x7f || url.p[i] == '\\')
			return false;
	return url.n > 0 && url.n <= URL_MAX;
}

const char *
rh_out_url_get(struct rh_out_url *to, struct rh_slice url)
{
	size_t n = 0;

	*to = (struct rh_out_url){ .tls = false };
	if (!is_plain(url))
		return "refused.url";
	if (!scheme_cut(to, &url))
		return "refused.scheme";
	while (
	    n < url.n && url.p[n] != '/' && url.p[n] != '?' && url.p[n] != '#')
		n++;
	return authority_get(to, (struct rh_slice){ url.p, n });
}

const char *
rh_out_refuses(struct rh_slice url)
{
	struct rh_out_url parts;

	return rh_out_url_get(&parts, url);
}

const char *
rh_out_refuses_under(const struct rh_out_conf *conf, struct rh_slice url)
{
	struct rh_out_url parts;
	const char *fault = rh_out_url_get(&parts, url);

	if (!fault && parts.is_address &&
	    !rh_out_address_passes(parts.address, conf->allow))
		return "refused.address";
	return fault;
}
