/* check_shape.c - structs to JSON and back, by their tables. */
#include "config.h"

#include "base/clock.h"
#include "http/json_write.h"
#include "rh_check.h"

static const char *const colours[] = { "red", "green", NULL };

struct part {
	int64_t weight;
	struct rh_slice label;
};

struct thing {
	struct rh_uuid id;
	struct rh_slice name, note, mail;
	int64_t count, due;
	bool on;
	int colour;
	struct part part;
	struct rh_list parts;
	struct rh_slice secret;
};

static const struct rh_field part_shape[] = {
	{ RH_FIELD("weight", INT, struct part, weight), .flags = RH_F_REQUIRED, .max = 10 },
	{ RH_FIELD("label", TEXT, struct part, label), .flags = RH_F_NULLABLE },
	{ 0 }
};

static const struct rh_field thing_shape[] = {
	{ RH_FIELD("id", UUID, struct thing, id), .flags = RH_F_NULLABLE },
	{ RH_FIELD("name", TEXT, struct thing, name), .flags = RH_F_REQUIRED | RH_F_LINE, .min = 1, .max = 5 },
	{ RH_FIELD("note", TEXT, struct thing, note), .flags = RH_F_NULLABLE },
	{ RH_FIELD("secret", TEXT, struct thing, secret), .flags = RH_F_INTERNAL },
	{ RH_FIELD("e/mail~", TEXT, struct thing, mail), .format = "email" },
	{ RH_FIELD("count", INT, struct thing, count) },
	{ RH_FIELD("due", TIME, struct thing, due), .flags = RH_F_NULLABLE },
	{ RH_FIELD("on", BOOL, struct thing, on) },
	{ RH_FIELD("colour", ENUM, struct thing, colour), .flags = RH_F_NULLABLE, .names = colours },
	{ RH_FIELD_OBJECT("part", struct thing, part, part_shape) },
	{ RH_NAMED("parts"), .type = RH_T_LIST, .at = RH_AT(LIST, struct thing, parts),
	    .of = part_shape, .size = sizeof(struct part), .max = 3 },
	{ 0 }
};

static struct thing
blank(void)
{
	return (struct thing){ .due = RH_TIME_NONE, .colour = -1 };
}

/* ---- out ---- */

static struct rh_slice
written(const struct rh_field *shape, const void *object)
{
	struct rh_buf b;

	rh_buf_init(&b, rh_check_arena(), 16, 65536);
	rh_shape_write(&b, shape, object);
	ck_assert(!b.full);
	return rh_buf_get(&b);
}

START_TEST(members_stand_in_table_order)
{
	struct part parts[2] = { { 1, RH_SLICE_INIT("a") }, { 2, RH_SLICE_NONE } };
	struct thing t = { .name = RH_SLICE("n"), .secret = RH_SLICE("s"),
	    .mail = RH_SLICE(""), .count = -5, .due = 1767323045678901,
	    .on = true, .colour = 1, .parts = { parts, 2 } };

	ck_assert(rh_uuid_get(&t.id, RH_SLICE("01890a5d-ac96-774b-bcce-b302099a8057")));
	rh_assert_slice_eq(written(thing_shape, &t), RH_SLICE(
	    "{\"id\":\"01890a5d-ac96-774b-bcce-b302099a8057\",\"name\":\"n\","
	    "\"note\":null,\"e/mail~\":\"\",\"count\":-5,"
	    "\"due\":\"2026-01-02T03:04:05.678901Z\",\"on\":true,"
	    "\"colour\":\"green\",\"part\":{\"weight\":0,\"label\":null},"
	    "\"parts\":[{\"weight\":1,\"label\":\"a\"},"
	    "{\"weight\":2,\"label\":null}]}"));
}
END_TEST

