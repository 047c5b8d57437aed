/* check_guard.c - nothing reaches libfcgi that it would not survive. */
#include "config.h"

#include "records.h"

static enum rh_fcgx_look
look(const struct wire *w)
{
	struct peer p = peer_open();
	enum rh_fcgx_look got;

	if (w->n)
		peer_send(&p, w->p, w->n);
	got = rh_fcgx_look(p.fx, p.theirs);
	peer_close(&p);
	return got;
}

/* ---- rows: how the bytes are made, and what the guard says of them ---- */

static void
nothing(struct wire *w)
{
	(void)w;
}

static void
whole_get(struct wire *w)
{
	wire_get(w, 1, true);
}

static void
head_only(struct wire *w)
{
	wire_begin(w, 1, RH_ROLE_RESPONDER, true);
	wire_params(w, 1, get_params);
}

static void
no_parameters(struct wire *w)
{
	wire_begin(w, 1, RH_ROLE_RESPONDER, true);
	wire_params(w, 1, NULL);
}

static void
no_end_of_params(struct wire *w)
{
	struct wire *pairs = wire_new();

	wire_begin(w, 1, RH_ROLE_RESPONDER, true);
	wire_pair(pairs, RH_SLICE("A"), RH_SLICE("b"));
	wire_record(w, RH_REC_PARAMS, 1,
	    (struct rh_slice){ (char *)pairs->p, pairs->n });
}

static void
pairs_straddle_records(struct wire *w)
{
	struct wire *pairs = wire_new();

	wire_pair(pairs, RH_SLICE("REQUEST_METHOD"), RH_SLICE("GET"));
	wire_begin(w, 1, RH_ROLE_RESPONDER, true);
	for (size_t i = 0; i < pairs->n; i++)
		wire_record(w, RH_REC_PARAMS, 1,
		    (struct rh_slice){ (char *)pairs->p + i, 1 });
	wire_record(w, RH_REC_PARAMS, 1, RH_SLICE(""));
}

static void
params_without_begin(struct wire *w)
{
	wire_params(w, 1, NULL);
}

static void
http(struct wire *w)
{
	wire_raw(w, "GET / HTTP/1.1\r\n\r\n", 18);
}

static void
another_version(struct wire *w)
{
	whole_get(w);
	w->p[16] = 2;
}

static void
begin_too_short(struct wire *w)
{
	wire_record(w, RH_REC_BEGIN, 1, RH_SLICE("abc"));
}

static void
begin_twice(struct wire *w)
{
	wire_begin(w, 1, RH_ROLE_RESPONDER, true);
	wire_begin(w, 1, RH_ROLE_RESPONDER, true);
}

static void
stdin_before_params_end(struct wire *w)
{
	no_end_of_params(w);
	wire_stdin(w, 1, RH_SLICE("x"));
}

/* Aborts Debian's libfcgi. */
static void
huge_lengths(struct wire *w)
{
	wire_begin(w, 1, RH_ROLE_RESPONDER, true);
	wire_record(w, RH_REC_PARAMS, 1,
	    RH_SLICE("\xff\xff\xff\xfe\xff\xff\xff\xfe" "abcdefgh"));
	wire_record(w, RH_REC_PARAMS, 1, RH_SLICE(""));
}

static void
length_past_the_end(struct wire *w)
{
	wire_begin(w, 1, RH_ROLE_RESPONDER, true);
	wire_record(w, RH_REC_PARAMS, 1, RH_SLICE("\x04\x04" "abcde"));
	wire_record(w, RH_REC_PARAMS, 1, RH_SLICE(""));
}

static void
lengths_cut_short(struct wire *w)
{
	wire_begin(w, 1, RH_ROLE_RESPONDER, true);
	wire_record(w, RH_REC_PARAMS, 1, RH_SLICE("\x01\x80"));
	wire_record(w, RH_REC_PARAMS, 1, RH_SLICE(""));
}

static void
value_over_the_limit(struct wire *w)
{
	wire_begin(w, 1, RH_ROLE_RESPONDER, true);
	wire_record(w, RH_REC_PARAMS, 1, RH_SLICE("\x01\x80\x01\x00\x00" "Axx"));
}

static void
too_many_parameters(struct wire *w)
{
	const char *params[RH_PARAMS_MAX + 2] = { NULL };

	for (size_t i = 0; i <= RH_PARAMS_MAX; i++)
		params[i] = "HTTP_A=b";
	wire_begin(w, 1, RH_ROLE_RESPONDER, true);
	wire_params(w, 1, params);
}

