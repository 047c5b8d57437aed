/* check_mail.c - whom a mail is to, what stands in it, and the program that takes it. */
#include "config.h"

#include "webhooks/mail.h"

#include "base/clock.h"
#include "rh_check.h"

static const struct {
	const char *text;
	bool good;
} addresses[] = {
	{ "a@b", true },
	{ "owner.of+it@mail.example.org", true },
	{ "o'neil_1@example.org", true },
	{ "", false },
	{ "@b", false },
	{ "a@", false },
	{ "ab", false },
	{ "a@b@c", false },
	{ "-f@b", false },
	{ "a,b@c", false },
	{ "a@b,c", false },
	{ "a@b;c", false },
	{ "<a@b>", false },
	{ "\"a b\"@c", false },
	{ "a(c)@b", false },
	{ "a@b\n", false },
	{ "a@b\r\nBcc: c@d", false },
	{ "a:b@c", false },
	{ "a@b:c", false },
	{ "a@[127.0.0.1]", false },
	{ "a\\@b", false },
	{ "\xc3\xa9@b", false },
	{ "a@\xc3\xa9", false },
	{ "a b@c", false },
	{ "a%@b", true },
	{ "a@b%c", false },
};

START_TEST(an_address_is_plain_characters_around_one_at)
{
	ck_assert_int_eq(mail_address_is(rh_slice_of(addresses[_i].text)),
	    addresses[_i].good);
}
END_TEST

START_TEST(an_address_has_no_nul_and_a_bounded_length)
{
	char text[260];

	ck_assert(!mail_address_is((struct rh_slice){ "a\0@b", 4 }));
	ck_assert(!mail_address_is(RH_SLICE_NONE));
	memset(text, 'a', sizeof(text));
	text[100] = '@';
	ck_assert(mail_address_is((struct rh_slice){ text, 254 }));
	ck_assert(!mail_address_is((struct rh_slice){ text, 255 }));
}
END_TEST

static struct mail
letter(const struct rh_slice *to, size_t n)
{
	struct mail m = { .from = RH_SLICE("ops@example.org"),
		.to = to,
		.nto = n,
		.subject = "S",
		.text = RH_SLICE("Text\n"),
		.timeout_ms = 20000 };

	ck_assert(rh_uuid_get(&m.id,
	    RH_SLICE("01890a5d-ac96-774b-bcce-b302099a8057")));
	return m;
}

START_TEST(a_message_is_whole)
{
	const struct rh_slice to[] = { RH_SLICE_INIT("x@y\nz@y"),
		RH_SLICE_INIT("a@b"), RH_SLICE_INIT("c,d@e"),
		RH_SLICE_INIT("f@g") };
	struct mail m = letter(to, RH_COUNT(to));

	rh_assert_slice_eq(mail_write(rh_check_arena(), &m,
			       INT64_C(1767323045678901)),
	    RH_SLICE("From: ops@example.org\n"
		     "To: a@b,\n f@g\n"
		     "Subject: S\n"
		     "Date: Fri, 2 Jan 2026 03:04:05 +0000\n"
		     "Message-ID: <01890a5d-ac96-774b-bcce-b302099a8057@rowhouse.invalid>\n"
		     "MIME-Version: 1.0\n"
		     "Content-Type: text/plain; charset=utf-8\n"
		     "Content-Transfer-Encoding: 8bit\n"
		     "Auto-Submitted: auto-generated\n\n"
		     "Text\n"));
}
END_TEST

START_TEST(to_nobody_there_is_none)
{
	const struct rh_slice to[] = { RH_SLICE_INIT("c,d@e") };
	struct mail m = letter(to, 1);

	m.command = RH_SLICE("/nowhere");
	ck_assert_ptr_null(mail_write(rh_check_arena(), &m, 0).p);
	ck_assert_ptr_null(mail_send(rh_check_arena(), &m));
	m.nto = 0;
	ck_assert_ptr_null(mail_send(rh_check_arena(), &m));
}
END_TEST

/* command: what it is; cause: what our log has of it. */
static const struct {
	const char *command, *cause;
} programs[] = {
	{ "/bin/true", NULL },
	{ "/bin/true  with arguments ", NULL },
	{ "/bin/grep -q ^To:.a@b$", NULL },
	{ "/bin/grep -q Bcc", "ended by 1" },
	{ "/bin/false", "ended by 1" },
	{ "/nowhere/at/all", "cannot be started, error 2" },
	{ "/bin/true 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16", "too many" },
};

START_TEST(what_the_program_ends_by_tells)
{
	const struct rh_slice to[] = { RH_SLICE_INIT("a@b") };
	struct mail m = letter(to, 1);
	struct rh_err *err;

	m.command = rh_slice_of(programs[_i].command);
	err = mail_send(rh_check_arena(), &m);
	if (!programs[_i].cause) {
		ck_assert_ptr_null(err);
		return;
	}
	ck_assert_ptr_nonnull(err);
	ck_assert_str_eq(err->code, "mail.failed");
	ck_assert_ptr_nonnull(strstr(err->cause, programs[_i].cause));
}
END_TEST

START_TEST(one_that_hangs_is_killed)
{
	const struct rh_slice to[] = { RH_SLICE_INIT("a@b") };
	struct mail m = letter(to, 1);
	struct rh_err *err;

	m.command = RH_SLICE("/bin/sleep 600");
	m.timeout_ms = 50;
	err = mail_send(rh_check_arena(), &m);
	ck_assert_ptr_nonnull(err);
	ck_assert_ptr_nonnull(strstr(err->cause, "killed after"));
}
END_TEST

RH_CHECK_MAIN("webhooks/mail",
    RH_LOOP(an_address_is_plain_characters_around_one_at, addresses),
    RH_CASE(an_address_has_no_nul_and_a_bounded_length),
    RH_CASE(a_message_is_whole),
    RH_CASE(to_nobody_there_is_none),
    RH_LOOP(what_the_program_ends_by_tells, programs),
    RH_CASE(one_that_hangs_is_killed))