START_TEST(what_is_none_is_null)
{
	struct thing t = blank();

	rh_assert_slice_eq(written(thing_shape, &t), RH_SLICE(
	    "{\"id\":null,\"name\":null,\"note\":null,\"e/mail~\":null,"
	    "\"count\":0,\"due\":null,\"on\":false,\"colour\":null,"
	    "\"part\":{\"weight\":0,\"label\":null},\"parts\":[]}"));
}
END_TEST

START_TEST(json_stands_as_it_is)
{
	static const struct rh_field json_shape[] = {
		{ RH_FIELD("weight", INT, struct part, weight) },
		{ RH_FIELD("label", JSON, struct part, label) },
		{ 0 }
	};
	struct part some = { 1, RH_SLICE_INIT("{\"a\": \"\\u00e9\"}") };
	struct part none = { 2, RH_SLICE_NONE };

	rh_assert_slice_eq(written(json_shape, &some), RH_SLICE(
	    "{\"weight\":1,\"label\":{\"a\": \"\\u00e9\"}}"));
	rh_assert_slice_eq(written(json_shape, &none),
	    RH_SLICE("{\"weight\":2,\"label\":null}"));
}
END_TEST

struct wish {
	struct rh_slice names;
	int64_t most;
};
static const struct rh_field wish_shape[] = {
	{ RH_FIELD("names", TEXTS, struct wish, names), .max = 2, .size = 3 },
	{ RH_FIELD("most", INT, struct wish, most), .flags = RH_F_NULLABLE, .min = 1, .max = 9 },
	{ 0 }
};

START_TEST(a_number_may_be_none)
{
	struct wish w = { RH_SLICE_INIT("[\"a\"]"), RH_INT_NONE };

	rh_assert_slice_eq(written(wish_shape, &w),
	    RH_SLICE("{\"names\":[\"a\"],\"most\":null}"));
	w.most = 3;
	rh_assert_slice_eq(written(wish_shape, &w),
	    RH_SLICE("{\"names\":[\"a\"],\"most\":3}"));
}
END_TEST

/* fault: the pointer of the first; NULL: none, and the names read are these. */
static const struct {
	const char *json, *fault, *names;
} wishes[] = {
	{ "{\"names\":[]}", NULL, "[]" },
	{ "{\"names\": [ \"a\" , \"\\u0062/\" ]}", NULL, "[\"a\",\"b/\"]" },
	{ "{\"names\":[\"\\\"\"]}", NULL, "[\"\\\"\"]" },
	{ "{\"names\":[\"a\",\"b\",\"c\"]}", "/names", NULL },
	{ "{\"names\":[\"a\",\"long\"]}", "/names/1", NULL },
	{ "{\"names\":[1]}", "/names/0", NULL },
	{ "{\"names\":[null]}", "/names/0", NULL },
	{ "{\"names\":\"a\"}", "/names", NULL },
	{ "{\"names\":null}", "/names", NULL },
	{ "{\"most\":0}", "/most", NULL },
};

START_TEST(an_array_of_strings_is_kept_as_its_text)
{
	struct wish w = { RH_SLICE_NONE, 5 };
	struct rh_given given;
	struct rh_err *err = rh_shape_read(rh_check_arena(), wish_shape,
	    rh_slice_of(wishes[_i].json), false, &w, &given);

	if (wishes[_i].fault) {
		ck_assert_ptr_nonnull(err);
		ck_assert_str_eq(err->next->field, wishes[_i].fault);
		return;
	}
	ck_assert_ptr_null(err);
	rh_assert_slice_eq(w.names, rh_slice_of(wishes[_i].names));
}
END_TEST

START_TEST(null_is_no_number)
{
	struct wish w = { RH_SLICE_NONE, 5 };
	struct rh_given given;

	ck_assert_ptr_null(rh_shape_read(rh_check_arena(), wish_shape,
	    RH_SLICE("{\"most\":null}"), false, &w, &given));
	ck_assert_int_eq(w.most, RH_INT_NONE);
}
END_TEST

START_TEST(a_table_without_members_is_an_empty_object)
{
	static const struct rh_field none[] = { { 0 } };

	rh_assert_slice_eq(written(none, ""), RH_SLICE("{}"));
}
END_TEST