static void
params_over_the_limit(struct wire *w)
{
	static char text[8000];
	const char *params[8] = { text, text, text, text, text, text, text };

	memset(text, 'x', sizeof(text) - 1);
	text[6] = '=';
	wire_begin(w, 1, RH_ROLE_RESPONDER, true);
	wire_params(w, 1, params);
}

static void
crumbs_that_fill_the_buffer(struct wire *w)
{
	wire_begin(w, 1, RH_ROLE_RESPONDER, true);
	while (w->n < RH_CONN_BYTES)
		wire_record(w, RH_REC_PARAMS, 1, RH_SLICE("\0"));
}

static void
reserved_id_of_others(struct wire *w)
{
	wire_begin(w, 1, RH_ROLE_RESPONDER, true);
	wire_record(w, RH_REC_STDIN, 7, RH_SLICE("ignored"));
	wire_params(w, 1, get_params);
}

static void
management_too_long(struct wire *w)
{
	static char text[5000];

	wire_record(w, RH_REC_GET_VALUES, 0,
	    (struct rh_slice){ text, sizeof(text) });
}

static void
values_that_lie(struct wire *w)
{
	wire_record(w, RH_REC_GET_VALUES, 0, RH_SLICE("\x0e\x09" "FCGI_MAX"));
}

static void
management_without_end(struct wire *w)
{
	for (int i = 0; i < 100; i++)
		wire_record(w, RH_REC_GET_VALUES, 0, RH_SLICE(""));
}

static void
part_of_a_header(struct wire *w)
{
	wire_raw(w, "\1\1\0", 3);
}

static const struct {
	const char *name;
	void (*make)(struct wire *w);
	enum rh_fcgx_look look;
} rows[] = {
	{ "nothing", nothing, RH_FCGX_EMPTY },
	{ "whole GET", whole_get, RH_FCGX_READY },
	{ "head only", head_only, RH_FCGX_READY },
	{ "no parameters", no_parameters, RH_FCGX_READY },
	{ "no end of PARAMS", no_end_of_params, RH_FCGX_INCOMPLETE },
	{ "pairs straddle records", pairs_straddle_records, RH_FCGX_READY },
	{ "PARAMS without BEGIN", params_without_begin, RH_FCGX_HOSTILE },
	{ "HTTP", http, RH_FCGX_HOSTILE },
	{ "another version", another_version, RH_FCGX_HOSTILE },
	{ "BEGIN too short", begin_too_short, RH_FCGX_HOSTILE },
	{ "BEGIN twice", begin_twice, RH_FCGX_HOSTILE },
	{ "STDIN before PARAMS end", stdin_before_params_end, RH_FCGX_HOSTILE },
	{ "huge lengths", huge_lengths, RH_FCGX_HOSTILE },
	{ "length past the end", length_past_the_end, RH_FCGX_HOSTILE },
	{ "lengths cut short", lengths_cut_short, RH_FCGX_HOSTILE },
	{ "value over the limit", value_over_the_limit, RH_FCGX_TOO_LARGE },
	{ "too many parameters", too_many_parameters, RH_FCGX_TOO_LARGE },
	{ "PARAMS over the limit", params_over_the_limit, RH_FCGX_TOO_LARGE },
	{ "crumbs", crumbs_that_fill_the_buffer, RH_FCGX_TOO_LARGE },
	{ "another's record", reserved_id_of_others, RH_FCGX_READY },
	{ "management too long", management_too_long, RH_FCGX_HOSTILE },
	{ "values that lie", values_that_lie, RH_FCGX_HOSTILE },
	{ "management without end", management_without_end, RH_FCGX_HOSTILE },
	{ "part of a header", part_of_a_header, RH_FCGX_INCOMPLETE },
};

START_TEST(guard_judges)
{
	struct wire *w = wire_new();
	enum rh_fcgx_look got;

	rows[_i].make(w);
	got = look(w);
	ck_assert_msg(got == rows[_i].look, "%s: %d, not %d", rows[_i].name,
	    (int)got, (int)rows[_i].look);
}
END_TEST

START_TEST(a_closed_connection_is_closed)
{
	struct peer p = peer_open();

	shutdown(p.ours, SHUT_RDWR);
	ck_assert_int_eq(rh_fcgx_look(p.fx, p.theirs), RH_FCGX_CLOSED);
	peer_close(&p);
}
END_TEST

