#include "config.h"

#include "obs/otlp.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/text.h"

#define LONGEST_MS	600000	/* what a timeout of 0, "indefinite", is to us */
#define INT_MOST	INT32_MAX	/* "Integer" of the specification */

struct env {
	struct rh_arena *arena;
	struct rh_buf *warnings;
};

/* A variable and the one that it overrides, or NULL. */
struct var {
	const char *name, *base;
};

#define OTLP(suffix) \
	((struct var){ "OTEL_EXPORTER_OTLP_TRACES_" suffix, \
	    "OTEL_EXPORTER_OTLP_" suffix })
#define ONE(name)	((struct var){ (name), NULL })

/* Empty is unset. */
static struct rh_slice
value_of(const char *name)
{
	struct rh_slice value =
	    rh_slice_of(name ? getenv(name) : NULL);

	value = value.p ? rh_slice_trim(value) : value;
	return value.n ? value : RH_SLICE_NONE;
}

static void
warn(struct env *env, const char *name, const char *what)
{
	rh_buf_printf(env->warnings, "%s: %s\n", name, what);
}

static int64_t
number(struct env *env, struct var var, int64_t min, int64_t dflt)
{
	const char *names[] = { var.name, var.base };

	for (size_t i = 0; i < RH_COUNT(names); i++) {
		struct rh_slice value = value_of(names[i]);
		uint64_t n;

		if (!value.p)
			continue;
		if (rh_u64_get(&n, value) && n <= INT_MOST &&
		    (int64_t)n >= min)
			return (int64_t)n;
		warn(env, names[i], min ? "not a positive whole number; ignored"
		    : "not a whole number; ignored");
	}
	return dflt;
}

static int64_t
timeout(struct env *env, struct var var, int64_t dflt)
{
	int64_t ms = number(env, var, 0, dflt);

	return ms == 0 ? LONGEST_MS : RH_MIN(ms, LONGEST_MS);
}

/* An index into choices, which end in NULL; -1 where none is set. */
static int
choice(struct env *env, struct var var, const char *const *choices)
{
	const char *names[] = { var.name, var.base };

	for (size_t i = 0; i < RH_COUNT(names); i++) {
		struct rh_slice value = value_of(names[i]);

		if (!value.p)
			continue;
		for (int c = 0; choices[c]; c++)
			if (rh_slice_is_nocase(value, rh_slice_of(choices[c])))
				return c;
		warn(env, names[i], "unknown value; ignored");
	}
	return -1;
}

static bool
is_true(struct env *env, const char *name)
{
	static const char *const choices[] = { "false", "true", NULL };

	return choice(env, ONE(name), choices) == 1;
}

static struct rh_slice
path(struct env *env, struct var var)
{
	const char *name = value_of(var.name).p ? var.name : var.base;
	struct rh_slice value = value_of(name);

	if (!value.p)
		return value;
	value = rh_arena_slice(env->arena, value);
	if (access(value.p, R_OK) < 0)
		warn(env, name, "that file cannot be read");
	return value;
}

static bool
percent_decode(struct env *env, struct rh_slice *text)
{
	char *to = rh_arena_alloc(env->arena, text->n + 1);
	size_t n = 0;

	for (size_t i = 0; i < text->n; i++, n++) {
		to[n] = text->p[i];
		if (to[n] != '%')
			continue;
		if (text->n - i < 3 || !rh_hex_get(to + n, 1,
		    (struct rh_slice){ text->p + i + 1, 2 }, true))
			return false;
		i += 2;
	}
	*text = (struct rh_slice){ to, n };
	return true;
}

/* Cuts "key=value" off a list as W3C Baggage has it, without properties. */
static bool
next_pair(struct env *env, struct rh_slice *list, struct rh_slice *key,
    struct rh_slice *value)
{
	struct rh_slice pair = rh_slice_cut(list, ',');

	*key = rh_slice_trim(rh_slice_cut(&pair, '='));
	if (!pair.p)
		return false;
	*value = rh_slice_trim(pair);
	return percent_decode(env, key) && percent_decode(env, value);
}

static bool
is_token(struct rh_slice s)
{
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];

		if (c <= ' ' || c > '~' || strchr("\"(),/:;<=>?@[\\]{}", c))
			return false;
	}
	return s.n > 0;
}

static bool
is_line(struct rh_slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] < ' ' || s.p[i] == 0x7f)
			return false;
	return true;
}

/* Those that say what the body is are ours to say. */
static bool
is_ours(struct rh_slice name)
{
	static const char *const names[] = {
		"content-type", "content-length", "content-encoding",
		"transfer-encoding",
	};

	for (size_t i = 0; i < RH_COUNT(names); i++)
		if (rh_slice_is_nocase(name, rh_slice_of(names[i])))
			return true;
	return false;
}