/* Every byte at every place of a word: what is not plain is found. */
START_TEST(texts_are_escaped_wherever_it_is_needed)
{
	static const struct rh_field text_shape[] = {
		{ RH_FIELD("t", TEXT, struct part, label) }, { 0 }
	};

	for (unsigned c = 0; c < 256; c++)
		for (size_t at = 0; at < 19; at++) {
			char text[19];
			struct part p = { .label = { text, sizeof(text) } };
			struct rh_buf want;

			memset(text, 'a', sizeof(text));
			text[at] = (char)c;
			rh_buf_init(&want, rh_check_arena(), 64, 256);
			rh_buf_lit(&want, "{\"t\":");
			rh_buf_json(&want, p.label);
			rh_buf_char(&want, '}');
			rh_assert_slice_eq(written(text_shape, &p), rh_buf_get(&want));
			if (at % 6 == 0)
				rh_check_close();
		}
}
END_TEST

/* ---- in ---- */

static struct rh_err *
taken(const char *json, bool merge, struct thing *t, struct rh_given *given)
{
	*t = blank();
	return rh_shape_read(rh_check_arena(), thing_shape, rh_slice_of(json),
	    merge, t, given);
}

START_TEST(every_type_is_read)
{
	struct rh_given given;
	struct thing t;

	ck_assert_ptr_null(taken("{\"id\":\"01890a5d-ac96-774b-bcce-b302099a8057\","
	    "\"name\":\"\\u00e9\\ud83d\\ude00\",\"note\":null,\"e/mail~\":"
	    "\"a@b\",\"count\":9007199254740992,\"due\":"
	    "\"2026-01-02T04:04:05.678901+01:00\",\"on\":true,\"colour\":"
	    "\"green\",\"part\":{\"weight\":3},\"parts\":[{\"weight\":1,"
	    "\"label\":\"x\"},{\"weight\":2}]}", false, &t, &given));
	ck_assert_uint_eq(t.id.b[15], 0x57);
	rh_assert_slice_eq(t.name, RH_SLICE("\xc3\xa9\xf0\x9f\x98\x80"));
	ck_assert_ptr_null(t.note.p);
	rh_assert_slice_eq(t.mail, RH_SLICE("a@b"));
	ck_assert_int_eq(t.count, 9007199254740992);
	ck_assert_int_eq(t.due, 1767323045678901);
	ck_assert(t.on);
	ck_assert_int_eq(t.colour, 1);
	ck_assert_int_eq(t.part.weight, 3);
	ck_assert_uint_eq(t.parts.n, 2);
	ck_assert_int_eq(((struct part *)t.parts.items)[1].weight, 2);
	ck_assert(rh_given_has(given, 1) && rh_given_has(given, 2));
	ck_assert(!rh_given_has(given, 3));
	ck_assert_uint_eq(given.null, 1 << 2);
}
END_TEST

START_TEST(absent_members_leave_the_struct_alone)
{
	struct rh_given given;
	struct thing t = blank();

	t.count = 7;
	t.colour = 1;
	ck_assert_ptr_null(rh_shape_read(rh_check_arena(), thing_shape,
	    RH_SLICE("{\"name\":\"x\"}"), false, &t, &given));
	ck_assert_int_eq(t.count, 7);
	ck_assert_int_eq(t.colour, 1);
	ck_assert_uint_eq(given.given, 1 << 1);
}
END_TEST

START_TEST(a_merge_patch_asks_for_nothing_and_clears_by_null)
{
	struct rh_given given;
	struct thing t = blank();

	t.note = RH_SLICE("was");
	t.due = 5;
	ck_assert_ptr_null(rh_shape_read(rh_check_arena(), thing_shape,
	    RH_SLICE("{\"note\":null,\"due\":null,\"colour\":null}"), true, &t,
	    &given));
	ck_assert_ptr_null(t.note.p);
	ck_assert_int_eq(t.due, RH_TIME_NONE);
	ck_assert_int_eq(t.colour, -1);
	ck_assert_uint_eq(given.null, 1 << 2 | 1 << 6 | 1 << 8);
	ck_assert_ptr_null(taken("{}", true, &t, &given));
	ck_assert_uint_eq(given.given, 0);
}
END_TEST