START_TEST(a_trickle_is_incomplete_up_to_its_last_byte)
{
	struct peer p = peer_open();
	struct wire *w = wire_new();

	head_only(w);
	for (size_t i = 0; i < w->n; i++) {
		ck_assert_int_eq(rh_fcgx_look(p.fx, p.theirs),
		    i ? RH_FCGX_INCOMPLETE : RH_FCGX_EMPTY);
		peer_send(&p, w->p + i, 1);
	}
	ck_assert_int_eq(rh_fcgx_look(p.fx, p.theirs), RH_FCGX_READY);
	/* a look takes nothing: another one says the same */
	ck_assert_int_eq(rh_fcgx_look(p.fx, p.theirs), RH_FCGX_READY);
	peer_close(&p);
}
END_TEST

/* libfcgi's stack holds three answers. */
START_TEST(repeated_values_are_answered_once)
{
	struct peer p = peer_open();
	struct wire *w = wire_new(), *pairs = wire_new();
	unsigned char content[65536 + 255];
	struct rh_record r;

	for (int i = 0; i < 6; i++)
		wire_pair(pairs, RH_SLICE("FCGI_MAX_CONNS"), RH_SLICE(""));
	wire_pair(pairs, RH_SLICE("FCGI_MPXS_CONNS"), RH_SLICE(""));
	wire_pair(pairs, RH_SLICE("FCGI_UNHEARD_OF"), RH_SLICE(""));
	wire_record(w, RH_REC_GET_VALUES, 0,
	    (struct rh_slice){ (char *)pairs->p, pairs->n });
	peer_send(&p, w->p, w->n);
	ck_assert_int_eq(rh_fcgx_look(p.fx, p.theirs), RH_FCGX_INCOMPLETE);
	r = peer_record(&p, content);
	ck_assert_uint_eq(r.type, RH_REC_GET_VALUES_RESULT);
	ck_assert_uint_eq(r.id, 0);
	rh_assert_slice_eq(((struct rh_slice){ (char *)content, r.n }),
	    RH_SLICE("\x0e\x01" "FCGI_MAX_CONNS1" "\x0f\x01" "FCGI_MPXS_CONNS0"));
	ck_assert_int_eq(rh_fcgx_look(p.fx, p.theirs), RH_FCGX_EMPTY);
	peer_close(&p);
}
END_TEST

START_TEST(unknown_management_is_answered_and_taken_off)
{
	struct peer p = peer_open();
	struct wire *w = wire_new();
	unsigned char content[65536 + 255];
	struct rh_record r;

	wire_record(w, 42, 0, RH_SLICE("what"));
	wire_get(w, 1, true);
	peer_send(&p, w->p, w->n);
	ck_assert_int_eq(rh_fcgx_look(p.fx, p.theirs), RH_FCGX_READY);
	r = peer_record(&p, content);
	ck_assert_uint_eq(r.type, RH_REC_UNKNOWN_TYPE);
	ck_assert_uint_eq(content[0], 42);
	peer_close(&p);
}
END_TEST

static const struct { unsigned role; bool abort; unsigned status; } ends[] = {
	{ 2, false, RH_END_UNKNOWN_ROLE },
	{ 3, false, RH_END_UNKNOWN_ROLE },
	{ 257, false, RH_END_UNKNOWN_ROLE },
	{ RH_ROLE_RESPONDER, true, RH_END_COMPLETE },
};

START_TEST(what_cannot_begin_is_ended)
{
	struct peer p = peer_open();
	struct wire *w = wire_new();
	unsigned char content[65536 + 255];
	struct rh_record r;

	wire_begin(w, 9, ends[_i].role, true);
	if (ends[_i].abort)
		wire_record(w, RH_REC_ABORT, 9, RH_SLICE(""));
	peer_send(&p, w->p, w->n);
	ck_assert_int_eq(rh_fcgx_look(p.fx, p.theirs), RH_FCGX_CLOSED);
	r = peer_record(&p, content);
	ck_assert_uint_eq(r.type, RH_REC_END);
	ck_assert_uint_eq(r.id, 9);
	ck_assert_uint_eq(content[4], ends[_i].status);
	peer_close(&p);
}
END_TEST

