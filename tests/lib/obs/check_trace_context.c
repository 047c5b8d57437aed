/* tests/lib/obs/check_trace_context.c - W3C Trace Context level 2, row by row. */
#include "config.h"

#include "obs/trace.h"
#include "base/text.h"

#include "rh_check.h"

#define ID	"12345678901234567890123456789012"
#define SPAN	"1234567890123456"

/* clang-format off */
static const struct { const char *text; int flags; } parents[] = {	/* -1: invalid */
	{ "00-" ID "-" SPAN "-01", 1 },
	{ "00-" ID "-" SPAN "-00", 0 },
	{ "00-" ID "-" SPAN "-02", 2 },
	{ "00-" ID "-" SPAN "-03", 3 },
	{ "00-" ID "-" SPAN "-ff", 3 },	/* bits that version 00 does not know */
	{ "00-" ID "-" SPAN "-fc", 0 },
	{ "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", 1 },
	{ "00-" ID "-" SPAN "-01.", -1 },
	{ "00-" ID "-" SPAN "-01-", -1 },
	{ "00-" ID "-" SPAN "-01-what-the-future-will-be-like", -1 },
	{ "cc-" ID "-" SPAN "-01", 1 },
	{ "cc-" ID "-" SPAN "-01-what-the-future-will-be-like", 1 },
	{ "cc-" ID "-" SPAN "-01-", 1 },
	{ "cc-" ID "-" SPAN "-01.what-the-future-will-be-like", -1 },
	{ "cc-" ID "-" SPAN "-011", -1 },
	{ "fe-" ID "-" SPAN "-01", 1 },
	{ "ff-" ID "-" SPAN "-01", -1 },
	{ "FF-" ID "-" SPAN "-01", -1 },
	{ "CC-" ID "-" SPAN "-01", -1 },
	{ ".0-" ID "-" SPAN "-01", -1 },
	{ "0.-" ID "-" SPAN "-01", -1 },
	{ "000-" ID "-" SPAN "-01", -1 },
	{ "0000-" ID "-" SPAN "-01", -1 },
	{ "0-" ID "-" SPAN "-01", -1 },
	{ "00-00000000000000000000000000000000-" SPAN "-01", -1 },
	{ "00-" ID "-0000000000000000-01", -1 },
	{ "00-.2345678901234567890123456789012-" SPAN "-01", -1 },
	{ "00-1234567890123456789012345678901.-" SPAN "-01", -1 },
	{ "00-1234567890123456789012345678901-" SPAN "-01", -1 },
	{ "00-123456789012345678901234567890123-" SPAN "-01", -1 },
	{ "00-" ID "-.234567890123456-01", -1 },
	{ "00-" ID "-123456789012345.-01", -1 },
	{ "00-" ID "-123456789012345-01", -1 },
	{ "00-" ID "-12345678901234567-01", -1 },
	{ "00-" ID "-" SPAN "-.0", -1 },
	{ "00-" ID "-" SPAN "-0.", -1 },
	{ "00-" ID "-" SPAN "-1", -1 },
	{ "00-" ID "-" SPAN "-001", -1 },
	{ "00-" ID "-" SPAN "-", -1 },
	{ "00-" ID "-" SPAN, -1 },
	{ "00_" ID "-" SPAN "-01", -1 },
	{ "00-" ID "_" SPAN "-01", -1 },
	{ "00-" ID "-" SPAN "_01", -1 },
	{ "00-ABCDEF78901234567890123456789012-" SPAN "-01", -1 },
	{ "00-" ID "-ABCDEF7890123456-01", -1 },
	{ "00-" ID "-" SPAN "-0A", -1 },
	{ "00-" ID "-" SPAN "-01,00-" ID "-" SPAN "-01", -1 },
	{ "", -1 },
	{ "-", -1 },
};

