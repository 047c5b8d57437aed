/* tests/lib/base/check_cidr.c - which address is in which network, however it is spelled. */
#include "config.h"

#include "base/cidr.h"

#include "rh_check.h"

#define PRIVATE	"127.0.0.0/8 ::1 10.0.0.0/8, 172.16.0.0/12\t192.168.0.0/16 fc00::/7"

/* clang-format off */
static const struct { const char *list, *address; bool in; } rows[] = {
	{ "10.0.0.0/8", "10.0.0.0", true },
	{ "10.0.0.0/8", "10.255.255.255", true },
	{ "10.0.0.0/8", "11.0.0.0", false },
	{ "10.0.0.0/8", "9.255.255.255", false },
	{ "10.0.0.0/8", "::ffff:10.1.2.3", true },	/* the same address */
	{ "::ffff:10.0.0.0/104", "10.1.2.3", true },
	{ "10.0.0.0/8", "::10.1.2.3", false },
	{ "172.16.0.0/12", "172.31.255.255", true },
	{ "172.16.0.0/12", "172.32.0.0", false },
	{ "192.0.2.7", "192.0.2.7", true },
	{ "192.0.2.7", "192.0.2.6", false },
	{ "192.0.2.7/32", "192.0.2.7", true },
	{ "0.0.0.0/0", "203.0.113.9", true },
	{ "0.0.0.0/0", "2001:db8::1", false },
	{ "::/0", "2001:db8::1", true },
	{ "::/0", "203.0.113.9", true },		/* mapped into it */
	{ "2001:db8::/33", "2001:db8:7fff::1", true },
	{ "2001:db8::/33", "2001:db8:8000::1", false },
	{ "::1", "::1", true },
	{ "::1", "0:0:0:0:0:0:0:1", true },
	{ "::1", "::2", false },
	{ PRIVATE, "127.0.0.1", true },
	{ PRIVATE, "172.20.1.1", true },
	{ PRIVATE, "192.168.255.1", true },
	{ PRIVATE, "fd12::1", true },
	{ PRIVATE, "fe80::1", false },
	{ PRIVATE, "8.8.8.8", false },
	{ "", "127.0.0.1", false },
	{ " ,\t", "127.0.0.1", false },
	{ "127.0.0.0/8", "", false },
	{ "127.0.0.0/8", "unix:", false },
	{ "127.0.0.0/8", "localhost", false },
	{ "127.0.0.0/8", "127.1", false },
	{ "127.0.0.0/8", "127.0.0.1 ", false },
	{ "127.0.0.0/8", "0x7f.0.0.1", false },
};
static const struct { const char *list, *fault; } faults[] = {
	{ "10.0.0.0/33", "10.0.0.0/33" },
	{ "::/129", "::/129" },
	{ "10.0.0.1/8", "10.0.0.1/8" },		/* which is meant: the host, the network? */
	{ "2001:db8::1/64", "2001:db8::1/64" },
	{ "10.0.0.0/", "10.0.0.0/" },
	{ "10.0.0.0/-1", "10.0.0.0/-1" },
	{ "10.0.0.0/08", "10.0.0.0/08" },
	{ "10/8", "10/8" },
	{ "/8", "/8" },
	{ "::1, example.org 10.0.0.0/8", "example.org" },
	{ "1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb", "1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb" },
};
/* clang-format on */

START_TEST(address_is_in_the_network_or_not)
{
	struct rh_cidrs list;
	struct rh_slice fault;

	ck_assert(rh_cidrs_get(&list, rh_slice_of(rows[_i].list),
	    rh_check_arena(), &fault));
	ck_assert_int_eq(rh_cidrs_has(&list, rh_slice_of(rows[_i].address)),
	    rows[_i].in);
}
END_TEST

START_TEST(fault_is_told)
{
	struct rh_cidrs list;
	struct rh_slice fault;

	ck_assert(!rh_cidrs_get(&list, rh_slice_of(faults[_i].list),
	    rh_check_arena(), &fault));
	rh_assert_slice_eq(fault, rh_slice_of(faults[_i].fault));
}
END_TEST

START_TEST(no_text_is_no_network)
{
	struct rh_cidrs list;
	struct rh_slice fault;

	ck_assert(rh_cidrs_get(&list, RH_SLICE_NONE, rh_check_arena(), &fault));
	ck_assert(!rh_cidrs_has(&list, RH_SLICE("127.0.0.1")));
}
END_TEST

RH_CHECK_MAIN("base/cidr",
    RH_LOOP(address_is_in_the_network_or_not, rows),
    RH_LOOP(fault_is_told, faults),
    RH_CASE(no_text_is_no_network))
