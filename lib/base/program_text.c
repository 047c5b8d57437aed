#include "config.h"

#include "base/program_text.h"

#include <ctype.h>

const struct rh_option rh_program_options[] = {
	{ "-c", "FILE", "configuration", RH_PROGRAM_CONF },
	{ "-t", NULL, "test the configuration", NULL },
	{ "-T", NULL, "print the configuration in force, secrets masked", NULL },
	{ "-V", NULL, "print the version", NULL },
	{ "-h", NULL, "print the usage", NULL },
	{ 0 }
};

static void
put_text(struct rh_buf *to, const char *text)
{
	rh_buf_slice(to, rh_slice_of(text));
}

/* put for each option that stands before the operands */
static void
each_option(struct rh_buf *to, const struct rh_program *p,
    void (*put)(struct rh_buf *to, const struct rh_option *o))
{
	for (const struct rh_option *o = rh_program_options; o->name; o++)
		put(to, o);
	for (const struct rh_option *o = p->options; o && o->name; o++)
		put(to, o);
}

static void
each_own(struct rh_buf *to, const struct rh_command *c,
    void (*put)(struct rh_buf *to, const struct rh_option *o))
{
	for (const struct rh_option *o = c->options; o && o->name; o++)
		put(to, o);
}

/* --- usage --- */

static void
put_usage_option(struct rh_buf *to, const struct rh_option *o)
{
	rh_buf_printf(to, "  %s %-*s  %s", o->name,
	    8 - (int)strlen(o->name), o->operand ? o->operand : "",
	    o->meaning);
	if (o->dflt)
		rh_buf_printf(to, "; default: %s", o->dflt);
	rh_buf_char(to, '\n');
}

static void
put_usage_own(struct rh_buf *to, const struct rh_option *o)
{
	rh_buf_lit(to, "  ");
	put_usage_option(to, o);
}

void
rh_program_usage(struct rh_buf *to, const struct rh_program *p)
{
	rh_buf_printf(to, "usage: %s [options]%s%s\n%s\n", p->name,
	    p->commands ? " COMMAND" : p->operands ? " " : "",
	    !p->commands && p->operands ? p->operands : "", p->summary);
	each_option(to, p, put_usage_option);
	for (const struct rh_command *c = p->commands; c && c->name; c++) {
		rh_buf_printf(to, "%s%s%s%s\n      %s\n",
		    c == p->commands ? "commands:\n  " : "  ", c->name,
		    c->operands ? " " : "", c->operands ? c->operands : "",
		    c->summary);
		each_own(to, c, put_usage_own);
	}
}

/* --- the manual page --- */

/*
 * A phrase as a sentence. roff takes a "-" for a hyphen, a leading "." or "'"
 * for a request.
 */
static void
put_sentence(struct rh_buf *to, const char *text)
{
	if (*text == '.' || *text == '\'')
		rh_buf_lit(to, "\\&");
	for (const char *at = text; *at; at++)
		if (*at == '-')
			rh_buf_lit(to, "\\-");
		else if (*at == '\\')
			rh_buf_lit(to, "\\e");
		else
			rh_buf_char(to, at == text ?
			    (char)toupper((unsigned char)*at) : *at);
	rh_buf_lit(to, ".\n");
}

/* " Ar n": operands of a macro's line */
static void
put_man_operands(struct rh_buf *to, const char *operands)
{
	if (!operands)
		return;
	rh_buf_lit(to, " Ar ");
	for (; *operands; operands++)
		rh_buf_char(to, (char)tolower((unsigned char)*operands));
}

static void
put_man_flag(struct rh_buf *to, const struct rh_option *o)
{
	rh_buf_printf(to, "Fl %s", o->name + 1);
	put_man_operands(to, o->operand);
}

static void
put_man_option(struct rh_buf *to, const struct rh_option *o)
{
	rh_buf_lit(to, ".It ");
	put_man_flag(to, o);
	rh_buf_char(to, '\n');
	put_sentence(to, o->meaning);
}

static void
put_man_optional(struct rh_buf *to, const struct rh_option *o)
{
	rh_buf_lit(to, " Oo ");		/* an Op would take in the next */
	put_man_flag(to, o);
	rh_buf_lit(to, " Oc");
}