#define X16	"xxxxxxxxxxxxxxxx"
#define X64	X16 X16 X16 X16
#define X256	X64 X64 X64 X64
static const struct { const char *text; int members; } states[] = {	/* -1: invalid */
	{ "foo=1", 1 },
	{ "foo=1,bar=2", 2 },
	{ "foo=1 \t , \t bar=2, \t baz=3", 3 },
	{ " foo=1", 1 },
	{ "foo=1\t", 1 },
	{ "", 0 },
	{ " ", 0 },
	{ ",", 0 },
	{ ",foo=1,,\t,bar=2,", 2 },
	{ "foo=  1", 1 },		/* spaces in front belong to the value */
	{ "foo=a b", 1 },
	{ "foo=1=2", -1 },
	{ "foo=", -1 },
	{ "foo=,bar=3", -1 },
	{ "foo= ", -1 },
	{ "foo", -1 },
	{ "=1", -1 },
	{ "foo =1", -1 },
	{ "FOO=1", -1 },
	{ "fOo=1", -1 },
	{ "foo.bar=1", -1 },
	{ "0foo=1", 1 },
	{ "_foo=1", -1 },
	{ "-foo=1", -1 },
	{ "*foo=1", -1 },
	{ "/foo=1", -1 },
	{ "f_-*/@9=1", 1 },
	{ "abcdefghijklmnopqrstuvwxyz0123456789_-*/@a-z0-9_-*/= !\"#$%&'()*+-./0123456789:;<>?@AZ[\\]^_`az{|}~", 1 },
	{ "foo@=1,bar=2", 2 },		/* level 2 gives "@" no meaning */
	{ "@foo=1,bar=2", -1 },
	{ "foo@@bar=1,bar=2", 2 },
	{ "foo@bar@baz=1,bar=2", 2 },
	{ "foo=1,foo=1", 2 },		/* the grammar allows it */
	{ "foo=1,bar=2,foo=3", 3 },
	{ "foo=\x7f", -1 },
	{ "foo=a\tb", -1 },
	{ "foo=\xc3\xa9", -1 },
	{ X256 "=1", 1 },
	{ X256 "x=1", -1 },
	{ "foo=" X256, 1 },
	{ "foo=" X256 "x", -1 },
	{ "a=" X256 ",b=" X256 ",c=" X256, 3 },
	{ "a=1,b=1,c=1,d=1,e=1,f=1,g=1,h=1,i=1,j=1,k=1,l=1,m=1,n=1,o=1,p=1,"
	  "q=1,r=1,s=1,t=1,u=1,v=1,w=1,x=1,y=1,z=1,0=1,1=1,2=1,3=1,4=1,5=1", 32 },
	{ "a=1,b=1,c=1,d=1,e=1,f=1,g=1,h=1,i=1,j=1,k=1,l=1,m=1,n=1,o=1,p=1,,,,"
	  "q=1,r=1,s=1,t=1,u=1,v=1,w=1,x=1,y=1,z=1,0=1,1=1,2=1,3=1,4=1,5=1", 32 },
	{ "a=1,b=1,c=1,d=1,e=1,f=1,g=1,h=1,i=1,j=1,k=1,l=1,m=1,n=1,o=1,p=1,"
	  "q=1,r=1,s=1,t=1,u=1,v=1,w=1,x=1,y=1,z=1,0=1,1=1,2=1,3=1,4=1,5=1,6=1", -1 },
};

#define NO	RH_THRESHOLD_NONE
static const struct { const char *state; uint64_t threshold; const char *want; } rewritten[] = {
	{ "", 0, "ot=th:0" },
	{ "", 0x80000000000000, "ot=th:8" },
	{ "", 0xe6666666666668, "ot=th:e6666666666668" },
	{ "", 0x00000000000001, "ot=th:00000000000001" },
	{ "foo=1", 0xc0000000000000, "ot=th:c,foo=1" },
	{ "foo=1,ot=th:8,bar=2", 0, "ot=th:0,foo=1,bar=2" },
	{ "foo=1, ot=rv:12345678901234;th:8;x:y , bar=2", 0, "ot=th:0;rv:12345678901234;x:y,foo=1,bar=2" },
	{ "", NO, "" },
	{ "foo=1,ot=th:8,bar=2", NO, "foo=1,bar=2" },
	{ "foo=1,ot=th:8;rv:12345678901234,bar=2", NO, "ot=rv:12345678901234,foo=1,bar=2" },
	{ "ot=th:8,foo=1,ot=rv:12345678901234", 0, "ot=th:0,foo=1" },	/* a second ot is nobody's */
	{ "ot=x:" X64 X64 X64 X16 X16 "xxxxxxxxxxxxxxxxxxxx", 0x00000000000001,	/* 255 and what goes before it is over 256 */
	  "ot=th:00000000000001" },
	{ "xot=th:8,ot@v=th:8", 0, "ot=th:0,xot=th:8,ot@v=th:8" },
	{ "a=1,b=1,c=1,d=1,e=1,f=1,g=1,h=1,i=1,j=1,k=1,l=1,m=1,n=1,o=1,p=1,"
	  "q=1,r=1,s=1,t=1,u=1,v=1,w=1,x=1,y=1,z=1,0=1,1=1,2=1,3=1,4=1,5=1", 0,
	  "ot=th:0,a=1,b=1,c=1,d=1,e=1,f=1,g=1,h=1,i=1,j=1,k=1,l=1,m=1,n=1,o=1,p=1,"
	  "q=1,r=1,s=1,t=1,u=1,v=1,w=1,x=1,y=1,z=1,0=1,1=1,2=1,3=1,4=1" },	/* the right-most goes */
};
static const struct { const char *state; bool has_th; uint64_t th; bool has_rv; uint64_t rv; } ots[] = {
	{ "", false, NO, false, 0 },
	{ "foo=1", false, NO, false, 0 },
	{ "ot=th:0", true, 0, false, 0 },
	{ "ot=th:8", true, 0x80000000000000, false, 0 },
	{ "foo=1 , ot=th:fd70a4", true, 0xfd70a400000000, false, 0 },
	{ "ot=th:12345678901234", true, 0x12345678901234, false, 0 },
	{ "ot=th:00000000000001", true, 1, false, 0 },
	{ "ot=th:123456789012345", true, NO, false, 0 },	/* 15 digits */
	{ "ot=th:", true, NO, false, 0 },
	{ "ot=th:g", true, NO, false, 0 },
	{ "ot=th:C", true, NO, false, 0 },			/* lower case */
	{ "ot=th:8;th:4", true, 0x80000000000000, false, 0 },
	{ "ot=rv:6e6d1a75832a2f", false, NO, true, 0x6e6d1a75832a2f },
	{ "ot=p:8;rv:6e6d1a75832a2f;th:c;x:y", true, 0xc0000000000000, true, 0x6e6d1a75832a2f },
	{ "ot=rv:6e6d1a75832a2", false, NO, false, 0 },		/* exactly 14 digits */
	{ "ot=rv:6e6d1a75832a2f0", false, NO, false, 0 },
	{ "ot=rv:6E6D1A75832A2F", false, NO, false, 0 },
	{ "ot=rv:6e6d1a75832a2g", false, NO, false, 0 },
	{ "ot=th:8,ot=rv:6e6d1a75832a2f", true, 0x80000000000000, false, 0 },
	{ "xot=th:8,ot@v=th:8,foo=ot=th:8", false, NO, false, 0 },
	{ "ot=xth:8;r:1", false, NO, false, 0 },
};
/* clang-format on */