static struct rh_slice
headers(struct env *env)
{
	struct var var = OTLP("HEADERS");
	const char *name = value_of(var.name).p ? var.name : var.base;
	struct rh_slice list = value_of(name);
	struct rh_buf to;

	rh_buf_init(&to, env->arena, 256, 1 << 20);
	while (list.p) {
		struct rh_slice key, value;

		if (!next_pair(env, &list, &key, &value) || !is_token(key) ||
		    !is_line(value) || is_ours(key)) {
			warn(env, name, "a header that cannot be sent;"
			    " left out");
			continue;
		}
		rh_buf_slice(&to, key);
		rh_buf_lit(&to, ": ");
		rh_buf_slice(&to, value);
		rh_buf_char(&to, '\n');
	}
	return rh_buf_get(&to);
}

/* One fault discards the variable (Resource SDK, "Specifying …"). */
static struct rh_slice
resource(struct env *env, struct rh_slice *service_name)
{
	const char *name = "OTEL_RESOURCE_ATTRIBUTES";
	struct rh_slice list = value_of(name), service = RH_SLICE_NONE;
	struct rh_buf to;

	rh_buf_init(&to, env->arena, 256, 1 << 20);
	while (list.p) {
		struct rh_slice key, value;

		if (!next_pair(env, &list, &key, &value) || key.n == 0 ||
		    memchr(key.p, '=', key.n) || !is_line(key) ||
		    !is_line(value) || !rh_utf8_is(key) ||
		    !rh_utf8_is(value)) {
			warn(env, name, "not key=value,key=value"
			    " percent-encoded; ignored");
			return RH_SLICE_NONE;
		}
		if (rh_slice_is(key, RH_SLICE("service.name"))) {
			service = value;
			continue;
		}
		rh_buf_slice(&to, key);
		rh_buf_char(&to, '=');
		rh_buf_slice(&to, value);
		rh_buf_char(&to, '\n');
	}
	if (service.n)
		*service_name = service;
	return rh_buf_get(&to);
}

static bool
is_url(struct rh_slice url)
{
	struct rh_slice rest = url;

	if (rh_slice_has_prefix(url, RH_SLICE("http://")))
		rest = rh_slice_from(url, 7);
	else if (rh_slice_has_prefix(url, RH_SLICE("https://")))
		rest = rh_slice_from(url, 8);
	else
		return false;
	return rest.n && rest.p[0] != '/' && rest.p[0] != ':' &&
	    is_line(url) && !memchr(url.p, ' ', url.n);
}

static struct rh_slice
below(struct env *env, struct rh_slice base)
{
	char *url;

	while (base.n && base.p[base.n - 1] == '/')
		base.n--;
	url = rh_arena_printf(env->arena, "%.*s/v1/traces",
	    RH_SLICE_ARG(base));
	return rh_slice_of(url);
}

static struct rh_slice
endpoint(struct env *env, struct rh_slice fallback)
{
	const char *name = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
	struct rh_slice url = value_of(name);

	if (url.p && is_url(url))
		return rh_arena_slice(env->arena, url);
	if (url.p)
		warn(env, name, "not an http or https URL; ignored");
	name = "OTEL_EXPORTER_OTLP_ENDPOINT";
	url = value_of(name);
	if (url.p && is_url(url))
		return below(env, url);
	if (url.p)
		warn(env, name, "not an http or https URL; ignored");
	if (!fallback.n)
		return RH_SLICE_NONE;
	if (is_url(fallback))
		return below(env, fallback);
	warn(env, "otlp_endpoint", "not an http or https URL; ignored");
	return RH_SLICE_NONE;
}

enum exporter { EXPORTER_UNSET, EXPORTER_OTLP, EXPORTER_NONE };

static enum exporter
exporter(struct env *env)
{
	const char *name = "OTEL_TRACES_EXPORTER";
	struct rh_slice list = value_of(name);
	enum exporter found = EXPORTER_UNSET;

	while (list.p) {
		struct rh_slice one = rh_slice_trim(rh_slice_cut(&list, ','));

		if (rh_slice_is_nocase(one, RH_SLICE("otlp")))
			found = EXPORTER_OTLP;
		else if (rh_slice_is_nocase(one, RH_SLICE("none"))) {
			if (found == EXPORTER_UNSET)
				found = EXPORTER_NONE;
		} else
			warn(env, name, "only otlp and none are supported;"
			    " the rest is ignored");
	}
	return found;
}

static enum rh_otlp_protocol
protocol(struct env *env)
{
	static const char *const choices[] = {
		"http/protobuf", "http/json", "grpc", NULL,
	};

	switch (choice(env, OTLP("PROTOCOL"), choices)) {
	case 1:
		return RH_OTLP_JSON;
	case 2:
		warn(env, "OTEL_EXPORTER_OTLP_PROTOCOL",
		    "grpc is not supported; http/protobuf is used");
		return RH_OTLP_PROTOBUF;
	default:
		return RH_OTLP_PROTOBUF;
	}
}

static bool
gzip(struct env *env)
{
	static const char *const choices[] = { "none", "gzip", NULL };

	return choice(env, OTLP("COMPRESSION"), choices) == 1;
}