static const struct { const char *json, *pointer, *detail; } faults[] = {
	{ "{}", "/name", "is required" },
	{ "{\"name\":null}", "/name", "may not be null" },
	{ "{\"name\":1}", "/name", "has to be a string" },
	{ "{\"name\":\"\"}", "/name", "has to have 1 to 5 characters" },
	{ "{\"name\":\"abcdef\"}", "/name", "has to have 1 to 5 characters" },
	{ "{\"name\":\"a\\nb\"}", "/name", "has to be one line, and not blank" },
	{ "{\"name\":\"   \"}", "/name", "has to be one line, and not blank" },
	{ "{\"name\":\"a\\u0085\"}", "/name", "has to be one line, and not blank" },
	{ "{\"name\":\"a\\u007f\"}", "/name", "has to be one line, and not blank" },
	{ "{\"name\":\"x\",\"nope\":1}", "/nope", "is not known here" },
	{ "{\"name\":\"x\",\"a/b~c\":1}", "/a~1b~0c", "is not known here" },
	{ "{\"name\":\"x\",\"secret\":\"s\"}", "/secret", "is not known here" },
	{ "{\"name\":\"x\",\"e/mail~\":\"a\"}", "/e~1mail~0", "has to be an e-mail address" },
	{ "{\"name\":\"x\",\"e/mail~\":\"@b\"}", "/e~1mail~0", NULL },
	{ "{\"name\":\"x\",\"e/mail~\":\"a@\"}", "/e~1mail~0", NULL },
	{ "{\"name\":\"x\",\"e/mail~\":\"a@b@c\"}", "/e~1mail~0", NULL },
	{ "{\"name\":\"x\",\"e/mail~\":\"a b@c\"}", "/e~1mail~0", NULL },
	{ "{\"name\":\"x\",\"e/mail~\":\"\"}", "/e~1mail~0", NULL },
	{ "{\"name\":\"x\",\"count\":\"1\"}", "/count", "has to be a whole number" },
	{ "{\"name\":\"x\",\"count\":1.0}", "/count", "has to be a whole number" },
	{ "{\"name\":\"x\",\"count\":1e3}", "/count", "has to be a whole number" },
	{ "{\"name\":\"x\",\"count\":true}", "/count", "has to be a whole number" },
	{ "{\"name\":\"x\",\"count\":null}", "/count", "may not be null" },
	{ "{\"name\":\"x\",\"count\":9007199254740993}", "/count", "has to be within plus and minus 2^53" },
	{ "{\"name\":\"x\",\"count\":-9007199254740993}", "/count", "has to be within plus and minus 2^53" },
	{ "{\"name\":\"x\",\"count\":18446744073709551616}", "/count", NULL },
	{ "{\"name\":\"x\",\"count\":-18446744073709551616}", "/count", NULL },
	{ "{\"name\":\"x\",\"due\":\"now\"}", "/due", "has to be a date and time of RFC 3339" },
	{ "{\"name\":\"x\",\"due\":1}", "/due", NULL },
	{ "{\"name\":\"x\",\"id\":\"1\"}", "/id", "has to be a UUID" },
	{ "{\"name\":\"x\",\"id\":\"00000000-0000-0000-0000-000000000000\"}", "/id", NULL },
	{ "{\"name\":\"x\",\"on\":\"true\"}", "/on", "has to be true or false" },
	{ "{\"name\":\"x\",\"on\":1}", "/on", NULL },
	{ "{\"name\":\"x\",\"colour\":\"blue\"}", "/colour", "has to be one of red, green" },
	{ "{\"name\":\"x\",\"colour\":0}", "/colour", NULL },
	{ "{\"name\":\"x\",\"part\":1}", "/part", "has to be an object" },
	{ "{\"name\":\"x\",\"part\":{}}", "/part/weight", "is required" },
	{ "{\"name\":\"x\",\"parts\":{}}", "/parts", "has to be an array" },
	{ "{\"name\":\"x\",\"parts\":[1]}", "/parts/0", "has to be an object" },
	{ "{\"name\":\"x\",\"parts\":[{\"weight\":1},{\"weight\":11}]}", "/parts/1/weight", "has to be from 0 to 10" },
	{ "{\"name\":\"x\",\"parts\":[{},{},{},{}]}", "/parts", "has to have 0 to 3 items" },
	{ "[]", "", "has to be an object" },
	{ "null", "", "has to be an object" },
	{ "1", "", "has to be an object" },
	{ "\"x\"", "", "has to be an object" },
};