START_TEST(ot_is_read_strictly)
{
	struct rh_ot ot = rh_tracestate_ot(rh_slice_of(ots[_i].state));

	ck_assert_int_eq(ot.has_th, ots[_i].has_th);
	ck_assert_uint_eq(ot.th, ots[_i].th);
	ck_assert_int_eq(ot.has_rv, ots[_i].has_rv);
	if (ot.has_rv)
		ck_assert_uint_eq(ot.rv, ots[_i].rv);
}
END_TEST

/* 3.3.1.5: those of more than 128 characters first, then the ones at the end. */
START_TEST(what_has_no_room_goes_as_level_2_has_it)
{
	char memory[24];
	struct rh_buf to;

	rh_buf_init_fixed(&to, memory, sizeof(memory));
	rh_tracestate_put_threshold(&to,
	    RH_SLICE("a=1,long=" X64 X64 ",b=2,c=34567890,d=4"), 0);
	ck_assert(!to.full);
	rh_assert_slice_eq(rh_buf_get(&to),
	    RH_SLICE("ot=th:0,a=1,b=2"));
}
END_TEST

START_TEST(traceparent_is_read_strictly)
{
	unsigned char id[16], span[8], flags = 0;
	struct rh_slice text = rh_slice_of(parents[_i].text);
	bool got = rh_traceparent_get(text, id, span, &flags);

	ck_assert_int_eq(got, parents[_i].flags >= 0);
	if (got) {
		char back[32];

		rh_hex_put(back, id, sizeof(id));
		ck_assert_mem_eq(back, text.p + 3, 32);
		ck_assert_int_eq(flags, parents[_i].flags);
	}
}
END_TEST

/* In memory of its own size: a read past its end is seen by ASan. */
START_TEST(any_prefix_of_a_traceparent_is_invalid)
{
	static const char whole[] = "cc-" ID "-" SPAN "-01";
	unsigned char id[16], span[8], flags;

	for (size_t n = 0; n < RH_TRACEPARENT_LEN; n++) {
		char *text = malloc(n + 1);

		memcpy(text, whole, n);
		ck_assert(!rh_traceparent_get((struct rh_slice){ text, n }, id,
		    span, &flags));
		free(text);
	}
}
END_TEST

START_TEST(tracestate_follows_its_grammar)
{
	unsigned members = 0;
	bool got = rh_tracestate_is_valid(rh_slice_of(states[_i].text),
	    &members);

	ck_assert_int_eq(got, states[_i].members >= 0);
	if (got)
		ck_assert_int_eq((int)members, states[_i].members);
}
END_TEST

START_TEST(threshold_goes_first_and_the_rest_stays)
{
	char memory[2048];
	struct rh_buf to;

	rh_buf_init_fixed(&to, memory, sizeof(memory));
	rh_tracestate_put_threshold(&to, rh_slice_of(rewritten[_i].state),
	    rewritten[_i].threshold);
	rh_assert_slice_eq(rh_buf_get(&to), rh_slice_of(rewritten[_i].want));
}
END_TEST

RH_CHECK_MAIN("obs/trace_context",
    RH_LOOP(traceparent_is_read_strictly, parents),
    RH_CASE(any_prefix_of_a_traceparent_is_invalid),
    RH_LOOP(tracestate_follows_its_grammar, states),
    RH_LOOP(ot_is_read_strictly, ots),
    RH_CASE(what_has_no_room_goes_as_level_2_has_it),
    RH_LOOP(threshold_goes_first_and_the_rest_stays, rewritten))