static double
ratio_arg(struct env *env)
{
	const char *name = "OTEL_TRACES_SAMPLER_ARG";
	struct rh_slice value = value_of(name);
	char *end;
	double ratio;

	if (!value.p)
		return 1;
	value = rh_arena_slice(env->arena, value);
	ratio = strtod(value.p, &end);
	if (end == value.p + value.n && ratio >= 0 && ratio <= 1)
		return ratio;
	warn(env, name, "not a number from 0 to 1; ignored");
	return 1;
}

static void
sampler(struct env *env, struct rh_sampler *to, double ratio)
{
	static const char *const choices[] = {
		"always_on", "always_off", "traceidratio",
		"parentbased_always_on", "parentbased_always_off",
		"parentbased_traceidratio", NULL,
	};
	static const enum rh_sampler_kind kinds[] = {
		RH_SAMPLER_ALWAYS_ON, RH_SAMPLER_ALWAYS_OFF, RH_SAMPLER_RATIO,
	};
	int found = choice(env, ONE("OTEL_TRACES_SAMPLER"), choices);

	if (found < 0) {
		rh_sampler_init(to, RH_SAMPLER_RATIO, true, ratio);
		return;
	}
	if (kinds[found % 3] == RH_SAMPLER_RATIO)
		ratio = ratio_arg(env);
	rh_sampler_init(to, kinds[found % 3], found >= 3, ratio);
}

static void
propagators(struct env *env)
{
	const char *name = "OTEL_PROPAGATORS";
	struct rh_slice list = value_of(name);

	while (list.p) {
		struct rh_slice one = rh_slice_trim(rh_slice_cut(&list, ','));

		if (!rh_slice_is_nocase(one, RH_SLICE("tracecontext")) &&
		    !rh_slice_is_nocase(one, RH_SLICE("baggage")))
			warn(env, name, "not honoured: tracecontext is what"
			    " is propagated");
	}
}

static void
config_file(struct env *env)
{
	static const char *const names[] = {
		"OTEL_CONFIG_FILE", "OTEL_EXPERIMENTAL_CONFIG_FILE",
	};

	for (size_t i = 0; i < RH_COUNT(names); i++)
		if (value_of(names[i]).p)
			warn(env, names[i], "configuration files are not"
			    " supported; the variables beside it apply");
}

static void
limits(struct env *env, struct rh_otlp_conf *conf)
{
	conf->attrs_max = number(env,
	    (struct var){ "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT",
	    "OTEL_ATTRIBUTE_COUNT_LIMIT" }, 0, 128);
	conf->attr_text_max = number(env,
	    (struct var){ "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT",
	    "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT" }, 0, INT_MOST);
	conf->events_max =
	    number(env, ONE("OTEL_SPAN_EVENT_COUNT_LIMIT"), 0, 128);
	conf->event_attrs_max =
	    number(env, ONE("OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT"), 0, 128);
	conf->links_max =
	    number(env, ONE("OTEL_SPAN_LINK_COUNT_LIMIT"), 0, 128);
}

static void
transport(struct env *env, struct rh_otlp_conf *conf)
{
	conf->protocol = protocol(env);
	conf->gzip = gzip(env);
	conf->timeout_ms = timeout(env, OTLP("TIMEOUT"), 10000);
	conf->headers = headers(env);
	conf->certificate = path(env, OTLP("CERTIFICATE"));
	conf->client_certificate = path(env, OTLP("CLIENT_CERTIFICATE"));
	conf->client_key = path(env, OTLP("CLIENT_KEY"));
	conf->schedule_delay_ms =
	    number(env, ONE("OTEL_BSP_SCHEDULE_DELAY"), 0, 5000);
	conf->export_timeout_ms =
	    timeout(env, ONE("OTEL_BSP_EXPORT_TIMEOUT"), 300000);
	conf->max_batch =
	    number(env, ONE("OTEL_BSP_MAX_EXPORT_BATCH_SIZE"), 1, 512);
}

void
rh_otlp_conf_read(struct rh_otlp_conf *conf,
    const struct rh_otlp_defaults *defaults, struct rh_arena *arena,
    struct rh_buf *warnings)
{
	struct env env = { arena, warnings };
	enum exporter chosen = exporter(&env);
	struct rh_slice service;

	*conf = (struct rh_otlp_conf){ .service_name = defaults->service_name };
	config_file(&env);
	propagators(&env);
	conf->traces = defaults->traces && !is_true(&env, "OTEL_SDK_DISABLED");
	conf->url = endpoint(&env, defaults->endpoint);
	if (!conf->url.p && chosen == EXPORTER_OTLP)
		conf->url = RH_SLICE("http://localhost:4318/v1/traces");
	conf->disabled = !conf->traces || !conf->url.p ||
	    chosen == EXPORTER_NONE;
	transport(&env, conf);
	limits(&env, conf);
	conf->resource = resource(&env, &conf->service_name);
	service = value_of("OTEL_SERVICE_NAME");
	if (service.p)
		conf->service_name = service;
	conf->service_name = rh_arena_slice(arena, conf->service_name);
	sampler(&env, &conf->sampler, defaults->trace_ratio);
}