START_TEST(faults_are_422_with_a_pointer)
{
	struct rh_given given;
	struct thing t;
	struct rh_err *err = taken(faults[_i].json, false, &t, &given);

	ck_assert_msg(err != NULL, "%s passed", faults[_i].json);
	ck_assert_int_eq(err->kind, RH_E_INVALID);
	ck_assert_str_eq(err->code, "body.invalid");
	ck_assert_ptr_nonnull(err->next);
	ck_assert_str_eq(err->next->field, faults[_i].pointer);
	if (faults[_i].detail)
		ck_assert_str_eq(err->next->detail, faults[_i].detail);
}
END_TEST

START_TEST(all_faults_come_at_once_up_to_a_bound)
{
	struct rh_given given;
	struct thing t;
	struct rh_err *err = taken("{\"count\":\"x\",\"on\":2,\"nope\":3}", false,
	    &t, &given);
	struct rh_buf b;
	unsigned n = 0;

	for (err = err->next; err; err = err->next)
		n++;
	ck_assert_uint_eq(n, 4);
	rh_buf_init(&b, rh_check_arena(), 1024, 65536);
	rh_buf_lit(&b, "{\"name\":\"x\"");
	for (int i = 0; i < 100; i++)
		rh_buf_printf(&b, ",\"n%d\":1", i);
	rh_buf_lit(&b, "}\0");
	err = taken(b.p, false, &t, &given);
	for (n = 0, err = err->next; err; err = err->next)
		n++;
	ck_assert_uint_eq(n, 32);
}
END_TEST

START_TEST(what_is_not_strict_json_is_400)
{
	struct rh_given given;
	struct thing t;
	struct rh_err *err = taken("{\"name\":\"x\",\"\\u006eame\":\"y\"}", false,
	    &t, &given);

	ck_assert_int_eq(err->kind, RH_E_MALFORMED);
	ck_assert_str_eq(err->code, "body.json");
	ck_assert_str_eq(err->detail, "The body is not strict JSON: a name that"
	    " the object already has, at byte 23");
	ck_assert_int_eq(taken("", false, &t, &given)->kind, RH_E_MALFORMED);
}
END_TEST

RH_CHECK_MAIN("http/shape",
    RH_CASE(members_stand_in_table_order),
    RH_CASE(what_is_none_is_null),
    RH_CASE(json_stands_as_it_is),
    RH_CASE(a_number_may_be_none),
    RH_LOOP(an_array_of_strings_is_kept_as_its_text, wishes),
    RH_CASE(null_is_no_number),
    RH_CASE(a_table_without_members_is_an_empty_object),
    RH_CASE(texts_are_escaped_wherever_it_is_needed),
    RH_CASE(every_type_is_read),
    RH_CASE(absent_members_leave_the_struct_alone),
    RH_CASE(a_merge_patch_asks_for_nothing_and_clears_by_null),
    RH_LOOP(faults_are_422_with_a_pointer, faults),
    RH_CASE(all_faults_come_at_once_up_to_a_bound),
    RH_CASE(what_is_not_strict_json_is_400))