START_TEST(what_is_too_large_is_refused_with_its_id)
{
	struct peer p = peer_open();
	struct wire *w = wire_new();

	wire_begin(w, 258, RH_ROLE_RESPONDER, true);
	wire_record(w, RH_REC_PARAMS, 258, RH_SLICE("\x01\x80\x01\x00\x00" "Axx"));
	peer_send(&p, w->p, w->n);
	shutdown(p.ours, SHUT_WR);
	ck_assert_int_eq(rh_fcgx_look(p.fx, p.theirs), RH_FCGX_TOO_LARGE);
	ck_assert(!rh_fcgx_refuse(p.fx, RH_SLICE("Status: 431\r\n\r\n"), RH_SLICE("no")));
	rh_assert_slice_eq(peer_reply(&p, 258), RH_SLICE("Status: 431\r\n\r\nno"));
	peer_close(&p);
}
END_TEST

static void
large_head(struct wire *w, bool keep)
{
	static char value[60000];
	struct wire *pairs = wire_new();

	memset(value, 'x', sizeof(value));
	wire_pair(pairs, RH_SLICE("HTTP_X"), (struct rh_slice){ value, sizeof(value) });
	wire_begin(w, 1, RH_ROLE_RESPONDER, keep);
	wire_record(w, RH_REC_PARAMS, 1, (struct rh_slice){ (char *)pairs->p, pairs->n });
}

static void
large_request(struct wire *w, bool keep)
{
	large_head(w, keep);
	wire_record(w, RH_REC_PARAMS, 1, RH_SLICE(""));
	wire_record(w, RH_REC_STDIN, 1, RH_SLICE("a body"));
	wire_record(w, RH_REC_STDIN, 1, RH_SLICE(""));
}

static const bool keeps[] = { false, true };

START_TEST(after_a_refusal_a_kept_connection_is_as_good_as_before)
{
	struct peer p = peer_open();
	struct wire *w = wire_new();

	large_request(w, keeps[_i]);
	peer_send(&p, w->p, w->n);
	ck_assert_int_eq(rh_fcgx_look(p.fx, p.theirs), RH_FCGX_TOO_LARGE);
	ck_assert_int_eq(rh_fcgx_refuse(p.fx, RH_SLICE("Status: 431\r\n\r\n"),
	    RH_SLICE("no")), keeps[_i]);
	rh_assert_slice_eq(peer_reply(&p, 1), RH_SLICE("Status: 431\r\n\r\nno"));
	ck_assert_int_eq(rh_fcgx_look(p.fx, p.theirs), RH_FCGX_EMPTY);
	w->n = 0;
	wire_begin(w, 1, RH_ROLE_RESPONDER, true);
	wire_record(w, RH_REC_PARAMS, 1, RH_SLICE(""));
	peer_send(&p, w->p, w->n);
	ck_assert_int_eq(rh_fcgx_look(p.fx, p.theirs), RH_FCGX_READY);
	peer_close(&p);
}
END_TEST

/* What comes behind a broken rule is no request, whole as it may look. */
START_TEST(a_large_head_that_begins_twice_is_the_last)
{
	struct peer p = peer_open();
	struct wire *w = wire_new();

	large_head(w, true);
	wire_get(w, 1, true);
	peer_send(&p, w->p, w->n);
	shutdown(p.ours, SHUT_WR);
	ck_assert_int_eq(rh_fcgx_look(p.fx, p.theirs), RH_FCGX_TOO_LARGE);
	ck_assert(!rh_fcgx_refuse(p.fx, RH_SLICE("Status: 431\r\n\r\n"), RH_SLICE("no")));
	rh_assert_slice_eq(peer_reply(&p, 1), RH_SLICE("Status: 431\r\n\r\nno"));
	peer_close(&p);
}
END_TEST

RH_CHECK_MAIN("http/fcgx_guard",
    RH_LOOP(guard_judges, rows),
    RH_CASE(a_closed_connection_is_closed),
    RH_CASE(a_trickle_is_incomplete_up_to_its_last_byte),
    RH_CASE(repeated_values_are_answered_once),
    RH_CASE(unknown_management_is_answered_and_taken_off),
    RH_LOOP(what_cannot_begin_is_ended, ends),
    RH_CASE(what_is_too_large_is_refused_with_its_id),
    RH_LOOP(after_a_refusal_a_kept_connection_is_as_good_as_before, keeps),
    RH_CASE(a_large_head_that_begins_twice_is_the_last))