static void
put_man_command(struct rh_buf *to, const struct rh_command *c)
{
	rh_buf_printf(to, ".It Cm %s", c->name);
	put_man_operands(to, c->operands);
	each_own(to, c, put_man_optional);
	rh_buf_char(to, '\n');
	put_sentence(to, c->summary);
	if (!c->options)
		return;
	rh_buf_lit(to, ".Bl -tag -width Ds\n");
	each_own(to, c, put_man_option);
	rh_buf_lit(to, ".El\n");
}

static void
put_man(struct rh_buf *to, const struct rh_program *p)
{
	rh_buf_lit(to, ".Sh OPTIONS\n.Bl -tag -width Ds\n");
	each_option(to, p, put_man_option);
	rh_buf_lit(to, ".El\n");
	if (!p->commands)
		return;
	rh_buf_lit(to, ".Sh COMMANDS\n.Bl -tag -width Ds\n");
	for (const struct rh_command *c = p->commands; c->name; c++)
		put_man_command(to, c);
	rh_buf_lit(to, ".El\n");
}

/* Of "list|show [ID]": what a command is told to do; names in capitals stand for more. */
static void
put_verbs(struct rh_buf *to, const struct rh_command *c)
{
	struct rh_slice rest = rh_slice_of(c->operands ? c->operands : ""),
	    verbs = rh_slice_cut(&rest, ' ');

	while (verbs.n && *verbs.p >= 'a' && *verbs.p <= 'z') {
		rh_buf_slice(to, rh_slice_cut(&verbs, '|'));
		rh_buf_char(to, ' ');
	}
}

static bool
has_verbs(const struct rh_command *c)
{
	return c->operands && *c->operands >= 'a' && *c->operands <= 'z';
}

/* --- bash --- */

/* A function's name has no "-". */
static void
put_function(struct rh_buf *to, const struct rh_program *p)
{
	rh_buf_char(to, '_');
	for (const char *at = p->name; *at; at++)
		rh_buf_char(to, *at == '-' ? '_' : *at);
}

static void
put_bash_name(struct rh_buf *to, const struct rh_option *o)
{
	put_text(to, o->name);
	rh_buf_char(to, ' ');
}

/* Options whose operand completes as kind says. */
static void
put_bash_operands(struct rh_buf *to, const struct rh_program *p,
    const char *operand, const char *kind)
{
	const struct rh_option *of[] = { rh_program_options, p->options };
	bool any = false;

	for (size_t i = 0; i < RH_COUNT(of); i++)
		for (const struct rh_option *o = of[i]; o && o->name; o++)
			if (o->operand && strcmp(o->operand, operand) == 0) {
				rh_buf_printf(to, "%s%s", any ? " | " : "\t",
				    o->name);
				any = true;
			}
	if (any)
		rh_buf_printf(to, ")\n\t\tcompopt -o filenames\n\t\tmapfile -t"
		    " COMPREPLY < <(compgen %s -- \"$current\")\n\t\treturn"
		    " ;;\n", kind);
}

static void
put_bash_words(struct rh_buf *to, const struct rh_program *p)
{
	rh_buf_lit(to, "\tcase $command in\n\t'')\n\t\twords='");
	for (const struct rh_command *c = p->commands; c && c->name; c++)
		rh_buf_printf(to, "%s ", c->name);
	rh_buf_lit(to, "'\n\t\t[[ $current != -* ]] || words='");
	each_option(to, p, put_bash_name);
	rh_buf_lit(to, "' ;;\n");
	for (const struct rh_command *c = p->commands; c && c->name; c++) {
		rh_buf_printf(to, "\t%s) words='", c->name);
		put_verbs(to, c);
		each_own(to, c, put_bash_name);
		rh_buf_lit(to, "' ;;\n");
	}
	rh_buf_lit(to, "\tesac\n");
}

static void
put_bash(struct rh_buf *to, const struct rh_program *p)
{
	rh_buf_printf(to, "# bash completion of %s, printed by"
	    " \"%s --describe bash\"\n", p->name, p->name);
	put_function(to, p);
	rh_buf_lit(to, "()\n{\n\tlocal current=${COMP_WORDS[COMP_CWORD]}"
	    " command= words= i\n\n\tCOMPREPLY=()\n"
	    "\tcase ${COMP_WORDS[COMP_CWORD-1]} in\n");
	put_bash_operands(to, p, "FILE", "-f");
	put_bash_operands(to, p, "DIR", "-d");
	rh_buf_lit(to, "\tesac\n"
	    "\tfor ((i = 1; i < COMP_CWORD; i++)); do\n"
	    "\t\tcase ${COMP_WORDS[i]} in\n\t\t");
	for (const struct rh_option *o = p->options; o && o->name; o++)
		if (o->operand)
			rh_buf_printf(to, "%s | ", o->name);
	rh_buf_lit(to, "-c) ((++i)) ;;\n\t\t-*) ;;\n"
	    "\t\t*) command=${COMP_WORDS[i]}; break ;;\n"
	    "\t\tesac\n\tdone\n");
	put_bash_words(to, p);
	rh_buf_lit(to, "\tmapfile -t COMPREPLY < <(compgen -W \"$words\" --"
	    " \"$current\")\n} &&\ncomplete -F ");
	put_function(to, p);
	rh_buf_printf(to, " %s\n", p->name);
}

/* --- zsh --- */

/* Within single quotes, where "[", "]", ":" and "\" have a meaning. */
static void
put_zsh_text(struct rh_buf *to, const char *text)
{
	for (; *text; text++) {
		if (*text == '\'') {
			rh_buf_lit(to, "'\\''");
			continue;
		}
		if (strchr("[]:\\", *text))
			rh_buf_char(to, '\\');
		rh_buf_char(to, *text);
	}
}

static void
put_zsh_option(struct rh_buf *to, const struct rh_option *o)
{
	rh_buf_printf(to, "\t\t'%s[", o->name);
	put_zsh_text(to, o->meaning);
	rh_buf_char(to, ']');
	if (o->operand)
		rh_buf_printf(to, ":%s:%s", o->operand,
		    strcmp(o->operand, "FILE") == 0 ? "_files" :
		    strcmp(o->operand, "DIR") == 0 ? "_files -/" : "");
	rh_buf_lit(to, "'\n");
}

static void
put_zsh_commands(struct rh_buf *to, const struct rh_program *p)
{
	rh_buf_lit(to, "\tcase $state in\n\tcommand)\n\t\tlist=(\n");
	for (const struct rh_command *c = p->commands; c->name; c++) {
		rh_buf_printf(to, "\t\t'%s:", c->name);
		put_zsh_text(to, c->summary);
		rh_buf_lit(to, "'\n");
	}
	rh_buf_lit(to, "\t\t)\n\t\t_describe command list ;;\n"
	    "\toperands)\n\t\tlist=()\n\t\tcase $words[1] in\n");
	for (const struct rh_command *c = p->commands; c->name; c++) {
		rh_buf_printf(to, "\t\t%s) list=(\n", c->name);
		if (has_verbs(c)) {
			rh_buf_lit(to, "\t\t'1:what:(");
			put_verbs(to, c);
			rh_buf_lit(to, ")'\n");
		}
		each_own(to, c, put_zsh_option);
		rh_buf_lit(to, "\t\t) ;;\n");
	}
	rh_buf_lit(to, "\t\tesac\n\t\t_arguments $list ;;\n\tesac\n");
}

static void
put_zsh(struct rh_buf *to, const struct rh_program *p)
{
	rh_buf_printf(to, "#compdef %s\n# zsh completion of %s, printed by"
	    " \"%s --describe zsh\"\n", p->name, p->name, p->name);
	rh_buf_lit(to, "local curcontext=$curcontext state line\n"
	    "local -a list=(\n");
	each_option(to, p, put_zsh_option);
	rh_buf_lit(to, ")\n_arguments -C $list");
	if (p->commands) {
		rh_buf_lit(to, " '1:command:->command' '*:: :->operands'\n");
		put_zsh_commands(to, p);
	} else
		rh_buf_char(to, '\n');
}

static const struct {
	const char *name;
	void (*put)(struct rh_buf *to, const struct rh_program *p);
} descriptions[] = {
	{ "man", put_man },
	{ "bash", put_bash },
	{ "zsh", put_zsh },
};

bool
rh_program_describe(struct rh_buf *to, const struct rh_program *p,
    const char *what)
{
	for (size_t i = 0; i < RH_COUNT(descriptions); i++)
		if (strcmp(descriptions[i].name, what) == 0) {
			descriptions[i].put(to, p);
			return true;
		}
	return false;
}
